"""All that was made beside the teacher: scores, speeds, the choice, and what test says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from limbeck.recipes._jobs import Failures
from limbeck.recipes._tasks.card import show_model
from limbeck.recipes._tasks.speeds import measure_in_turns
from limbeck.recipes.compress.settings import CompressSettings
from limbeck.recipes.compress.teacher import SPLIT
from limbeck.recipes.finetune.teachers import is_labeller
from limbeck.report.bounds import Search
from limbeck.report.compression import Compression, OnTest, choose_smallest
from limbeck.report.join import join_models
from limbeck.report.notes import describe_conditions, describe_method
from limbeck.report.runs import FinetuneRun, read_finetune_run
from limbeck.report.scored import read_scored
from limbeck.train import Progress


def compare_runs(
    settings: CompressSettings,
    runs: Sequence[FinetuneRun],
    how: Mapping[str, str],
    failures: Failures,
    *,
    search: Search | None = None,
    progress: Progress,
) -> Compression:
    """Returns what was found on the split that chooses; test is not looked at yet.

    Args:
        settings: Of the run.
        runs: The teacher, then what was made.
        how: How each of these was made, by its label.
        failures: What could not be made, and why.
        search: What was searched for; None where layers alone count.
        progress: Where it is told.
    """
    scored = read_scored(runs, SPLIT)
    models_of = runs[1:] if is_labeller(settings.model) else runs
    device = settings.device if search is None else "cpu"
    measured = measure_in_turns(
        models_of, out=settings.out, split=SPLIT, device=device, progress=progress
    )
    references = {} if is_labeller(settings.model) else measured.references
    models = join_models(runs, scored, speeds=measured.speeds, references=references)
    found = Compression(
        task=runs[0].result.task,
        metric=scored.metric,
        split=SPLIT,
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
                f"The {SPLIT} split chose the best epoch of each student, its best seed, and the "
                "student. That flatters the choice, the more so the more was tried."
            ),
            *([f"Not among these, since they failed: {failures}."] if failures else []),
            *([] if search is None else search.notes),
            *describe_method(models, scored),
        ],
        conditions=describe_conditions(runs),
        search=search,
    )
    return replace(found, chosen=choose_smallest(found))


def judge_on_test(
    settings: CompressSettings, found: Compression, read: Callable[[str], FinetuneRun]
) -> Compression:
    """Adds what the choice keeps on the test split, if that was scored.

    Args:
        settings: Of the run.
        found: What was found.
        read: Returns a label's run, scored on the test split.
    """
    folder = settings.out / "teacher" / "test"
    if found.chosen is None or not folder.exists():
        return found
    runs = [read_finetune_run(folder), read(found.chosen)]
    scored = read_scored(runs, "test")
    teacher, student = join_models(runs, scored, speeds={})
    on_test = OnTest(
        num_examples=scored.num_examples,
        teacher=teacher.scores.median,
        student=student.scores.median,
        retention=student.retention,
        is_shown=False not in (teacher.beats_constant, student.beats_constant),
    )
    return replace(found, test=on_test)
