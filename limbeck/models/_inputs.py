"""Checks of a call's inputs by shape and type alone, which trace to nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from limbeck.errors import SettingsError


def check_inputs(
    input_ids: Tensor,
    *,
    attention_mask: Tensor | None,
    token_type_ids: Tensor | None,
    position_ids: Tensor | None,
    name: str,
    max_tokens: int | None,
    has_token_types: bool,
) -> None:
    """Refuses inputs that the encoder can't take or would silently misread.

    Args:
        input_ids: Token ids.
        attention_mask: As in `Encoder.forward`, like the two after it.
        token_type_ids: Segments.
        position_ids: Positions.
        name: Class of the model, for the message.
        max_tokens: Longest row that the model takes.
        has_token_types: Whether it has embeddings for segments.

    Raises:
        SettingsError: Names the input, what it is and what is accepted.
    """
    if input_ids.dim() != 2 or input_ids.dtype not in (torch.int64, torch.int32):
        raise SettingsError(
            f"input_ids are {input_ids.dtype} of shape {tuple(input_ids.shape)}; accepted: int64 "
            "or int32 of shape (batch, sequence)."
        )
    batch, length = input_ids.shape
    if max_tokens is not None and length > max_tokens:
        raise SettingsError(
            f"a row has {length} tokens; {name} has {max_tokens} positions. Truncate when "
            f"tokenizing, with truncation=True and max_length={max_tokens}."
        )
    if token_type_ids is not None and not has_token_types:
        raise SettingsError(
            f"{name} has no token types; leave token_type_ids out (its own tokenizer does)."
        )
    for label, given, shapes in (
        ("attention_mask", attention_mask, ((batch, length), (batch, length, length))),
        ("token_type_ids", token_type_ids, ((batch, length),)),
        ("position_ids", position_ids, ((batch, length), (1, length))),
    ):
        if given is not None and given.shape not in [torch.Size(shape) for shape in shapes]:
            raise SettingsError(
                f"{label} has shape {tuple(given.shape)}; accepted: "
                + " or ".join(map(str, shapes))
                + f", as input_ids are {(batch, length)}."
            )


def flatten_choices(input_ids: Tensor, *others: Tensor | None) -> tuple[Any, ...]:
    """Makes each choice a row of its own: (batch, choices, ...) to (batch * choices, ...).

    Raises:
        SettingsError: If `input_ids` have no dimension for the choices.
    """
    if input_ids.dim() != 3:
        raise SettingsError(
            f"input_ids have shape {tuple(input_ids.shape)}; accepted for multiple choice: "
            "(batch, choices, sequence)."
        )
    # What has too few dimensions goes on as it is, to `check_inputs`, which says so.
    return tuple(t if t is None or t.dim() < 2 else t.flatten(0, 1) for t in (input_ids, *others))
