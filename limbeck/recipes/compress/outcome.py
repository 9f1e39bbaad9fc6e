"""What a search has made: models in formats, beside each other, and the choice among them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from limbeck.errors import ExportError, LimbeckError, MachineError, SettingsError, TrainingError
from limbeck.recipes._jobs import Failures
from limbeck.recipes._tasks.folders import unshare_folder
from limbeck.recipes._teacher import list_scored_splits
from limbeck.recipes.compress.comparing import compare_runs, judge_on_test
from limbeck.recipes.compress.exports import ExportedRun, make_form, read_form
from limbeck.recipes.compress.footprints import measure_memory
from limbeck.recipes.compress.forms import Form
from limbeck.recipes.compress.planning import Plan
from limbeck.recipes.compress.targets import name_engine
from limbeck.recipes.compress.teacher import SPLIT
from limbeck.recipes.compress.winner import write_export, write_student
from limbeck.recipes.finetune.teachers import is_labeller
from limbeck.report import figures
from limbeck.report.bounds import Search
from limbeck.report.compression import Compression
from limbeck.report.runs import FinetuneRun
from limbeck.train import Progress


@dataclass(kw_only=True)
class Outcome:
    """What has been made so far.

    Attributes:
        plan: Of the search.
        teacher: The model that is made smaller, scored.
        progress: Where it is told.
        made: What was exported and scored.
        failed: What could not be, and why, by its name.
        found: All of it side by side; None as long as there is nothing.
    """

    plan: Plan
    teacher: FinetuneRun
    progress: Progress
    made: list[Form] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    found: Compression | None = None

    def make(self, forms: Sequence[Form], failures: Failures) -> None:
        """Exports, scores and measures forms of models that are there; one may fail by itself.

        Args:
            forms: The forms.
            failures: Students that could not be made, and why.
        """
        for form in forms:
            try:
                make_form(self.plan.settings, form, splits=[SPLIT], progress=self.progress)
            except MachineError:
                raise
            except LimbeckError as error:
                self.failed[form.name] = f"failed: {error}"
                self.progress.log(f"{form.name}: failed: {error}")
            else:
                self.made.append(form)
        if forms and self.made:
            self.found = self._compare(failures)

    @property
    def least_cost(self) -> float:
        """What the best there is takes of what is to be small; infinity without one."""
        if self.found is None or self.found.chosen is None:
            return math.inf
        best = next(model for model in self.found.models if model.label == self.found.chosen)
        assert self.found.search is not None
        return self.found.search.rank(best)[0]

    def explain_nothing(self, failures: Failures, others: Mapping[str, str]) -> LimbeckError:
        """Returns the error of a search in which nothing could be made.

        Args:
            failures: Students that could not be made, and why.
            others: What was not tried, and why.
        """
        why = {**failures, **self.failed, **others}
        said = "; ".join(f"{name}: {reason}" for name, reason in why.items())
        said = f"nothing could be made: {said}"
        if not failures:
            return ExportError(said)
        return SettingsError(said) if failures.are_of_settings else TrainingError(said)

    def finish(self, not_tried: Mapping[str, str], trials: Mapping[str, str]) -> Compression:
        """Adds what test says of the choice, and puts it in place.

        Args:
            not_tried: What was not made of students, and why.
            trials: What each student scored on the way, in words.
        """
        settings, found = self.plan.settings, self.found
        assert found is not None
        assert found.search is not None
        if found.chosen is not None:  # of the others, nobody looks at test
            splits = list_scored_splits(self.plan.data)
            make_form(settings, self._form(found.chosen), splits=splits, progress=self.progress)
        found = judge_on_test(settings, found, lambda name: self._read(name, "test"))
        assert found.search is not None
        not_tried = {**self.plan.not_tried, **not_tried, **self.failed}
        found = replace(found, search=replace(found.search, not_tried=not_tried, trials=trials))
        place = settings.out / "model"
        if found.chosen is None:
            unshare_folder(place)  # of an easier contract
            return found
        form = self._form(found.chosen)
        run = self._read(form.name, SPLIT)
        if isinstance(run, ExportedRun):
            write_export(place, form, run, self.plan.data, found)
        else:
            assert form.source.candidate is not None
            write_student(place, form.source.candidate, self.plan.data, found)
        return found

    def _compare(self, failures: Failures) -> Compression:
        settings = self.plan.settings
        runs = [self.teacher, *(self._read(form.name, SPLIT) for form in self.made)]
        footprints = measure_memory(
            runs[1:] if is_labeller(settings.model) else runs,
            out=settings.out,
            engines={form.name: name_engine(form.target) for form in self.made},
            progress=self.progress,
        )
        facts = Search(
            bounds=self.plan.bounds,
            prefer=settings.prefer,
            footprints=footprints,
            expected={form.name: self.plan.describe_form(form) for form in self.made},
            notes=self.plan.describe_errors(),
        )
        how = {form.name: form.how for form in self.made}
        found = compare_runs(settings, runs, how, failures, search=facts, progress=self.progress)
        return replace(found, notes=[*found.notes, *self._describe_surprise(found)])

    def _describe_surprise(self, found: Compression) -> list[str]:
        """Says how far off latencies turned out to be that were told before."""
        expected = {form.name: form.predicted.latency_ms.value for form in self.made}
        off = [
            abs(model.speed.latency_ms.median / expected[model.label] - 1)
            for model in found.candidates
            if model.speed is not None
        ]
        if not off:
            return []
        said = (
            "Latencies that were expected differ from those measured by "
            f"{figures.percent(median(off))} in the median, by {figures.percent(max(off))} at most."
        )
        return [said]

    def _form(self, name: str) -> Form:
        return next(form for form in self.plan.forms if form.name == name)

    def _read(self, name: str, split: str) -> FinetuneRun:
        return read_form(self.plan.settings, self._form(name), split)
