"""What a loss sees: named views of what two models give for the same batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NoReturn

import torch
from torch import Tensor

from limbeck.nn import at_least_float32

View = Literal[
    "logits",
    "pooled",
    "scores",
    "last_hidden_state",
    "hidden_states",
    "attention_scores",
    "queries",
    "keys",
    "values",
]


class Views:
    """One model's outputs by name: those that a loss lists under `needs`, and no others.

    Shape:
        logits: (rows, width), at the rows that the loss runs over: no head runs on others.
        pooled: (sequences, hidden_size); the first token's state where a model has no pooler. For
            losses that compare texts with each other (rows of data, texts of each, hidden_size).
        scores: (rows of data, texts of each - 1), of the first text with each of the others.
        last_hidden_state: (sequences, length, hidden_size).
        hidden_states: Of the layers that the loss pairs, in that order; if it pairs none, the
            embeddings and then each layer; each of that shape.
        attention_scores: Likewise, without embeddings: (sequences, heads, length, length); below
            `MASKED_SCORE / 2` for hidden keys.
        queries, keys, values: Likewise, (sequences, heads, length, head_size).
    """

    logits: Tensor
    pooled: Tensor
    scores: Tensor
    last_hidden_state: Tensor
    hidden_states: tuple[Tensor, ...]
    attention_scores: tuple[Tensor, ...]
    queries: tuple[Tensor, ...]
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    def __init__(self, **views: Tensor | tuple[Tensor, ...]) -> None:
        self.__dict__.update(views)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"there is no view '{name}' here, but {', '.join(sorted(self.__dict__)) or 'none'}; "
            "a loss sees what it lists under `needs`, and a teacher's if it uses one"
        )


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Two models' views of the same batch, and the rows of it that count.

    Attributes:
        student: What the student gives.
        teacher: What the teacher gives; without views for a loss that uses no teacher.
        labels: Original ids of the rows, IGNORE_INDEX where there is none.
        positions: Which positions of the flattened batch the rows are. Absent beside logits, which
            are rows already.
        attention_mask: 1 for the tokens that may be seen; None where all may be.

    Shape:
        labels, positions: (rows,).
        attention_mask: (sequences, length) or (sequences, length, length).
    """

    student: Views
    teacher: Views
    labels: Tensor
    positions: Tensor | None = None
    attention_mask: Tensor | None = None

    def rows(self, *states: Tensor) -> Tensor:
        """Returns the rows of some (sequences, length, ...) one after the other.

        Shape: (states * rows, width), all further dimensions made one; in float32 or wider.
        """
        assert self.positions is not None
        picked = [state.flatten(0, 1)[self.positions].flatten(1) for state in states]
        return torch.cat([at_least_float32(rows) for rows in picked])
