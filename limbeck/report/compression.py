"""What a search for a smaller model found: every model tried, and the smallest that is enough."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from limbeck.report import figures, wording
from limbeck.report.bounds import Search
from limbeck.report.facts import ConstantFacts, ModelFacts
from limbeck.report.figures import NONE
from limbeck.report.page import Table
from limbeck.report.statistics import Interval
from limbeck.report.tables import (
    Columns,
    add_constant,
    latency_or_none,
    model_table,
    seed_range,
    speed_up_or_none,
)

_NOT_SHOWN = " Not both are shown to do better than one answer for all: nothing is claimed."


@dataclass(frozen=True, kw_only=True)
class OnTest:
    """The choice on examples that it did not depend on.

    Attributes:
        num_examples: Examples of the test split.
        teacher: The teacher's score.
        student: Median of the chosen student's scores over seeds.
        retention: Ratio of the means, with its interval; None if the metric has none.
        is_shown: Whether a share can be claimed: that both are above a constant answer, as far as
            that is known.
    """

    num_examples: int
    teacher: float
    student: float
    retention: Interval | None
    is_shown: bool


@dataclass(frozen=True, kw_only=True)
class Compression:
    """What was tried to make a model smaller, and what of it kept enough.

    Attributes:
        metric: The task's main metric.
        split: The split that chose.
        retain: Share of the teacher's score that was asked for.
        name: Name of the model that was to be made smaller.
        models: The teacher, then the candidates in the order they were tried.
        how: Per label, how the model was made.
        chosen: Label of the smallest candidate that keeps the share; None if none does.
        test: The choice on the test split, if there is one with labels.
        notes: How the figures were obtained and what they can't tell.
        conditions: Machine and versions, in words.
        constant: What the models are to be held against, or None if no interval is known.
        search: Bounds, and what was found beside scores; None where layers alone count.
    """

    task: str
    metric: str
    split: str
    num_examples: int
    retain: float
    name: str
    models: Sequence[ModelFacts]
    how: Mapping[str, str]
    chosen: str | None
    test: OnTest | None
    notes: Sequence[str]
    conditions: Mapping[str, str]
    constant: ConstantFacts | None = None
    search: Search | None = None

    @property
    def teacher(self) -> ModelFacts:
        """The model that was to be made smaller."""
        return self.models[0]

    @property
    def candidates(self) -> Sequence[ModelFacts]:
        """The models tried."""
        return self.models[1:]

    def kept(self, model: ModelFacts) -> float:
        """Returns the share of the teacher's score that a model's median over seeds is."""
        return model.scores.median / self.teacher.scores.median

    def is_shown(self, model: ModelFacts) -> bool:
        """Tells whether a share can be claimed: both beat a constant answer, or it is not known."""
        return False not in (self.teacher.beats_constant, model.beats_constant)

    def is_enough(self, model: ModelFacts) -> bool:
        """Tells whether a model keeps the contract: the share asked for, and all bounds."""
        is_within = self.search is None or not self.search.excess(model)
        return is_within and self.keeps_share(model)

    def keeps_share(self, model: ModelFacts, *, retain: float | None = None) -> bool:
        """Tells whether a model keeps a share, and more than one answer for all has.

        Args:
            model: The model.
            retain: The share; None for the one that was asked for.
        """
        retain = self.retain if retain is None else retain
        floor = -math.inf if self.constant is None else self.constant.score
        keeps = model.scores.median >= retain * self.teacher.scores.median
        return keeps and model.favourite is None and model.scores.median > floor

    def best(self) -> ModelFacts:
        """Returns the candidate with the highest score."""
        return max(self.candidates, key=lambda model: model.scores.median)


def choose_smallest(compression: Compression) -> str | None:
    """Returns the label of the smallest candidate that keeps enough; of two, the better one.

    Of a search it is the one that was preferred: the smallest file, or the fastest.
    """
    enough = [model for model in compression.candidates if compression.is_enough(model)]

    def rank(model: ModelFacts) -> tuple[float, float]:
        if compression.search is not None:
            return compression.search.rank(model)
        return model.num_parameters, -model.scores.median

    found = min(enough, key=rank, default=None)
    return None if found is None else found.label


def headline(compression: Compression) -> str:
    """Returns the outcome in a sentence or two."""
    found, teacher = compression, compression.teacher
    if found.search is not None:
        return _headline_of_search(found, found.search)
    metric = wording.metric_name(found.metric)
    where = f"{found.task} ({found.split}, n = {figures.count(found.num_examples)})"
    wanted = format_percent(found.retain)
    if found.chosen is None:
        best, enough = found.best(), found.retain * teacher.scores.median
        number = len(found.candidates)
        whose = (
            f"None of {number} students keeps" if number > 1 else "The one student does not keep"
        )
        lack = _least_points(enough - best.scores.median)
        blind = wording.describe_trivial([teacher, best], found.constant)
        if best.scores.median >= enough:
            return (
                f"{whose} {wanted} of the teacher's {metric} on {where} by looking at its input: "
                f"the best, {figures.quoted(best.label)}, scores "
                f"{figures.points(best.scores.median)}.{blind}"
            )
        kept = ""
        if found.is_shown(best):
            kept = f"keeps {format_percent(found.kept(best))}{_in_interval(best, found)}. It "
        return (
            f"{whose} {wanted} of the teacher's {metric} on {where}: the best, "
            f"{figures.quoted(best.label)}, {kept}scores {figures.points(best.scores.median)} "
            f"where {figures.points(enough)} would do, {lack} short.{blind}"
        )
    chosen = next(model for model in found.candidates if model.label == found.chosen)
    size = f"has {figures.magnitude(chosen.num_parameters)} parameters"
    if teacher.is_model:
        size += f" instead of {figures.magnitude(teacher.num_parameters)}"
    rest = f" and {size}"
    if chosen.speed_up is not None:
        rest = f", {size} and is {wording.speed_clause(chosen.speed_up.latency)}"
    if not found.is_shown(chosen):
        return (
            f"{figures.quoted(chosen.label)} is the smallest student that scores {wanted} of the "
            f"teacher's {metric} on {where}, which shows nothing kept: "
            f"{figures.points(chosen.scores.median)} against "
            f"{figures.points(teacher.scores.median)}{rest}."
            f"{wording.describe_trivial([teacher, chosen], found.constant)}"
        )
    return (
        f"{figures.quoted(chosen.label)} is the smallest student that keeps {wanted} of the "
        f"teacher's {metric} on {where}: it keeps {format_percent(found.kept(chosen))}"
        f"{_in_interval(chosen, found)}{rest}."
    )


def _headline_of_search(found: Compression, search: Search) -> str:
    teacher, metric = found.teacher, wording.metric_name(found.metric)
    where = f"{found.task} ({found.split}, n = {figures.count(found.num_examples)})"
    within = f" within {search.bounds}" if str(search.bounds) else ""
    wanted = f"{format_percent(found.retain)} of the teacher's {metric} on {where}{within}"
    if found.chosen is None:
        nearest = find_nearest(found)
        lacks = "; ".join(_list_lacks(found, nearest))
        blind = wording.describe_trivial([teacher, nearest], found.constant)
        number = len(found.candidates)
        return (
            f"{f'None of {number} models' if number > 1 else 'The one model does not'} "
            f"{'keeps' if number > 1 else 'keep'} {wanted}. The nearest, "
            f"{figures.quoted(nearest.label)}: {lacks}.{blind}"
        )
    chosen = next(model for model in found.candidates if model.label == found.chosen)
    size = f"its file has {figures.file_size(chosen.file_bytes)}"
    if teacher.is_model:
        size += f" instead of {figures.file_size(teacher.file_bytes)}"
    faster = ""
    if chosen.speed_up is not None:
        faster = f", and it is {wording.speed_clause(chosen.speed_up.latency)}"
    which = f"{figures.quoted(chosen.label)} is the {search.prefer} that keeps {wanted}"
    if not found.is_shown(chosen):
        return (
            f"{which}, which shows nothing kept: {figures.points(chosen.scores.median)} against "
            f"{figures.points(teacher.scores.median)}; {size}{faster}."
            f"{wording.describe_trivial([teacher, chosen], found.constant)}"
        )
    kept = f"{format_percent(found.kept(chosen))}{_in_interval(chosen, found)}"
    return f"{which}: it keeps {kept}, {size}{faster}."


def find_nearest(found: Compression) -> ModelFacts:
    """Returns the candidate that is least far from the contract, where it is farthest from it."""

    def distance(model: ModelFacts) -> tuple[float, float]:
        kept = max(found.kept(model), 1e-9)
        excess = {} if found.search is None else found.search.excess(model)
        is_blind = model.favourite is not None
        return max([found.retain / kept, *excess.values()]) + is_blind, -kept

    return min(found.candidates, key=distance)


def find_looser(found: Compression) -> list[str]:
    """Returns what would do in place of what was asked, each by itself, with what keeps it.

    Of what was made: a smaller share that something within the bounds keeps, or a wider bound for
    what keeps the share and the others.
    """
    search = found.search
    if search is None:
        return []
    words: list[str] = []

    def looks(model: ModelFacts) -> bool:
        return found.keeps_share(model, retain=0)

    within = [m for m in found.candidates if not search.excess(m) and looks(m)]
    if within:
        best = max(within, key=found.kept)
        share = math.floor(1000 * found.kept(best)) / 1000
        words.append(f"retain = {share:g}, which {figures.quoted(best.label)} keeps")
    for name in dict(search.bounds.items()):
        keeping = [m for m in found.candidates if found.keeps_share(m)]
        nearly = [m for m in keeping if search.excess(m).keys() == {name}]
        known = [(search.measure(m).get(name), m.label) for m in nearly]
        taken = [(value, label) for value, label in known if value is not None]
        if taken:
            value, label = min(taken)
            words.append(f"{name} = {_round_up(value):g}, which {figures.quoted(label)} takes")
    return words


def _round_up(value: float) -> float:
    """Returns a number with three digits that is not below it.

    Example:
        >>> _round_up(5.0312), _round_up(112.2), _round_up(0.01)
        (5.04, 113.0, 0.01)
    """
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.ceil(value / step - 1e-9) * step:.3g}")


def _list_lacks(found: Compression, model: ModelFacts) -> list[str]:
    """Says where a candidate misses the contract, and by how much."""
    enough = found.retain * found.teacher.scores.median
    said = []
    if model.scores.median < enough:
        kept = ""
        if found.is_shown(model):
            kept = f"keeps {format_percent(found.kept(model))}{_in_interval(model, found)}, "
        said.append(
            f"{kept}scores {figures.points(model.scores.median)} where {figures.points(enough)} "
            f"would do, {_least_points(enough - model.scores.median)} short"
        )
    elif not found.keeps_share(model):
        said.append("does not look at its input")
    elif found.is_shown(model):
        said.append(f"keeps {format_percent(found.kept(model))}{_in_interval(model, found)}")
    return [*said, *(found.search.word_excess(model) if found.search is not None else [])]


def describe_test(compression: Compression) -> str | None:
    """Returns what became of the choice on the test split; None if that was not scored."""
    test = compression.test
    if test is None or compression.chosen is None:
        return None
    kept = verdict = ""
    if test.is_shown and test.teacher > 0:
        share = test.student / test.teacher
        kept = f", {format_percent(share)} kept"
        verdict = " That is enough there too."
        if share < compression.retain:
            verdict = f" That is less than the {format_percent(compression.retain)} asked for."
    if test.retention is not None:
        kept += f" ({wording.describe_ends(test.retention, test.num_examples)})"
    return (
        f"On test (n = {figures.count(test.num_examples)}), which had no part in the choice: "
        f"{figures.points(test.student)} against the teacher's {figures.points(test.teacher)}"
        f"{kept}.{verdict if test.is_shown else _NOT_SHOWN}"
    )


def tried_table(found: Compression) -> Table:
    """Returns all models: what each scores, keeps, weighs and takes."""
    teacher, metric = found.teacher, figures.capitalise(wording.metric_name(found.metric))

    def kept(model: ModelFacts) -> str:
        if model is teacher:
            return NONE
        if not found.is_shown(model):
            return NONE
        share = model.retention
        ends = "" if share is None else f" ({figures.interval(share)})"
        return format_percent(found.kept(model)) + ends

    def is_enough(model: ModelFacts) -> str:
        if model is teacher:
            return NONE
        return "yes" if found.is_enough(model) else "no"

    columns: Columns = {
        f"{metric}, median": lambda m: figures.points(m.scores.median),
        "Lowest to highest": lambda m: seed_range(m) if len(m.scores.values) > 1 else NONE,
        "Kept (95 % interval)": kept,
        f"At least {format_percent(found.retain)}"
        + ("" if found.search is None else ", within bounds"): is_enough,
        "Layers": lambda m: str(m.num_layers) if m.is_model else NONE,
        "Parameters": lambda m: figures.magnitude(m.num_parameters) if m.is_model else NONE,
        "Weight file": lambda m: figures.file_size(m.file_bytes) if m.is_model else NONE,
        **({} if found.search is None else {"Memory, loaded": found.search.word_memory}),
        "Latency, batch 1": latency_or_none,
        "Speed-up (quartiles)": speed_up_or_none,
    }
    note = (
        f"Scores on {found.task} {found.split}, {figures.count(found.num_examples)} examples, "
        "median over seeds. What is kept is the median over the teacher's score on the same "
        "examples; its interval is of the mean over seeds. Latency includes tokenisation."
    )
    table = model_table(found.models, columns, title="What was tried", note=note)
    return add_constant(table, found.constant)


def _in_interval(model: ModelFacts, found: Compression) -> str:
    if model.retention is None:
        return ""
    return f" ({wording.describe_ends(model.retention, found.num_examples)})"


def format_percent(share: float) -> str:
    """Returns a share in per cent, with a decimal where there is one.

    Example:
        >>> format_percent(0.97), format_percent(0.9834)
        ('97 %', '98.3 %')
    """
    return f"{figures.points(share).removesuffix('.0')} %"


def _least_points(missing: float) -> str:
    """Returns a shortfall in points that is never rounded to none.

    Example:
        >>> _least_points(0.0213), _least_points(0.0002)
        ('2.1 points', 'less than 0.1 points')
    """
    return f"{figures.points(missing)} points" if missing >= 0.001 else "less than 0.1 points"
