"""What a search would try, told before anything is trained by a few models that are timed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch

from limbeck.errors import SettingsError
from limbeck.export import Graph, load_graph
from limbeck.models import ForeignConfig
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.folders import require_own_folders
from limbeck.recipes.compress.candidates import Candidate
from limbeck.recipes.compress.costs import CostModel
from limbeck.recipes.compress.costs.measuring import measure_costs
from limbeck.recipes.compress.forecast import Forecast, forecast
from limbeck.recipes.compress.forms import (
    Form,
    describe_cost,
    in_megabytes,
    least_of,
    list_forms,
)
from limbeck.recipes.compress.settings import CompressSettings
from limbeck.recipes.compress.sources import Source, list_sources
from limbeck.recipes.compress.targets import choose_targets, drop_refused, name_target
from limbeck.recipes.compress.teacher import SPLIT
from limbeck.recipes.finetune.forecast import describe_time
from limbeck.recipes.finetune.teachers import is_labeller
from limbeck.report.bounds import Bounds
from limbeck.report.figures import percent
from limbeck.runs.costs import CostsRecord
from limbeck.train import Progress

_SHARES = (0.1, 0.5, 0.9)  # of the texts that are shorter than those that are timed


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a search would try.

    Attributes:
        settings: Of the run.
        data: The teacher's, or the first student's.
        bounds: What a model may take.
        forms: What is made where need be, the cheapest first.
        beside: Names of those that can't keep the bounds, and are made to be measured beside the
            others: the model itself in each engine.
        not_tried: What can't keep the bounds, and why.
        seconds: Of training, by the name of a student; empty where no budget asks.
        costs: From what the costs are told.
        record: What was measured for that.
    """

    settings: CompressSettings
    data: TaskData
    bounds: Bounds
    forms: Sequence[Form]
    beside: frozenset[str]
    not_tried: Mapping[str, str]
    seconds: Mapping[str, float]
    costs: CostModel
    record: CostsRecord

    @classmethod
    def prepare(
        cls,
        settings: CompressSettings,
        data: TaskData,
        candidates: Sequence[Candidate],
        progress: Progress,
    ) -> Self:
        """Times a few models, and tells what all would cost.

        Raises:
            ExportError: If a format that was asked for does not take the model.
            MissingExtraError: If something that was asked for is not installed.
            SettingsError: If nothing can keep the bounds, or no training fits the budget.
        """
        targets = choose_targets(settings)
        has_model = not is_labeller(settings.model)
        texts, usual = _choose_texts(data)
        has_whole = has_model and not isinstance(data.config, ForeignConfig)
        sources = list_sources(candidates, data, list(texts), has_whole=has_whole)
        targets, refused = drop_refused(targets, _load_graph(sources, data), settings)
        costs, record = measure_costs(
            settings.out,
            sources,
            targets,
            data,
            texts,
            with_memory=settings.max_memory_mb is not None,
            progress=progress,
        )
        refused |= record.failed
        targets = tuple(target for target in targets if name_target(target) not in refused)
        forms = list_forms(sources, targets, costs, num_tokens=usual, settings=settings)
        require_own_folders([form.source.name for form in forms], where="student")
        bounds = Bounds(
            max_latency_ms=settings.max_latency_ms,
            max_size_mb=settings.max_size_mb,
            max_memory_mb=settings.max_memory_mb,
        )
        reasons = {form.name: form.explain_excess(bounds) for form in forms}
        excess = {name: reason for name, reason in reasons.items() if reason is not None}
        possible = [form for form in forms if form.name not in excess]
        beside = {form.name for form in forms if form.name in excess and _is_reference(form)}
        if not possible:
            raise SettingsError(_explain_contradiction(forms, bounds))
        seconds: Mapping[str, float] = {}
        if settings.budget_hours is not None:
            seconds = forecast(candidates, data, has_model=has_model, progress=progress).seconds
            _require_budget(settings.budget_hours, possible, seconds)
        return cls(
            settings=settings,
            data=data,
            bounds=bounds,
            forms=[form for form in forms if form.name not in excess.keys() - beside],
            beside=frozenset(beside),
            not_tried={**refused, **{k: why for k, why in excess.items() if k not in beside}},
            seconds=seconds,
            costs=costs,
            record=record,
        )

    def least_cost(self, name: str) -> float:
        """Returns what a source takes at best, of what is to be small."""
        own = [f for f in self.forms if f.source.name == name and f.name not in self.beside]
        return min((least_of(form.predicted, self.settings) for form in own), default=math.inf)

    def within(self, candidates: Sequence[Candidate]) -> Self:
        """Returns the plan with the students as they are told to end."""
        by_name = {candidate.name: candidate for candidate in candidates}
        forms = [
            form
            if form.source.candidate is None
            else replace(form, source=replace(form.source, candidate=by_name[form.source.name]))
            for form in self.forms
        ]
        return replace(self, forms=forms)

    def describe(self, forecast: Forecast) -> dict[str, Any]:
        """Returns what a dry run says of it, with the hours of each training."""
        candidates = [form for form in self.forms if form.name not in self.beside]
        return {
            "bounds": str(self.bounds) or "none",
            "prefer": self.settings.prefer,
            "budget_hours": self.settings.budget_hours,
            "candidates": [self._describe_candidate(form, forecast.seconds) for form in candidates],
            "not_tried": [{"name": name, "why": why} for name, why in self.not_tried.items()],
            "measured_beside_them": "; ".join(sorted(self.beside)),
            "how_sure": " ".join(self.describe_errors()),
        }

    def _describe_candidate(self, form: Form, seconds: Mapping[str, float]) -> dict[str, Any]:
        """Returns a line of a dry run's table."""
        found, latency = form.predicted, form.predicted.latency_ms
        likely = f"{latency.least:.3g} to {latency.most:.3g}"
        memory, hours = found.loaded_bytes, seconds.get(form.source.name, 0.0) / 3600
        return {
            "model": form.source.name,
            "format": name_target(form.target),
            "size_mb": round(found.file_bytes.value / 1e6, 2),
            "latency_ms": float(f"{latency.value:.3g}"),
            "likely_ms": likely if latency.error < 1 else "not known yet",
            **({} if memory is None else {"memory_mb": round(memory.value / 1e6, 1)}),
            "training_hours": float(f"{hours:.2g}"),
        }

    def describe_form(self, form: Form) -> str:
        """Says what a form is expected to take."""
        found = form.predicted
        words = [
            describe_cost("max_size_mb", in_megabytes(found.file_bytes)),
            describe_cost("max_latency_ms", found.latency_ms),
        ]
        if found.loaded_bytes is not None:
            memory = in_megabytes(found.loaded_bytes)
            words.append(f"{describe_cost('max_memory_mb', memory)} of memory")
        return ", ".join(words)

    def describe_errors(self) -> list[str]:
        """Says how costs were told, and how far off they may be."""
        sources = {probe.source for probe in self.record.probes}
        errors = ", ".join(
            f"{name} {percent(found.latency.error)} (rounds {percent(found.noise)} apart)"
            for name, found in self.costs.formats.items()
        )
        timed = (
            f"Before any training {len(sources)} models were timed in each format: "
            f"{', '.join(sorted(sources))}. From these a latency is told as a constant and parts "
            "for layers, operations and bytes of matrices; sizes are counted."
        )
        error = (
            f"The largest error on one of them that was left out of the fit: {errors}. What "
            "exceeds a bound by more than that was not made."
        )
        return [timed, error, *self.describe_vocabularies()]

    def describe_vocabularies(self) -> list[str]:
        """Says what trimmed vocabularies lack."""
        found = [form.source.vocabulary for form in self.forms]
        return list(dict.fromkeys(v.describe() for v in found if v is not None))


def _is_reference(form: Form) -> bool:
    """Tells whether a form is the model itself, as it runs in an engine without being narrowed."""
    is_whole = form.source.candidate is None and form.source.vocabulary is None
    return is_whole and form.target is not None and form.target.precision == "fp32"


def _choose_texts(data: TaskData) -> tuple[dict[int, Any], int]:
    """Returns a short, a usual and a long example of the split that chooses, by their tokens.

    Beside them the tokens of the usual one.
    """
    rows, examples = data.examples[SPLIT], data.task.splits[SPLIT].examples
    ranked = sorted(range(len(rows)), key=lambda row: int(rows.lengths[row]))
    chosen = [ranked[min(int(share * len(ranked)), len(ranked) - 1)] for share in _SHARES]
    texts = {int(rows.lengths[row]): examples[rows[row].index] for row in chosen}
    return texts, int(rows.lengths[chosen[1]])


def _load_graph(sources: Sequence[Source], data: TaskData) -> Graph:
    """Returns the first source as exporters want it, to ask them whether they take it."""
    first = sources[0]
    if first.candidate is None:
        return load_graph(data.folder)
    with torch.device("meta"):
        return Graph(data.task.new_model(first.data.folder))


def _explain_contradiction(forms: Sequence[Form], bounds: Bounds) -> str:
    """Says why nothing that may be tried is within the bounds, and what is nearest to each."""
    words = []
    for name, limit in bounds.items():
        known = [(form.costs[name], form.name) for form in forms if name in form.costs]
        if known:
            least, label = min(known, key=lambda found: found[0].value)
            cost = describe_cost(name, least)
            words.append(
                f"{name} = {limit:g}, and the least that is expected is {cost}, of “{label}”"
            )
    together = " together" if len(words) > 1 else ""
    return (
        f"none of the {len(forms)} models and formats that would be tried can keep the bounds"
        f"{together}: {'; '.join(words)}. Accepted: wider bounds, lower depths, other targets, or "
        "a smaller student=MODEL"
    )


def _require_budget(hours: float, forms: Sequence[Form], seconds: Mapping[str, float]) -> None:
    students = {form.source.name for form in forms if form.source.candidate is not None}
    if not students:
        return
    shortest = min(students, key=lambda name: seconds[name])
    if seconds[shortest] > 3600 * hours:
        raise SettingsError(
            f"budget_hours = {hours:g} is too little for one student: “{shortest}”, the shortest "
            f"training, takes {describe_time(seconds[shortest])} by two steps on this machine; "
            f"accepted: at least {seconds[shortest] / 3600:.2g}, fewer epochs or seeds"
        )
