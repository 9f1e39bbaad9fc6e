"""`limbeck.distill_embeddings`: a sentence encoder's student, from files or texts in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from limbeck.api._call import choose_folder, prepare
from limbeck.api._corpus import write_columns
from limbeck.api._models import ModelLike
from limbeck.api._put import put
from limbeck.api._results import EmbeddingsResult
from limbeck.api._signature import takes_settings
from limbeck.recipes import distill_embeddings as recipe
from limbeck.runs import DATA_FOLDER
from limbeck.train import Progress

TextRows: TypeAlias = str | Path | Iterable[Any]
"""A file by its name, or rows in memory."""

_NAME = "distill_embeddings"


@takes_settings(recipe.SettingsType)
def distill_embeddings(
    teacher: ModelLike,
    texts: TextRows,
    *,
    student: ModelLike | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> EmbeddingsResult:
    """Distils a sentence encoder into a student, or a cross-encoder into a sentence encoder.

    Args:
        teacher: A Hub id, a folder, a result of another call, or an encoder in memory with its
            tokenizer, whose hidden states are averaged.
        texts: A file, folder, glob or `hf://NAME`; or rows in memory, which are put into the run's
            folder: strings, tuples of a row's texts, dictionaries with the columns, a
            `datasets.Dataset`, a frame.
        student: What to go on from, as the teacher; made of the teacher's layers if not given.
        out: The run's folder, where the same call goes on after a stop; a new one in `runs` if not
            given.
        progress: Whether it is shown, as for `finetune`.
        **settings: Those of the recipe, listed below.

    Returns:
        The student: `model`, `tokenizer`, `scores`, `folder`, `record`.

    Raises:
        SettingsError: If a setting is wrong or does not fit the models or texts.
        DataError: If the texts or the validation pairs can't be used.
        CheckpointError: If a model can't be read.
        TrainingError: If a loss is not finite.
    """
    folder = choose_folder("distill-embeddings", out)
    place = folder / DATA_FOLDER / "texts.jsonl"
    named, rows = (str(texts), None) if isinstance(texts, str | Path) else (str(place), texts)
    values = {**settings, "teacher": teacher, "student": student, "texts": named}
    with prepare(_NAME, recipe.SettingsType, values, out=folder, progress=progress) as call:
        if rows is not None:
            columns = call.settings.text_columns
            put(place, lambda path: write_columns(rows, path, columns=columns), out=folder)
        return EmbeddingsResult(call.out, recipe.run(call.settings, progress=call.progress))
