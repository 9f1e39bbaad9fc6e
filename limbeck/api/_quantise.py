"""The function that narrows a model's weights: `quantise_model`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limbeck.api._data import DataSet, Rows
from limbeck.api._export import write_exports
from limbeck.api._models import ModelLike
from limbeck.api._results import ExportResult
from limbeck.api._signature import takes_settings
from limbeck.errors import SettingsError, shorten
from limbeck.recipes import quantise
from limbeck.tokenizers import Tokenizer
from limbeck.train import Progress


@takes_settings(quantise.SettingsType)
def quantise_model(
    model: ModelLike,
    method: str | tuple[str, ...] | list[str] | None = None,
    data: DataSet | Rows | None = None,
    *,
    texts: Any = None,
    tokenizer: Tokenizer | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> ExportResult:
    """Narrows a model's weights to eight or four bits, and compares it with the model.

    It is `export_model` to the files that ONNX Runtime runs, by the names of the methods.

    Args:
        model: A Hub id, a folder, a result of another call, or a model in memory.
        method: Method, or several: `int8`, `int8-static`, `int4` or `gptq`; or
            `aware`, which trains the model on `data` first; none with `bits` alone.
        data: As for `export_model`; its training rows are what is calibrated on.
        texts: As for `export_model`; where given, these are what is calibrated on.
        tokenizer: Of a model in memory.
        out: The run's folder; a new one in `runs` if not given.
        progress: Whether it is shown, as for `finetune`.
        **settings: Those of the recipe, listed below.

    Returns:
        The quantised folder, and what it keeps: `model_folder`, `pipeline()`, `folder`, `record`.

    Raises:
        SettingsError: If a setting is wrong, or there is no such method.
        LimbeckError: As `export_model`.
    """
    if "to" in settings:
        raise SettingsError(
            f"to = {shorten(settings['to'])} is not for quantise_model, whose methods say it; "
            "accepted: method, or limbeck.export_model"
        )
    methods = (method,) if isinstance(method, str) else method
    bits, finetune = settings.pop("bits", None), settings.pop("finetune", {})
    way = quantise.choose_way(methods, bits=bits, finetune=finetune)
    return write_exports(
        model,
        data=data,
        texts=texts,
        tokenizer=tokenizer,
        out=out,
        progress=progress,
        training=way.training,
        **{**way.settings, **settings},
    )
