"""Sum of word and, where the family has them, position and token-type embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FactorisedEmbedding(nn.Embedding):
    """A table of vectors as a product: a narrow table, whose rows are projected to the full width.

    `weight` is the narrow table; `projection` holds the second factor.

    Args:
        num_embeddings: Rows.
        size: Width of what is looked up.
        rank: Width of the narrow table.
        padding_idx: The row of padding, which starts at 0 and is not trained.

    Source: Lan et al. 2020, https://arxiv.org/abs/1909.11942, section 3.1; there all tables are
    narrow, and what is normalised are narrow vectors.
    """

    def __init__(
        self, num_embeddings: int, size: int, *, rank: int, padding_idx: int | None = None
    ) -> None:
        super().__init__(num_embeddings, rank, padding_idx=padding_idx)
        self.projection = nn.Linear(rank, size, bias=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Shape: (...) to (..., size)."""
        rows: Tensor = self.projection(super().forward(input_ids))
        return rows


class Embeddings(nn.Module):
    """Looks the tokens up, adds where they stand and what they belong to, and normalises.

    `first_position` is the row of the first token in the table of positions: 2 in RoBERTa.
    `transform` is what the words' vectors pass before anything is added to them.

    Source: Devlin et al. 2019, https://arxiv.org/abs/1810.04805, figure 2.
    """

    def __init__(
        self,
        *,
        word: nn.Embedding,
        position: nn.Embedding | None,
        token_type: nn.Embedding | None,
        norm: nn.Module,
        dropout: nn.Module,
        first_position: int = 0,
        transform: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.word = word
        self.position = position
        self.token_type = token_type
        self.norm = norm
        self.dropout = dropout
        self.first_position = first_position
        self.transform = transform

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """Embeds a batch; absent token types are 0, absent positions count from 0 in each row.

        Shape:
            input_ids, token_type_ids: (batch, sequence).
            position_ids: (batch, sequence) or (1, sequence).
            result: (batch, sequence, hidden_size).
        """
        embedded = self.word(input_ids)
        if self.transform is not None:
            embedded = self.transform(embedded)
        if self.position is not None:
            if position_ids is None:
                position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)
            if self.first_position:
                position_ids = position_ids + self.first_position
            embedded = embedded + self.position(position_ids)
        if self.token_type is not None:
            embedded = embedded + (
                self.token_type.weight[0]
                if token_type_ids is None
                else self.token_type(token_type_ids)
            )
        result: Tensor = self.dropout(self.norm(embedded))
        return result
