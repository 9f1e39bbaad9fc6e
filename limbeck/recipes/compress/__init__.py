"""Make a fine-tuned model smaller: the smallest student that keeps a share of its score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from limbeck.errors import DataError, SettingsError, TrainingError
from limbeck.models import ForeignConfig
from limbeck.recipes import evaluate, finetune
from limbeck.recipes._inputs import hash_inputs
from limbeck.recipes._jobs import Failures, run_jobs
from limbeck.recipes._tasks.card import show_model
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.folders import share_folder, unshare_folder
from limbeck.recipes._tasks.heads import require_head
from limbeck.recipes._tasks.memory import recall_task
from limbeck.recipes._tasks.models import load_fine_tuned, match_labels
from limbeck.recipes._tasks.settings import TaskSettings
from limbeck.recipes._tasks.speeds import measure_once
from limbeck.recipes.compress.candidates import Candidate, list_candidates
from limbeck.recipes.compress.forecast import forecast, measure_candidates, require_students
from limbeck.recipes.compress.labeller import find_labeller, require_score, score_labeller
from limbeck.recipes.compress.result import (
    make_record,
    require_contract,
    summarise_result,
)
from limbeck.recipes.compress.settings import CompressSettings
from limbeck.recipes.finetune.data import read_data
from limbeck.recipes.finetune.shared_steps import decide_steps
from limbeck.recipes.finetune.teachers import is_labeller
from limbeck.report.card import write_card
from limbeck.report.compression import (
    Compression,
    OnTest,
    choose_smallest,
    describe_test,
    headline,
)
from limbeck.report.compression_page import FILES, write_compression
from limbeck.report.join import join_models
from limbeck.report.notes import describe_conditions, describe_method
from limbeck.report.runs import FinetuneRun, read_finetune_run
from limbeck.report.scored import read_scored
from limbeck.runs import (
    CompressRecord,
    EvaluateRecord,
    FinetuneRecord,
    require_model_files,
    start_run,
)
from limbeck.train import Progress, SilentProgress, choose_device

SettingsType = CompressSettings
summarise = summarise_result

# They decide what is tried and chosen; what was made already stays as it is.
_MAY_CHANGE = ("retain", "depths", "student", "seeds", "task_label")
_NO_PART = ("workers",)  # of what is tried: how it is run
_SPLIT = "validation"


def run(settings: CompressSettings, *, progress: Progress) -> CompressRecord:
    """Makes and measures the students, and puts the smallest that keeps enough in `out/model`.

    Returns:
        What stands in `result.json`.

    Raises:
        CheckpointError: If the model can't be read, or its `limbeck.json` is wrong.
        ContractError: If no student keeps enough, after everything was written.
        TrainingError: At the end, if students have failed; the page is over the others.
        DataError: If the task's data can't be used, the model's labels are not the task's, or a
            finished run is of other examples.
        MissingHeadError: If the model has no head for the task.
        SettingsError: If settings do not fit the model or each other, or no student.
        KeyboardInterrupt: When Ctrl-C or SIGTERM asked to stop; finished students stay.
    """
    settings = _recall(settings, progress)
    data, candidates = _prepare(settings, progress)
    asked = settings.model_dump(mode="json", include=set(_MAY_CHANGE))
    may_change = (*_MAY_CHANGE, *_NO_PART)
    inputs = hash_inputs(settings.named_models(), data=data)
    with start_run(
        settings.out, "compress", settings, inputs=inputs, may_change=may_change
    ) as run_folder:
        earlier = run_folder.finished(CompressRecord)
        for candidate in candidates:
            candidate.job.require_same_models()
        if earlier is not None and earlier.asked == asked:
            for chosen in (c for c in candidates if c.name == earlier.chosen):
                require_model_files(
                    settings.out / "model",
                    FinetuneRecord.read(chosen.folder).best.model_files,
                    remedy=f"remove {settings.out / earlier.FILE_NAME}, and the same command puts "
                    "the model there again",
                )
            progress.log(f"{settings.out} is already complete")
            return require_contract(earlier)
        candidates = _share_steps(settings, data, candidates, progress)
        record = _try_students(settings, data, candidates, asked=asked, progress=progress)
        return require_contract(record.write(settings.out))


def _try_students(
    settings: CompressSettings,
    data: TaskData,
    candidates: Sequence[Candidate],
    *,
    asked: dict[str, Any],
    progress: Progress,
) -> CompressRecord:
    """Makes, measures and reports the students, and puts the chosen one into `out/model`."""
    teacher = _evaluate_teacher(settings, data, candidates, progress)
    jobs = [candidate.job for candidate in candidates]
    failures = run_jobs(jobs, num_workers=settings.workers, progress=progress)
    made = [candidate for candidate in candidates if candidate.name not in failures]
    if not made:
        error_type = SettingsError if failures.are_of_settings else TrainingError
        raise error_type(f"no student could be made: {failures}")
    runs = [teacher, *(read_finetune_run(candidate.folder) for candidate in made)]
    found = _compare(settings, runs, made, failures, progress)
    if found.chosen is None:
        unshare_folder(settings.out / "model")  # of an easier contract
    else:
        chosen = next(c for c in candidates if c.name == found.chosen)
        _write_model(settings.out / "model", chosen, data, found)
    write_compression(found, settings.out)
    if failures:
        raise TrainingError(
            f"{len(failures)} of {len(candidates)} students failed: {failures}. {headline(found)} "
            f"The page over the others is {settings.out / FILES['html']}; the same command tries "
            "again what failed"
        )
    return make_record(found, settings.out, asked=asked, examples_sha256=data.fingerprint)


def plan(settings: CompressSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    settings = _recall(settings, SilentProgress())
    data, candidates = _prepare(settings, SilentProgress())
    labeller = find_labeller(candidates, data)
    depth = {} if labeller else {"num_layers": data.config.num_hidden_layers}
    return {
        "recipe": "compress",
        "task": settings.task_label or data.task.name,
        "metric": data.task.metric,
        "retain": settings.retain,
        "out": str(settings.out),
        "device": str(choose_device(settings.device)),
        **depth,
        **data.sizes(),
        "seeds": list(settings.seeds),
        "students": {candidate.name: candidate.how for candidate in candidates},
        **({} if labeller is None else labeller.plan(data, scored=_scored_splits(data))),
        **forecast(candidates, data, has_model=labeller is None).to_plan(),
    }


def prepare_model(settings: CompressSettings) -> Callable[[Path], object]:
    """Checks the run, and returns what writes the last student before its first step.

    Which one is chosen is known after all were tried; they differ in their sizes.
    """
    _, candidates = _prepare(_recall(settings, SilentProgress()), SilentProgress())
    return finetune.prepare_model(candidates[-1].settings)


def _recall(settings: CompressSettings, progress: Progress) -> CompressSettings:
    """Returns the settings with what the model remembers; a teacher that is none does not."""
    require_score(settings.model)
    return settings if is_labeller(settings.model) else recall_task(settings, progress)


def _prepare(settings: CompressSettings, progress: Progress) -> tuple[TaskData, list[Candidate]]:
    """Reads the data and lists the students, all of which can be made."""
    if is_labeller(settings.model):
        candidates = list_candidates(settings, num_layers=None)
        data = read_data(candidates[0].settings, progress)
        require_students(candidates, data)
        labeller = find_labeller(candidates, data)
        assert labeller is not None
        labeller.require_answers(data, _scored_splits(data))
        return data, candidates
    data = _read_data(settings, progress)
    is_foreign = isinstance(data.config, ForeignConfig)
    num_layers = None if is_foreign else data.config.num_hidden_layers
    candidates = list_candidates(settings, num_layers=num_layers)
    require_students(candidates, data)
    return data, candidates


def _share_steps(
    settings: CompressSettings,
    data: TaskData,
    candidates: list[Candidate],
    progress: Progress,
) -> list[Candidate]:
    """Gives all students the same steps where a time was asked for."""
    minutes = candidates[0].settings.max_minutes  # the same for all, a setting of `finetune`
    if minutes is None:
        return candidates

    def measure() -> float:
        paces = measure_candidates(candidates, data).values()
        return max(pace.seconds_per_step for pace in paces)

    num_steps = decide_steps(
        settings.out, data.task.name, minutes=minutes, measure=measure, progress=progress
    )
    return [candidate.within(num_steps) for candidate in candidates]


def _read_data(settings: CompressSettings, progress: Progress) -> TaskData:
    """Reads the task's data, and checks that the model was fine-tuned on the task."""
    data = TaskData.read(
        _teacher_settings(settings, _SPLIT),
        needed=(_SPLIT,),
        optional=("train", "test", "transfer"),  # those of the students, to tell if they change
        use_model_labels=True,
        any_family=True,
        progress=progress,
    )
    if "train" not in data.task.splits:
        raise DataError(
            f"data = {settings.data!r} has no train split, which the students need (it has: "
            f"{', '.join(data.task.splits)}); give it with data.train=FILE"
        )
    require_head(data.task, data.folder, name=settings.model)
    match_labels(data.task, data.config, name=settings.model)
    load_fine_tuned(data.task, data.folder, name=settings.model)
    return data


def _teacher_settings(settings: CompressSettings, split: str) -> evaluate.EvaluateSettings:
    # A task that was not given stays one that was not: errors on the data then say so.
    unset = {"task"} - settings.model_fields_set
    shared = settings.model_dump(include=set(TaskSettings.model_fields) - unset)
    return evaluate.EvaluateSettings.from_values(
        {
            **shared,
            "out": settings.out / "teacher" / split,
            "split": split,
            "label": "teacher",
            "role": "teacher",
        }
    )


def _scored_splits(data: TaskData) -> list[str]:
    """Returns the splits that the teacher is scored on: validation, and test if it has labels."""
    test = data.task.splits.get("test")
    return [_SPLIT, *(["test"] if test is not None and test.is_labelled else [])]


def _evaluate_teacher(
    settings: CompressSettings,
    data: TaskData,
    candidates: Sequence[Candidate],
    progress: Progress,
) -> FinetuneRun:
    """Scores the teacher on validation, and on test if that can be scored, unless done before."""
    for split in _scored_splits(data):
        if not EvaluateRecord.exists(settings.out / "teacher" / split):
            progress.log(f"scoring {settings.model} on {split}")
            of_split = _teacher_settings(settings, split)
            labeller = find_labeller(candidates, data)
            if labeller is None:
                evaluate.run(of_split, progress=progress)
            else:
                score_labeller(of_split, labeller, data, progress=progress)
    found = read_finetune_run(settings.out / "teacher" / _SPLIT)
    _require_something_to_keep(found, name=settings.model)
    return found


def _require_something_to_keep(teacher: FinetuneRun, *, name: str) -> None:
    """Refuses a teacher that has learned nothing, before students are made of it."""
    metric, score = teacher.result.metric, teacher.scores(_SPLIT)[0]
    trivial = teacher.result.trivial.get(_SPLIT)
    help_ = (
        "Are these the labels and the question that are meant?"
        if is_labeller(name)
        else "Was it fine-tuned on this task?"
    )
    if score <= 0:
        raise DataError(
            f"{name} has {metric} {score:.4f} on {_SPLIT}: no share of that can be kept; accepted: "
            f"a model that scores above 0. {help_}"
        )
    if trivial is None:
        return
    if trivial.favourite is not None:
        raise DataError(
            f"{name} predicts {trivial.favourite} on {_SPLIT} ({metric} {score:.4f}): there is "
            f"nothing to keep; accepted: a model that tells its examples apart. {help_}"
        )
    if score <= trivial.score:
        raise DataError(
            f"{name} has {metric} {score:.4f} on {_SPLIT}, where the one answer "
            f"“{trivial.answer}” has {trivial.score:.4f}: there is nothing to keep; accepted: a "
            f"model that scores above that. {help_}"
        )


def _compare(
    settings: CompressSettings,
    runs: Sequence[FinetuneRun],
    candidates: Sequence[Candidate],
    failures: Failures,
    progress: Progress,
) -> Compression:
    scored, task = read_scored(runs, _SPLIT), runs[0].result.task
    models_of = runs[1:] if is_labeller(settings.model) else runs
    speeds = measure_once(
        models_of, out=settings.out, split=_SPLIT, device=settings.device, progress=progress
    )
    models = join_models(runs, scored, speeds=speeds)
    how = {candidate.name: candidate.how for candidate in candidates}
    found = Compression(
        task=task,
        metric=scored.metric,
        split=_SPLIT,
        num_examples=scored.num_examples,
        retain=settings.retain,
        models=models,
        name=show_model(settings.model),
        how={models[0].label: f"{settings.model}, as it was given", **how},
        chosen=None,
        test=None,
        constant=scored.constant,
        notes=[
            (
                f"The {_SPLIT} split chose the best epoch of each student, its best seed, and the "
                "student. That flatters the choice, the more so the more was tried."
            ),
            *([f"Not among these, since they failed: {failures}."] if failures else []),
            *describe_method(models, scored),
        ],
        conditions=describe_conditions(runs),
    )
    found = replace(found, chosen=choose_smallest(found))
    chosen = next((run for run in runs[1:] if run.label == found.chosen), None)
    return replace(found, test=None if chosen is None else _on_test(settings, chosen))


def _on_test(settings: CompressSettings, chosen: FinetuneRun) -> OnTest | None:
    """Returns what the chosen student keeps on the test split, if that was scored."""
    folder = settings.out / "teacher" / "test"
    if not folder.exists():
        return None
    runs = [read_finetune_run(folder), chosen]
    scored = read_scored(runs, "test")
    teacher, student = join_models(runs, scored, speeds={})
    return OnTest(
        num_examples=scored.num_examples,
        teacher=teacher.scores.median,
        student=student.scores.median,
        retention=student.retention,
        is_shown=False not in (teacher.beats_constant, student.beats_constant),
    )


def _write_model(folder: Path, chosen: Candidate, data: TaskData, found: Compression) -> None:
    """Puts the chosen student's best seed into its place, with a card that has the proof."""
    share_folder(chosen.folder / "model", folder)
    record = FinetuneRecord.read(chosen.folder)
    card = chosen.card(data, record.best, records=record.seeds)
    model = next(model for model in found.models if model.label == found.chosen)
    made = {
        "Chosen by": "limbeck compress",
        "Asked to retain": f"{found.retain:g}",
        **({"Retained on validation": f"{found.kept(model):.4f}"} if found.is_shown(model) else {}),
    }
    if model.speed is not None and model.speed_up is not None:
        latency, device = model.speed.latency_ms.median, model.speed.device
        made |= {
            "Latency at batch 1": f"{latency:.2f} ms on {device}, tokenisation included",
            "Teacher's latency over its own": f"{model.speed_up.latency.median:.2f}",
        }
    notes = [headline(found), describe_test(found) or "", *card.notes]
    notes = [note for note in notes if note]
    card = replace(
        card,
        name=f"{found.name} to {found.chosen}",
        summary=f"{found.name}, made smaller for {found.task}: {chosen.how}.",
        made={**made, **card.made},
        notes=notes,
    )
    write_card(folder, card)
