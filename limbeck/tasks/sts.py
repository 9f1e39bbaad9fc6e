"""Sentence similarity without fine-tuning: the cosine of pooled embeddings, against 0 to 5.

Source:
    Reimers, Gurevych, "Sentence-BERT", EMNLP 2019, section 4.1; STS-B: Cer et al., 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.errors import CheckpointError, SettingsError
from limbeck.metrics import Numbers, main_metrics_of
from limbeck.models import (
    AutoModel,
    Model,
    SentenceHead,
    read_any_config,
    read_sentence_config,
    read_sentence_head,
)
from limbeck.nn import ModelOutput, Pooling, PoolingMode
from limbeck.sources import Data
from limbeck.tasks import stsb
from limbeck.tasks._base import Task
from limbeck.tasks._definition import TaskDefinition, with_defaults
from limbeck.tasks._encoded import EncodedExamples
from limbeck.tasks._examples import EncodedExample, Record, Split, TaskBatch
from limbeck.tasks._regression import RegressionSettings, read_regression
from limbeck.tasks._texts import TextEncoding
from limbeck.tokenizers import Tokenizer


class SimilaritySettings(RegressionSettings):
    """Which columns hold what, and how a text becomes one vector."""

    pooling: PoolingMode | None = None
    """What of a text's hidden states is compared, and nothing that the folder does with it then:
    their `mean`, that of the first token (`cls`) or the last (`lasttoken`), the largest in each
    dimension (`max`), means that count later tokens more (`weightedmean`) or are longer for longer
    texts (`mean_sqrt_len_tokens`); None takes what the model's folder says (`modules.json`), and
    the mean where it says nothing."""


@dataclass(frozen=True, kw_only=True)
class SimilarityTask(Task):
    """Pairs of sentences with a number that says how alike they are.

    Attributes:
        encoding: How texts become token ids.
        pooling: How hidden states become one vector; None for what the model's folder says.
        sentence_head: Makes the vectors; None until the model's folder has been asked.
    """

    predictions = Numbers
    metrics = main_metrics_of(Numbers)  # a squared error of cosine and number says nothing
    auto_model = AutoModel
    is_trainable = False
    targets = "real"

    encoding: TextEncoding
    pooling: PoolingMode | None = None
    sentence_head: SentenceHead | None = field(default=None, compare=False)

    def for_folder(self, folder: Path) -> Self:
        """Returns the task with what a model's folder does with hidden states, if none is set.

        Raises:
            CheckpointError: If the folder asks for what is not done here.
        """
        if self.pooling is not None:
            return self
        hidden_size = read_any_config(folder).hidden_size
        try:
            config = read_sentence_config(folder, hidden_size=hidden_size)
            return replace(self, sentence_head=read_sentence_head(folder, config))
        except CheckpointError as error:
            reason = str(error).rstrip(".")
            raise CheckpointError(
                f"{reason}. To score the model by one pooling alone all the same, set "
                "task_options.pooling=mean, for example"
            ) from None

    def load_model(self, folder: Path, *, new_head: bool) -> Model:
        """Loads the encoder of a model folder; a pooler plays no part."""
        return AutoModel.from_pretrained(folder, add_pooling_layer=False)

    def encode(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> EncodedExamples:
        """Turns each of two sentences into a row of its own, the first ones before the second."""
        firsts = [replace(example, text_pair=None) for example in split.examples]
        seconds = [
            replace(example, text=example.text_pair, text_pair=None) for example in split.examples
        ]
        return EncodedExamples.join(
            [
                self.encoding.encode(texts, tokenizer, max_length=max_length)
                for texts in (firsts, seconds)
            ]
        )

    def logits(self, output: ModelOutput, batch: TaskBatch) -> Tensor:
        """Returns one vector for each text, (batch, width)."""
        hidden = output.last_hidden_state
        head = self.sentence_head or Pooling([self.pooling or "mean"])
        vectors: Tensor = head.to(hidden.device)(hidden, batch.mask())
        return vectors

    def loss_sum(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Is never called, since there is nothing to train."""
        raise SettingsError(f"task {self.name} has no loss")

    def predict(
        self, split: Split, encoded: Sequence[EncodedExample], logits: Sequence[Tensor]
    ) -> list[Record]:
        """Returns per pair its number and the cosine of its embeddings."""
        count = len(split.examples)
        embeddings = torch.stack(list(logits)).double()
        cosines = F.cosine_similarity(embeddings[:count], embeddings[count:]).tolist()
        return [
            {"index": index, "label": example.label, "prediction": cosine}
            for index, (example, cosine) in enumerate(zip(split.examples, cosines, strict=True))
        ]


def read(
    name: str,
    data: Data,
    *,
    settings: SimilaritySettings,
    labels: Sequence[str] | None = None,  # noqa: ARG001 - of a classifier
) -> SimilarityTask:
    """Reads pairs of sentences with a number each.

    Raises:
        DataError: If rows, columns or numbers are wrong; the message names file and line.
        SettingsError: If there is no column for the second sentence.
    """
    if settings.text_pair_column is None or settings.long_texts != "truncate":
        raise SettingsError(
            f"task = '{name}' compares pairs, each sentence cut at max_length: it needs "
            "task_options.text_pair_column, and task_options.long_texts = 'truncate'"
        )
    read = read_regression(name, data, settings=settings)
    return SimilarityTask(
        name=name,
        metric=settings.metric,
        splits=read.splits,
        num_held_out=read.num_held_out,
        encoding=TextEncoding(),
        pooling=settings.pooling,
    )


TASK = TaskDefinition(
    settings=with_defaults(
        SimilaritySettings,
        text_column="sentence1",
        text_pair_column="sentence2",
        minimum=0.0,
        maximum=5.0,
        metric="spearman",
    ),
    read=read,
    hub=stsb.TASK.hub,
)
