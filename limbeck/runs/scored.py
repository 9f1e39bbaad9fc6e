"""Reads what came of a fine-tuning or an evaluation, whichever it was."""

from __future__ import annotations

from pathlib import Path

from limbeck.errors import DataError
from limbeck.runs.evaluate import EvaluateRecord
from limbeck.runs.finetune import FinetuneRecord
from limbeck.runs.result import read_recipe


def read_task_record(folder: Path) -> FinetuneRecord | EvaluateRecord:
    """Reads the result of a finished run of `finetune` or of `evaluate`.

    Raises:
        DataError: If the folder is missing, its run has not finished, is of another recipe, or
            `result.json` can't be used.
    """
    recipe = read_recipe(folder)
    if recipe == "finetune":
        return FinetuneRecord.read(folder)
    if recipe == "evaluate":
        return EvaluateRecord.read(folder)
    raise DataError(
        f"{folder} holds a run of '{recipe}', not of 'finetune' or 'evaluate'; a report joins "
        "those, and takes a distillation as its distill run"
    )
