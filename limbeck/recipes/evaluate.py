"""Score a fine-tuned model on a task; `--suite glue` is `limbeck suite glue`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from limbeck.config import Shown
from limbeck.errors import DataError
from limbeck.files import write_text
from limbeck.recipes._inputs import hash_inputs
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.heads import require_head
from limbeck.recipes._tasks.memory import recall_task
from limbeck.recipes._tasks.models import describe_adapter, load_runner, match_labels
from limbeck.recipes._tasks.predictions import (
    describe_favourites,
    describe_model,
    describe_trivial,
    format_score,
)
from limbeck.recipes._tasks.settings import TaskRunSettings
from limbeck.runs import (
    Adapter,
    EvaluateRecord,
    ModelSize,
    describe_start,
    start_run,
    write_predictions,
)
from limbeck.tasks import Record
from limbeck.train import Progress, SilentProgress, choose_device


class EvaluateSettings(TaskRunSettings):
    """One fine-tuned model, one split."""

    split: Shown[Literal["train", "validation", "test"]] = "validation"
    """Split to predict, and to score if it has labels; where none is given and the data have no
    `validation`, `test`."""
    engine: Shown[str] = "auto"
    """What runs the model, as `limbeck list engines` shows it; `auto` takes what the folder was
    exported for, else torch."""


SettingsType = EvaluateSettings

# Names for reports change no score.
_MAY_CHANGE = ("label", "role", "task_label")
_MOST_LABELS_SHOWN = 10


def run(settings: EvaluateSettings, *, progress: Progress) -> EvaluateRecord:
    """Predicts the split, and scores it if it has labels.

    Returns:
        What stands in `result.json`.

    Raises:
        CheckpointError: If the model can't be read, or its `limbeck.json` is wrong.
        DataError: If the data can't be used, or its labels are not the model's.
        MissingHeadError: If the model has no head for the task.
        SettingsError: If it predicts numbers and the task has labels, or the other way round.
    """
    started = time.perf_counter()
    settings = recall_task(settings, progress)
    data = _read_data(settings, progress)
    settings = _choose_split(settings, data)
    model = load_runner(
        data.task,
        data.folder,
        name=settings.model,
        device=settings.device,
        engine=settings.engine,
    )
    return keep_predictions(
        settings,
        data,
        predict=lambda: data.predict(model, settings.split),
        size=describe_model(model, data.folder),
        adapter=describe_adapter(data.config, data.task.auto_model.kind),
        started=started,
    )


def keep_predictions(
    settings: EvaluateSettings,
    data: TaskData,
    *,
    predict: Callable[[], list[Record]],
    size: ModelSize,
    adapter: Adapter | None,
    started: float,
) -> EvaluateRecord:
    """Makes a run of what is predicted of a split: predictions, scores, records.

    Args:
        settings: Of the run.
        data: The task's, with the split; its settings are these.
        predict: Returns what is predicted of each example.
        size: Of what predicts.
        adapter: What runs it, where that is another library.
        started: When the run was begun, by `time.perf_counter`.
    """
    inputs = hash_inputs(settings.named_models(), data=data)
    with start_run(settings.out, "evaluate", settings, inputs=inputs, may_change=_MAY_CHANGE):
        split = data.task.splits[settings.split]
        records = predict()
        shown = [
            {"index": record["index"], **example.shown(), **record}
            for example, record in zip(split.examples, records, strict=True)
        ]
        checksum = write_predictions(settings.out, {settings.split: shown})
        submission = data.task.submission(split, records)
        if submission is not None:
            name, content = submission
            write_text(settings.out / name, content, error=DataError)
        record = EvaluateRecord(
            **data.names(),
            **size,
            adapter=adapter,
            split=settings.split,
            num_examples=len(split.examples),
            scores=data.score({settings.split: records})[settings.split],
            trivial=data.judge_trivial({settings.split: records}),
            details=data.task.details(split, records) if split.is_labelled else {},
            submission=None if submission is None else submission[0],
            elapsed_seconds=time.perf_counter() - started,
            predictions_sha256=checksum,
        )
        return record.write(settings.out)


def plan(settings: EvaluateSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    settings = recall_task(settings, SilentProgress())
    data = _read_data(settings, SilentProgress())
    settings = _choose_split(settings, data)
    start = describe_start(
        settings.out,
        "evaluate",
        settings,
        inputs=hash_inputs(settings.named_models(), data=data),
        may_change=_MAY_CHANGE,
    )
    return {
        "recipe": "evaluate",
        **data.names(),
        "out": str(settings.out),
        "run": start,
        "device": str(choose_device(settings.device)),
        "split": settings.split,
        **data.sizes(),
    }


def summarise(result: EvaluateRecord) -> str:
    """Formats a result: the main metric, or that there is none, and what was taken for what."""
    if result.scores is None:
        lines = [f"{result.label}: {result.split} has no labels; predicted, not scored"]
    else:
        shown = format_score(result.scores, result.metric)
        lines = [
            f"{result.label}: {result.split} {shown}, {result.num_examples} examples",
            *describe_favourites(result.trivial),
            *describe_trivial(result.trivial, result.metric),
        ]
    lines += _cutoff_lines(result.details.get("at", {}))
    matrix = result.details.get("confusion_matrix", ())
    if len(matrix) in range(2, _MOST_LABELS_SHOWN + 1):
        lines += _confusion_lines(result.details.get("labels", ()), matrix)
    if result.submission is not None:
        lines.append(f"As the benchmark's own scorer reads it: {result.submission}")
    return "\n".join(lines)


def _cutoff_lines(at: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Lays out the scores of ranked documents at each cutoff.

    Example:
        >>> scores = {"1": {"ndcg": 0.5, "mrr": 0.5}, "10": {"ndcg": 0.75, "mrr": 0.625}}
        >>> for line in _cutoff_lines(scores):
        ...     print(line)
        first:      1     10
        ndcg    0.500  0.750
        mrr     0.500  0.625
    """
    names = next(iter(at.values()), {})
    first = max(map(len, ("first:", *names)))
    rows = [(name, [f"{scores[name]:.3f}" for scores in at.values()]) for name in names]
    table = [("first:", list(at)), *rows] if rows else []
    return ["  ".join([name.ljust(first), *(v.rjust(5) for v in row)]) for name, row in table]


def _confusion_lines(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> list[str]:
    """Lays out a confusion matrix, predicted labels over the columns, the right ones before rows.

    Example:
        >>> for line in _confusion_lines(["no", "yes"], [[8, 1], [20, 3]]):
        ...     print(line)
        true ↓ predicted →  no  yes
        no                   8    1
        yes                 20    3
    """
    head = "true ↓ predicted →"
    first = max(len(name) for name in (head, *labels))
    widths = [
        max(len(name), *(len(str(row[i])) for row in matrix)) for i, name in enumerate(labels)
    ]
    rows = [(head, labels), *((name, row) for name, row in zip(labels, matrix, strict=True))]
    return [
        "  ".join([name.ljust(first), *(str(v).rjust(w) for v, w in zip(row, widths, strict=True))])
        for name, row in rows
    ]


def _choose_split(settings: EvaluateSettings, data: TaskData) -> EvaluateSettings:
    """Returns the settings with the split that was read, the only one."""
    (split,) = data.examples
    return settings if split == settings.split else settings.model_copy(update={"split": split})


def _read_data(settings: EvaluateSettings, progress: Progress) -> TaskData:
    data = TaskData.read(
        settings,
        needed=(settings.split,),
        instead=() if "split" in settings.model_fields_set else ("test",),
        use_model_labels=True,
        any_family=True,
        progress=progress,
    )
    require_head(data.task, data.folder, name=settings.model)
    return replace(data, task=match_labels(data.task, data.config, name=settings.model))
