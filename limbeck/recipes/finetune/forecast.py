"""What a fine-tuning would come to: its steps, and about how long they take on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from limbeck.checkpoints import resolve_folder
from limbeck.data.sampling import take_evenly
from limbeck.models import AnyModel
from limbeck.recipes._settings import StepSettings
from limbeck.recipes._tasks.data import TaskData, read_inputs, require_inputs
from limbeck.recipes._tasks.predictions import predict_logits
from limbeck.recipes._tasks.settings import TaskRunSettings
from limbeck.recipes._tasks.training import make_budget
from limbeck.recipes.finetune.pace import time_steps
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.training import Training
from limbeck.tasks import Split, Task

_ROWS = {"train": 256, "validation": 64}
"""Examples that are looked at: of training enough for their mean length, of validation a batch."""
_STEPS = 2  # and one before them, which warms up


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a model is on this machine, as it is now.

    Attributes:
        seconds_per_step: Of an optimiser step.
        seconds_per_row: Of a prediction.
        tokens_per_row: Mean length of the rows on which this was measured.
    """

    seconds_per_step: float
    seconds_per_row: float
    tokens_per_row: float

    def over(self, tokens_per_row: float) -> Pace:
        """Returns the pace over rows of another length, taken as proportional to it."""
        ratio = tokens_per_row / self.tokens_per_row
        return Pace(
            seconds_per_step=self.seconds_per_step * ratio,
            seconds_per_row=self.seconds_per_row * ratio,
            tokens_per_row=tokens_per_row,
        )


def take_sample(settings: TaskRunSettings, task: Task, *, any_family: bool = False) -> TaskData:
    """Returns examples from all over a task as a run's model reads them, few enough to be quick.

    Args:
        settings: Of the run.
        task: The task.
        any_family: Whether the model may be one that only `transformers` can run.

    Raises:
        CheckpointError: If the model can't be read.
        SettingsError: If it can't take the inputs.
    """
    folder = resolve_folder(settings.model)
    config, tokenizer = read_inputs(folder, any_family=any_family)
    require_inputs(settings.max_length, config=config, tokenizer=tokenizer)
    examples = {
        name: task.encode(
            Split(name, take_evenly(task.splits[split].examples, number)),
            tokenizer,
            max_length=settings.max_length,
        )
        for name, number in _sizes(settings).items()
        if (split := _sampled(name, task)) in task.splits
    }
    return TaskData(
        settings=settings,
        folder=folder,
        config=config,
        tokenizer=tokenizer,
        task=task,
        examples=examples,
    )


def count_rows(sample: TaskData) -> dict[str, int]:
    """Returns about how many rows each split has: its examples, or their windows."""
    share = 1.0
    if "train" in sample.examples:
        examples = sample.task.splits[_sampled("train", sample.task)].examples
        share = len(sample.examples["train"]) / min(len(examples), _sizes(sample.settings)["train"])
    return {k: round(share * len(split.examples)) for k, split in sample.task.splits.items()}


def measure(settings: FinetuneSettings, sample: TaskData) -> Pace:
    """Makes a few steps and predictions in memory, and throws them away.

    Args:
        settings: Of a fine-tuning; its teacher does not count.
        sample: From `take_sample`.
    """
    training = Training.prepare(settings, sample, teacher=None, seed=settings.seeds[0])
    return Pace(
        seconds_per_step=time_steps(training, settings, num_steps=_STEPS),
        seconds_per_row=time_predictions(training.model, sample),
        tokens_per_row=count_tokens(sample),
    )


def time_predictions(model: AnyModel, sample: TaskData) -> float:
    """Returns the seconds that a model takes for a row, as evaluation gives it the rows."""
    rows = sample.examples["validation"]
    started = time.perf_counter()
    predict_logits(
        sample.task,
        model,
        rows,
        batch_size=sample.settings.evaluation_batch_size,
        pad_token_id=sample.tokenizer.pad_token_id,
        precision=sample.settings.precision,
    )
    return (time.perf_counter() - started) / len(rows)


def count_tokens(sample: TaskData) -> float:
    """Returns the mean length of a sample's training rows."""
    return float(sample.examples["train"].lengths.mean())


def within(settings: FinetuneSettings, num_steps: int) -> FinetuneSettings:
    """Returns the settings with an end in steps in place of one in minutes."""
    most = num_steps if settings.max_steps is None else min(num_steps, settings.max_steps)
    return settings.model_copy(update={"max_minutes": None, "max_steps": most})


def count_steps(settings: FinetuneSettings, num_rows: Mapping[str, int]) -> int:
    """Returns the most steps that a seed makes, by its epochs and `max_steps`."""
    copies = 0 if settings.augment is None else settings.augment.copies
    num_train = num_rows.get("train", 0) * (1 + copies)
    num_train += num_rows.get("transfer", 0) if settings.teacher is not None else 0
    steps_per_epoch = math.ceil(num_train / settings.batch_size)
    budget = make_budget(settings, steps_per_epoch=steps_per_epoch)
    assert budget.max_steps is not None
    return budget.max_steps


def describe_time(seconds: float) -> str:
    """Words a time as roughly as it is known.

    Example:
        >>> describe_time(20), describe_time(95), describe_time(9000)
        ('less than a minute', 'about 2 minutes', 'about 2.5 hours')
        >>> describe_time(62)
        'about a minute'
    """
    if seconds < 60:
        return "less than a minute"
    if seconds < 90:
        return "about a minute"
    if seconds < 100 * 60:
        return f"about {seconds / 60:.0f} minutes"
    return f"about {seconds / 3600:.1f} hours"


def estimate_seconds(
    settings: FinetuneSettings,
    pace: Pace,
    num_rows: Mapping[str, int],
    *,
    teacher_seconds_per_row: float = 0.0,
) -> float:
    """Returns about how long all seeds of a fine-tuning take: steps, validations, last scores.

    Args:
        settings: Of the fine-tuning.
        pace: Of its model.
        num_rows: From `count_rows`.
        teacher_seconds_per_row: Of its teacher, which runs in every step of an intermediate phase,
            and after it where there is no cache.
    """
    num_steps = count_steps(settings, num_rows)
    phase = settings.of_intermediate()
    beside_teacher = pace.seconds_per_step + settings.batch_size * teacher_seconds_per_row
    before = 0.0 if phase is None else count_steps(phase, num_rows) * beside_teacher
    replacing = settings.of_replacing()
    if replacing is not None:  # most of whose layers are the larger model's, at first
        before += count_steps(replacing, num_rows) * pace.seconds_per_step
    step = pace.seconds_per_step if settings.teacher_cache is not None else beside_teacher
    steps_per_epoch = (num_rows.get("train") or num_rows["transfer"]) / settings.batch_size
    training = num_steps * step
    if settings.max_minutes is not None:
        training = min(training, 60 * settings.max_minutes)
    num_epochs = math.ceil(training / step / steps_per_epoch)
    num_validations = max(1, num_epochs * settings.evaluations_per_epoch)
    predicted = (num_validations + 1) * num_rows.get("validation", 0) + num_rows.get("test", 0)
    return len(settings.seeds) * (before + training + predicted * pace.seconds_per_row)


def _sampled(name: str, task: Task) -> str:
    """Returns the split that a sample is taken of.

    Where no row to learn from has a label, the steps are made on validation's: they take as long.
    """
    return "validation" if name == "train" and "train" not in task.splits else name


def _sizes(settings: TaskRunSettings) -> dict[str, int]:
    """Returns how many examples a sample has: for training whole batches, as most steps have."""
    if not isinstance(settings, StepSettings):
        return _ROWS
    num_steps = max(_STEPS + 1, _ROWS["train"] // settings.batch_size)
    return {**_ROWS, "train": num_steps * settings.batch_size}
