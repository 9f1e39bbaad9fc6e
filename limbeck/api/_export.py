"""The function that writes models in other formats: `export_model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.api._call import choose_folder, prepare
from limbeck.api._corpus import write_texts
from limbeck.api._data import DataSet, GivenData, Rows
from limbeck.api._models import ModelLike, with_tokenizer
from limbeck.api._put import put
from limbeck.api._results import ExportResult
from limbeck.api._signature import takes_settings
from limbeck.api._tasks import data_of
from limbeck.recipes import export as export_recipe
from limbeck.recipes.export.training import TrainingForFormat
from limbeck.runs import DATA_FOLDER
from limbeck.tokenizers import Tokenizer
from limbeck.train import Progress


@takes_settings(export_recipe.SettingsType)
def export_model(
    model: ModelLike,
    to: str | tuple[str, ...] | list[str],
    data: DataSet | Rows | None = None,
    *,
    texts: Any = None,
    tokenizer: Tokenizer | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> ExportResult:
    """Writes a model in another format, or several, and compares it with the model.

    Args:
        model: A Hub id, a folder, a result of another call, or a model in memory.
        to: Target, or several, as `limbeck list targets` shows them.
        data: Rows of the split that is scored, or a data set as for `finetune`; by default that of
            the result. Without any, outputs are compared, which says less than a score.
        texts: Strings, or dictionaries with a column `text_field`, which are put into the run's
            folder; or a file, folder, glob or `hf://NAME`. Outputs are compared on them.
        tokenizer: Of a model in memory.
        out: The run's folder; a new one in `runs` if not given.
        progress: Whether it is shown, as for `finetune`.
        **settings: Those of the recipe, listed below.

    Returns:
        The exported folder, and what it keeps: `model_folder`, `pipeline()`, `folder`, `record`.

    Raises:
        SettingsError: If a setting is wrong, or there is no such target.
        ContractError: If an export loses more than it may; its `result` says what.
        ExportError: If the model can't be exported so.
        MissingExtraError: If a package is not installed.
        DataError: If data or texts can't be used.
        CheckpointError: If the model can't be read.
    """
    return write_exports(
        model, to, data, texts=texts, tokenizer=tokenizer, out=out, progress=progress, **settings
    )


def write_exports(
    model: ModelLike,
    to: Sequence[str] | str,
    data: DataSet | Rows | None,
    *,
    texts: Any,
    tokenizer: Tokenizer | None,
    out: str | Path | None,
    progress: bool | Progress | None,
    training: TrainingForFormat | None = None,
    **settings: Any,
) -> ExportResult:
    """Does what `export_model` does, of a model that may be trained for it first."""
    folder = choose_folder("export", out)
    place = folder / DATA_FOLDER / "texts.jsonl"
    in_memory = texts is not None and not isinstance(texts, str | Path)
    field = settings.get(
        "text_field", export_recipe.SettingsType.model_fields["text_field"].default
    )
    values = {**settings, "model": with_tokenizer(model, tokenizer), "to": to}
    if texts is not None:
        values["texts"] = str(place if in_memory else texts)
    given = data_of(model) if data is None else data
    if given is not None and not isinstance(given, str | Path | Mapping):
        split = settings.get("split", export_recipe.SettingsType.model_fields["split"].default)
        given = {split: given}
    with prepare(
        "export",
        export_recipe.SettingsType,
        values,
        given=GivenData.of(given),
        recalls_task=True,
        out=folder,
        progress=progress,
    ) as call:
        if in_memory:
            put(place, lambda path: write_texts(texts, path, field=field), out=folder)
        return ExportResult(
            call.out, export_recipe.run(call.settings, progress=call.progress, training=training)
        )
