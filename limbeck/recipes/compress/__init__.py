"""Make a fine-tuned model smaller: the smallest that keeps a share of its score, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from limbeck.errors import SettingsError, TrainingError
from limbeck.models import ForeignConfig
from limbeck.recipes import finetune
from limbeck.recipes._inputs import hash_inputs
from limbeck.recipes._jobs import Failures, run_jobs
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.folders import unshare_folder
from limbeck.recipes._tasks.memory import recall_task
from limbeck.recipes._teacher import list_scored_splits
from limbeck.recipes.compress.candidates import Candidate, list_candidates
from limbeck.recipes.compress.comparing import compare_runs, judge_on_test
from limbeck.recipes.compress.cutting import cut_students
from limbeck.recipes.compress.forecast import (
    Forecast,
    forecast,
    measure_candidates,
)
from limbeck.recipes.compress.labeller import find_labeller, require_score
from limbeck.recipes.compress.planning import Plan
from limbeck.recipes.compress.result import (
    make_record,
    require_contract,
    summarise_result,
    warn_of_other_machine,
)
from limbeck.recipes.compress.search import run_search
from limbeck.recipes.compress.settings import CompressSettings
from limbeck.recipes.compress.teacher import (
    evaluate_teacher,
    read_teacher_data,
)
from limbeck.recipes.compress.trimming import list_vocabularies, vary_vocabulary
from limbeck.recipes.compress.winner import write_student
from limbeck.recipes.finetune.data import read_data
from limbeck.recipes.finetune.shared_steps import decide_steps
from limbeck.recipes.finetune.teachers import is_labeller
from limbeck.report.compression import Compression, headline
from limbeck.report.compression_page import FILES, write_compression
from limbeck.report.runs import FinetuneRun, read_finetune_run
from limbeck.runs import CompressRecord, FinetuneRecord, require_model_files, start_run
from limbeck.train import Progress, SilentProgress, choose_device

SettingsType = CompressSettings
summarise = summarise_result

# They decide what is tried and chosen; what was made already stays as it is.
_ASKED = ("retain", "depths", "student", "seeds", "task_label")
_OF_SEARCH = (
    "max_latency_ms",
    "max_size_mb",
    "max_memory_mb",
    "engine",
    "targets",
    "prefer",
    "budget_hours",
)
_OF_STUDENTS = ("widths", "vocabulary", "min_count")
_MAY_CHANGE = (*_ASKED, *_OF_SEARCH, *_OF_STUDENTS, "workers")


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
    with TemporaryDirectory(prefix="limbeck-") as drafts:
        return _run(_recall(settings, progress), Path(drafts), progress)


def _run(settings: CompressSettings, drafts: Path, progress: Progress) -> CompressRecord:
    data, candidates = _prepare(settings, drafts, progress)
    asked = _describe_asked(settings)
    inputs = hash_inputs(settings.named_models(), data=data)
    planned = None
    if settings.is_search and not _is_answered(settings.out, asked):
        planned = Plan.prepare(settings, data, candidates, progress)
    with start_run(
        settings.out, "compress", settings, inputs=inputs, may_change=_MAY_CHANGE
    ) as run_folder:
        earlier = run_folder.finished(CompressRecord)
        vocabularies = list_vocabularies(candidates)
        candidates = [candidate.as_trained() for candidate in candidates]
        for candidate in candidates:
            candidate.job.require_same_models()
        if earlier is not None and earlier.asked == asked:
            if earlier.model is not None:
                require_model_files(
                    settings.out / "model",
                    _list_files(earlier, candidates),
                    remedy=f"remove {settings.out / earlier.FILE_NAME}, and the same command puts "
                    "the model there again",
                )
            warn_of_other_machine(earlier, settings.out, progress)
            progress.log(f"{settings.out} is already complete")
            return require_contract(earlier)
        for vocabulary in vocabularies:
            vocabulary.keep()
        cut_students(settings, data, candidates, progress)
        candidates = _share_steps(settings, data, candidates, progress)
        teacher = evaluate_teacher(settings, data, candidates, progress)
        if planned is not None:
            found, failures = run_search(planned.within(candidates), teacher, progress)
        else:
            found, failures = _try_students(settings, data, candidates, teacher, progress)
        write_compression(found, settings.out)
        if failures:
            raise TrainingError(_explain_failures(found, failures, settings.out))
        record = make_record(found, settings.out, asked=asked, examples_sha256=data.fingerprint)
        return require_contract(record.write(settings.out))


def _describe_asked(settings: CompressSettings) -> dict[str, Any]:
    """Returns what decides what is tried and chosen, settings of a search where there is one."""
    names = {*_ASKED, *_OF_SEARCH} if settings.is_search else set(_ASKED)
    # Those that came later count where they are not as ever: what was asked before stays the same.
    fields = type(settings).model_fields
    names |= {name for name in _OF_STUDENTS if getattr(settings, name) != fields[name].default}
    return settings.model_dump(mode="json", include=names)


def _list_files(earlier: CompressRecord, candidates: Sequence[Candidate]) -> Mapping[str, str]:
    """Returns the checksums of the chosen model's files, as whoever made it knows them."""
    if earlier.model_files:
        return earlier.model_files
    chosen = (candidate for candidate in candidates if candidate.name == earlier.chosen)
    return next((FinetuneRecord.read(one.folder).best.model_files for one in chosen), {})


def _is_answered(out: Path, asked: Mapping[str, Any]) -> bool:
    return CompressRecord.exists(out) and CompressRecord.read(out).asked == asked


def _try_students(
    settings: CompressSettings,
    data: TaskData,
    candidates: Sequence[Candidate],
    teacher: FinetuneRun,
    progress: Progress,
) -> tuple[Compression, Failures]:
    """Makes and measures all students, and puts the chosen one into `out/model`."""
    jobs = [candidate.job for candidate in candidates]
    failures = run_jobs(jobs, num_workers=settings.workers, progress=progress)
    made = {one.name: one for one in candidates if one.name not in failures}
    if not made:
        error_type = SettingsError if failures.are_of_settings else TrainingError
        raise error_type(f"no student could be made: {failures}")
    runs = {name: read_finetune_run(candidate.folder) for name, candidate in made.items()}
    how = {name: candidate.how for name, candidate in made.items()}
    found = compare_runs(settings, [teacher, *runs.values()], how, failures, progress=progress)
    trimmed = [vocabulary.describe() for vocabulary in list_vocabularies(candidates)]
    found = replace(found, notes=[*found.notes, *trimmed])
    found = judge_on_test(settings, found, runs.__getitem__)
    if found.chosen is None:
        unshare_folder(settings.out / "model")  # of an easier contract
    else:
        write_student(settings.out / "model", made[found.chosen], data, found)
    return found, failures


def _explain_failures(found: Compression, failures: Failures, out: Path) -> str:
    number = len(failures) + len(found.candidates)
    return (
        f"{len(failures)} of {number} students failed: {failures}. {headline(found)} "
        f"The page over the others is {out / FILES['html']}; the same command tries again what "
        "failed"
    )


def plan(settings: CompressSettings, *, progress: Progress | None = None) -> dict[str, Any]:
    """Returns what a run would do, without doing it; models are timed for that."""
    with TemporaryDirectory(prefix="limbeck-") as drafts:
        recalled = _recall(settings, SilentProgress())
        return _plan(recalled, Path(drafts), progress or SilentProgress())


def _plan(settings: CompressSettings, drafts: Path, progress: Progress) -> dict[str, Any]:
    data, candidates = _prepare(settings, drafts, SilentProgress())
    labeller = find_labeller(candidates, data)
    depth = {} if labeller else {"num_layers": data.config.num_hidden_layers}
    expected = forecast(candidates, data, has_model=labeller is None, progress=progress)
    trimmed = [vocabulary.describe() for vocabulary in list_vocabularies(candidates)]
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
        **({"vocabularies": trimmed} if trimmed else {}),
        **({} if labeller is None else labeller.plan(data, scored=list_scored_splits(data))),
        **_plan_search(settings, data, candidates, expected, progress),
        **expected.to_plan(),
    }


def _plan_search(
    settings: CompressSettings,
    data: TaskData,
    candidates: Sequence[Candidate],
    expected: Forecast,
    progress: Progress,
) -> dict[str, Any]:
    if not settings.is_search:
        return {}
    return Plan.prepare(settings, data, candidates, progress).describe(expected)


def prepare_model(settings: CompressSettings) -> Callable[[Path], object]:
    """Checks the run, and returns what writes the last student before its first step.

    Which one is chosen is known after all were tried; they differ in their sizes.
    """
    settings = _recall(settings, SilentProgress())
    with TemporaryDirectory(prefix="limbeck-") as drafts:
        _, candidates = _prepare(settings, Path(drafts), SilentProgress())
        return finetune.prepare_model(candidates[-1].settings)


def _recall(settings: CompressSettings, progress: Progress) -> CompressSettings:
    """Returns the settings with what the model remembers; a teacher that is none does not."""
    require_score(settings.model)
    return settings if is_labeller(settings.model) else recall_task(settings, progress)


def _prepare(
    settings: CompressSettings, drafts: Path, progress: Progress
) -> tuple[TaskData, list[Candidate]]:
    """Reads the data and lists the students, all of which can be made.

    Args:
        settings: Of the run.
        drafts: A folder for models that students are made of, which ends with the command.
        progress: Where it is told.
    """

    def vary(candidates: Sequence[Candidate], data: TaskData) -> list[Candidate]:
        return vary_vocabulary(settings, candidates, data, drafts=drafts, progress=progress)

    if is_labeller(settings.model):
        candidates = list_candidates(settings, num_layers=None)
        data = read_data(candidates[0].settings, progress)
        candidates = vary(candidates, data)
        labeller = find_labeller(candidates, data)
        assert labeller is not None
        labeller.require_answers(data, list_scored_splits(data))
        return data, candidates
    data = read_teacher_data(settings, progress)
    is_foreign = isinstance(data.config, ForeignConfig)
    num_layers = None if is_foreign else data.config.num_hidden_layers
    candidates = list_candidates(settings, num_layers=num_layers)
    return data, vary(candidates, data)


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
        paces = measure_candidates(candidates, data, progress).values()
        return max(pace.seconds_per_step for pace in paces)

    num_steps = decide_steps(
        settings.out, data.task.name, minutes=minutes, measure=measure, progress=progress
    )
    return [candidate.within(num_steps) for candidate in candidates]
