"""Figures and findings in words; no sentence claims more than its interval shows."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.inference.speed import Quartiles
from limbeck.metrics import find_metric, name_constant
from limbeck.report.facts import TAUGHT, Comparison, ConstantFacts, ModelFacts, Names, Verdict
from limbeck.report.figures import (
    NONE_DIFFERS,
    capitalise,
    count,
    interval,
    percent,
    points,
    quoted,
)
from limbeck.report.scored import Scores
from limbeck.report.statistics import Interval, Paired, bound_unseen

_FRACTIONS = {2: "half the layers", 3: "a third of the layers", 4: "a quarter of the layers"}


def metric_name(metric: str) -> str:
    """Returns a metric's name for sentences."""
    known = find_metric(metric)
    return metric.replace("_", " ") if known is None else known.title


def short_metric_name(metric: str) -> str:
    """Returns a metric's name for tables."""
    known = find_metric(metric)
    return metric_name(metric) if known is None else known.short_title or known.title


PAIRED_RATIOS = (
    "A speed-up is the median of the ratios taken within each round, so it need not equal the "
    "ratio of the two medians shown."
)


def verdict_of(paired: Paired | None) -> Verdict:
    """Returns what a comparison can tell."""
    if paired is None:
        return "not compared"
    if not paired.is_distinguishable:
        return "not distinguishable"
    return "ahead" if paired.difference.estimate > 0 else "behind"


def describe_comparison(
    model: ModelFacts,
    reference: ModelFacts,
    paired: Paired | None,
    *,
    unequal: str | None,
    num_examples: int,
    is_short: bool = False,
    names: Names = TAUGHT,
) -> str:
    """Returns a comparison as a sentence, with its figures.

    Args:
        model: The student.
        reference: What it is held against.
        paired: The bootstrap, or None.
        unequal: How the two were not trained alike, or None.
        num_examples: Examples that both were scored on.
        is_short: Whether the models were trained too briefly for any claim.
        names: What the teacher and the student are called.
    """
    of_model, of_reference = quoted(model.label), quoted(reference.label)
    if reference.role == "teacher":
        is_named_so = reference.label.casefold() == names.reference
        role = f"the {names.reference}"
        of_reference = role if is_named_so else f"{role} {of_reference}"
    if unequal is not None:
        return (
            f"{of_model} is not compared with {of_reference}, since the two were not trained "
            f"alike: {unequal}. No difference is claimed."
        )
    if paired is None:
        unknown = "without an interval, since none is known for this metric"
        why = "after too few steps" if is_short else unknown
        return (
            f"{of_model} against {of_reference}: "
            f"{points(model.scores.mean - reference.scores.mean, signed=True)} points, {why}; no "
            "difference is claimed."
        )
    verdict = verdict_of(paired)
    if paired.difference.is_all(0):
        return (
            f"{of_model} is not distinguishable from {of_reference} on {count(num_examples)} "
            f"examples: {describe_ends(paired.difference, num_examples, signed=True)}."
        )
    ends = interval(paired.difference, signed=True)
    level = f"{100 * paired.difference.level:.0f} % interval"
    if verdict == "not distinguishable":
        return (
            f"{of_model} is not distinguishable from {of_reference} on {count(num_examples)} "
            f"examples: {points(paired.difference.estimate, signed=True)} points, {level} {ends}."
        )
    relation = "ahead of" if verdict == "ahead" else "behind"
    return (
        f"{of_model} is {relation} {of_reference} by "
        f"{points(abs(paired.difference.estimate))} points ({level} {ends}, "
        f"n = {count(num_examples)}){_seed_clause(model, reference)}."
    )


_WIDEST_SHARE = 0.3
"""Width of a retention's interval above which the headline claims nothing."""


def headline(
    models: Sequence[ModelFacts], scored: Scores, *, where: str, names: Names = TAUGHT
) -> str:
    """Returns the result in one sentence, and in another one why no share is claimed.

    Args:
        models: The teacher, then the others; the sentence is on the first student among them.
        scored: What compared them.
        where: What was scored, with its preposition, such as `on sst2`.
        names: What the teacher and the student are called.
    """
    teacher = models[0]
    students = [model for model in models if model.role == "student"]
    conditions = f"{where} ({scored.split}, n = {count(scored.num_examples)}"
    if not students:
        return (
            f"{quoted(teacher.label)} reaches {points(teacher.scores.mean)} "
            f"{metric_name(scored.metric)} {conditions}); no student is among these runs."
            f"{describe_trivial([teacher], scored.constant, names=names)}"
        )
    student = students[0]
    name = f"The {names.model}"
    name = f"{name} {quoted(student.label)}" if len(students) > 1 else name
    speed = ""
    if student.speed_up is not None:
        speed = f"is {speed_clause(student.speed_up.latency)} and "
    return (
        f"{name}, with {_layers_clause(teacher, student, names)}, {speed}"
        f"{_kept_clause(teacher, student, scored, names)} {conditions})."
        f"{describe_trivial([teacher, student], scored.constant, names=names)}"
    )


def describe_trivial(
    models: Sequence[ModelFacts], constant: ConstantFacts | None, *, names: Names = TAUGHT
) -> str:
    """Says which models do no better than one answer to every example; empty if all do.

    Args:
        models: The teacher, the student, or both.
        constant: The best such answer.
        names: What the teacher and the student are called.

    Returns:
        A sentence with a blank before it.
    """
    said = []
    called = {"teacher": f"the {names.reference}", "student": f"the {names.model}"}
    for model in models:
        who = called.get(model.role, quoted(model.label))
        if model.favourite is not None:
            said.append(f"{who} predicts {model.favourite}")
        elif model.beats_constant is False:
            said.append(f"{who} is not shown to do better")
    if not said:
        return ""
    floor = (
        "" if constant is None else f"{constant_name(constant)} scores {points(constant.score)}: "
    )
    return f" {capitalise(floor + ', and '.join(said))}."


def constant_name(constant: ConstantFacts) -> str:
    """Returns what a constant answer is called in sentences."""
    return "one answer for all" if constant.answer is None else name_constant(constant.answer)


def describe_limits(
    models: Sequence[ModelFacts], comparisons: Sequence[Comparison]
) -> tuple[str, ...]:
    """Returns what the headline is to be read with, a paragraph each.

    Args:
        models: The teacher, then the others.
        comparisons: Of the students with the others.
    """
    students = [model for model in models if model.role == "student"]
    shown = [models[0], *students[:1]]
    # The headline names those that it is about.
    others = [m for m in models if m not in shown and m.favourite is not None]
    said = [f"{quoted(model.label)} predicts {model.favourite}." for model in others]
    return (
        *said,
        *(_describe_unequal(students[0], comparisons) if students else []),
    )


def speed_clause(ratio: Quartiles) -> str:
    """Returns a speed-up in words; one whose quartiles take in 1 is not called one.

    The extremes do not decide: on a busy machine, one round of many may go either way.

    Example:
        >>> speed_clause(Quartiles.of([0.98, 1.5, 1.6, 1.7, 1.8]))
        '1.60 times as fast at batch 1'
        >>> speed_clause(Quartiles.of([0.9, 0.98, 1.3, 1.5, 1.6]))
        'not measurably faster at batch 1'
    """
    if ratio.lower > 1:
        return f"{ratio.median:.2f} times as fast at batch 1"
    if ratio.upper < 1:
        return f"slower at batch 1 ({ratio.median:.2f} times the speed)"
    return "not measurably faster at batch 1"


def describe_baselines(comparisons: Sequence[Comparison]) -> str:
    """Returns the outcome against all baselines in a few words, for the top of the page.

    Args:
        comparisons: All that were made.
    """
    comparisons = [c for c in comparisons if c.reference_role == "baseline"]
    if not comparisons:
        return "No baseline among these runs: what distillation added can't be told."
    ahead = [c for c in comparisons if c.verdict == "ahead"]
    if len(ahead) == len(comparisons):
        return f"Ahead of {'both baselines' if len(ahead) == 2 else 'every baseline'}."
    behind = [c for c in comparisons if c.verdict == "behind"]
    unequal = [c for c in comparisons if c.unequal]
    unknown = [c for c in comparisons if not c.unequal and c.verdict not in ("ahead", "behind")]
    if len(unknown) == len(comparisons):
        return "Not shown to be ahead of any baseline."
    if len(unequal) == len(comparisons):
        return "Not compared with any baseline: none was trained as the student was."
    named = (
        ("ahead of", ahead),
        ("behind", behind),
        ("not shown to differ from", unknown),
        ("not compared, since not trained alike, with", unequal),
    )
    text = "; ".join(f"{words} {_listed(found)}" for words, found in named if found)
    return f"{capitalise(text)}."


def _listed(comparisons: Sequence[Comparison]) -> str:
    return ", ".join(quoted(comparison.reference) for comparison in comparisons)


def describe_ends(found: Interval, num_examples: int, *, signed: bool = False) -> str:
    """Returns an interval in words; of models that differ on no example, what may be of others.

    Args:
        found: Of a ratio, or if signed of a difference.
        num_examples: Examples that both models were scored on.
        signed: Whether ends have their sign.

    Example:
        >>> describe_ends(Interval(estimate=0.97, low=0.96, high=0.99), 872)
        '95 % interval 96.0 to 99.0'
        >>> describe_ends(Interval(estimate=1, low=1, high=1), 48)
        'no example differs, and up to 6.2 % of others may'
    """
    ends = interval(found, signed=signed)
    if ends == NONE_DIFFERS:
        return f"{ends}, and up to {percent(bound_unseen(num_examples))} of others may"
    return f"{100 * found.level:.0f} % interval {ends}"


def _kept_clause(teacher: ModelFacts, student: ModelFacts, scored: Scores, names: Names) -> str:
    """Says what a student keeps, beginning with the verb."""
    share, metric = student.retention, metric_name(scored.metric)
    if share is None:
        return (
            f"reaches {points(student.scores.mean)} {metric} against the {names.reference}'s "
            f"{points(teacher.scores.mean)}"
        )
    too_wide = share.high - share.low > _WIDEST_SHARE
    verb = "was scored on too few examples to tell what it keeps:" if too_wide else "keeps"
    return (
        f"{verb} {points(share.estimate)} % ({describe_ends(share, scored.num_examples)}) of the "
        f"{names.reference}'s {metric}"
    )


def _layers_clause(teacher: ModelFacts, student: ModelFacts, names: Names) -> str:
    for divisor, words in _FRACTIONS.items():
        if student.num_layers * divisor == teacher.num_layers:
            return words
    if student.num_layers == teacher.num_layers:
        return f"as many layers as the {names.reference} ({teacher.num_layers})"
    return f"{student.num_layers} layers instead of {teacher.num_layers}"


def _describe_unequal(student: ModelFacts, comparisons: Sequence[Comparison]) -> list[str]:
    """Says which models the student can't be compared with, and why; empty where there are none."""
    found = [c for c in comparisons if c.model == student.label and c.unequal]
    if not found:
        return []
    named = "; ".join(
        f"{'the teacher' if c.reference_role == 'teacher' else quoted(c.reference)}, {c.unequal}"
        for c in found
    )
    return [f"No difference is claimed to what was not trained alike: {named}."]


def _seed_clause(model: ModelFacts, reference: ModelFacts) -> str:
    """Says whether the seeds' ranges overlap, where there is more than one seed."""
    if min(len(model.scores.values), len(reference.scores.values)) < 2:
        return "; one seed does not show how much another would move it"
    apart = (
        model.scores.lowest > reference.scores.highest
        or model.scores.highest < reference.scores.lowest
    )
    return "; no seed of one reaches the other's" if apart else "; the ranges over seeds overlap"
