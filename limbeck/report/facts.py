"""What a report says, before it is worded or drawn; written as it stands to `report.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from limbeck.inference.speed import Speed, SpeedUp
from limbeck.report import figures
from limbeck.report.statistics import Interval, Paired
from limbeck.report.summary import Summary

Verdict = Literal["ahead", "behind", "not distinguishable", "not compared"]


@dataclass(frozen=True, kw_only=True)
class Names:
    """What sentences call the two models that a report is about, without their article.

    Attributes:
        reference: What the others are held against.
        model: What was made of it.
    """

    reference: str = "teacher"
    model: str = "student"

    @property
    def is_taught(self) -> bool:
        """Whether it is about a teacher and students, and not one model before and after."""
        return self == TAUGHT


TAUGHT = Names()
"""A teacher and its students."""


@dataclass(frozen=True, kw_only=True)
class SeedScores:
    """The main metric of one model on the reported split; its mean and the like are over seeds.

    Retention and differences are of means.

    Attributes:
        seeds: The seeds; None for a model that was only evaluated.
        values: The metric of each seed.
        standard_error: Of the mean over the test examples; None if the metric has none here.
    """

    seeds: tuple[int | None, ...]
    values: tuple[float, ...]
    mean: float
    median: float
    lowest: float
    highest: float
    standard_error: float | None


@dataclass(frozen=True, kw_only=True)
class TrainingFacts:
    """How one model was fine-tuned.

    Attributes:
        num_steps: Optimiser steps made, of each seed.
        steps_asked: Steps that the settings allow, but for a limit in minutes.
        steps_per_epoch: Steps in a pass over its training examples.
        learning_rate: Peak of the schedule.
        max_length: Longest input, in tokens.
        patience: Validations without a better score after which it stopped; None if it never did.
        max_minutes: Limit in minutes, or None.
        teacher: The model that it learned from on the task, or None.
        data: What the settings say of the data.
        labels: The labels in the order of the numbers that they are encoded as.
        tokenizer_sha256: Of what decides a tokenizer's ids; several if the seeds' differ.
        examples_sha256: Of the encoded examples; several if the seeds' differ.
    """

    seeds: tuple[int, ...]
    num_steps: tuple[int, ...]
    steps_asked: int
    steps_per_epoch: int
    batch_size: int | None
    learning_rate: float | None
    max_length: int | None
    patience: int | None
    max_minutes: float | None
    teacher: str | None
    data: Mapping[str, Any]
    labels: tuple[str, ...]
    tokenizer_sha256: tuple[str, ...]
    examples_sha256: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ConstantFacts:
    """What one and the same answer to every example reaches: what a model has to beat.

    Attributes:
        answer: The answer that scores best, in words; None where it is one for each of several
            tasks.
        score: By the main metric.
    """

    answer: str | None
    score: float


@dataclass(frozen=True, kw_only=True)
class LabelFacts:
    """All models on one label, or one type of entity.

    Attributes:
        name: The label.
        support: How often it is right.
        f1: Per model's label, F1, mean over seeds.
    """

    name: str
    support: int
    f1: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """One model of the report.

    Attributes:
        model: What fine-tuning started from.
        folder: Its run folder.
        num_parameters: Parameters, the head included.
        file_bytes: Size of the weight file, or of what else it is.
        retention: Score over the teacher's; None for the teacher itself, where there is none, and
            where it would say nothing, since not both are shown to beat a constant answer.
        above_constant: Score minus that of the best constant answer; None if no interval is known.
        beats_constant: Whether the data show that it is above; None likewise.
        favourite: What it predicts nearly always, and how often; None for a model that tells
            examples apart.
        agreement_with_teacher: Share of examples on which it predicts what the teacher predicts;
            None where predictions are measured numbers.
        agreement_between_seeds: The same among its own seeds; None for one seed.
        speed_up: How many times as fast as the teacher, measured in the same run, or None.
        training: How it was fine-tuned; None for a model that was only evaluated, and where the
            facts are of several tasks.
        training_seconds: Fine-tuning time of all seeds, or None if not written down.
    """

    label: str
    role: str
    model: str
    folder: str
    num_layers: int
    num_parameters: int
    file_bytes: int
    scores: SeedScores
    retention: Interval | None = None
    above_constant: Interval | None = None
    beats_constant: bool | None = None
    favourite: str | None = None
    agreement_with_teacher: float | None = None
    agreement_between_seeds: float | None = None
    speed: Speed | None = None
    speed_up: SpeedUp | None = None
    training: TrainingFacts | None = None
    training_seconds: float | None = None

    @property
    def is_model(self) -> bool:
        """Whether it has layers and a speed: a file of predictions and a server have none."""
        return self.num_parameters > 0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A model against another on the same examples.

    Attributes:
        model: Label of the first.
        reference: Label of the second.
        paired: The bootstrap; None if the metric has none, or the models were not trained alike.
        unequal: How they were not trained alike, or None; then the verdict is `not compared`.
        verdict: What the data can tell.
        text: The verdict in words, with the figures.
    """

    model: str
    reference: str
    reference_role: str
    paired: Paired | None
    unequal: str | None
    verdict: Verdict
    text: str


@dataclass(frozen=True, kw_only=True)
class DistillationFacts:
    """A distillation's way, as measured on held-out text.

    Attributes:
        folder: Its run folder.
        num_steps: Optimiser steps made.
        num_tokens: Tokens seen, or None if not written down.
        elapsed_seconds: Training time, or None if not written down.
        before: First held-out evaluation: figure to value.
        after: Last held-out evaluation.
        before_step: Steps made by then.
        train: Curves of training: name to values, with `step` and, if known, `tokens`.
        evaluate: Curves of held-out evaluation, likewise.
    """

    folder: str
    is_complete: bool
    num_steps: int
    num_tokens: int | None
    elapsed_seconds: float | None
    before: dict[str, float]
    after: dict[str, float]
    before_step: int
    train: dict[str, list[float]]
    evaluate: dict[str, list[float]]


@dataclass(frozen=True, kw_only=True, repr=False)
class BaseReport:
    """What the reports on a task and on several have in common.

    Attributes:
        headline: The result in a sentence, and in another one why no share is claimed.
        remarks: What the headline can't be read without, a paragraph each.
        constant: What the models are to be held against, or None if no interval is known.
        num_examples: Examples in that split, of all tasks.
        models: Teacher first, then students, baselines and others.
        comparisons: Each student against each baseline and the teacher.
        notes: How the figures were obtained and what they can't tell, in sentences.
        conditions: Machine and versions, in words.
        names: What its two main models are called.
        files: What was written, by kind.
    """

    title: str
    headline: str
    remarks: tuple[str, ...]
    constant: ConstantFacts | None
    split: str
    num_examples: int
    models: tuple[ModelFacts, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    conditions: Mapping[str, str]
    names: Names = TAUGHT
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def teacher(self) -> str:
        """Label of the teacher."""
        return self.models[0].label

    @property
    def student(self) -> str | None:
        """Label of the student in the headline, or None if no run is of a student."""
        return next((model.label for model in self.models if model.role == "student"), None)

    def model(self, label: str) -> ModelFacts:
        """Returns the model of that label."""
        return next(model for model in self.models if model.label == label)

    def summary(self) -> Summary:
        """Returns the headline and the models in a few lines."""
        return Summary(
            title=self.title,
            headline=self.headline,
            columns=("Model", "score", "kept (95 % interval)", "parameters"),
            rows=tuple(_summarise_model(model) for model in self.models),
            marked=self.student,
            links={kind: str(path) for kind, path in self.files.items() if kind == "html"},
        )

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the headline, the models, where the page is."""
        return self.summary().to_html()

    def __repr__(self) -> str:
        page = self.files.get("html")
        return f"<{type(self).__name__}: {self.headline}{f' {page}' if page else ''}>"

    def to_dict(self) -> dict[str, Any]:
        """Returns everything but names and files as plain JSON values."""
        values = asdict(self)
        for facts, written in zip(self.models, values["models"], strict=True):
            written["speed"] = facts.speed.to_dict() if facts.speed else None
        del values["files"], values["names"]
        return {**values, "teacher": self.teacher, "student": self.student}


@dataclass(frozen=True, kw_only=True, repr=False)
class Report(BaseReport):
    """All that a report on one task says.

    Attributes:
        metric: The task's main metric.
        labels: Every model on each label or type of entity, where the task has some.
        distillation: The student's distillation, or None.
    """

    task: str
    metric: str
    labels: tuple[LabelFacts, ...] = ()
    distillation: DistillationFacts | None


def _summarise_model(model: ModelFacts) -> tuple[str, ...]:
    kept = ""
    if model.retention is not None:
        share = model.retention
        kept = figures.share(share)
    return (model.label, f"{model.scores.mean:.4f}", kept, f"{model.num_parameters:,}")
