"""Distil a real encoder to half its layers, fine-tune it beside its baselines, and report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from limbeck.checkpoints import resolve_folder
from limbeck.config import Settings, Shown
from limbeck.data import CorpusSettings, build_corpus
from limbeck.errors import DataError, MissingHeadError, SettingsError
from limbeck.files import read_json_lines, write_text
from limbeck.methods.keep_layers import KeepLayersSettings, apply, choose_layers
from limbeck.models import AutoConfig, AutoModelForMaskedLM
from limbeck.recipes import distill, pretrain
from limbeck.recipes._inputs import hash_models
from limbeck.recipes._language_model import save_language_model
from limbeck.recipes._tasks.speeds import measure_runs
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.quickstart._compared import (
    DATA,
    Compared,
    advise,
    decide_budget,
    describe_shortage,
    finetune_alike,
)
from limbeck.recipes.quickstart._teacher import find_shipped_encoder, write_shipped_teacher
from limbeck.recipes.quickstart._time import distill_minutes, finetune_minutes
from limbeck.report import ModelFacts, write_report
from limbeck.report.tables import align_rows
from limbeck.runs import QuickstartModel, QuickstartRecord, start_run
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import Progress, choose_device

_LONGEST = max(
    distill.DistillSettings.model_fields["sequence_length"].default,
    FinetuneSettings.model_fields["max_length"].default,
)
"""Tokens of the longest rows that it reads, in distillation and fine-tuning."""
# The shipped teacher is a sentence encoder whose masked-LM head was fitted afterwards: it knows
# more in its hidden states than in its vocabulary, so the cosine loss weighs more than usual.
_LOSSES: dict[str, Any] = {
    "soft_targets": {"weight": 5},
    "masked_lm": {"weight": 2},
    "cosine": {"weight": 10},
}


class QuickstartSettings(Settings):
    """Settings of `limbeck quickstart`."""

    out: Shown[Path] = Path("runs/quickstart")
    """Folder of everything that is written; the same command given again goes on there."""
    minutes: Shown[float] = Field(default=13.0, ge=0.5)
    """About how long to train and measure, in minutes; more minutes mean more distillation, more
    fine-tuning and, where a model gets more than 5 epochs, more seeds."""
    teacher: Shown[str | None] = None
    """Model folder or Hub id, such as `bert-base-uncased`; None takes the shipped encoder. One
    without a masked-LM head gets a new one, fitted first."""
    num_student_layers: Shown[int | None] = Field(default=None, ge=1)
    """Depth of the student; half the teacher's, rounded up, if not given."""
    device: Shown[str] = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, `mps`."""


SettingsType = QuickstartSettings


def plan(settings: QuickstartSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    layers = _choose_layers(settings)
    return {
        "out": str(settings.out),
        "teacher": settings.teacher or "all-MiniLM-L6-v2 (6 layers, 384 wide)",
        "student": f"layers {', '.join(map(str, layers))} of the teacher",
        "device": str(choose_device(settings.device)),
        "distillation_minutes": distill_minutes(settings.minutes),
        "fine_tuning_minutes": finetune_minutes(settings.minutes),
        "fine_tuning_steps": "as many as fit, the same for every model; measured first",
        "fine_tuned_models": ["teacher", "student", "copied layers", "random weights"],
    }


def run(settings: QuickstartSettings, *, progress: Progress) -> QuickstartRecord:
    """Runs every stage and writes `out/report`; finished stages are not run again."""
    out, layers = settings.out, _choose_layers(settings)
    named = {} if settings.teacher is None else {"teacher": settings.teacher}
    with start_run(out, "quickstart", settings, inputs=hash_models(named)) as run_folder:
        earlier = run_folder.finished(QuickstartRecord)
        if earlier is not None:
            progress.log(f"{out} is already complete; give another out=... to run it again")
            return earlier
        return _run_stages(settings, layers=layers, progress=progress).write(out)


def _run_stages(
    settings: QuickstartSettings, *, layers: Sequence[int], progress: Progress
) -> QuickstartRecord:
    out, minutes = settings.out, distill_minutes(settings.minutes)
    # Read top to bottom: this is the way that any model goes.
    progress.log(f"1 of 5: the teacher and its text, in {out}")
    encoder = _prepare_teacher(settings)
    corpus = _build_corpus(out / "corpus", teacher=encoder, progress=progress)
    teacher = _ensure_head(encoder, corpus, settings, progress=progress)

    progress.log(f"2 of 5: distilling with the triple loss for {minutes:.1f} minutes")
    distillation = distill.DistillSettings(
        teacher=teacher,
        corpus=corpus,
        out=out / "distill",
        layers=layers,
        max_minutes=minutes,
        losses=_LOSSES,
        batch_size=16,
        learning_rate=3e-4,
        evaluate_every=200,
        evaluate_rows=64,
        device=settings.device,
    )
    distill.run(distillation, progress=progress)

    progress.log("3 of 5: the baseline of copied layers, without distillation")
    copied = _copy_layers(teacher, layers, out / "copied")

    progress.log("4 of 5: fine-tuning teacher, student and baselines alike")
    models = (
        Compared(label="teacher", role="teacher", model=teacher),
        Compared(label="distilled student", role="student", model=str(out / "distill/model")),
        Compared(label="copied layers, not distilled", role="baseline", model=str(copied)),
        Compared(
            label="random weights",
            role="baseline",
            model=str(copied),
            options={"initialise": "random"},
        ),
    )
    budget = decide_budget(
        models, out, minutes=settings.minutes, device=settings.device, progress=progress
    )
    runs = finetune_alike(models, out, budget=budget, device=settings.device, progress=progress)

    progress.log("5 of 5: measuring speed, writing the report")
    report = write_report(
        runs,
        out=out / "report",
        distill_run=out / "distill",
        shortage=None if budget.is_enough else describe_shortage(budget),
        notes=() if budget.is_enough else (advise(budget),),
        measure=partial(measure_runs, progress=progress),
    )
    return QuickstartRecord(
        headline=report.headline,
        findings=tuple(comparison.text for comparison in report.comparisons),
        models=tuple(_row(model) for model in report.models),
        report=str(out / "report/report.html"),
        student=str(runs[1] / "model"),
        command=f'limbeck predict {runs[1] / "model"} "a still that keeps the spirit"',
    )


def summarise(result: QuickstartRecord) -> str:
    """Formats what a person wants to read at the end: table, findings, where everything is."""
    head = [name.replace("_", "-") for name in QuickstartModel.model_fields]
    rows = [head, *([value for _, value in row] for row in result.models)]
    return "\n".join(
        [
            "",
            *align_rows(rows),
            "",
            result.headline,
            *(f"- {finding}" for finding in result.findings),
            "",
            f"The report:   {result.report}",
            f"The student:  {result.student}",
            f"Try it:       {result.command}",
        ]
    )


def _row(model: ModelFacts) -> QuickstartModel:
    """Returns one line of the table that the terminal shows."""
    error = model.scores.standard_error
    return QuickstartModel(
        model=model.label,
        layers=str(model.num_layers),
        parameters=f"{model.num_parameters / 1e6:.1f} M",
        file=f"{model.file_bytes / 1e6:.0f} MB",
        accuracy=f"{model.scores.mean:.1%}" + (f" ± {100 * error:.1f}" if error else ""),
        retention=f"{model.retention.estimate:.1%}" if model.retention else "-",
        latency=f"{model.speed.latency_ms.median:.1f} ms" if model.speed else "-",
        speed_up=f"{model.speed_up.latency.median:.2f}x" if model.speed_up else "-",
    )


def _choose_layers(settings: QuickstartSettings) -> tuple[int, ...]:
    """Returns the teacher's layers that the student keeps, before anything is begun.

    Raises:
        CheckpointError: If the teacher can't be read.
        MissingExtraError: If the shipped teacher is asked for and its package is not installed.
        SettingsError: If the teacher has too few layers or positions, or the device can't be used.
    """
    choose_device(settings.device)
    if settings.teacher is None:
        folder = find_shipped_encoder()
    else:
        folder = resolve_folder(settings.teacher, weights=False)
    config = AutoConfig.from_pretrained(folder)
    if not config.takes(_LONGEST):
        raise SettingsError(
            f"the quickstart reads {_LONGEST} tokens at a time, but the teacher {settings.teacher} "
            f"has {config.max_tokens} positions; give one with {_LONGEST} or more"
        )
    return choose_layers(
        "lower",
        num_teacher_layers=config.num_hidden_layers,
        num_student_layers=settings.num_student_layers,
    )


def _prepare_teacher(settings: QuickstartSettings) -> str:
    if settings.teacher is not None:
        return settings.teacher
    folder = settings.out / "teacher"
    if not (folder / "tokenizer_config.json").exists():
        write_shipped_teacher(folder)
    return str(folder)


def _build_corpus(folder: Path, *, teacher: str, progress: Progress) -> Path:
    """Tokenises the shipped text and the task's own training sentences."""
    rows = read_json_lines(DATA / "train.jsonl", error=DataError)
    sentences = folder.with_name("sentences.txt")
    text = "".join(row.get("sentence", "") + "\n" for row in rows)
    write_text(sentences, text, error=DataError)
    build_corpus(
        [DATA / "text.jsonl.gz", sentences],
        tokenizer=AutoTokenizer.from_pretrained(teacher),
        out=folder,
        settings=CorpusSettings(heldout_ratio=0.03, documents="line"),
        progress=progress,
    )
    return folder


def _ensure_head(
    teacher: str,
    corpus: Path,
    settings: QuickstartSettings,
    *,
    progress: Progress,
) -> str:
    """Returns the teacher, with a newly fitted masked-LM head if it has none."""
    try:
        AutoModelForMaskedLM.from_pretrained(teacher)
    except MissingHeadError:
        progress.log(f"{teacher} has no masked-LM head: fitting one")
    else:
        return teacher
    fitting = pretrain.PretrainSettings(
        model=teacher,
        new_head=True,
        freeze_body=True,
        corpus=corpus,
        out=settings.out / "head",
        max_minutes=distill_minutes(settings.minutes) / 2,
        batch_size=16,
        learning_rate=5e-3,
        evaluate_rows=64,
        device=settings.device,
    )
    return str(pretrain.run(fitting, progress=progress).model)


def _copy_layers(teacher: str, layers: Sequence[int], folder: Path) -> Path:
    if not (folder / "tokenizer_config.json").exists():
        model = AutoModelForMaskedLM.from_pretrained(teacher)
        family = distill.choose_family(model)
        start = KeepLayersSettings(layers=tuple(layers), model_type=family)
        model = apply(model, start)
        save_language_model(model, AutoTokenizer.from_pretrained(teacher), folder)
    return folder
