"""A masked LM that says what could stand at some places of some rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.models import Model
from limbeck.tokenizers import Tokenizer


@dataclass(frozen=True, kw_only=True)
class MaskedLM:
    """A model in evaluation mode, and its tokenizer."""

    model: Model
    tokenizer: Tokenizer

    def score(self, inputs: Mapping[str, Tensor], places: Sequence[tuple[int, int]]) -> Tensor:
        """Returns the scores of all tokens at places that are hidden from it, all at once.

        Args:
            inputs: Padded rows, on the model's device.
            places: Row and column of each place.

        Shape: (places, vocabulary), in float32; special tokens have the lowest score there is.
        """
        rows, columns = torch.tensor(places, device=self.model.device).unbind(1)
        ids = inputs["input_ids"].clone()
        ids[rows, columns] = self.tokenizer.mask_token_id
        encoded = self.model.encode(ids, inputs.get("attention_mask"), inputs.get("token_type_ids"))
        scores = self.model.score(encoded.last_hidden_state[rows, columns]).float()
        scores[:, self.tokenizer.all_special_ids] = float("-inf")
        return scores
