"""The search for a model that keeps a share within bounds: what is made, and when it ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import torch

from limbeck.errors import (
    ExportError,
    LimbeckError,
    MachineError,
    SettingsError,
    TrainingError,
)
from limbeck.inference.footprint import Footprint, measure_footprint
from limbeck.recipes._jobs import Failures, run_jobs
from limbeck.recipes._tasks.folders import unshare_folder
from limbeck.recipes._teacher import list_scored_splits
from limbeck.recipes.compress.comparing import compare_runs, judge_on_test
from limbeck.recipes.compress.exports import ExportedRun, make_form, read_form
from limbeck.recipes.compress.forms import Form, least_of
from limbeck.recipes.compress.planning import Plan
from limbeck.recipes.compress.sources import Source
from limbeck.recipes.compress.targets import name_engine
from limbeck.recipes.compress.teacher import SPLIT
from limbeck.recipes.compress.winner import write_export, write_student
from limbeck.recipes.finetune.forecast import describe_time
from limbeck.recipes.finetune.teachers import is_labeller
from limbeck.report.bounds import Search
from limbeck.report.compression import Compression
from limbeck.report.figures import percent
from limbeck.report.runs import FinetuneRun, read_finetune_run
from limbeck.runs import FinetuneRecord
from limbeck.runs.costs import FootprintsRecord
from limbeck.runs.machine import describe_hardware
from limbeck.train import Progress


def run_search(
    plan: Plan, teacher: FinetuneRun, progress: Progress
) -> tuple[Compression, Failures]:
    """Makes forms until the contract is met and no cheaper one is left; writes the choice.

    Returns:
        What was found, and what could not be made.

    Raises:
        TrainingError: If nothing could be made.
    """
    plan.record.write(plan.settings.out)
    state = _State(plan=plan, teacher=teacher, progress=progress)
    for wave in state.waves():
        state.make(wave)
    if state.found is None:
        raise state.explain_nothing()
    return state.finish(), state.failures


@dataclass(kw_only=True)
class _State:
    """What has been made so far."""

    plan: Plan
    teacher: FinetuneRun
    progress: Progress
    made: list[Form] = field(default_factory=list)
    failures: Failures = field(default_factory=Failures)
    failed_forms: dict[str, str] = field(default_factory=dict)
    over_budget: dict[str, str] = field(default_factory=dict)
    found: Compression | None = None

    def waves(self) -> Iterator[list[Source]]:
        """Yields what is made next, as many at a time as there are workers.

        First the model itself, which needs no training and is what the others are held against.
        Then the students, the one with the cheapest form first, as long as a form is left that may
        be cheaper than the best there is.
        """
        waiting = {form.source.name: form.source for form in self.plan.forms}
        whole = [source for source in waiting.values() if source.candidate is None]
        for source in whole:
            del waiting[source.name]
            yield [source]
        while worth := [source for source in waiting.values() if self._is_worth(source)]:
            wave: list[Source] = []
            for source in worth:
                if len(wave) < self.plan.settings.workers:
                    del waiting[source.name]
                    wave += [source] if self._fits(source, wave) else []
            if wave:
                yield wave

    def make(self, sources: Sequence[Source]) -> None:
        """Trains, exports, scores and measures some sources."""
        settings, names = self.plan.settings, {source.name for source in sources}
        jobs = [source.candidate.job for source in sources if source.candidate is not None]
        failed = run_jobs(jobs, num_workers=settings.workers, progress=self.progress)
        self.failures |= failed
        self.failures.of_settings |= failed.of_settings
        for form in self.plan.forms:
            if form.source.name not in names - failed.keys():
                continue
            try:
                make_form(settings, form, splits=[SPLIT], progress=self.progress)
            except MachineError:
                raise
            except LimbeckError as error:
                self.failed_forms[form.name] = f"failed: {error}"
                self.progress.log(f"{form.name}: failed: {error}")
            else:
                self.made.append(form)
        if self.made:
            self.found = self._compare()

    def explain_nothing(self) -> LimbeckError:
        """Returns the error of a search in which nothing could be made."""
        why = {**self.failures, **self.failed_forms}
        said = "; ".join(f"{name}: {reason}" for name, reason in why.items())
        said = f"nothing could be made: {said}"
        if not self.failures:
            return ExportError(said)
        return SettingsError(said) if self.failures.are_of_settings else TrainingError(said)

    def finish(self) -> Compression:
        """Adds what test says of the choice, and what was not tried; puts the choice in place."""
        settings = self.plan.settings
        assert self.found is not None
        found, splits = self.found, list_scored_splits(self.plan.data)
        if found.chosen is not None:  # of the others, nobody looks at test
            make_form(settings, self._form(found.chosen), splits=splits, progress=self.progress)
        found = judge_on_test(settings, found, lambda name: self._read(name, "test"))
        assert found.search is not None
        found = replace(found, search=replace(found.search, not_tried=self._list_not_tried(found)))
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

    def _compare(self) -> Compression:
        runs = [self.teacher, *(self._read(form.name, SPLIT) for form in self.made)]
        facts = Search(
            bounds=self.plan.bounds,
            prefer=self.plan.settings.prefer,
            footprints=self._measure_memory(runs),
            expected={form.name: self.plan.describe_form(form) for form in self.made},
            notes=self.plan.describe_errors(),
        )
        how = {form.name: form.how for form in self.made}
        found = compare_runs(
            self.plan.settings, runs, how, self.failures, search=facts, progress=self.progress
        )
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
            f"Latencies that were expected differ from those measured by {percent(median(off))} in "
            f"the median, by {percent(max(off))} at most."
        )
        return [said]

    def _measure_memory(self, runs: Sequence[FinetuneRun]) -> dict[str, Footprint]:
        """Returns what each takes of memory, measured on this machine at most once."""
        out, machine = self.plan.settings.out, describe_hardware()
        known: dict[str, Footprint] = {}
        if FootprintsRecord.exists(out):
            record = FootprintsRecord.read(out)
            known = dict(record.footprints) if record.machine == machine else {}
        engines = {form.name: name_engine(form.target) for form in self.made}
        if is_labeller(self.plan.settings.model):
            runs = runs[1:]
        missing = [run for run in runs if run.label not in known]
        with self.progress.stage("Measuring memory", total=len(missing), unit="models") as stage:
            for run in missing:
                try:
                    known[run.label] = measure_footprint(
                        run.seeds[0].model,
                        name=engines.get(run.label, "torch"),
                        num_threads=torch.get_num_threads(),
                        device="cpu",
                    )
                except LimbeckError as error:
                    self.progress.log(f"{run.label}: {error}")
                stage.advance()
        if missing:
            FootprintsRecord(machine=machine, footprints=known).write(out)
        return known

    def _is_worth(self, source: Source) -> bool:
        """Tells whether a form of a source may still be cheaper than the best there is."""
        if self.found is None or self.found.chosen is None:
            return True
        settings = self.plan.settings
        best = next(model for model in self.found.models if model.label == self.found.chosen)
        assert self.found.search is not None
        most, _ = self.found.search.rank(best)
        own = [form for form in self.plan.forms if form.source.name == source.name]
        return any(least_of(form.predicted, settings) < most for form in own)

    def _fits(self, source: Source, wave: Sequence[Source]) -> bool:
        """Tells whether the training of a source fits what is left of the budget."""
        hours = self.plan.settings.budget_hours
        assert source.candidate is not None
        if hours is None or source.candidate.job.is_finished:
            return True
        sources = {form.source.name: form.source for form in self.plan.forms}
        spent = sum(map(_count_seconds, sources.values()))
        spent += sum(self.plan.seconds[other.name] for other in wave)
        needed = self.plan.seconds[source.name]
        if spent + needed <= 3600 * hours:
            return True
        self.over_budget[source.name] = (
            f"its training would take {describe_time(needed)}, and {describe_time(spent)} of "
            f"{hours:g} hours are spent"
        )
        return False

    def _list_not_tried(self, found: Compression) -> dict[str, str]:
        tried = {form.name for form in self.made}
        left = {
            form.name: self.over_budget.get(
                form.source.name, f"not cheaper than “{found.chosen}”, which is enough"
            )
            for form in self.plan.forms
            if form.name not in tried and form.source.name not in self.failures
        }
        return {**self.plan.not_tried, **left, **self.failed_forms}

    def _form(self, name: str) -> Form:
        return next(form for form in self.plan.forms if form.name == name)

    def _read(self, name: str, split: str) -> FinetuneRun:
        return read_form(self.plan.settings, self._form(name), split)


def _count_seconds(source: Source) -> float:
    """Returns how long a source was trained, by its own records."""
    if source.candidate is None or not source.candidate.job.is_finished:
        return 0.0
    run = read_finetune_run(source.candidate.folder)
    assert isinstance(run.result, FinetuneRecord)
    return sum(seed.elapsed_seconds for seed in run.result.seeds)
