"""A call on its way to its recipe: what was given becomes settings and files of a run's folder."""

from __future__ import annotations

from collections.abc import Mapping
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
from limbeck.models import AutoConfig
from limbeck.recipes._tasks.memory import read_memory
from limbeck.runs import DATA_FOLDER
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


def prepare(
    recipe: str,
    settings_type: type[SettingsT],
    values: Mapping[str, Any],
    *,
    given: GivenData | None = None,
    recalls_task: bool = False,
    out: str | Path | None,
    progress: bool | Progress | None,
) -> Call[SettingsT]:
    """Checks a call's settings, and puts what it has in memory into the run's folder.

    Args:
        recipe: Name of the recipe.
        settings_type: Class of its settings.
        values: What was given of them; models in whatever form.
        given: The task's data, for a recipe on a task.
        recalls_task: Whether the recipe takes the task that the model remembers.
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
        is_stored = recalls_task and not models.holds(plain["model"])
        labels = _remembered_labels(plain["model"]) if is_stored else None
        plain |= settle_task(given, plain, model_labels=labels, progress=shown)
    settings = settings_type.from_values(plain, where=where)
    models.write()
    if given is not None:
        given.write(place, out=folder)
    shown.log(f"the run's folder: {folder}")
    return Call(settings, shown, folder)


def _remembered_labels(model: str) -> list[str] | None:
    """Returns the labels of a model that remembers its task; None if it does not."""
    folder = resolve_folder(model)
    if read_memory(folder) is None:
        return None
    return list(AutoConfig.from_pretrained(folder).id2label.values())
