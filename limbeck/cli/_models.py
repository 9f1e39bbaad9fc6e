"""Commands on finished models and runs: `report`, `bench`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from limbeck.cli._common import COMMON, Common, Flag, align, note
from limbeck.data.sampling import take_evenly
from limbeck.errors import SettingsError
from limbeck.system_errors import explain

if TYPE_CHECKING:
    from limbeck.inference.speed import Quartiles, Speed
    from limbeck.models import Model

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


def report(
    *runs: Annotated[Path, Parameter(help="Finished run folders of finetune or evaluate.")],
    out: Annotated[Path, Parameter(help="Folder to write the report to.")],
    teacher: Annotated[str | None, Parameter(help="Folder or label of the teacher's run.")] = None,
    distill_run: Annotated[Path | None, Parameter(help="Run that made the student.")] = None,
    title: Annotated[str | None, Parameter(help="Heading of the report.")] = None,
    measure: Annotated[bool, Parameter(help="Measure speed now.")] = True,
    dry_run: Annotated[bool, Flag, Parameter(help="Read the runs; write nothing.")] = False,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Join runs into one page: what the student kept, at what size and speed."""
    from limbeck.recipes._tasks.speeds import measure_runs
    from limbeck.report import write_report
    from limbeck.report.runs import read_finetune_run

    if not runs and distill_run is None:
        raise SettingsError(
            "command line: no run given; accepted: one or more folders of finetune or evaluate, "
            "or --distill-run with that of a distillation"
        )
    if not runs and distill_run is not None:
        return _report_distillation(distill_run, out=out, title=title, dry_run=dry_run)
    if dry_run:
        read = [read_finetune_run(folder) for folder in runs]
        common.tell(*align((str(run.folder), run.role, run.label) for run in read))
        return {"dry_run": True, "labels": [run.label for run in read], "out": str(out)}
    written = write_report(
        runs,
        out=out,
        teacher=teacher,
        distill_run=distill_run,
        title=title,
        measure=partial(measure_runs, progress=common.progress()) if measure else None,
    )
    files = [str(out / name) for name in ("report.md", "report.html", "report.json")]
    note(written.headline, f"written: {', '.join(files)}")
    return {"headline": written.headline, "files": files}


def _report_distillation(
    folder: Path, *, out: Path, title: str | None, dry_run: bool
) -> dict[str, Any]:
    """Writes the page of a distillation from which nothing was fine-tuned yet."""
    from limbeck.report import write_distillation_report
    from limbeck.report.distillation import read_distillation

    if dry_run:
        read_distillation(folder)
        return {"dry_run": True, "labels": [], "out": str(out)}
    headline, written = write_distillation_report(folder, out=out, title=title)
    files = [str(path) for path in written.values()]
    note(headline, f"written: {', '.join(files)}")
    return {"headline": headline, "files": files}


def bench(
    *models: Annotated[str, Parameter(help="Model folders or Hub ids; the first is compared to.")],
    texts: Annotated[
        Path | None, Parameter(help="File with one text a line; of many, 64 or a batch are taken.")
    ] = None,
    repeats: Annotated[int, Parameter(help="Rounds; the median counts.")] = 7,
    batch_size: Annotated[int, Parameter(help="Texts per batch for the throughput.")] = 32,
    max_length: Annotated[int, Parameter(help="Longest input in tokens.")] = 128,
    threads: Annotated[int | None, Parameter(help="CPU threads.")] = None,
    device: Annotated[str, Parameter(help="auto, cpu, cuda, ...")] = "auto",
    dry_run: Annotated[bool, Flag, Parameter(help="Show what would be measured.")] = False,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Measure latency and throughput of models side by side, in turns, so that ratios hold."""
    labels = _labels(models)
    given = _read_texts(texts)
    lines = take_evenly(given, max(_NUM_TEXTS, batch_size))
    sample = f"{len(lines)} texts"
    if len(lines) < len(given):
        sample += f" taken evenly from the {len(given):,} of {texts}"
    if dry_run:
        common.tell(*(f"{label}: {model}" for label, model in zip(labels, models, strict=True)))
        common.tell(f"{sample}, {repeats} rounds, batches of {batch_size}")
        return {"dry_run": True, "models": list(models), "num_texts": len(lines)}

    import torch

    from limbeck.inference.speed import measure_speed
    from limbeck.tokenizers import AutoTokenizer
    from limbeck.train import choose_device

    if threads is not None:
        torch.set_num_threads(threads)
    target = choose_device(device)
    loaded = {k: _load(m).to(target) for k, m in zip(labels, models, strict=True)}
    named = zip(labels, models, strict=True)
    speeds = measure_speed(
        loaded,
        {k: AutoTokenizer.from_pretrained(m).for_model(loaded[k].config) for k, m in named},
        texts=lines,
        repeats=repeats,
        batch_size=batch_size,
        max_length=max_length,
        progress=common.progress(),
    )
    common.tell(*_word_speeds(speeds, sample))
    result = {label: speed.to_dict() for label, speed in speeds.items()}
    return {"reference": labels[0], "speeds": result}


def _labels(models: Sequence[str]) -> list[str]:
    """Names models by the last part of their path, or by all of it where that is not enough."""
    if not models:
        raise SettingsError("command line: no model given; accepted: model folders or Hub ids")
    repeated = sorted({model for model in models if models.count(model) > 1})
    if repeated:
        raise SettingsError(f"command line: '{repeated[0]}' is given twice; accepted: once each")
    from limbeck.checkpoints import short_name

    names = [short_name(model) for model in models]
    return names if len(set(names)) == len(names) else list(models)


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


def _load(name_or_path: str) -> Model:
    """Loads a model with the head that its folder says it has."""
    from limbeck.checkpoints import read_config, resolve_folder
    from limbeck.models import AutoConfig, AutoModel, find_class, find_own_kind

    folder = resolve_folder(name_or_path)
    architectures = read_config(folder).get("architectures") or [""]
    model_type = AutoConfig.from_pretrained(folder).model_type
    kind = find_own_kind(model_type, str(architectures[0])) or AutoModel.kind
    return find_class(model_type, kind).from_pretrained(folder)


def _word_speeds(speeds: Mapping[str, Speed], sample: str) -> list[str]:
    """Returns the table of all models, and under it what was measured how."""
    from limbeck.inference.speed import compare_speed

    reference, first = next(iter(speeds.items()))
    batch = f"batch {first.batch_size}"
    head = ["model", "ms, batch 1", f"texts/s, {batch}", "speed-up, batch 1", f"speed-up, {batch}"]
    rows = [head]
    for label, speed in speeds.items():
        ratio = compare_speed(speed, reference=first)
        rows.append(
            [
                label,
                _spread(speed.latency_ms),
                _spread(speed.texts_per_second),
                f"{ratio.latency.median:.2f}x",
                f"{ratio.throughput.median:.2f}x",
            ]
        )
    return [
        *align(rows),
        (
            "Medians over the rounds, quartiles in brackets. Speed-up: how many times as fast as "
            f"{reference}, the median of the ratios taken within each round."
        ),
        (
            f"{sample}, {first.num_latency_texts} of them at batch 1; batch size "
            f"{first.batch_size}, threads {first.num_threads}, device {first.device}, "
            f"rounds {len(first.rounds)}, max_length {first.max_length}."
        ),
    ]


def _spread(value: Quartiles) -> str:
    return f"{value.median:,.2f} ({value.lower:,.2f}-{value.upper:,.2f})"
