"""Dynamic masking for masked language modelling.

Source: Devlin et al. 2019, section 3.1 (15 % of the tokens; 80 % [MASK], 10 % a random token, 10 %
unchanged); Lample and Conneau 2019, section 3.2, and the training code of DistilBERT
(`prepare_batch_mlm`) for weights of count^-0.7 and one quota over the flattened batch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from limbeck.config import Settings
from limbeck.errors import DataError, SettingsError
from limbeck.nn.constants import IGNORE_INDEX

if TYPE_CHECKING:
    from limbeck.tokenizers import Tokenizer

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class MaskingSettings(Settings):
    """Which tokens are masked, and what stands in their place."""

    probability: float = Field(default=0.15, gt=0.0, lt=1.0)
    """Share of tokens to predict."""

    mask_share: float = Field(default=0.8, ge=0.0, le=1.0)
    """Share of these that become the mask token."""

    random_share: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of these that become a random token, special ones excepted; the rest stays."""

    weights: Literal["uniform", "smoothed"] = "uniform"
    """Chance of a token: the same for all, or count^-smoothing, which prefers rare ones."""

    smoothing: float = Field(default=0.7, ge=0.0)
    """Exponent of `smoothed`."""

    quota: Literal["row", "batch"] = "row"
    """Where the share holds: `row`, in each row, of its ordinary tokens, rounded; `batch`, over
    the whole optimiser step, of all its tokens, rounded up, as DistilBERT's training code did."""

    whole_word: bool = False
    """Mask all pieces of a word or none; the chance of a word is the mean of its pieces'. Words are
    what the vocabulary marks: in BPE and Unigram vocabularies what stands between blanks."""

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.mask_share + self.random_share > 1.0 + 1e-9:
            raise ValueError(
                f"mask_share={self.mask_share} and random_share={self.random_share} add up to "
                "more than 1"
            )
        return self


class Masker:
    """Masks rows of tokens, given the random numbers to use.

    Args:
        settings: What to mask.
        tokenizer: Gives the mask token, the special tokens and the word pieces.
        token_counts: (vocab_size,) occurrences by token; needed for `smoothed` weights.

    Raises:
        DataError: If the counts are of another vocabulary.
        SettingsError: If the settings need what isn't there: counts, or word pieces.
    """

    NUM_DRAWS = 3
    """Random numbers used for each token."""

    def __init__(
        self, settings: MaskingSettings, *, tokenizer: Tokenizer, token_counts: Ids | None
    ) -> None:
        self._settings = settings
        self._mask_id = tokenizer.mask_token_id
        ordinary = np.ones(tokenizer.vocab_size, dtype=bool)
        ordinary[list(tokenizer.all_special_ids)] = False
        self._ordinary_ids: Ids = np.flatnonzero(ordinary)
        counts = _check_counts(token_counts, vocab_size=tokenizer.vocab_size, settings=settings)
        chance = np.ones(tokenizer.vocab_size)
        if settings.weights == "smoothed":
            chance = np.maximum(counts, 1.0) ** -settings.smoothing
        self._chance: Floats = np.where(ordinary, chance, 0.0)
        self._continues = np.asarray(tokenizer.continuation_mask, dtype=bool)
        if settings.whole_word and not self._continues.any():
            raise SettingsError(
                "whole_word=true needs a vocabulary that marks where words begin or go on, as "
                "with '##', 'Ġ' or '▁'; this tokenizer's does not. Set whole_word=false"
            )

    def mask(self, tokens: Ids, uniforms: Floats) -> tuple[Ids, Ids]:
        """Returns the masked tokens and the labels.

        Args:
            tokens: Token numbers of a whole optimiser step, special tokens included.
            uniforms: Random numbers in (0, 1).

        Shape: tokens and both results (rows, length); uniforms (rows, 3 * length).
        """
        length = tokens.shape[1]
        keys, action, replacement = (uniforms[:, k * length : (k + 1) * length] for k in range(3))
        chosen = self._choose(tokens, keys)
        settings = self._settings
        masked = chosen & (action < settings.mask_share)
        random = chosen & ~masked & (action < settings.mask_share + settings.random_share)
        inputs = tokens.copy()
        inputs[masked] = self._mask_id
        index = (replacement[random] * len(self._ordinary_ids)).astype(np.int64)
        inputs[random] = self._ordinary_ids[index]
        return inputs, np.where(chosen, tokens, IGNORE_INDEX)

    def _choose(self, tokens: Ids, uniforms: Floats) -> npt.NDArray[np.bool_]:
        """Chooses tokens without replacement, with chances in proportion to their weights.

        Each unit (token or word) waits an exponential time of rate weight; the first ones up to
        the quota are chosen, which is drawing one by one without replacement.

        Source: Efraimidis, Spirakis 2006, "Weighted random sampling with a reservoir".
        """
        rows, length = tokens.shape
        chance = self._chance[tokens].ravel()
        unit = self._units(tokens)
        sizes = np.bincount(unit)
        first = np.cumsum(sizes) - sizes
        weights = np.bincount(unit, weights=chance) / sizes
        with np.errstate(divide="ignore"):
            times = -np.log(uniforms.ravel()[first]) / weights
        if self._settings.quota == "row":
            group = first // length
            ordinary = np.count_nonzero(chance.reshape(rows, length), axis=1)
            share = np.floor(self._settings.probability * ordinary + 0.5)
            quota = np.minimum(np.maximum(share, 1), ordinary)
        else:
            group = np.zeros(len(first), dtype=np.int64)
            share = math.ceil(self._settings.probability * tokens.size)
            quota = np.array([min(share, np.count_nonzero(chance))])
        chosen_units = _take_first(times, sizes=sizes, group=group, quota=quota)
        return chosen_units[unit].reshape(rows, length)

    def _units(self, tokens: Ids) -> Ids:
        """Numbers the units of the flattened rows: tokens, or words.

        A piece whose word began in the row before, or after a special token, begins a unit.
        """
        if not self._settings.whole_word:
            return np.arange(tokens.size)
        special = self._chance[tokens] == 0.0
        begins = ~self._continues[tokens] | special
        begins[:, 0] = True
        begins[:, 1:] |= special[:, :-1]
        return np.cumsum(begins.ravel()) - 1


def _take_first(
    times: Floats, *, sizes: Ids, group: Ids, quota: npt.NDArray[np.number]
) -> npt.NDArray[np.bool_]:
    """Takes each group's units in the order of their times, up to its quota of tokens.

    A unit that goes over the quota is taken where that lands nearer to it than leaving it, or
    where it is the group's first; so words of several pieces meet the quota on average.
    """
    order = np.lexsort((times, group))
    ordered_sizes, ordered_group = sizes[order], group[order]
    after = np.cumsum(ordered_sizes)
    before = after - ordered_sizes
    group_start = before[np.searchsorted(ordered_group, np.arange(len(quota)))]
    before = before - group_start[ordered_group]
    limit = quota[ordered_group]
    taken = (before < limit) & ((2 * (limit - before) >= ordered_sizes) | (before == 0))
    chosen = np.zeros(len(times), dtype=bool)
    chosen[order] = taken & np.isfinite(times[order])
    return chosen


def _check_counts(
    counts: Ids | None, *, vocab_size: int, settings: MaskingSettings
) -> npt.NDArray[np.int64]:
    if counts is None:
        if settings.weights == "smoothed":
            raise SettingsError("weights=smoothed needs token_counts; give the corpus's own")
        return np.ones(vocab_size, dtype=np.int64)
    if len(counts) != vocab_size:
        raise DataError(
            f"the token counts are for a vocabulary of {len(counts)} entries, the tokenizer has "
            f"{vocab_size}"
        )
    return counts
