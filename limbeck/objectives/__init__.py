"""What a training run makes small: of text, of replaced tokens, of tasks, of whole texts' vectors.

An objective holds the student and the losses, so that the optimiser, a checkpoint and data
parallelism see one `nn.Module` with one `forward`. Teachers stand beside it: they are not trained
and not saved.
"""

from limbeck.objectives._alignment import Alignment
from limbeck.objectives._held_out import evaluate_encoder, evaluate_language_model
from limbeck.objectives._looks import Looks
from limbeck.objectives._objective import Objective, Share
from limbeck.objectives._teachers import (
    CachedTeacher,
    LiveTeacher,
    MeanTeacher,
    PooledTeacher,
    TaskTeacher,
    TeacherOutputs,
)
from limbeck.objectives.embeddings import (
    EmbeddingBatch,
    EmbeddingObjective,
    PaddedTexts,
    ScoreBy,
    score_pairs,
)
from limbeck.objectives.exits import ExitObjective
from limbeck.objectives.replaced_tokens import ReplacedTokensObjective
from limbeck.objectives.task import TaskObjective
from limbeck.objectives.text import TextObjective

__all__ = [
    "Alignment",
    "CachedTeacher",
    "EmbeddingBatch",
    "EmbeddingObjective",
    "ExitObjective",
    "LiveTeacher",
    "Looks",
    "MeanTeacher",
    "Objective",
    "PaddedTexts",
    "PooledTeacher",
    "ReplacedTokensObjective",
    "ScoreBy",
    "Share",
    "TaskObjective",
    "TaskTeacher",
    "TeacherOutputs",
    "TextObjective",
    "evaluate_encoder",
    "evaluate_language_model",
    "score_pairs",
]
