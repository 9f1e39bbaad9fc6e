"""Run several stages one after the other, each on the models of those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limbeck.checkpoints import extend_readme
from limbeck.errors import SettingsError, TrainingError
from limbeck.recipes._jobs import find_waiting, run_jobs
from limbeck.recipes._tasks.card import show_model
from limbeck.recipes._tasks.folders import share_folder
from limbeck.recipes.chain.rehearsal import rehearse
from limbeck.recipes.chain.settings import ChainSettings
from limbeck.recipes.chain.stages import Stage, list_stages
from limbeck.runs import (
    ChainRecord,
    ChainStage,
    describe_start,
    hash_model_files,
    require_model_files,
    start_run,
)
from limbeck.train import Progress
from limbeck.version import __version__

SettingsType = ChainSettings

# Every stage guards its own settings; a chain may get more stages as it goes.
_MAY_CHANGE = ("stages", "shared")


def run(settings: ChainSettings, *, progress: Progress) -> ChainRecord:
    """Runs the stages that have not finished, and puts the last one's model into `out/model`.

    Returns:
        What stands in `result.json`.

    Raises:
        LimbeckError: As a stage would, with its name, before anything is begun.
        TrainingError: If a stage has failed; those before it stay.
        KeyboardInterrupt: When Ctrl-C or SIGTERM asked to stop, after a checkpoint.
    """
    stages = list_stages(settings)
    rehearse(stages, out=settings.out)
    with start_run(settings.out, "chain", settings, may_change=_MAY_CHANGE) as run_folder:
        earlier = run_folder.finished(ChainRecord)
        for stage in stages:
            stage.require_same_models()
        waiting = find_waiting(stages)
        if earlier is not None and earlier.stages == _describe(stages) and not waiting:
            remedy = f"remove {settings.out / earlier.FILE_NAME}, and the same command puts the "
            require_model_files(
                settings.out / "model",
                earlier.model_files,
                remedy=remedy + "model of the last stage there again",
            )
            progress.log(f"{settings.out} is already complete")
            return earlier
        for stage in stages:
            if stage not in waiting:
                progress.log(f"{stage.name}: finished before")
        failures = run_jobs(waiting, num_workers=1, progress=progress)
        if failures:
            error_type = SettingsError if failures.of_settings else TrainingError
            raise error_type(f"a stage failed: {failures}")
        model = settings.out / "model"
        share_folder(stages[-1].model, model)
        extend_readme(model, _write_section(stages))
        record = ChainRecord(
            stages=_describe(stages), model=str(model), model_files=hash_model_files(model)
        )
        return record.write(settings.out)


def plan(settings: ChainSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it.

    A stage whose input has yet to be made is looked at with the model that the stage before it
    starts to train, which is of the same architecture.
    """
    stages = list_stages(settings)
    planned = rehearse(stages, out=settings.out, plans=True)
    return {
        "recipe": "chain",
        "out": str(settings.out),
        "run": describe_start(settings.out, "chain", settings, may_change=_MAY_CHANGE),
        "stages": {
            stage.name: {"recipe": stage.recipe, **_say_takes(stage), **planned[stage.name]}
            for stage in stages
        },
    }


def summarise(result: ChainRecord) -> str:
    """Formats a result: a line for each stage, and where the model is."""
    lines = [
        f"{stage.name}: limbeck {stage.recipe}"
        + "".join(f", {setting} = {model}" for setting, model in stage.takes.items())
        + f", in {stage.folder}"
        for stage in result.stages
    ]
    return "\n".join([*lines, f"The model:    {result.model}"])


def _describe(stages: Sequence[Stage]) -> tuple[ChainStage, ...]:
    return tuple(
        ChainStage(name=s.name, recipe=s.recipe, folder=str(s.folder), takes=dict(s.takes))
        for s in stages
    )


def _say_takes(stage: Stage) -> dict[str, Any]:
    return {"takes": dict(stage.takes)} if stage.takes else {}


def _write_section(stages: Sequence[Stage]) -> str:
    """Returns what the card says of the stages, which its own words name as teachers and such."""
    lines = [
        f"{number}. `{stage.name}`: `limbeck {stage.recipe}`"
        + "".join(
            f", {setting} = `{show_model(model)}`"
            for setting, model in stage.settings.named_models().items()
            if setting not in stage.takes
        )
        + "".join(f", {setting} = the model of `{name}`" for setting, name in stage.takes.items())
        for number, stage in enumerate(stages, start=1)
    ]
    return "\n".join([f"## Stages of `limbeck chain` {__version__}", "", *lines])
