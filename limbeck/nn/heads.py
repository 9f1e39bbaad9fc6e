"""What stands on an encoder: a pooler, the vocabulary head, and heads that give scores."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.nn.precision import at_least_float32


class FirstTokenPooler(nn.Module):
    """A dense layer and an activation on the first token, BERT's `[CLS]`.

    Source: Devlin et al. 2019, https://arxiv.org/abs/1810.04805, section 3.
    """

    def __init__(self, *, dense: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.dense = dense
        self.activation = activation

    def forward(
        self,
        hidden: Tensor,
        input_ids: Tensor | None = None,  # noqa: ARG002 - which other poolers look at
        attention_mask: Tensor | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Shape: (batch, sequence, hidden_size) to (batch, hidden_size)."""
        pooled: Tensor = self.activation(self.dense(hidden[:, 0]))
        return pooled


class LastTokenPooler(nn.Module):
    """The state of the last token that is no padding, which in a causal model has seen all others.

    Padding is what the mask hides, and tokens with the id of padding, as `transformers` finds it.

    Source: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training",
    section 3.2.
    """

    def __init__(self, pad_token_id: int | None) -> None:
        super().__init__()
        self.pad_token_id = pad_token_id

    def forward(
        self, hidden: Tensor, input_ids: Tensor, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Picks a state of each row.

        Shape:
            hidden: (batch, sequence, hidden_size).
            input_ids: (batch, sequence).
            attention_mask: (batch, sequence) or (batch, sequence, sequence).
            result: (batch, hidden_size).
        """
        is_real = torch.ones_like(input_ids)
        if self.pad_token_id is not None:
            is_real = (input_ids != self.pad_token_id).long()
        if attention_mask is not None:
            seen = attention_mask if attention_mask.dim() == 2 else attention_mask.amax(dim=1)
            is_real = is_real * seen.long()
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        last = (places * is_real).amax(dim=-1)
        return hidden.gather(1, last[:, None, None].expand(-1, 1, hidden.shape[-1])).squeeze(1)


class MeanPooler(nn.Module):
    """The mean of the states of all tokens that the mask does not hide."""

    def forward(
        self,
        hidden: Tensor,
        input_ids: Tensor | None = None,  # noqa: ARG002 - which other poolers look at
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Averages each row.

        Shape:
            hidden: (batch, sequence, hidden_size).
            input_ids: (batch, sequence); unused, as the mask says what is padding.
            attention_mask: (batch, sequence) or (batch, sequence, sequence).
            result: (batch, hidden_size).
        """
        if attention_mask is None:
            return hidden.mean(dim=1)
        seen = attention_mask if attention_mask.dim() == 2 else attention_mask.amax(dim=1)
        states = at_least_float32(hidden)  # the sum of a long text's would overflow in float16
        weights = seen.to(states.dtype)[..., None]
        total = weights.sum(dim=1).clamp(min=1)  # of a row without tokens the mean is 0
        return ((states * weights).sum(dim=1) / total).to(hidden.dtype)


class VocabularyTransform(nn.Module):
    """Dense, activation, LayerNorm: what a hidden state passes before the decoder."""

    def __init__(self, *, dense: nn.Linear, activation: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.dense = dense
        self.activation = activation
        self.norm = norm

    def forward(self, hidden: Tensor) -> Tensor:
        """Shape: (..., hidden_size) to (..., embedding_size)."""
        transformed: Tensor = self.norm(self.activation(self.dense(hidden)))
        return transformed


def narrow(vectors: Tensor, projection: Tensor | None) -> Tensor:
    """Returns vectors as wide as a factorised decoder's rows: `(v P) T' = v (T P')'`.

    So the decoder's full table is never made, neither here nor in an exported file.

    Shape:
        vectors: (..., size).
        projection: (size, rank); None where the decoder is as wide as the vectors.
        result: (..., rank).
    """
    return vectors if projection is None else vectors @ projection


class MaskedLMHead(nn.Module):
    """Scores every word of the vocabulary; its decoder is the word embedding, mostly with a bias.

    The embedding's weight is given at each call, so that it is one parameter with one name and one
    owner, whatever is moved, copied or loaded.

    Source: Devlin et al. 2019, https://arxiv.org/abs/1810.04805, section 3.1; tying: Press and
    Wolf 2017, https://arxiv.org/abs/1608.05859.
    """

    def __init__(
        self, *, transform: VocabularyTransform, vocab_size: int, bias: bool = True
    ) -> None:
        super().__init__()
        self.transform = transform
        self.bias = nn.Parameter(torch.zeros(vocab_size)) if bias else None

    def draw(self, *, std: float) -> None:  # noqa: ARG002 - a bias starts at 0 for any deviation
        """Sets the bias to 0."""
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, hidden: Tensor, decoder: Tensor, projection: Tensor | None = None) -> Tensor:
        """Scores hidden states against each word's vector.

        Shape:
            hidden: (..., hidden_size).
            decoder: (vocab_size, embedding_size), the word embedding's weight; `transform` ends
                in vectors of this size.
            projection: (embedding_size, rank), where the embedding is factorised; the decoder is
                then (vocab_size, rank).
            result: (..., vocab_size).
        """
        return F.linear(narrow(self.transform(hidden), projection), decoder, self.bias)


class CausalLMHead(nn.Module):
    """Scores every word of the vocabulary as the next one: by the word embedding alone.

    Source: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training",
    equation 2.
    """

    def forward(self, hidden: Tensor, decoder: Tensor, projection: Tensor | None = None) -> Tensor:
        """Scores hidden states against each word's vector.

        Shape:
            hidden: (..., hidden_size).
            decoder: (vocab_size, hidden_size), the word embedding's weight.
            projection: (hidden_size, rank), where the embedding is factorised; the decoder is then
                (vocab_size, rank).
            result: (..., vocab_size).
        """
        return F.linear(narrow(hidden, projection), decoder)


class ScoreHead(nn.Module):
    """Dense, activation, dropout and a linear layer to the scores, on sequences or on tokens.

    What a family's head does not have, it passes as `nn.Identity()`.
    """

    def __init__(
        self, *, dense: nn.Module, activation: nn.Module, dropout: nn.Module, output: nn.Linear
    ) -> None:
        super().__init__()
        self.dense = dense
        self.activation = activation
        self.dropout = dropout
        self.output = output

    def forward(self, hidden: Tensor) -> Tensor:
        """Shape: (..., hidden_size) to (..., num_scores)."""
        scores: Tensor = self.output(self.dropout(self.activation(self.dense(hidden))))
        return scores
