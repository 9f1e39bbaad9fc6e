"""Some tokens of a row are hidden at once, and drawn anew by their probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.recipes.finetune.augmentation.masked_lm import MaskedLM
from limbeck.recipes.finetune.augmentation.rows import Ids
from limbeck.recipes.finetune.augmentation.settings import AugmentSettings


@dataclass(frozen=True, kw_only=True)
class TokenDraw:
    """Hides all of a row's chosen tokens together, so that a copy takes one run of the model."""

    masked_lm: MaskedLM
    settings: AugmentSettings

    def __call__(
        self, inputs: Mapping[str, Tensor], rows: Sequence[Ids], numbers: Sequence[int]
    ) -> list[list[Ids]]:
        """Returns the rows that were made, copy by copy."""
        return [self._copy(inputs, rows, numbers, copy) for copy in range(self.settings.copies)]

    def _copy(
        self,
        inputs: Mapping[str, Tensor],
        rows: Sequence[Ids],
        numbers: Sequence[int],
        copy: int,
    ) -> list[Ids]:
        settings, special = self.settings, self.masked_lm.tokenizer.all_special_ids
        made = [ids.copy() for ids in rows]
        picked = [
            _pick(ids, special, ratio=settings.mask_ratio, key=(settings.seed, copy, number))
            for ids, number in zip(rows, numbers, strict=True)
        ]
        places = [(row, p) for row, (positions, _) in enumerate(picked) for p in positions]
        if not places:
            return made
        scores = self.masked_lm.score(inputs, places)
        top = scores.topk(min(settings.top_k, scores.shape[1] - len(special)), dim=-1)
        cumulated = top.values.cpu().double().softmax(-1).cumsum(-1)
        draws = torch.tensor(np.concatenate([uniform for _, uniform in picked]))
        ranks = (cumulated < draws[:, None]).sum(-1).clamp_max(cumulated.shape[1] - 1)
        found = top.indices.cpu().gather(1, ranks[:, None])[:, 0].tolist()
        for (row, position), token in zip(places, found, strict=True):
            made[row][position] = token
        return made


def _pick(
    ids: Ids, special: Sequence[int], *, ratio: float, key: tuple[int, int, int]
) -> tuple[list[int], np.ndarray[Any, np.dtype[np.float64]]]:
    """Returns which positions of a row are drawn anew, and a number in [0, 1) for each."""
    random = np.random.default_rng(key)
    eligible = np.flatnonzero(~np.isin(ids, special))
    count = min(len(eligible), max(1, round(ratio * len(eligible))))
    positions = random.choice(eligible, size=count, replace=False) if count else eligible
    return sorted(int(p) for p in positions), random.random(count)
