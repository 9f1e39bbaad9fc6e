"""Training batches: packed rows, masked or not, as a pure function of seed and step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from limbeck.data._prefetch import prefetch
from limbeck.data.batch import MaskedBatch
from limbeck.data.corpus import TokenSplit, require_fingerprint
from limbeck.data.masking import Masker, MaskingSettings
from limbeck.data.next_tokens import label_next
from limbeck.data.packing import PackedRows
from limbeck.data.philox import permute, row_uniforms
from limbeck.errors import DataError, SettingsError

if TYPE_CHECKING:
    from limbeck.tokenizers import Tokenizer

_AHEAD: Final = 2


class MaskedBatches:
    """The batches of a run, each computed from the step's number alone.

    An epoch goes once over every row of the split in an order of its own and masks anew; rows
    that don't fill a step at its end are left out of that epoch (another order leaves out others),
    or make a smaller last step with `keep_last`. Masks are drawn over the rows of a whole step, so
    dividing a batch into micro-batches or among processes changes nothing. With the quota `row`, a
    row's mask depends on its place in the epoch's order alone, not on the batch size.

    For evaluation, one epoch with `shuffle=False, keep_last=True` has the same rows and masks
    each time.

    Args:
        split: Tokens to train on.
        tokenizer: Tokenizer that made them.
        token_counts: (vocab_size,) occurrences by token, for `smoothed` weights; None otherwise.
        masking: Which tokens to mask; None for causal models: none is masked, and the label of each
            position is the token after it.
        batch_size: Rows of a whole optimiser step.
        sequence_length: Tokens of a row, special ones included.
        seed: Decides order and masks.
        confine_attention: Let tokens see only their own document, positions beginning anew there.
        shuffle: Give rows in another order each epoch instead of the stream's.
        keep_last: Give the rows that don't fill a step as a smaller one.

    Raises:
        DataError: If the tokenizer is another one, or the split has too few tokens for one row or
            one step.
        SettingsError: If a size is out of range.
    """

    def __init__(
        self,
        split: TokenSplit,
        *,
        tokenizer: Tokenizer,
        token_counts: npt.NDArray[np.int64] | None,
        masking: MaskingSettings | None,
        batch_size: int,
        sequence_length: int,
        seed: int,
        confine_attention: bool = False,
        shuffle: bool = True,
        keep_last: bool = False,
    ) -> None:
        require_fingerprint(
            tokenizer,
            split.tokenizer_fingerprint,
            what=f"the split '{split.name}' of the corpus {split.folder}",
            vocab_size=split.vocab_size,
        )
        if batch_size < 1:
            raise SettingsError(f"batch_size={batch_size} is not a number of rows; at least 1")
        self._rows = PackedRows(split, tokenizer=tokenizer, sequence_length=sequence_length)
        self._masker = (
            None
            if masking is None
            else Masker(masking, tokenizer=tokenizer, token_counts=token_counts)
        )
        if self._rows.num_rows < batch_size and not keep_last:
            raise DataError(
                f"the split '{split.name}' fills {self._rows.num_rows} rows of {sequence_length} "
                f"tokens, fewer than batch_size={batch_size}; lower batch_size or sequence_length, "
                "or give more text"
            )
        self._batch_size = batch_size
        self._sequence_length = sequence_length
        self._seed = seed
        self._confine = confine_attention
        self._shuffle = shuffle
        whole, left = divmod(self._rows.num_rows, batch_size)
        self._steps_per_epoch = whole + (1 if left and keep_last else 0)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps that go over the split once."""
        return self._steps_per_epoch

    @property
    def num_rows(self) -> int:
        """Rows of the split."""
        return self._rows.num_rows

    def batch(self, step: int) -> MaskedBatch:
        """Returns the batch of a step, counted from 0 over all epochs."""
        epoch, place = divmod(step, self._steps_per_epoch)
        first = place * self._batch_size
        positions = np.arange(first, min(first + self._batch_size, self._rows.num_rows))
        rows = positions
        if self._shuffle:
            rows = permute(positions, size=self._rows.num_rows, seed=self._seed, epoch=epoch)
        tokens = self._rows.read(rows)
        documents, places = self._rows.read_documents(rows) if self._confine else (None, None)
        if self._masker is None:
            inputs, labels = tokens, label_next(tokens, documents)
        else:
            uniforms = row_uniforms(
                seed=self._seed,
                epoch=epoch,
                first_row=first,
                num_rows=len(rows),
                num_draws=Masker.NUM_DRAWS * self._sequence_length,
            )
            inputs, labels = self._masker.mask(tokens, uniforms)
        return MaskedBatch.from_numpy(
            inputs, labels=labels, document_ids=documents, position_ids=places
        )

    def steps(self, start: int = 0, stop: int | None = None) -> Iterator[MaskedBatch]:
        """Yields the batches of the steps from `start` up to `stop`, or without end.

        Two batches are made ahead in a background thread.
        """
        indices = itertools.count(start) if stop is None else range(start, stop)
        return prefetch(self.batch, indices, depth=_AHEAD)
