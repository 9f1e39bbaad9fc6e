"""What each function returns: the result of its recipe, with scores and words of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from limbeck.api._progress import choose_progress
from limbeck.api._result import ModelResult, RecordT, Result
from limbeck.api._sentence_encoder import SentenceEncoder
from limbeck.checkpoints import resolve_folder
from limbeck.recipes._tasks.speeds import measure_runs
from limbeck.recipes.export.result import word_ends
from limbeck.report import DistillationReport, figures, write_distillation_report, write_report
from limbeck.report.facts import Report
from limbeck.report.statistics import Interval, binomial_error
from limbeck.report.summary import Summary
from limbeck.runs import (
    ChainRecord,
    CompressRecord,
    DistillEmbeddingsRecord,
    EarlyExitRecord,
    EvaluateRecord,
    ExportRecord,
    FinetuneRecord,
    PruneRecord,
    RunRecord,
    SuiteRecord,
    TrimRecord,
    read_task_record,
)
from limbeck.runs.export import ExportedModel
from limbeck.runs.language_model import LanguageModelRecord

_NOT_SCORES = ("num_examples", "_standard_error")


class TaskResult(ModelResult[RecordT]):
    """A finished run with scores on a task."""

    @property
    def split(self) -> str:
        """The split that `scores` are of: `test` where it was scored, else `validation`."""
        return self._scored()[0]

    @property
    def scores(self) -> dict[str, float]:
        """Metric to value, of the model in `model`, on `split`; none where it has no labels."""
        values = self._scored()[1]
        return {name: v for name, v in values.items() if not name.endswith(_NOT_SCORES)}

    def report(
        self, *others: TaskResult[Any], teacher: TaskResult[Any] | None = None, measure: bool = True
    ) -> Report:
        """Writes a page over this run and others into the run's folder, `report/`.

        Args:
            others: Runs on the same examples.
            teacher: What the others are compared with; by default the run with that role, else one
                that others of them learned from, else the first of `others`.
            measure: Measure speed now.

        Returns:
            The report, which a notebook shows; its `files` are the page and the rest.

        Raises:
            DataError: If the runs can't be compared.
        """
        runs = [*self._runs(), *(run for o in others if not self._holds(o) for run in o._runs())]
        chosen = None if teacher is None else teacher._runs()[0]
        if chosen is None:
            chosen = _find_teacher(runs) or (runs[1] if others else runs[0])
        return write_report(
            list(dict.fromkeys([*runs, chosen])),
            out=self.folder / "report",
            teacher=str(chosen),
            measure=partial(measure_runs, progress=choose_progress(None)) if measure else None,
        )

    def _runs(self) -> list[Path]:
        """Returns the folders that a report reads of this run."""
        return [self.folder]

    def _holds(self, other: TaskResult[Any]) -> bool:  # noqa: ARG002
        """Tells whether another run's model is in this one's report anyway."""
        return False

    def _scored(self) -> tuple[str, dict[str, float]]:
        """Returns a split and the scores on it."""
        raise NotImplementedError


class FinetuneResult(TaskResult[FinetuneRecord]):
    """A fine-tuned model; of several seeds the one that is best on validation."""

    def summary(self) -> Summary:
        """Returns the scores, with their intervals where they have one."""
        record = self.record
        return Summary(
            title=f"{record.label} on {record.task}",
            headline=_headline(record.task, record.metric, *self._scored()),
            columns=("Metric", *record.best.scores),
            rows=_score_rows(record.best.scores),
            links={"model": str(self.model_folder)},
        )

    def _scored(self) -> tuple[str, dict[str, float]]:
        best = self.record.best
        return ("validation", best.validation) if best.test is None else ("test", best.test)


class EvaluateResult(TaskResult[EvaluateRecord]):
    """A model that was scored on one split; `model` is the one that was given."""

    @property
    def model_folder(self) -> Path:
        """Folder of the model that was scored."""
        return resolve_folder(self.record.model)

    def summary(self) -> Summary:
        """Returns the scores, with their intervals where they have one."""
        record = self.record
        scores = {record.split: record.scores or {}}
        return Summary(
            title=f"{record.label} on {record.task}",
            headline=_headline(record.task, record.metric, *self._scored()),
            columns=("Metric", *scores),
            rows=_score_rows(scores),
        )

    def _scored(self) -> tuple[str, dict[str, float]]:
        return self.record.split, self.record.scores or {}


class SmallerResult(TaskResult[RecordT]):
    """A smaller model, and the one that it was made of."""

    def _scored(self) -> tuple[str, dict[str, float]]:
        folder = self._runs()[0]
        found = read_task_record(folder)
        if isinstance(found, FinetuneRecord):
            best = found.best
            return ("validation", best.validation) if best.test is None else ("test", best.test)
        beside = folder.parent / "test"  # of an export, scored split by split
        scored = EvaluateRecord.read(beside) if EvaluateRecord.exists(beside) else found
        return scored.split, scored.scores or {}

    def _holds(self, other: TaskResult[Any]) -> bool:
        """Tells whether another run's model is the teacher, which was scored for this one."""
        return Path(self.settings["model"]).resolve() == other.model_folder.resolve()


class CompressResult(SmallerResult[CompressRecord]):
    """The smallest student that keeps what was asked, and all that was tried."""

    def summary(self) -> Summary:
        """Returns the table of all that was tried."""
        record = self.record
        return Summary(
            title=f"Smaller models for {record.task}",
            headline=" ".join(filter(None, (record.headline, record.on_test))),
            columns=("Model", record.metric, "kept (95 % interval)", "parameters", "speed-up"),
            rows=tuple(
                (
                    model.name,
                    f"{model.score:.4f}",
                    _share(model.retained, model.retained_interval),
                    f"{model.num_parameters:,}",
                    "" if model.speed_up is None else f"{model.speed_up:.2f}x",
                )
                for model in record.models
            ),
            marked=record.chosen,
            links={"page": str(record.files["html"]), "model": str(self.model_folder)},
        )

    def _runs(self) -> list[Path]:
        chosen = next(m.folder for m in self.record.models if m.name == self.record.chosen)
        return [Path(chosen), Path(self.record.models[0].folder)]


class PruneResult(SmallerResult[PruneRecord]):
    """What is left of a model, beside the model as it was given."""

    def summary(self) -> Summary:
        """Returns both models side by side."""
        record = self.record
        return Summary(
            title=f"Pruned for {record.task}",
            headline=record.headline,
            columns=("Model", record.metric, "heads", "neurons", "parameters", "latency"),
            rows=tuple(
                (
                    model.name,
                    f"{model.score:.4f}",
                    f"{sum(model.num_heads):,}",
                    f"{sum(model.num_neurons):,}",
                    f"{model.num_parameters:,}",
                    "" if model.latency_ms is None else f"{model.latency_ms:.2f} ms",
                )
                for model in record.models
            ),
            marked=record.after.name,
            links={"page": record.files["html"], "model": str(self.model_folder)},
        )

    def _runs(self) -> list[Path]:
        return [Path(model.folder) for model in reversed(self.record.models)]


class EarlyExitResult(SmallerResult[EarlyExitRecord]):
    """A model with early exits; `model` is the model itself, and `pipeline()` takes the exits."""

    def summary(self) -> Summary:
        """Returns both models side by side."""
        record = self.record
        models = (
            ("full model", record.full_score, record.num_layers, record.full_waits_ms),
            ("early exit", record.score, record.mean_layers, record.waits_ms),
        )
        return Summary(
            title=f"Early exits for {record.task}",
            headline=record.headline,
            columns=("Model", record.metric, "layers run", "latency, mean"),
            rows=tuple(
                (
                    name,
                    f"{score:.4f}",
                    f"{layers:.4g}",
                    "" if waits is None or waits.mean is None else f"{waits.mean:.2f} ms",
                )
                for name, score, layers, waits in models
            ),
            marked="early exit",
            links={"page": record.files["html"], "model": str(self.model_folder)},
        )

    def _runs(self) -> list[Path]:
        return [Path(self.record.exits_run), Path(self.record.full_run)]


class LanguageModelResult(ModelResult[LanguageModelRecord]):
    """A language model that was trained on running text."""

    @property
    def scores(self) -> dict[str, float]:
        """Figures on held-out text after the last step."""
        return dict(self.record.held_out_after)

    def summary(self) -> Summary:
        """Returns the held-out figures before and after."""
        record = self.record
        before, after = record.held_out_before, record.held_out_after
        return Summary(
            title=f"limbeck {record.recipe}",
            headline=f"{record.num_steps:,} steps, {record.num_tokens:,} tokens",
            columns=("Held out", "before", "after"),
            rows=tuple((n, f"{before[n]:.4f}", f"{after[n]:.4f}") for n in after),
            links={"model": str(self.model_folder)},
        )


class ChainResult(ModelResult[ChainRecord]):
    """Several runs, one after the other; the model is that of the last."""

    def summary(self) -> Summary:
        """Returns the stages."""
        record = self.record
        return Summary(
            title="limbeck chain",
            headline=" -> ".join(stage.name for stage in record.stages),
            columns=("Stage", "recipe", "takes"),
            rows=tuple(
                (s.name, s.recipe, ", ".join(f"{k} = {v}" for k, v in s.takes.items()))
                for s in record.stages
            ),
            links={"model": str(self.model_folder)},
        )


class EmbeddingsResult(ModelResult[DistillEmbeddingsRecord]):
    """A student that gives vectors of texts; `model` is its encoder alone."""

    @cached_property
    def sentence_encoder(self) -> SentenceEncoder:
        """What makes vectors of texts, read from the folder when it is asked for."""
        return SentenceEncoder(self.model_folder)

    @property
    def scores(self) -> dict[str, float]:
        """How alike student and teacher are on held-out rows; its score on validation pairs too."""
        return {**self.record.held_out_after, **(self.record.validation_after or {})}

    def summary(self) -> Summary:
        """Returns the figures before and after."""
        record = self.record
        before = {**record.held_out_before, **(record.validation_before or {})}
        teacher = record.validation_teacher or {}
        return Summary(
            title="limbeck distill-embeddings",
            headline=f"{record.num_layers} of {record.teacher_num_layers} layers, vectors of "
            f"{record.width} numbers",
            columns=("", "before", "after", "teacher"),
            rows=tuple(
                (n, f"{before[n]:.4f}", f"{v:.4f}", f"{teacher[n]:.4f}" if n in teacher else "")
                for n, v in self.scores.items()
            ),
            links={"model": str(self.model_folder)},
        )

    def report(self) -> DistillationReport:
        """Writes a page over this run into its folder, `report/`.

        Returns:
            Its `headline`, and its `files`: the page and the rest.

        Raises:
            DataError: If the run's metrics or its result were changed.
        """
        return write_distillation_report(self.folder, out=self.folder / "report")


class TrimResult(ModelResult[TrimRecord]):
    """A model with smaller tables."""

    def summary(self) -> Summary:
        """Returns what went."""
        record = self.record
        counts = (
            ("pieces", record.num_pieces_before, record.num_pieces),
            ("positions", record.max_tokens_before, record.max_tokens),
            ("parameters", record.num_parameters_before, record.num_parameters),
        )
        gone = 1 - record.num_parameters / record.num_parameters_before
        return Summary(
            title="limbeck trim",
            headline=f"{100 * gone:.1f} % of the parameters went",
            columns=("", "before", "after"),
            rows=tuple(
                (name, f"{before:,}", f"{after:,}")
                for name, before, after in counts
                if before is not None and after is not None
            ),
            links={"model": str(self.model_folder)},
        )


class ExportResult(ModelResult[ExportRecord]):
    """A model in another format, or several, beside the model itself."""

    @property
    def model_folder(self) -> Path:
        """Folder of the exported model; of several targets, that of the first."""
        return next(iter(self.model_folders.values()))

    @property
    def model_folders(self) -> dict[str, Path]:
        """Folder of the exported model, by target."""
        models = self.record.models
        return {model.target: Path(model.folder) for model in models if model.folder is not None}

    def summary(self) -> Summary:
        """Returns what each target keeps, at what size."""
        record = self.record
        scored = () if record.metric is None else (record.metric, "drop (95 % interval)")
        own: tuple[str, ...] = (record.model_class, f"{record.file_bytes:,}", "")
        own += () if record.score is None else (f"{record.score:.4f}", "")
        others = [_export_row(model, is_scored=bool(scored)) for model in record.models]
        names = ", ".join(self.model_folders)
        return Summary(
            title="limbeck export",
            headline=f"{record.model_class} to {names}",
            columns=("", "bytes", "largest difference", *scored),
            rows=(own, *others),
            links={name: str(folder) for name, folder in self.model_folders.items()},
        )


class SuiteResult(Result[SuiteRecord]):
    """Several models on several tasks."""

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """The median over seeds, by task and by the model's label."""
        return {task.name: dict(task.medians) for task in self.record.tasks}

    def summary(self) -> Summary:
        """Returns the table of tasks and models."""
        record = self.record
        labels = [model.label for model in record.models]
        rows = [
            (task.name, *(f"{task.medians[n]:.4f}" if n in task.medians else "" for n in labels))
            for task in record.tasks
        ]
        average = ("average", *(f"{model.average:.4f}" for model in record.models))
        kept = [model.retention for model in record.models]
        shares = [_share(k.estimate, (k.low, k.high)) if k else "" for k in kept]
        return Summary(
            title=f"Suite {record.suite}",
            headline=record.headline,
            columns=("Task", *labels),
            rows=(*rows, average, ("kept (95 % interval)", *shares)),
            links={"page": record.report},
        )


def _export_row(model: ExportedModel, *, is_scored: bool) -> tuple[str, ...]:
    difference = "not run" if model.outputs is None else f"{model.outputs.largest:.2g}"
    row = (model.target, f"{model.file_bytes:,}", difference)
    if not is_scored:
        return row
    score = model.score
    if score is None:
        return (*row, "", "")
    ends = "" if score.interval is None else f" ({word_ends(score)})"
    return (*row, f"{score.score:.4f}", f"{score.drop:.4f}{ends}")


def _find_teacher(runs: Sequence[Path]) -> Path | None:
    """Returns the run whose role is the teacher's, or whose model others learned from."""
    records = {run: RunRecord.read(run) for run in runs}
    for run, record in records.items():
        if record.settings.get("role") == "teacher":
            return run
    given = [r.settings.get("teacher") or () for r in records.values()]
    learned = [Path(n) for names in given for n in ([names] if isinstance(names, str) else names)]
    return next((run for run in runs if run / "model" in learned), None)


def _headline(task: str, metric: str, split: str, scores: dict[str, float]) -> str:
    if metric not in scores:
        return f"{task}: {split} predicted, without labels"
    return f"{task}: {metric} {scores[metric]:.4f} on {split}"


def _score_rows(by_split: dict[str, dict[str, float]]) -> tuple[tuple[str, ...], ...]:
    """Returns a row for each metric, a cell for each split, with the 95 % interval if known."""
    names = dict.fromkeys(name for scores in by_split.values() for name in scores)
    return tuple(
        (name, *(_score(scores, name) for scores in by_split.values()))
        for name in names
        if not name.endswith(_NOT_SCORES)
    )


def _score(scores: Mapping[str, float], name: str) -> str:
    """Returns a score, with its interval where it is a mean over examples.

    Source:
        Of shares of them: Wilson, "Probable Inference, the Law of Succession, and Statistical
        Inference", 1927: unlike standard errors it does not say of all right, or all wrong, that
        this is sure. Of other means, as the F1 of answers is one, two standard errors.
    """
    if name not in scores:
        return ""
    if f"{name}_standard_error" not in scores:
        return f"{scores[name]:.4f}"
    mean, error = scores[name], scores[f"{name}_standard_error"]
    num_examples = round(scores["num_examples"])
    if math.isclose(error, binomial_error(mean, num_examples), rel_tol=1e-6, abs_tol=1e-9):
        found = binomtest(round(mean * num_examples), num_examples)
        interval = found.proportion_ci(method="wilson")
        low, high = float(interval.low), float(interval.high)
    else:
        low, high = max(mean - 1.96 * error, 0.0), min(mean + 1.96 * error, 1.0)
    return f"{scores[name]:.4f} (95 % interval {low:.4f} to {high:.4f})"


def _share(share: float | None, interval: tuple[float, float] | None) -> str:
    if share is None:
        return ""
    if interval is None:
        return figures.percent(share)
    return figures.share(Interval(estimate=share, low=interval[0], high=interval[1]))
