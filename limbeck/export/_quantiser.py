"""Models that are trained as a file of few bits holds them, and as its runtime computes.

Source: Zhang et al., "TernaryBERT", EMNLP 2020, section 3; a fine-tuned model in full precision is
the teacher there, of hidden states, attention scores and logits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import torch
from torch import Tensor, nn

from limbeck.errors import SettingsError
from limbeck.export._graph import Graph
from limbeck.export._narrowing import Narrowing, Role
from limbeck.export._sensitivity import find_role_within, list_modules
from limbeck.export._target import list_trained, load_target
from limbeck.models import Model
from limbeck.nn import Encoder
from limbeck.nn.embeddings import FactorisedEmbedding
from limbeck.train import Constraint, Formed, FormedLinear, fold_all

_MOST_PASSES: Final = 8  # one or two, as what is on a grid is narrowed to itself but for rounding


class NarrowedLinear(FormedLinear):
    """A linear layer that computes with narrow weights.

    Args:
        linear: Gives weight and bias, the same parameters.
        narrowing: What they are narrowed by.
        narrows_inputs: Whether inputs are, too.
    """

    def __init__(self, linear: nn.Linear, narrowing: Narrowing, *, narrows_inputs: bool) -> None:
        super().__init__(linear)
        self._narrowing, self._narrows_inputs = narrowing, narrows_inputs

    def form(self) -> Tensor:
        """Returns the narrow weight."""
        return _straight(self.weight, self._narrowing.narrow)

    def form_input(self, given: Tensor) -> Tensor:
        """Returns the narrow input, if it is to be."""
        return _straight(given, self._narrowing.narrow_input) if self._narrows_inputs else given

    def settle(self) -> Tensor:
        """Returns the narrow weight, which narrowing leaves as it is."""
        return _rest(self.weight, self._narrowing.narrow)


class NarrowedEmbedding(nn.Embedding, Formed):
    """A table whose rows are looked up narrow; its parameter is that of a plain one.

    Args:
        table: Gives the weight, the same parameter.
        narrowing: What its rows are narrowed by.
        role: What they are there for.
    """

    def __init__(self, table: nn.Embedding, narrowing: Narrowing, *, role: Role) -> None:
        super().__init__(
            table.num_embeddings, table.embedding_dim, padding_idx=table.padding_idx, device="meta"
        )
        self.weight = table.weight
        self._narrowing, self._role = narrowing, role

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """Shape: (...) to (..., size)."""
        rows = super().forward(input)  # no row depends on another, and these are the fewer
        narrow: Tensor = _straight(rows.flatten(end_dim=-2), self._narrow)
        return narrow.view_as(rows)

    @torch.no_grad()
    def fold(self) -> nn.Embedding:
        """Returns a plain table of narrow rows."""
        plain = nn.Embedding(
            self.num_embeddings, self.embedding_dim, padding_idx=self.padding_idx, device="meta"
        )
        plain.weight = nn.Parameter(_rest(self.weight, self._narrow))
        return plain.train(self.training)

    def _narrow(self, rows: Tensor) -> Tensor:
        return self._narrowing.narrow(rows, role=self._role)


class Quantiser(Constraint[Model]):
    """Trains a model's weights as a format holds them; gradients pass the rounding straight.

    Narrow are all linear layers and tables, those of pooler and head too, as in the file; norms and
    biases are not.

    Args:
        model: Gets narrow layers and tables, in place; one that has them keeps them.
        narrowing: The format.
        narrows_inputs: Whether inputs of products are narrowed as the runtime does, too.

    Source:
        The estimator: Bengio et al., 2013, https://arxiv.org/abs/1308.3432.
    """

    def __init__(self, model: Model, narrowing: Narrowing, *, narrows_inputs: bool = True) -> None:
        self._model = model
        encoder = model.encoder
        assert isinstance(encoder, Encoder)
        for parent, name, child in list(_list_children(model)):
            if isinstance(child, Formed):
                continue
            narrow = (
                NarrowedLinear(child, narrowing, narrows_inputs=narrows_inputs)
                if isinstance(child, nn.Linear)
                else NarrowedEmbedding(child, narrowing, role=find_role_within(encoder, child))
            )
            setattr(parent, name, narrow.train(child.training))

    def fold(self) -> Model:
        """Returns a plain copy of the model, whose weights are what the format holds."""
        return fold_all(self._model)


def require_quantisable(model: Model) -> None:
    """Refuses a model with weights that can't be trained as a file holds them.

    Raises:
        SettingsError: If its table of words is a product of two.
    """
    if any(isinstance(module, FactorisedEmbedding) for module in model.modules()):
        raise SettingsError(
            f"quantise trains tables of words that are whole, and that of this "
            f"{type(model).__name__} is a product of two (embedding_rank = "
            f"{model.config.embedding_rank}); accepted: a model with a whole one, or leave "
            "quantise out and quantise the model when it is trained"
        )


def find_trained_grid(graph: Graph) -> str | None:
    """Returns the target whose grid all matrices of a model are on, as a training leaves them.

    None for one that is on none, as any that was not trained so.
    """
    return next(
        (name for name in list_trained().values() if is_on_grid(graph, load_target(name))), None
    )


def is_on_grid(graph: Graph, narrowing: Narrowing) -> bool:
    """Tells whether all matrices of a model are what a format makes of them."""
    matrices = [m.weight.data for m in list_modules(graph).values() if isinstance(m, nn.Linear)]
    return all(torch.equal(narrowing.narrow(matrix), matrix) for matrix in matrices)


def _list_children(model: Model) -> Iterator[tuple[nn.Module, str, nn.Linear | nn.Embedding]]:
    """Yields what holds each linear layer and table, its name there, and the module."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear | nn.Embedding):
                yield parent, name, child


def _straight(given: Tensor, narrow: Callable[[Tensor], Tensor]) -> Tensor:
    """Returns what is narrow, to the bit, with the gradient of what was given."""
    return narrow(given.detach()) + (given - given.detach())


def _rest(weight: Tensor, narrow: Callable[[Tensor], Tensor]) -> Tensor:
    """Narrows a weight until that changes no bit of it any more, so that a file has the same."""
    for _ in range(_MOST_PASSES):
        before, weight = weight, narrow(weight)
        if torch.equal(before, weight):
            break
    return weight
