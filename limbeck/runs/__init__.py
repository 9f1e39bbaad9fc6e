"""What a run leaves in its folder, as types: what was asked, on what, and what came of it."""

from limbeck.runs.adapter import Adapter
from limbeck.runs.begun import DATA_FOLDER, MODELS_FOLDER, describe_begun
from limbeck.runs.chain import ChainRecord, ChainStage
from limbeck.runs.compress import CompressedModel, CompressRecord
from limbeck.runs.early_exit import BoundTried, EarlyExitRecord, ExitShare
from limbeck.runs.either import read_task_record
from limbeck.runs.embeddings import DistillEmbeddingsRecord
from limbeck.runs.evaluate import EvaluateRecord
from limbeck.runs.examples import ExamplesRecord
from limbeck.runs.export import ExportRecord
from limbeck.runs.finetune import FinetuneRecord, SeedRecord
from limbeck.runs.folder import RunFolder, describe_start, start_run
from limbeck.runs.language_model import DistillRecord, PretrainRecord
from limbeck.runs.model_files import hash_model_files, require_model_files
from limbeck.runs.predictions import read_predictions, write_predictions
from limbeck.runs.prune import PrunedModel, PruneRecord, PruneRound
from limbeck.runs.quickstart import QuickstartModel, QuickstartRecord
from limbeck.runs.result import ResultRecord
from limbeck.runs.run import GitState, Hardware, RunRecord
from limbeck.runs.speeds import SpeedsRecord
from limbeck.runs.suite import Share, SuiteModelScores, SuiteRecord, SuiteTaskScores
from limbeck.runs.task import ModelSize, Role, TaskNames, TaskRecord, Trivial
from limbeck.runs.trim import TrimRecord

__all__ = [
    "DATA_FOLDER",
    "MODELS_FOLDER",
    "Adapter",
    "BoundTried",
    "ChainRecord",
    "ChainStage",
    "CompressRecord",
    "CompressedModel",
    "DistillEmbeddingsRecord",
    "DistillRecord",
    "EarlyExitRecord",
    "EvaluateRecord",
    "ExamplesRecord",
    "ExitShare",
    "ExportRecord",
    "FinetuneRecord",
    "GitState",
    "Hardware",
    "ModelSize",
    "PretrainRecord",
    "PruneRecord",
    "PruneRound",
    "PrunedModel",
    "QuickstartModel",
    "QuickstartRecord",
    "ResultRecord",
    "Role",
    "RunFolder",
    "RunRecord",
    "SeedRecord",
    "Share",
    "SpeedsRecord",
    "SuiteModelScores",
    "SuiteRecord",
    "SuiteTaskScores",
    "TaskNames",
    "TaskRecord",
    "TrimRecord",
    "Trivial",
    "describe_begun",
    "describe_start",
    "hash_model_files",
    "read_predictions",
    "read_task_record",
    "require_model_files",
    "start_run",
    "write_predictions",
]
