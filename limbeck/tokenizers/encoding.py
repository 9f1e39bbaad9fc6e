"""What a tokenizer's call returns: named lists or tensors, with a way back to the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from tokenizers import Encoding

from limbeck.errors import SettingsError

if TYPE_CHECKING:
    import torch

TensorKind = Literal["pt", "np"]

_READERS = {
    "input_ids": lambda encoding: encoding.ids,
    "token_type_ids": lambda encoding: encoding.type_ids,
    "attention_mask": lambda encoding: encoding.attention_mask,
}


class BatchEncoding(dict[str, Any]):
    """The inputs of a model by name; `model(**encoding)` takes them.

    Each value can also be read as an attribute (`encoding.input_ids`).

    Shape:
        input_ids, token_type_ids, attention_mask: (batch, seq), or (seq,) for one text without
            `return_tensors` and `return_overflowing_tokens`.
        offset_mapping: the same with a last axis of 2: start and end character.
        overflow_to_sample_mapping: (batch,) index of the text that a window is from.
    """

    def __init__(self, values: dict[str, Any], encodings: Sequence[Encoding] = ()) -> None:
        super().__init__(values)
        self.encodings = list(encodings)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"the encoding has no '{name}'; it has: {', '.join(self)}."
            ) from None

    def to(self, device: str | torch.device) -> BatchEncoding:
        """Returns the same encoding with its tensors on another device."""
        moved = {
            name: value.to(device) if hasattr(value, "to") else value
            for name, value in self.items()
        }
        return BatchEncoding(moved, self.encodings)

    def tokens(self, index: int = 0) -> list[str]:
        """Returns the pieces of row `index`."""
        return list(self.encodings[index].tokens)

    def word_ids(self, index: int = 0) -> list[int | None]:
        """Returns for each token of row `index` the number of its word; None for special tokens."""
        return list(self.encodings[index].word_ids)

    def sequence_ids(self, index: int = 0) -> list[int | None]:
        """Returns for each token of row `index` 0 or 1, its text of the pair; None if special."""
        return list(self.encodings[index].sequence_ids)


def collect(
    encodings: Sequence[Encoding], *, names: Sequence[str], overflow: bool, offsets: bool
) -> BatchEncoding:
    """Gathers encodings into lists by name, windows of a text one after the other."""
    rows: list[Encoding] = []
    samples: list[int] = []
    for index, encoding in enumerate(encodings):
        windows = [encoding, *encoding.overflowing] if overflow else [encoding]
        rows += windows
        samples += [index] * len(windows)
    values: dict[str, Any] = {name: [_READERS[name](row) for row in rows] for name in names}
    if offsets:
        values["offset_mapping"] = [row.offsets for row in rows]
    if overflow:
        values["overflow_to_sample_mapping"] = samples
    return BatchEncoding(values, rows)


def unbatch(batch: BatchEncoding) -> BatchEncoding:
    """Returns the only row of a batch without the batch axis."""
    return BatchEncoding({name: value[0] for name, value in batch.items()}, batch.encodings)


def as_tensors(batch: BatchEncoding, kind: str) -> BatchEncoding:
    """Returns the batch as NumPy arrays (`np`) or torch tensors (`pt`) of 64-bit integers.

    Raises:
        SettingsError: If the rows differ in length, or the kind is unknown.
    """
    if kind not in ("pt", "np"):
        raise SettingsError(f"return_tensors is {kind!r}; accepted: None, 'pt', 'np'.")
    lengths = {len(row) for row in batch["input_ids"]}
    if len(lengths) > 1:
        raise SettingsError(
            f"return_tensors={kind!r} needs rows of one length, and these have {min(lengths)} to "
            f"{max(lengths)} tokens; add padding=True, and truncation=True for a limit."
        )
    arrays: dict[str, Any] = {name: _array(name, value) for name, value in batch.items()}
    if kind == "pt":
        import torch

        arrays = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return BatchEncoding(arrays, batch.encodings)


def _array(name: str, value: list[Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    array = np.array(value, dtype=np.int64)
    if array.size:
        return array
    # An empty list has lost its axes.
    width = len(value[0]) if value and name != "overflow_to_sample_mapping" else 0
    tails = {"overflow_to_sample_mapping": (), "offset_mapping": (width, 2)}
    return array.reshape(len(value), *tails.get(name, (width,)))
