"""Models side by side: latency and throughput by engine, precision, batch, length and threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from limbeck.checkpoints import short_name
from limbeck.errors import CheckpointError, SettingsError
from limbeck.inference.engines import Engine, engine_name, load_engine
from limbeck.inference.footprint import Footprint, measure_footprint
from limbeck.inference.speed import Speed, measure_speed
from limbeck.tokenizers import AutoTokenizer, Tokenizer
from limbeck.train.progress import Progress, SilentProgress

_NUM_LATENCY_TEXTS = 16
_MAX_LENGTH = 128


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A model, and how it is run.

    Attributes:
        label: What it is called.
        model: A model folder, or a Hub id.
        engine: What runs it; None for what fits the folder.
        precision: As in `load_engine`.
    """

    label: str
    model: str
    engine: str | None = None
    precision: str | None = None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The speeds of all contestants under one condition, in turns.

    Attributes:
        num_threads: Threads of the CPU; None for the engines' own choice.
        num_tokens: Tokens of every text; None for texts as they are.
        speeds: For each number of texts per batch, each contestant's speed; latency is measured
            beside the first of them, on which it does not depend.
    """

    num_threads: int | None
    num_tokens: int | None
    speeds: Mapping[int, Mapping[str, Speed]]

    @property
    def latencies(self) -> Mapping[str, Speed]:
        """Each contestant's speed with the latency of single texts."""
        return next(iter(self.speeds.values()))


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What was measured.

    Attributes:
        contestants: By label, in order: which engine and precision ran it in the end.
        measured: Under each condition.
        footprints: What each contestant takes of disk and memory; without any if not measured.
        left_out: By label, why a model was not measured in a way that others were.
    """

    contestants: Mapping[str, tuple[str, str]]
    measured: tuple[Measured, ...]
    footprints: Mapping[str, Footprint]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def longest_input(self) -> int:
        """The longest row that was read, in tokens."""
        return max(one.max_length for part in self.measured for one in part.latencies.values())


def name_contestants(
    models: Sequence[str], engines: Sequence[str | None], precisions: Sequence[str | None]
) -> list[Contestant]:
    """Returns every model with every engine and precision, with labels that tell them apart.

    Example:
        >>> found = name_contestants(["runs/a/model"], ["torch", "openvino"], [None])
        >>> [contestant.label for contestant in found]
        ['a torch', 'a openvino']
    """
    names = [short_name(model) for model in models]
    if len(set(names)) < len(names):
        names = list(models)
    found = []
    for (name, model), engine, precision in product(
        zip(names, models, strict=True), engines, precisions
    ):
        words = [name]
        words += [engine] if len(engines) > 1 and engine else []
        words += [precision] if len(precisions) > 1 and precision else []
        label = " ".join(words)
        found.append(Contestant(label=label, model=model, engine=engine, precision=precision))
    return found


def load_contestants(
    contestants: Sequence[Contestant], *, device: str = "auto", num_threads: int | None = None
) -> tuple[dict[str, Engine], dict[str, str]]:
    """Loads what can be run; says of the others why not.

    A folder most often holds what one engine runs: that of several which are asked for not every
    one fits every model is no mistake, as long as one does.

    Args:
        contestants: Models and how they are run.
        device: As in `load_engine`.
        num_threads: Likewise.

    Returns:
        Engines by label, and by label why there is none.

    Raises:
        CheckpointError: If a model can't be read, or nothing that was asked for runs it.
        MissingExtraError: If an engine's package is not installed.
        SettingsError: If there is no such engine, device or precision.
    """
    engines: dict[str, Engine] = {}
    problems: dict[str, CheckpointError] = {}
    for c in contestants:
        try:
            engines[c.label] = load_engine(
                c.engine, c.model, device=device, precision=c.precision, num_threads=num_threads
            )
        except CheckpointError as error:
            problems[c.label] = error
    for model in dict.fromkeys(c.model for c in contestants):
        labels = [c.label for c in contestants if c.model == model]
        if not any(label in engines for label in labels):
            raise problems[labels[0]]
    return engines, {label: str(error) for label, error in problems.items()}


def run_contest(
    contestants: Sequence[Contestant],
    texts: Sequence[str],
    *,
    threads: Sequence[int | None] = (None,),
    batch_sizes: Sequence[int] = (32,),
    lengths: Sequence[int | None] = (None,),
    max_length: int | None = None,
    repeats: int = 7,
    device: str = "auto",
    with_memory: bool = True,
    progress: Progress | None = None,
) -> Contest:
    """Measures all contestants under all conditions, in turns under each.

    Args:
        contestants: What is compared; the first is what the others are compared to.
        texts: Real texts.
        threads: Numbers of threads.
        batch_sizes: Texts per batch for the throughput.
        lengths: Tokens of every text, made of the texts one after the other; None for texts as
            they are.
        max_length: Longest row in tokens of texts as they are; by default 128, or the most that all
            engines take.
        repeats: Rounds.
        device: As in `load_engine`.
        with_memory: Whether each is loaded once more, in a process of its own, for its memory.
        progress: Where to report.

    Raises:
        SettingsError: If an engine does not take a batch or length, or a label is there twice.
        CheckpointError: If a model can't be read, or nothing that was asked for runs it.
        MissingExtraError: If an engine's package is not installed.
    """
    labels = [contestant.label for contestant in contestants]
    if len(set(labels)) < len(labels):
        raise SettingsError(f"two contestants have one label: {', '.join(labels)}")
    reporter = progress or SilentProgress()
    chosen: dict[str, tuple[str, str]] = {}
    left_out: dict[str, str] = {}
    measured: list[Measured] = []
    for num_threads in threads:
        engines, missing = load_contestants(contestants, device=device, num_threads=num_threads)
        left_out |= missing
        contestants = [c for c in contestants if c.label in engines]
        chosen = {k: (engine_name(type(e)), e.precision) for k, e in engines.items()}
        encoders = {c.label: _make_encoder(c.model, engines[c.label]) for c in contestants}
        limits = [e.limits.max_tokens for e in engines.values()]
        longest = max_length or min([_MAX_LENGTH, *(n for n in limits if n is not None)])
        for num_tokens in lengths:
            rows = texts if num_tokens is None else _fill(texts, num_tokens)
            speeds = {}
            for number, batch_size in enumerate(batch_sizes):
                found = measure_speed(
                    engines,
                    encoders,
                    texts=rows,
                    repeats=repeats,
                    batch_size=batch_size,
                    max_length=num_tokens or longest,
                    num_latency_texts=_NUM_LATENCY_TEXTS if number == 0 else 1,
                    progress=reporter,
                )
                # It knows torch's own number alone.
                speeds[batch_size] = {
                    label: replace(speed, num_threads=num_threads or speed.num_threads)
                    for label, speed in found.items()
                }
            measured.append(Measured(num_threads=num_threads, num_tokens=num_tokens, speeds=speeds))
    footprints = {}
    if with_memory:
        with reporter.stage("Measuring memory", total=len(contestants), unit="model") as stage:
            for c in contestants:
                footprints[c.label] = measure_footprint(
                    c.model,
                    name=c.engine,
                    precision=c.precision,
                    num_threads=threads[0],
                    device=device,
                )
                stage.advance()
    return Contest(
        contestants=chosen, measured=tuple(measured), footprints=footprints, left_out=left_out
    )


def _make_encoder(model: str, engine: Engine) -> Callable[..., Mapping[str, Any]]:
    """Returns what encodes texts as the engine takes them."""
    tokenizer: Tokenizer = AutoTokenizer.from_pretrained(model)

    def encode(*texts: Any, **arguments: Any) -> Mapping[str, Any]:
        inputs = tokenizer(*texts, **arguments)
        return {name: inputs[name] for name in engine.limits.inputs if name in inputs}

    return encode


def _fill(texts: Sequence[str], num_tokens: int) -> list[str]:
    """Makes as many texts, each of at least so many words, and so of as many tokens.

    Example:
        >>> _fill(["a b", "c"], 4)
        ['a b c a b', 'c a b c']
    """
    filled = []
    for start in range(len(texts)):
        words: list[str] = []
        place = start
        while len(words) < num_tokens:
            words += texts[place % len(texts)].split()
            place += 1
        filled.append(" ".join(words))
    return filled
