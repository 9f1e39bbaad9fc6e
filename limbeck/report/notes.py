"""How a report's figures were obtained, and what they can't tell."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.report import figures, wording
from limbeck.report.facts import TAUGHT, ModelFacts, Names
from limbeck.report.runs import FinetuneRun
from limbeck.report.scored import Scores
from limbeck.report.statistics import MIN_DISCORDANT, RESAMPLES

_FEW_SEEDS = 5


def describe_method(
    models: Sequence[ModelFacts], scored: Scores, names: Names = TAUGHT
) -> list[str]:
    """Returns the notes of a report, each a sentence or two."""
    return [
        *_on_intervals(scored, names),
        *_on_seeds(models),
        *_on_split(scored.split),
        _on_speed(models, scored.split),
    ]


def describe_conditions(runs: Sequence[FinetuneRun]) -> dict[str, str]:
    """Returns machine, versions and runs in words."""
    record = runs[0].record
    hardware = record.hardware
    versions = {"limbeck": record.limbeck_version, **record.versions}
    return {
        "Processor": f"{hardware.cpu}, {hardware.num_usable_cores} cores usable",
        **({"Accelerator": ", ".join(hardware.gpus)} if hardware.gpus else {}),
        "Versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
        **_on_held_out(runs),
        **{f"Run of {run.label}": f"{run.folder}, from {run.result.model}" for run in runs},
    }


def _on_held_out(runs: Sequence[FinetuneRun]) -> dict[str, str]:
    """Says what validation is where the data had none; all runs compared have the same."""
    count = runs[0].result.num_held_out
    if not count:
        return {}
    seed = (runs[0].record.settings.get("task_options") or {}).get("validation_seed", 0)
    return {
        "Validation": f"{figures.count(count)} examples held out of the training split by the seed "
        f"{seed}, equal texts together; the data have no validation split of their own"
    }


def _on_intervals(scored: Scores, names: Names) -> list[str]:
    if not scored.has_intervals:
        name = wording.metric_name(scored.metric)
        return [f"No interval is computed for {name}, so no difference is claimed."]
    paired = (
        "Retention and differences pair the models on the same "
        f"{figures.count(scored.num_examples)} examples. "
        f"Their intervals are 95 % percentile intervals over {RESAMPLES:,} bootstrap "
        "resamples of the examples and, where a model has several seeds, of its seeds. No "
        "retention is given unless both scores are above that of the best constant answer, and "
        f"the {names.reference}'s above 0, by more than the interval."
    )
    called = (
        "A difference is called one only if its interval leaves out 0 and the two models "
        f"differ on {MIN_DISCORDANT} examples or more. Intervals are for one comparison each; "
        "with many comparisons, some would leave out 0 by chance. Of models that differ on no "
        "example there is none; then 3 in as many examples is what may differ of others at most, "
        "with 95 % confidence."
    )
    binomial = f"for {wording.metric_name(scored.metric)} the binomial one, sqrt(p (1 − p) / n)"
    error = binomial if scored.is_binomial else "by bootstrap over the examples"
    return [paired, called, f"The standard error is that of the score over test examples, {error}."]


def _on_seeds(models: Sequence[ModelFacts]) -> list[str]:
    fewest = min(len(model.scores.seeds) for model in models)
    alone = [model.label for model in models if len(model.scores.seeds) == 1]
    named = "Every model" if len(alone) == len(models) else ", ".join(alone)
    one = (
        f"{named}: one seed. What another seed would give is not in the intervals, which "
        "are therefore too narrow."
    )
    few = (
        f"With {fewest} seeds the spread over seeds is known only roughly, and so are "
        "the intervals."
    )
    return [one if alone else few] if fewest < _FEW_SEEDS else []


def _on_split(split: str) -> list[str]:
    flattered = (
        f"Scores are on the {split} split, which also chose the best epoch: they are somewhat "
        "too high, for all models."
    )
    return [] if split == "test" else [flattered]


def _on_speed(models: Sequence[ModelFacts], split: str) -> str:
    speed = next((model.speed for model in models if model.speed is not None), None)
    if speed is None:
        return "Speed was not measured."
    threads = figures.number_of(speed.num_threads, "thread")
    return (
        f"Speed was measured on {speed.device} with {threads}, in "
        f"{len(speed.rounds)} rounds over {speed.num_texts} texts of the {split} split "
        f"({speed.num_latency_texts} of them for the latency), cut at {speed.max_length} "
        "tokens. The models took turns text by text; on a busy machine times move, ratios "
        f"less. {wording.PAIRED_RATIOS} A model is called faster where the lower quartile of "
        "these ratios is above 1."
    )
