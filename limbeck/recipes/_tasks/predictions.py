"""What a model predicts of examples, how large it is, and its score in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from limbeck.checkpoints.exported import ExportInfo
from limbeck.errors import CheckpointError
from limbeck.inference import Engine
from limbeck.metrics import name_constant
from limbeck.models import AnyModel, AutoConfig, EarlyExitModel, ModelConfig, find_class
from limbeck.nn import evaluation
from limbeck.report import figures
from limbeck.runs import ModelSize, Trivial
from limbeck.tasks import EncodedExamples, Task, TaskBatch, evaluation_batches, remove_padding
from limbeck.train import Precision, autocast

Runner: TypeAlias = AnyModel | EarlyExitModel | Engine
"""What predicts: a model of torch, or one in an engine."""


def predict_logits(
    task: Task,
    model: Runner,
    examples: EncodedExamples,
    *,
    batch_size: int,
    pad_token_id: int,
    precision: Precision = "fp32",
) -> list[Tensor]:
    """Returns each example's logits without padding, float32 on the CPU, in their order.

    Raises:
        CheckpointError: If one is not finite: whatever was made of it would be no score.
    """
    found: dict[int, Tensor] = {}
    if isinstance(model, Engine):
        batch_size = min(batch_size, model.limits.max_rows or batch_size)
    with _evaluating(model), torch.inference_mode():
        for batch in evaluation_batches(
            task, examples, batch_size=batch_size, pad_token_id=pad_token_id
        ):
            logits = _compute(task, model, batch, precision).float().cpu()
            found.update(zip(batch.positions, remove_padding(task, logits, batch), strict=True))
    rows = [found[i] for i in range(len(examples))]
    _require_finite(rows, examples, precision)
    return rows


def _evaluating(model: Runner) -> AbstractContextManager[object]:
    return nullcontext() if isinstance(model, Engine) else evaluation(model)


def _compute(task: Task, model: Runner, batch: TaskBatch, precision: Precision) -> Tensor:
    """Returns a batch's logits, where the model is."""
    if isinstance(model, Engine):
        inputs = {**batch.inputs(), "attention_mask": batch.mask()}
        taken = {name: inputs[name] for name in inputs if name in model.limits.inputs}
        outputs = {name: torch.from_numpy(array) for name, array in model.run(taken).items()}
        return task.logits_of(outputs, batch)
    batch = batch.to(model.device)
    with autocast(model.device, precision):
        output = model(**batch.inputs())
    return task.logits(output, batch)


def _require_finite(
    rows: Sequence[Tensor], examples: EncodedExamples, precision: Precision
) -> None:
    broken = [i for i, row in enumerate(rows) if not row.isfinite().all()]
    if not broken:
        return
    narrow = "" if precision == "fp32" else f", or {precision} is too narrow: precision=fp32"
    raise CheckpointError(
        f"the model gives {len(broken):,} of {len(rows):,} rows numbers that are not finite, "
        f"example {examples[broken[0]].index} first, so that there is nothing to score: its "
        f"weights are damaged or have grown without bound{narrow}"
    )


def describe_model(model: Runner, folder: Path) -> ModelSize:
    """Returns a model's depth, number of parameters, and bytes of weight files."""
    config, num_parameters = _look_at(model, folder)
    return {
        "num_layers": config.num_hidden_layers,
        "num_parameters": num_parameters,
        "file_bytes": count_bytes(folder),
    }


def count_bytes(folder: Path) -> int:
    """Returns the size of a model folder's weights, or of the files that an export is run from."""
    if ExportInfo.exists(folder):
        paths = [folder / name for name in ExportInfo.read(folder).files]
    else:
        paths = list(folder.glob("*.safetensors"))
    return sum(path.stat().st_size for path in paths)


def _look_at(model: Runner, folder: Path) -> tuple[ModelConfig, int]:
    """Returns configuration and parameters; of an engine, what its model had before an export."""
    if not isinstance(model, Engine):
        return model.config, model.num_parameters
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):  # shapes alone
        return config, find_class(config.model_type, model.kind)(config).num_parameters


def format_score(scores: Mapping[str, float], metric: str) -> str:
    """Formats a metric, the accuracy with its standard error.

    Example:
        >>> format_score({"accuracy": 0.5, "accuracy_standard_error": 0.05}, "accuracy")
        'accuracy 0.500 ± 0.050'
    """
    error = scores.get(f"{metric}_standard_error")
    return f"{metric} {scores[metric]:.3f}" + ("" if error is None else f" ± {error:.3f}")


def describe_trivial(trivial: Mapping[str, Trivial], metric: str) -> list[str]:
    """Says what a model that never looks would have scored on each split, in a line.

    Example:
        >>> from limbeck.metrics import ANY
        >>> from limbeck.runs import Trivial
        >>> describe_trivial({"test": Trivial(answer="no", score=0.6, favourite=None)}, "accuracy")
        ['Always “no”: test accuracy 0.600']
        >>> describe_trivial({"test": Trivial(answer=ANY, score=0, favourite=None)}, "pearson")
        ['Any constant answer: test pearson 0.000']
    """
    by_answer: dict[str, list[str]] = {}
    for split, found in trivial.items():
        by_answer.setdefault(found.answer, []).append(f"{split} {metric} {found.score:.3f}")
    return [
        f"{figures.capitalise(name_constant(answer))}: {', '.join(scores)}"
        for answer, scores in by_answer.items()
    ]


def describe_favourites(trivial: Mapping[str, Trivial]) -> list[str]:
    """Says on which splits a model predicts nearly always the same, a line each."""
    return [
        f"  It hardly looks at its input: on {split} it predicts {found.favourite}."
        for split, found in trivial.items()
        if found.favourite is not None
    ]
