"""`bench`: the speed, size and memory of models, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from limbeck.cli._common import COMMON, Common, Flag, align, note
from limbeck.data.sampling import take_evenly
from limbeck.errors import DataError, SettingsError
from limbeck.system_errors import explain

if TYPE_CHECKING:
    from limbeck.inference.bench import Contest

_SENTENCES = (
    "Good.",
    "It works, and it is quick.",
    "The film takes its time, and takes ours with it.",
    "She had read the letter twice before the train came in, and once more after it had left.",
    "A still divides what rises first from what rises later, and the rest is thrown away.",
    (
        "Nobody in the village could say when the mill had last turned, but everybody knew who "
        "owned the water, and who had sold it, and for how little."
    ),
    (
        "What the report does not mention is that the two figures were taken on different "
        "machines, in different years, by people who did not count the same things."
    ),
    (
        "If the weather holds, the harvest will be in by the end of the week, and then there will "
        "be time to mend the roof, to see about the horse, and to answer the three letters that "
        "have been lying behind the clock since the spring, unopened because everybody knows what "
        "they say."
    ),
)
"""What `bench` reads if no texts are given: ordinary sentences from one word to sixty."""

_NUM_TEXTS = 64
"""How many of its texts `bench` takes, if a batch is not larger."""


def bench(
    *models: Annotated[str, Parameter(help="Model folders or Hub ids; the first is compared to.")],
    engine: Annotated[
        str | None,
        Parameter(help="Engines, as torch,onnxruntime; else what runs each folder."),
    ] = None,
    precision: Annotated[
        str | None, Parameter(help="Precisions, as fp32,int8; else the folder's own.")
    ] = None,
    texts: Annotated[
        Path | None, Parameter(help="File with one text a line; of many, 64 or a batch are taken.")
    ] = None,
    repeats: Annotated[int, Parameter(help="Rounds; the median counts.")] = 7,
    batch_size: Annotated[
        str, Parameter(help="Texts per batch for the throughput, as 32 or 1,8,32.")
    ] = "32",
    length: Annotated[
        str | None,
        Parameter(help="Tokens of every text, as 16,128; else the texts as they are."),
    ] = None,
    max_length: Annotated[
        int | None, Parameter(help="Longest input in tokens, else 128 or what all engines take.")
    ] = None,
    threads: Annotated[str | None, Parameter(help="CPU threads, as 1,2; else all cores.")] = None,
    device: Annotated[str, Parameter(help="auto, cpu, cuda, ...")] = "auto",
    memory: Annotated[
        bool, Parameter(help="Load each once more, in a process of its own, for its memory.")
    ] = True,
    out: Annotated[
        Path | None, Parameter(help="Folder for a page with tables and plots: bench.html.")
    ] = None,
    dry_run: Annotated[bool, Flag, Parameter(help="Show what would be measured.")] = False,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Measure latency, throughput and memory of models side by side, in turns."""
    _check_models(models)
    engines, precisions = _words(engine), _words(precision)
    sizes = _numbers("--batch-size", batch_size)
    lengths = [None] if length is None else _numbers("--length", length)
    counts = [None] if threads is None else _numbers("--threads", threads)
    given = _read_texts(texts)
    lines = take_evenly(given, max(_NUM_TEXTS, *sizes))
    sample = f"{len(lines)} texts"
    if len(lines) < len(given):
        sample += f" taken evenly from the {len(given):,} of {texts}"

    from limbeck.inference.bench import load_contestants, name_contestants, run_contest

    contestants = name_contestants(models, engines, precisions)
    if dry_run:
        fits, left_out = load_contestants(contestants, device=device, num_threads=counts[0])
        common.tell(*(f"{c.label}: {c.model}" for c in contestants if c.label in fits))
        common.tell(*_word_left_out(left_out))
        conditions = f"batches of {batch_size}"
        conditions += "" if length is None else f", {length} tokens each"
        conditions += "" if threads is None else f", threads {threads}"
        common.tell(f"{sample}, {repeats} rounds, {conditions}")
        plan = {"models": list(models), "num_texts": len(lines), "left_out": left_out}
        return {"dry_run": True, **plan}
    contest = run_contest(
        contestants,
        lines,
        threads=counts,
        batch_sizes=sizes,
        lengths=lengths,
        max_length=max_length,
        repeats=repeats,
        device=device,
        with_memory=memory,
        progress=common.progress(),
    )
    common.tell(*_word_contest(contest, sample))
    result = _to_dict(contest)
    if out is not None:
        from limbeck.files import write_json
        from limbeck.report.bench import write_bench

        written = write_bench(contest, out, sample=sample)
        write_json(out / "bench.json", result, error=DataError)
        note(f"written: {', '.join(map(str, written.values()))}, {out / 'bench.json'}")
    return result


def _check_models(models: Sequence[str]) -> None:
    if not models:
        raise SettingsError("command line: no model given; accepted: model folders or Hub ids")
    repeated = sorted({model for model in models if models.count(model) > 1})
    if repeated:
        raise SettingsError(f"command line: '{repeated[0]}' is given twice; accepted: once each")


def _words(given: str | None) -> list[str | None]:
    if given is None:
        return [None]
    return [word.strip() for word in given.split(",") if word.strip()] or [None]


def _numbers(option: str, given: str) -> list[int]:
    """Reads whole numbers with commas between them."""
    words = [word.strip() for word in given.split(",")]
    wrong = [word for word in words if not (word.isascii() and word.isdigit() and int(word) > 0)]
    if wrong or len(set(words)) < len(words):
        raise SettingsError(
            f"{option} {given!r}: accepted: whole numbers of at least 1, each once, with commas "
            "between them, such as 1,8,32"
        )
    return [int(word) for word in words]


def _read_texts(path: Path | None) -> list[str]:
    if path is None:
        return list(_SENTENCES) * 4
    try:
        # Not at U+2028, which texts hold.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise SettingsError(f"--texts: {path} can't be read as text: {error}") from None
    except OSError as error:
        raise SettingsError(f"--texts: {explain(error, path=path, writes=False)}") from None
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise SettingsError(f"--texts: {path} holds no text; accepted: one text a line")
    return texts


def _word_contest(contest: Contest, sample: str) -> list[str]:
    """Returns a table for each condition, sizes and memory, and how all was measured."""
    from limbeck.report.bench import (
        explain_speeds,
        footprint_rows,
        name_condition,
        speed_rows,
        word_threads,
    )
    from limbeck.report.figures import number_of

    lines = []
    for measured in contest.measured:
        title = name_condition(measured)
        lines += [f"{title[0].upper()}{title[1:]}", *align(speed_rows(contest, measured)), ""]
    if contest.footprints:
        lines += [*align(footprint_rows(contest)), ""]
    first = next(iter(contest.measured[0].latencies.values()))
    rounds = number_of(len(first.rounds), "round")
    return [
        *lines,
        *_word_left_out(contest.left_out),
        explain_speeds(contest),
        (
            f"{sample}, {first.num_latency_texts} of them one at a time; threads: "
            f"{word_threads(contest)}; device {first.device}, {rounds}, at most "
            f"{contest.longest_input} tokens."
        ),
    ]


def _word_left_out(left_out: Mapping[str, str]) -> list[str]:
    return [f"left out {label}: {reason}" for label, reason in left_out.items()]


def _to_dict(contest: Contest) -> dict[str, Any]:
    return {
        "reference": next(iter(contest.contestants)),
        "left_out": dict(contest.left_out),
        "models": {
            label: {
                "engine": engine,
                "precision": precision,
                **(asdict(contest.footprints[label]) if label in contest.footprints else {}),
            }
            for label, (engine, precision) in contest.contestants.items()
        },
        "measured": [
            {
                "num_threads": measured.num_threads,
                "num_tokens": measured.num_tokens,
                "speeds": {
                    str(batch_size): {label: speed.to_dict() for label, speed in speeds.items()}
                    for batch_size, speeds in measured.speeds.items()
                },
            }
            for measured in contest.measured
        ],
    }
