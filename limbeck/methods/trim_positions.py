"""Trim the positions: keep those of inputs up to a length, each with its embedding as it is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from limbeck.errors import SettingsError
from limbeck.methods._method import MethodSettings
from limbeck.methods._rebuild import rebuild
from limbeck.models import Model


class TrimPositionsSettings(MethodSettings):
    """Settings of `trim_positions`."""

    method: Literal["trim_positions"] = "trim_positions"
    max_tokens: int | None = Field(default=None, ge=8)
    """Longest input that the model will take, in tokens."""


SettingsType = TrimPositionsSettings


def apply(model: Model, settings: TrimPositionsSettings) -> Model:
    """Makes a model of the first positions; the model is left as it is.

    Of inputs of up to `max_tokens` it computes the same, to the bit. It is as fast as before. The
    tokenizer's limit changes with it, which `limbeck trim` does, and `trim` in Python.

    Args:
        model: Any model with a table of positions.
        settings: How many stay.

    Raises:
        SettingsError: If no length is given, or the model has no more positions than that, or none.
    """
    length = settings.max_tokens
    if length is None:
        raise SettingsError(
            "trim_positions keeps the positions of inputs up to a length; give max_tokens = LENGTH"
        )
    table, limit = model.encoder.embeddings.position, model.config.max_tokens
    if table is None or limit is None:
        raise SettingsError(
            f"max_tokens = {length}: {model.config.model_type} has no table of positions here, so "
            "that nothing would become smaller; leave max_tokens out"
        )
    if length >= limit:
        raise SettingsError(
            f"max_tokens = {length}: the model takes {limit} tokens; accepted: 8 to {limit - 1}"
        )
    config = model.config.keep_positions(length)
    kept = table.weight[: config.max_position_embeddings]
    return rebuild(model, config, {"encoder.embeddings.position.weight": kept})
