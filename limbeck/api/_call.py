"""A call on its way to its recipe: what was given becomes settings and files of a run's folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from limbeck.api._data import GivenData
from limbeck.api._models import ModelsInMemory
from limbeck.api._progress import choose_progress
from limbeck.api._task import settle_task
from limbeck.checkpoints import resolve_folder
from limbeck.config import Settings
from limbeck.errors import FolderInUseError
from limbeck.files import own_folder, remove_if_bare
from limbeck.models import AutoConfig
from limbeck.recipes._tasks.memory import read_memory
from limbeck.recipes.finetune.teachers import is_labeller
from limbeck.runs import DATA_FOLDER, MODELS_FOLDER, RunRecord
from limbeck.train import Progress

SettingsT = TypeVar("SettingsT", bound=Settings)

_RUNS = Path("runs")


@dataclass(frozen=True)
class Call(Generic[SettingsT]):
    """A run that is ready to start.

    Attributes:
        settings: Of its recipe.
        progress: Where it reports.
        out: Its folder.
    """

    settings: SettingsT
    progress: Progress
    out: Path


def choose_folder(recipe: str, out: str | Path | None) -> Path:
    """Returns the folder of a run: the one that is given, or a new one in `runs`.

    It is a lasting one, in the working directory, and not a temporary one: a result reads its
    model there when it is asked for it.
    """
    if out is not None:
        return Path(out)
    stem = f"{recipe}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    names = (stem if i == 1 else f"{stem}-{i}" for i in range(1, 10_000))
    return next(_RUNS / name for name in names if not (_RUNS / name).exists())


@contextmanager
def prepare(
    recipe: str,
    settings_type: type[SettingsT],
    values: Mapping[str, Any],
    *,
    given: GivenData | None = None,
    recalls_task: bool = False,
    keeps_data: bool = False,
    out: str | Path | None,
    progress: bool | Progress | None,
) -> Iterator[Call[SettingsT]]:
    """Checks a call's settings, and puts what it has in memory into the run's folder.

    Where the block fails before its run was begun, what was put there goes again.

    Args:
        recipe: Name of the recipe.
        settings_type: Class of its settings.
        values: What was given of them; models in whatever form.
        given: The task's data, for a recipe on a task.
        recalls_task: Whether the recipe takes the task that the model remembers.
        keeps_data: Whether data that the block puts there stay where it fails, since making them
            took long.
        out: The run's folder, None for a new one.
        progress: See `choose_progress`.

    Raises:
        SettingsError: If a setting is wrong; nothing has been written then.
        DataError: If rows can't be used.
    """
    shown, folder = choose_progress(progress), choose_folder(recipe, out)
    place, models = folder / DATA_FOLDER, ModelsInMemory(folder)
    plain = {name: models.name(value, setting=name) for name, value in values.items()}
    plain["out"] = str(folder)
    where = f"limbeck.{recipe}"
    if given is not None:
        plain |= {} if (data := given.setting(place)) is None else {"data": data}
        settings_type.from_values(plain, where=where)  # before a model is looked for
        may_recall = recalls_task and not is_labeller(plain["model"])
        is_stored = may_recall and not models.holds(plain["model"])
        labels = _remembered_labels(plain["model"]) if is_stored else None
        plain |= settle_task(given, plain, model_labels=labels, progress=shown)
    settings = settings_type.from_values(plain, where=where)
    inputs = {MODELS_FOLDER} if keeps_data else {DATA_FOLDER, MODELS_FOLDER}
    with _no_trace_of_failure(folder, inputs):
        models.write()
        if given is not None:
            given.write(place, out=folder)
        shown.log(f"the run's folder: {folder}")
        yield Call(settings, shown, folder)


@contextmanager
def _no_trace_of_failure(folder: Path, inputs: Set[str]) -> Iterator[None]:
    """Removes the inputs that the block puts into a run's folder if it fails without a run."""
    before = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    parent_is_new = not folder.parent.exists()
    try:
        yield
    except FolderInUseError:  # by another, whose it is
        raise
    except Exception:
        if folder.is_dir() and not RunRecord.exists(folder):
            with own_folder(folder, work="a call of limbeck"):
                for name in inputs - before:
                    shutil.rmtree(folder / name, ignore_errors=True)
                remove_if_bare(folder)
            with suppress(OSError):  # it holds other runs
                if parent_is_new:
                    folder.parent.rmdir()
        raise


def _remembered_labels(model: str) -> list[str] | None:
    """Returns the labels of a model that remembers its task; None if it does not."""
    folder = resolve_folder(model)
    if read_memory(folder) is None:
        return None
    return list(AutoConfig.from_pretrained(folder).id2label.values())
