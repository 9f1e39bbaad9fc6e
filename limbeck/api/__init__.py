"""The Python face: every recipe as a function over files or rows in memory, with a result.

`limbeck.finetune(...)` and the others are these functions. Keyword arguments are the settings of
the recipe of that name, with its defaults and its errors.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from limbeck.api._chain import chain
    from limbeck.api._embeddings import distill_embeddings
    from limbeck.api._export import export_model
    from limbeck.api._quantise import quantise_model
    from limbeck.api._result import Result
    from limbeck.api._results import (
        ChainResult,
        CompressResult,
        EarlyExitResult,
        EmbeddingsResult,
        EvaluateResult,
        ExportResult,
        FinetuneResult,
        LanguageModelResult,
        PruneResult,
        SuiteResult,
        TrimResult,
    )
    from limbeck.api._sentence_encoder import SentenceEncoder
    from limbeck.api._steps import FinetuneSteps
    from limbeck.api._tasks import (
        compress,
        early_exit,
        evaluate,
        finetune,
        finetune_steps,
        prune,
        suite,
    )
    from limbeck.api._text import build_corpus, distill, pretrain, trim
    from limbeck.recipes.finetune import FinetuneStep

FUNCTIONS: Final = {
    "build_corpus": "_text",
    "chain": "_chain",
    "compress": "_tasks",
    "distill": "_text",
    "distill_embeddings": "_embeddings",
    "early_exit": "_tasks",
    "evaluate": "_tasks",
    "export_model": "_export",
    "finetune": "_tasks",
    "finetune_steps": "_tasks",
    "pretrain": "_text",
    "prune": "_tasks",
    "quantise_model": "_quantise",
    "suite": "_tasks",
    "trim": "_text",
}
"""The public functions, each with the module here that has it."""

CLASSES: Final = {
    "ChainResult": "_results",
    "CompressResult": "_results",
    "EarlyExitResult": "_results",
    "EmbeddingsResult": "_results",
    "EvaluateResult": "_results",
    "ExportResult": "_results",
    "FinetuneResult": "_results",
    "FinetuneStep": "_steps",
    "FinetuneSteps": "_steps",
    "LanguageModelResult": "_results",
    "PruneResult": "_results",
    "Result": "_result",
    "SentenceEncoder": "_sentence_encoder",
    "SuiteResult": "_results",
    "TrimResult": "_results",
}
"""The public classes: of what they return, and of what needs no run."""

__all__ = [
    "CLASSES",
    "FUNCTIONS",
    "ChainResult",
    "CompressResult",
    "EarlyExitResult",
    "EmbeddingsResult",
    "EvaluateResult",
    "ExportResult",
    "FinetuneResult",
    "FinetuneStep",
    "FinetuneSteps",
    "LanguageModelResult",
    "PruneResult",
    "Result",
    "SentenceEncoder",
    "SuiteResult",
    "TrimResult",
    "build_corpus",
    "chain",
    "compress",
    "distill",
    "distill_embeddings",
    "early_exit",
    "evaluate",
    "export_model",
    "finetune",
    "finetune_steps",
    "pretrain",
    "prune",
    "quantise_model",
    "suite",
    "trim",
]


# `import limbeck` asks what there is, and should not have to wait for torch.
def __getattr__(name: str) -> Any:
    place = {**FUNCTIONS, **CLASSES}.get(name)
    if place is None:
        raise AttributeError(f"module 'limbeck.api' has no attribute '{name}'")
    return getattr(importlib.import_module(f"limbeck.api.{place}"), name)
