"""What an export has to keep: the model's score on its task, or without data its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import torch

from limbeck.errors import DataError
from limbeck.export import Difference, Graph, Target, begin_step, measure_difference
from limbeck.inference import Engine, load_engine
from limbeck.inference.engines import find_engine
from limbeck.models import SentenceModel
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.heads import require_head
from limbeck.recipes._tasks.memory import recall_task
from limbeck.recipes._tasks.models import match_labels
from limbeck.recipes._tasks.predictions import Runner
from limbeck.recipes.evaluate import EvaluateSettings
from limbeck.recipes.export.rows import Rows
from limbeck.recipes.export.settings import USUAL_DROP, ExportSettings
from limbeck.report import figures, wording
from limbeck.report.scoring import make_statistics
from limbeck.report.statistics import Statistics, compare, resample
from limbeck.runs.export import OutputsCompared, ScoreCompared
from limbeck.tasks import Record
from limbeck.train import Progress

LEAST_AGREEMENT: Final = 0.9
LEAST_COSINE: Final = 0.95
"""What an export has to keep without data, on text: MiniLM's vectors in int4 have a cosine of 0.97,
in int8 0.99, and a classifier that always gives one label agrees by chance. The largest difference
of numbers would not tell: in narrow formats one of thousands is always far off."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is known of an export.

    Attributes:
        outputs: Its outputs beside the model's; None if it can't be run here.
        score: Its score beside the model's; None without data.
        refusal: Why it may not be used; None if it may.
        engine: Runs it; None if nothing here does.
    """

    outputs: OutputsCompared | None = None
    score: ScoreCompared | None = None
    refusal: str | None = None
    engine: Engine | None = None


@dataclass(frozen=True)
class TaskGate:
    """A task that the model was fine-tuned for, with the model's own score.

    Attributes:
        data: The task's data.
        graph: The model.
        split: What is scored.
        max_drop: The most that may be lost.
    """

    data: TaskData
    graph: Graph
    split: str
    max_drop: float

    @classmethod
    def read(
        cls, settings: ExportSettings, graph: Graph, progress: Progress, *, needs_training: bool
    ) -> Self:
        """Reads the task's data.

        Raises:
            DataError: If they can't be used, or their labels are not the model's.
            MissingHeadError: If the model has no head for the task.
        """
        of_task = _task_settings(settings, progress)
        data = TaskData.read(
            of_task,
            needed=(settings.split,),
            optional=("train",) if needs_training else (),
            use_model_labels=True,
            progress=progress,
        )
        require_head(data.task, data.folder, name=settings.model)
        data = replace(data, task=match_labels(data.task, data.config, name=settings.model))
        split = data.task.splits[settings.split]
        if not split.is_labelled:
            raise DataError(
                f"the {settings.split} split of data = {of_task.data!r} has no labels, so that "
                "nothing can be scored; give labelled rows, or another split=..."
            )
        bound = USUAL_DROP if settings.max_drop is None else settings.max_drop
        return cls(data, graph, settings.split, bound)

    @property
    def metric(self) -> str:
        """What it is scored by, in words."""
        return wording.metric_name(self.data.task.metric)

    @property
    def num_examples(self) -> int:
        """Examples that are scored."""
        return len(self.data.task.splits[self.split].examples)

    @cached_property
    def score(self) -> float:
        """The model's own score."""
        return self._score(self._records)

    def compare(self, runner: Runner) -> ScoreCompared:
        """Scores an export on the same examples."""
        begin_step(f"scoring {self.num_examples:,} {self.split} examples")
        records = self.data.predict(runner, self.split)
        score = self._score(records)
        own, others = self._weigh(self._records), self._weigh(records)
        if own is None or others is None:
            return ScoreCompared(
                score=score, drop=self.score - score, interval=None, is_distinguishable=False
            )
        resampled = resample({"model": [own], "export": [others]})
        found = compare([resampled["model"]], [resampled["export"]])
        return ScoreCompared(
            score=score,
            drop=self.score - score,
            interval=(found.difference.low, found.difference.high),
            is_distinguishable=found.is_distinguishable,
        )

    @cached_property
    def _records(self) -> list[Record]:
        begin_step("scoring the model beside it")
        return self.data.predict(self.graph.encoder_model, self.split)

    def _score(self, records: Sequence[Record]) -> float:
        task = self.data.task
        return task.score(task.splits[self.split], records)[task.metric]

    def _weigh(self, records: Sequence[Record]) -> Statistics | None:
        task = self.data.task
        return make_statistics(records, metric=task.metric, classes=task.labels)


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Decides whether an export may be used.

    Attributes:
        graph: The model.
        rows: What outputs are compared on.
        task: What is scored; None to go by outputs alone.
    """

    graph: Graph
    rows: Rows
    task: TaskGate | None

    def judge(self, folder: Path, target: Target) -> Verdict:
        """Runs an exported folder, and compares it with the model."""
        if target.engine is None:
            return Verdict()
        begin_step(f"comparing outputs on {self.rows.num_rows} rows")
        # As many threads as the model beside it, which is torch's: else their times don't compare.
        takes_threads = find_engine(target.engine).takes_threads
        engine = load_engine(
            target.engine,
            folder,
            kind=self.graph.kind,
            vectors=isinstance(self.graph.model, SentenceModel),
            device="cpu",
            num_threads=torch.get_num_threads() if takes_threads else None,
        )
        found = measure_difference(self.graph, engine, self.rows.batches)
        outputs = _word_difference(found, target)
        if self.task is None:
            return Verdict(outputs=outputs, refusal=refuse_outputs(outputs), engine=engine)
        score = self.task.compare(engine)
        refusal = _refuse_score(score, self.task)
        return Verdict(outputs=outputs, score=score, refusal=refusal, engine=engine)


def _word_difference(found: Difference, target: Target) -> OutputsCompared:
    return OutputsCompared(
        largest=found.largest,
        relative=found.relative,
        tolerance=target.tolerance,
        agreement=found.agreement,
        cosine=found.cosine,
    )


def refuse_outputs(found: OutputsCompared) -> str | None:
    """Returns why an export may not be used that nothing is known of but its outputs."""
    if found.relative > found.tolerance:
        return (
            f"its outputs differ from the model's by up to {found.relative:.2g} of their spread, "
            f"and {found.tolerance:.2g} is what this precision may"
        )
    if found.agreement is not None and found.agreement < LEAST_AGREEMENT:
        return (
            f"{figures.percent(found.agreement)} of its answers are the model's, and without data "
            f"{figures.percent(LEAST_AGREEMENT)} have to be"
        )
    if found.cosine is not None and found.cosine < LEAST_COSINE:
        return (
            f"its vectors have a mean cosine of {found.cosine:.4f} with the model's, and without "
            f"data {LEAST_COSINE:g} is the least"
        )
    return None


def _refuse_score(found: ScoreCompared, task: TaskGate) -> str | None:
    if found.drop <= task.max_drop + 1e-12:  # scores are sums of floats
        return None
    return (
        f"{task.metric} falls from {task.score:.4f} to {found.score:.4f}, by "
        f"{found.drop:.4f}, and max_drop is {task.max_drop:g}"
    )


def _task_settings(settings: ExportSettings, progress: Progress) -> EvaluateSettings:
    """Returns what `evaluate` would be told, with what the model remembers."""
    names = ("task", "data", "task_options", "max_length")
    given = {
        name: getattr(settings, name)
        for name in names
        if name in settings.model_fields_set and getattr(settings, name) is not None
    }
    values = {"model": settings.model, "out": settings.out, "split": settings.split, **given}
    of_task = EvaluateSettings.from_values({**values, "device": "cpu"}, where="export")
    return recall_task(of_task, progress)
