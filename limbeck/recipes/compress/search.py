"""The search for a model that keeps a share within bounds: what is made, and when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from limbeck.recipes._jobs import Failures
from limbeck.recipes.compress import halving
from limbeck.recipes.compress.halving import Trial
from limbeck.recipes.compress.outcome import Outcome
from limbeck.recipes.compress.planning import Plan
from limbeck.recipes.compress.students import Students
from limbeck.recipes.compress.teacher import SPLIT
from limbeck.report import figures
from limbeck.report.compression import Compression
from limbeck.report.runs import FinetuneRun
from limbeck.train import Progress


def run_search(
    plan: Plan, teacher: FinetuneRun, progress: Progress
) -> tuple[Compression, Failures]:
    """Makes forms until the contract is met and no cheaper one is left; writes the choice.

    First the model itself in each format, which needs no training and is what the others are held
    against. Then all promising students begin, the cheapest first, and the better half of them goes
    on, until few are left that are trained to the end. What was left on the way is taken up again
    as long as it may be cheaper than the best there is, and good enough.

    Returns:
        What was found, and which students could not be made.

    Raises:
        LimbeckError: If nothing could be made.
    """
    plan.record.write(plan.settings.out)
    outcome = Outcome(plan=plan, teacher=teacher, progress=progress)
    score = median(teacher.scores(SPLIT))
    search = _Search(
        plan=plan,
        outcome=outcome,
        students=Students(plan, progress),
        goal=halving.Goal(teacher=score, enough=plan.settings.retain * score),
        progress=progress,
    )
    search.make_whole()
    search.halve()
    while search.finish_some():
        pass
    if outcome.found is None:
        raise outcome.explain_nothing(search.failures, search.over_budget)
    found = outcome.finish(search.explain_left(), search.describe_trials())
    return found, search.failures


@dataclass(kw_only=True)
class _Search:
    """Which students are trained, how far, and why others are not.

    Attributes:
        plan: What may be made.
        outcome: What was made.
        students: How far all are.
        goal: The scores that count.
        progress: Where it is told.
        ended: Students whose forms are made.
        failures: Students that could not be made, and why.
        over_budget: Students that would take too long, and how long that is.
    """

    plan: Plan
    outcome: Outcome
    students: Students
    goal: halving.Goal
    progress: Progress
    ended: set[str] = field(default_factory=set)
    failures: Failures = field(default_factory=Failures)
    over_budget: dict[str, str] = field(default_factory=dict)

    def make_whole(self) -> None:
        """Makes the forms of the model itself."""
        self.outcome.make(
            [form for form in self.plan.forms if form.source.candidate is None], self.failures
        )

    def halve(self) -> None:
        """Begins with all promising students, and goes on with half of them at a time."""
        left = [trial.name for trial in self._list_left()]
        if len(left) < 2:
            return
        self.students.score_untrained(left)
        group = halving.drop_outdone(self.students.trials(left))
        for share in self.students.list_shares(group):
            names = [trial.name for trial in group]
            self._begin(names, share)
            done = [trial for trial in self.students.trials(names) if trial.share >= share]
            group = halving.choose_half(done, enough=self.goal.enough)
            if done:
                scores = ", ".join(f"{t.name} {figures.points(t.score or 0)}" for t in done)
                self.progress.log(
                    f"after {figures.percent(share)} of the steps: {scores} (enough is "
                    f"{figures.points(self.goal.enough)}); going on: "
                    f"{', '.join(trial.name for trial in group)}"
                )

    def _begin(self, names: Sequence[str], share: float) -> None:
        """Trains to a share of the steps, the cheapest first, until one is enough already."""
        while True:
            trials = self.students.trials(names)
            done = [trial for trial in trials if trial.share >= share]
            cheapest = halving.find_cheapest(done, enough=self.goal.enough)
            waiting = [t for t in trials if t.share < share and t.cost < cheapest]
            wave = self._take(waiting, share)
            if not wave:
                return
            self._train(wave, share)

    def finish_some(self) -> bool:
        """Trains the next students to their end and makes their forms; false if none is left."""
        finished = self._list_finished()
        hopeful = [t for t in self._list_left() if halving.may_do(t, finished, self.goal)]
        hopeful.sort(key=lambda trial: halving.rank(trial, finished, self.goal))
        wave = self._take(hopeful, 1.0)
        self._train(wave, 1.0)
        self.ended.update(wave)
        made = set(wave) - self.failures.keys()
        self.outcome.make(
            [form for form in self.plan.forms if form.source.name in made], self.failures
        )
        return bool(wave)

    def explain_left(self) -> dict[str, str]:
        """Says of each form that was not made why its student was not trained to the end."""
        left = [
            form
            for form in self.plan.forms
            if form.source.candidate is not None and form.source.name not in self.ended
        ]
        return {
            form.name: self._explain(trial)
            for form in left
            for trial in self.students.trials([form.source.name])
            if trial.name not in self.failures
        }

    def describe_trials(self) -> dict[str, str]:
        """Says what each student scored on the way."""
        return {trial.name: _word_trial(trial) for trial in self.students.trials()}

    def _explain(self, trial: Trial) -> str:
        if trial.cost >= self.outcome.least_cost:
            assert self.outcome.found is not None
            return f"not cheaper than “{self.outcome.found.chosen}”, which is enough"
        if trial.name in self.over_budget:
            return self.over_budget[trial.name]
        expected = halving.expect(trial, self._list_finished(), self.goal)
        assert expected is not None, "else it would have been trained"
        return (
            f"{_word_trial(trial)}: as far as the others came from there it would score "
            f"{figures.points(expected)}, where {figures.points(self.goal.enough)} would do"
        )

    def _list_left(self) -> list[Trial]:
        """Returns the students whose forms are not made and may be cheaper than the best."""
        most, out = self.outcome.least_cost, self.ended | self.failures.keys()
        return [t for t in self.students.trials() if t.name not in out and t.cost < most]

    def _list_finished(self) -> list[Trial]:
        return [trial for trial in self.students.trials() if trial.share == 1]

    def _take(self, trials: Sequence[Trial], share: float) -> list[str]:
        """Returns the first that fit the budget, one for each worker; notes those that don't."""
        wave: list[str] = []
        for trial in trials:
            if len(wave) == self.plan.settings.workers:
                break
            if trial.name in self.over_budget or trial.name in self.failures:
                continue
            why = self.students.explain_cost(trial.name, share, wave)
            if why is None:
                wave.append(trial.name)
            else:
                self.over_budget[trial.name] = why
        return wave

    def _train(self, names: Sequence[str], share: float) -> None:
        failed = self.students.train(names, share)
        self.failures |= failed
        self.failures.of_settings |= failed.of_settings


def _word_trial(trial: Trial) -> str:
    """Says what a student scored on the way."""
    words = {0.0: "as it begins", 1.0: "at the end"}
    points = [
        (words.get(share, f"after {figures.percent(share)} of the steps"), figures.points(score))
        for share, score in sorted(trial.scores.items())
    ]
    said = ", ".join(f"{score} {where}" for where, score in points)
    return f"scored {said}" if said else "not begun"
