"""Speed of several models side by side, on a machine that other work may disturb.

A figure taken alone says little on a shared machine. Here the models take turns text by text and
batch by batch, so that whatever slows the machine for a while slows all of them, and a ratio is
computed within each round before its median is taken.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from limbeck.data.sampling import take_evenly
from limbeck.errors import SettingsError, shorten_names
from limbeck.inference._timing import Encode, Runner, Text, Timing
from limbeck.inference.engines import Engine
from limbeck.nn import evaluation
from limbeck.train.progress import Progress, SilentProgress

__all__ = [
    "Encode",
    "Percentiles",
    "Quartiles",
    "Round",
    "Speed",
    "SpeedUp",
    "Text",
    "compare_speed",
    "measure_speed",
]

_MIN_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Quartiles:
    """Median, quartiles and extremes over the rounds."""

    lowest: float
    lower: float
    median: float
    upper: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Quartiles:
        """Returns the quartiles of `values`, interpolated as NumPy does.

        Example:
            >>> found = Quartiles.of([3.0, 1.0, 2.0, 5.0, 4.0])
            >>> found.lower, found.median, found.upper
            (2.0, 3.0, 4.0)
        """
        cuts = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else None
        lower, median, upper = cuts or 3 * [values[0]]
        return cls(lowest=min(values), lower=lower, median=median, upper=upper, highest=max(values))


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """Percentiles over all texts of all rounds: what a user waits, and the unlucky ones."""

    p50: float
    p95: float
    p99: float
    mean: float | None = None
    """What a text takes on average, where texts take different times; None in what was measured
    before it was kept."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Percentiles:
        """Returns the percentiles of `values`, interpolated as NumPy does.

        Example:
            >>> Percentiles.of([float(n) for n in range(101)])
            Percentiles(p50=50.0, p95=95.0, p99=99.0, mean=50.0)
        """
        p50, p95, p99 = np.percentile(values, [50, 95, 99]).tolist()
        return cls(p50=p50, p95=p95, p99=p99, mean=float(np.mean(values)))


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one model did in one round.

    Attributes:
        latency_ms: Median over the texts, one at a time, tokenisation included.
        model_latency_ms: The same without tokenisation.
        texts_per_second: Over all texts in batches, tokenisation included.
        tokens_per_second: The same in real tokens, padding not counted.
    """

    latency_ms: float
    model_latency_ms: float
    texts_per_second: float
    tokens_per_second: float


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Speed of one model, over rounds in which all models took turns.

    Attributes:
        rounds: The figures of each round, in order; round `i` of two models is the same round.
        batch_size: Texts per batch for the throughput; latency is always one text at a time.
        max_length: Longest sequence in tokens; longer texts are cut.
        num_texts: Texts per round for the throughput.
        num_latency_texts: Texts per round for the latency.
        num_threads: Threads that torch used.
        device: Where the model was, such as `cpu`.
        percentiles_ms: Milliseconds per text at batch 1, tokenisation included, of single texts;
            None in what was measured before it was kept.
    """

    rounds: tuple[Round, ...]
    batch_size: int
    max_length: int
    num_texts: int
    num_latency_texts: int
    num_threads: int
    device: str
    percentiles_ms: Percentiles | None = None

    @property
    def latency_ms(self) -> Quartiles:
        """Milliseconds per text at batch 1, tokenisation included."""
        return Quartiles.of([r.latency_ms for r in self.rounds])

    @property
    def model_latency_ms(self) -> Quartiles:
        """Milliseconds per text at batch 1 in the model alone."""
        return Quartiles.of([r.model_latency_ms for r in self.rounds])

    @property
    def texts_per_second(self) -> Quartiles:
        """Texts per second in batches, tokenisation included."""
        return Quartiles.of([r.texts_per_second for r in self.rounds])

    @property
    def tokens_per_second(self) -> Quartiles:
        """Real tokens per second in batches, tokenisation included."""
        return Quartiles.of([r.tokens_per_second for r in self.rounds])

    def to_dict(self) -> dict[str, Any]:
        """Returns the conditions, the quartiles and the rounds as plain JSON values."""
        names = ("latency_ms", "model_latency_ms", "texts_per_second", "tokens_per_second")
        return {**{name: asdict(getattr(self, name)) for name in names}, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class SpeedUp:
    """How many times as fast one model is as another; the ratio is taken within each round.

    Attributes:
        latency: At batch 1, tokenisation included.
        model_latency: At batch 1, the model alone.
        throughput: In batches, tokenisation included.
    """

    latency: Quartiles
    model_latency: Quartiles
    throughput: Quartiles


def compare_speed(model: Speed, *, reference: Speed) -> SpeedUp:
    """Returns how many times as fast `model` is as `reference`.

    Raises:
        SettingsError: If the two were not measured in the same run.
    """
    conditions = ("batch_size", "max_length", "num_texts", "num_threads", "device")
    differing = [n for n in conditions if getattr(model, n) != getattr(reference, n)]
    if differing or len(model.rounds) != len(reference.rounds):
        raise SettingsError(
            f"the two speeds differ in {', '.join(differing) or 'their number of rounds'}: "
            "compare models that one call of measure_speed has measured"
        )
    pairs = list(zip(model.rounds, reference.rounds, strict=True))
    return SpeedUp(
        latency=Quartiles.of([b.latency_ms / a.latency_ms for a, b in pairs]),
        model_latency=Quartiles.of([b.model_latency_ms / a.model_latency_ms for a, b in pairs]),
        throughput=Quartiles.of([a.texts_per_second / b.texts_per_second for a, b in pairs]),
    )


def measure_speed(
    models: Mapping[str, nn.Module | Engine],
    tokenizer: Encode | Mapping[str, Encode],
    *,
    texts: Sequence[Any],
    repeats: int = 7,
    batch_size: int = 32,
    max_length: int = 128,
    num_latency_texts: int = 16,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Speed]:
    """Measures latency at batch 1 and throughput in batches, the models in turn.

    Every model runs each text or batch before the next one comes, so that all meet the same
    machine; before a single text is timed, it is run once untimed, since the model before has
    taken this one's place in the caches. The order of the models rotates from round to round.
    The number of threads is torch's own; set it before with `torch.set_num_threads`.

    Args:
        models: Label to model, each on its device, put in evaluation mode here and given back as it
            was; or to engine, whose outputs come back to the CPU within the time.
        tokenizer: One for all models, or one per label.
        texts: Real texts of the task, or pairs, or what else the tokenizer can encode; their
            lengths decide the figures.
        repeats: Rounds.
        batch_size: Texts per batch for the throughput.
        max_length: Longest sequence in tokens, special tokens included.
        num_latency_texts: How many of the texts, taken evenly, are run one at a time in a round.
        max_seconds: No round begins after this time, except that at least three are made, so that
            there are quartiles; None for no bound.
        progress: Where to report.

    Returns:
        One `Speed` per label, in the order of `models`.

    Raises:
        SettingsError: If there is no model or no text, a number is below 1 or more than an engine
            takes, the models are on different devices, or a label has no tokenizer.
    """
    numbers = {"repeats": repeats, "batch_size": batch_size, "num_latency_texts": num_latency_texts}
    _check(models, tokenizer, texts, numbers=numbers)
    _check_limits(models, batch_size=batch_size, max_length=max_length)
    device = _find_device(models)
    encoders = tokenizer if isinstance(tokenizer, Mapping) else dict.fromkeys(models, tokenizer)
    singles = take_evenly(texts, num_latency_texts)
    runners = {
        label: Runner(model, encoders[label], max_length=max_length)
        for label, model in models.items()
    }
    rounds: list[dict[str, Round]] = []
    waits: dict[str, list[float]] = {label: [] for label in models}
    reporter = progress or SilentProgress()
    with (
        evaluation(*(m for m in models.values() if isinstance(m, nn.Module))),
        torch.inference_mode(),
        reporter.stage("Measuring speed", total=repeats, unit="round") as stage,
    ):
        stage.update(of=shorten_names(models, count=4))
        batches = [texts[at : at + batch_size] for at in range(0, len(texts), batch_size)]
        # The first calls pay for allocation and the choice of kernels.
        _measure_round(runners, singles[:2], batches[:1], waits={})
        start = time.perf_counter()
        for number in range(repeats):
            elapsed = time.perf_counter() - start
            if max_seconds is not None and elapsed > max_seconds and number >= _MIN_ROUNDS:
                stage.update(stopped=f"before all {repeats}, since {max_seconds:g} s were over")
                break
            order = [*runners][number % len(runners) :] + [*runners][: number % len(runners)]
            turn = {label: runners[label] for label in order}
            rounds.append(_measure_round(turn, singles, batches, waits=waits))
            stage.advance()
    return {
        label: Speed(
            rounds=tuple(measured[label] for measured in rounds),
            batch_size=batch_size,
            max_length=max_length,
            num_texts=len(texts),
            num_latency_texts=len(singles),
            num_threads=torch.get_num_threads(),
            device=device,
            percentiles_ms=Percentiles.of(waits[label]),
        )
        for label in models
    }


def _measure_round(
    runners: Mapping[str, Runner],
    singles: Sequence[Any],
    batches: Sequence[Sequence[Any]],
    *,
    waits: dict[str, list[float]],
) -> dict[str, Round]:
    """Returns each model's round, and adds the milliseconds of single texts to its `waits`."""
    alone: dict[str, list[Timing]] = {label: [] for label in runners}
    together: dict[str, list[Timing]] = {label: [] for label in runners}
    for text in singles:
        for label, runner in runners.items():
            runner([text])
            alone[label].append(runner([text]))
    for batch in batches:
        for label, runner in runners.items():
            together[label].append(runner(batch))
    for label, timings in alone.items():
        waits.setdefault(label, []).extend(1e3 * timing.seconds for timing in timings)
    num_texts = sum(map(len, batches))
    seconds = {label: sum(t.seconds for t in timings) for label, timings in together.items()}
    return {
        label: Round(
            latency_ms=1e3 * statistics.median(t.seconds for t in alone[label]),
            model_latency_ms=1e3 * statistics.median(t.model_seconds for t in alone[label]),
            texts_per_second=num_texts / seconds[label],
            tokens_per_second=sum(t.num_tokens for t in together[label]) / seconds[label],
        )
        for label in runners
    }


def _check(
    models: Mapping[str, nn.Module | Engine],
    tokenizer: Encode | Mapping[str, Encode],
    texts: Sequence[Any],
    *,
    numbers: Mapping[str, int],
) -> None:
    if not models:
        raise SettingsError("measure_speed was given no model: give at least one, with its label")
    if not texts:
        raise SettingsError("measure_speed was given no texts: give some of the task's own")
    for name, value in numbers.items():
        if value < 1:
            raise SettingsError(f"{name} = {value}: must be at least 1")
    if isinstance(tokenizer, Mapping):
        missing = [label for label in models if label not in tokenizer]
        if missing:
            raise SettingsError(
                f"no tokenizer for {', '.join(map(repr, missing))}; there is one for: "
                f"{', '.join(map(repr, tokenizer))}"
            )


def _check_limits(
    models: Mapping[str, nn.Module | Engine], *, batch_size: int, max_length: int
) -> None:
    for label, model in models.items():
        limits = model.limits if isinstance(model, Engine) else None
        if limits and limits.max_rows is not None and batch_size > limits.max_rows:
            raise SettingsError(
                f"batch_size = {batch_size}, but the engine of {label} takes {limits.max_rows} "
                "at a time"
            )
        if limits and limits.max_tokens is not None and max_length > limits.max_tokens:
            raise SettingsError(
                f"max_length = {max_length}, but the engine of {label} takes {limits.max_tokens} "
                "tokens"
            )


def _find_device(models: Mapping[str, nn.Module | Engine]) -> str:
    """Returns the device that all models are on."""
    devices = {
        label: model.device if isinstance(model, Engine) else str(next(model.parameters()).device)
        for label, model in models.items()
    }
    if len(set(devices.values())) > 1:
        places = ", ".join(f"{label} on {device}" for label, device in devices.items())
        raise SettingsError(f"speeds compare on one device only, but: {places}")
    return next(iter(devices.values()))
