"""Whether models that are compared were trained alike: as many steps, on the same examples."""

from __future__ import annotations

import math
from collections.abc import Sequence

from limbeck.report import figures
from limbeck.report.facts import ModelFacts, TrainingFacts
from limbeck.report.runs import FinetuneRun


def read_training(run: FinetuneRun) -> TrainingFacts | None:
    """Returns how a run's model was trained; None if it was only evaluated."""
    records = [seed.record for seed in run.seeds if seed.record is not None]
    if not records:
        return None
    settings = run.record.settings
    first, teacher = records[0], settings.get("teacher")
    steps_per_epoch = round(first.num_steps / first.num_epochs) if first.num_epochs else 0
    asked = math.ceil(settings.get("epochs", first.num_epochs) * steps_per_epoch)
    return TrainingFacts(
        seeds=tuple(record.seed for record in records),
        num_steps=tuple(record.num_steps for record in records),
        steps_asked=min(asked, settings.get("max_steps") or asked),
        steps_per_epoch=steps_per_epoch,
        batch_size=settings.get("batch_size"),
        learning_rate=settings.get("learning_rate"),
        max_length=settings.get("max_length"),
        patience=settings.get("patience"),
        max_minutes=settings.get("max_minutes"),
        teacher=", ".join(teacher) if isinstance(teacher, list) else teacher,
        data={name: settings.get(name) for name in ("task", "data", "task_options")},
        labels=tuple(run.result.labels),
        tokenizer_sha256=tuple(sorted({record.tokenizer_sha256 for record in records})),
        examples_sha256=tuple(sorted({record.examples_sha256 for record in records})),
    )


def explain_inequality(model: ModelFacts, reference: ModelFacts) -> str | None:
    """Says how two models that are to be compared were not trained alike; None if they were.

    A baseline shows what a student's way was worth, so it has to have had all that the student
    had. A teacher only has where both were fine-tuned alike: one that was fine-tuned elsewhere, or
    that the student learned from on the task, is what the student is to keep, however it came
    about.
    """
    one, other = model.training, reference.training
    if reference.role == "teacher" and (one is None or other is None or one.teacher is not None):
        return None
    if one is None and other is None:
        return None  # scored as they were given, as on a task without training
    if one is None or other is None:
        unknown = model if one is None else reference
        return f"how {figures.quoted(unknown.label)} was trained is not known"
    return find_inequality(one, other)


def find_inequality(one: TrainingFacts, other: TrainingFacts) -> str | None:
    """Says in which figures two trainings differ; None if they had the same.

    Those that may stop early, once the score no longer rises, have to have been given the same
    budget; all others have to have made as many steps, since what a time limit leaves of a budget
    is the machine's doing.
    """
    if one.batch_size != other.batch_size:
        return f"batches of {one.batch_size} examples against {other.batch_size}"
    if one.max_length != other.max_length:
        return f"inputs of up to {one.max_length} tokens against {other.max_length}"
    if not _has_same_examples(one, other):
        epochs = f"{one.steps_per_epoch} steps an epoch against {other.steps_per_epoch}"
        same = one.steps_per_epoch == other.steps_per_epoch
        return "other training examples" + ("" if same else f", {epochs}")
    if _has_same_steps(one, other):
        return None
    if _may_stop_early(one, other):
        if one.steps_asked == other.steps_asked:
            return None
        return f"up to {one.steps_asked} steps against {other.steps_asked}"
    return f"{format_steps(one)} steps against {format_steps(other)}"


def find_inequality_among(models: Sequence[ModelFacts]) -> str | None:
    """Says how the trainings of models differ, by the first that differs; None if none does."""
    first, *others = models
    for model in others:
        found = explain_inequality(first, model)
        if found is not None:
            return f"{figures.quoted(first.label)} and {figures.quoted(model.label)}: {found}"
    return None


def format_steps(training: TrainingFacts) -> str:
    """Returns the steps made, over all seeds."""
    low, high = min(training.num_steps), max(training.num_steps)
    return figures.count(low) if low == high else f"{figures.count(low)} to {figures.count(high)}"


def _has_same_steps(one: TrainingFacts, other: TrainingFacts) -> bool:
    """Tells whether each seed that both have made as many steps, and all others too."""
    steps, others = (dict(zip(t.seeds, t.num_steps, strict=True)) for t in (one, other))
    shared = steps.keys() & others.keys()
    return all(steps[seed] == others[seed] for seed in shared) and set(one.num_steps) == set(
        other.num_steps
    )


def _may_stop_early(one: TrainingFacts, other: TrainingFacts) -> bool:
    has_patience = one.patience is not None or other.patience is not None
    return has_patience and one.max_minutes is None and other.max_minutes is None


def _has_same_examples(one: TrainingFacts, other: TrainingFacts) -> bool:
    """Tells whether both saw the same examples in an epoch.

    The checksum is over the ids of tokens and labels, so models whose tokenizers or labels' order
    differ have another one for the same examples: for them the data that the settings name decide.
    """
    if one.steps_per_epoch != other.steps_per_epoch:
        return False  # rows without labels, or made ones, of which the checksum does not know
    codes = [(training.tokenizer_sha256, training.labels) for training in (one, other)]
    if codes[0] == codes[1]:
        return one.examples_sha256 == other.examples_sha256
    return one.data == other.data
