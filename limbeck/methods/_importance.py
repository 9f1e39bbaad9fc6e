"""How much a model needs each of its attention heads and feed-forward neurons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from limbeck.models import Model
from limbeck.nn import evaluation


@dataclass(frozen=True)
class UnitScores:
    """A score of each unit, the higher the more it is needed.

    Attributes:
        heads: Of each layer.
        neurons: Of each layer.
        width: Of each dimension of the hidden states; None where all stay.

    Shape:
        heads: (heads,) in each layer.
        neurons: (neurons,) in each layer.
        width: (hidden_size,)
    """

    heads: Sequence[Tensor]
    neurons: Sequence[Tensor]
    width: Tensor | None = None

    def of_layers(self, layers: Iterable[int]) -> Self:
        """Returns the scores of some layers."""
        chosen = list(layers)
        heads, neurons = ([of[i] for i in chosen] for of in (self.heads, self.neurons))
        return type(self)(heads, neurons, self.width)


@dataclass
class Gates:
    """Gates of 1 that a model's units pass in a call, one for each row of the batch.

    Attributes:
        num_layers: How many layers there are.
        heads: Of each layer that has heads, as the last call has made them.
        neurons: Likewise.
        width: Of the hidden states, the same in all layers; None where they pass none.

    Shape:
        heads: (rows, heads) in each layer.
        neurons: (rows, neurons) in each layer.
        width: (rows, hidden_size)
    """

    num_layers: int
    heads: dict[int, Tensor] = field(default_factory=dict)
    neurons: dict[int, Tensor] = field(default_factory=dict)
    width: Tensor | None = None

    def gradients(self, loss: Tensor) -> list[Tensor]:
        """Returns what a loss would change by, to first order, for each unit and row of a batch.

        Args:
            loss: A scalar that the last call has led to, the sum over its rows.

        Shape:
            result: As the gates: those of heads in the order of the layers, then those of neurons,
                and that of the width if there is one.
        """
        gates = [*self.heads.values(), *self.neurons.values()]
        gates += [] if self.width is None else [self.width]
        found = dict(zip(gates, torch.autograd.grad(loss, gates), strict=True))
        none = loss.new_zeros((len(gates[0]), 0))

        def of_layers(made: dict[int, Tensor]) -> list[Tensor]:
            return [found[made[i]] if i in made else none for i in range(self.num_layers)]

        units = [*of_layers(self.heads), *of_layers(self.neurons)]
        return units if self.width is None else [*units, found[self.width]]


@contextmanager
def open_gates(model: Model, *, with_width: bool = False) -> Iterator[Gates]:
    """Lets a model's heads and neurons pass gates of 1 within a `with`, which change no number.

    A head's gate multiplies what it gives to the output projection, a neuron's what it gives to the
    linear layer down: at 0 it is as if the unit were not there. With `with_width` the hidden states
    pass one gate for each dimension before each layer and after the last.
    """
    gates = Gates(model.config.num_places)
    handles = []
    if with_width:
        encoder = model.encoder
        first = encoder.embeddings if encoder.projection is None else encoder.projection
        handles.append(first.register_forward_hook(partial(_begin_width, gates=gates)))
        handles += [
            encoder.layer_at(place).register_forward_hook(partial(_pass_width, gates=gates))
            for place in range(model.config.num_places)
        ]
    for number in range(model.config.num_places):
        layer = model.encoder.plain_layer_at(number)
        size = layer.attention.head_size
        for module, width, made in (
            (layer.attention.output, size, gates.heads),
            (layer.feed_forward.down, 1, gates.neurons),
        ):
            hook = partial(_pass_gate, number=number, width=width, made=made)
            handles.append(module.register_forward_pre_hook(hook))
    try:
        yield gates
    finally:
        for handle in handles:
            handle.remove()


def _begin_width(_: nn.Module, __: object, hidden: Tensor, *, gates: Gates) -> Tensor:
    """Multiplies embedded tokens, (rows, tokens, hidden_size), by a new gate of 1."""
    gates.width = hidden.new_ones((hidden.shape[0], hidden.shape[-1]), requires_grad=True)
    return hidden * gates.width[:, None]


def _pass_width(
    _: nn.Module, __: object, given: tuple[Tensor, object], *, gates: Gates
) -> tuple[Tensor, object]:
    """Multiplies what a layer gives by the gate of the call."""
    assert gates.width is not None
    hidden, parts = given
    return hidden * gates.width[:, None], parts


def _pass_gate(
    _: nn.Module, inputs: tuple[Tensor, ...], *, number: int, width: int, made: dict[int, Tensor]
) -> tuple[Tensor]:
    """Multiplies units of some width, (rows, ..., units * width), by new gates of 1."""
    (hidden,) = inputs
    units = hidden.reshape(*hidden.shape[:-1], -1, width)
    gate = hidden.new_ones((hidden.shape[0], units.shape[-2]), requires_grad=True)
    made[number] = gate
    return ((units * gate[:, None, :, None]).flatten(-2),)


def score_by_loss(
    model: Model,
    losses: Iterable[tuple[Callable[[], Tensor], int]],
    *,
    with_width: bool = False,
) -> UnitScores:
    """Scores units by how much a loss would change without them, to first order.

    With a gate xi of 1 on each unit, a unit's score is the mean over examples x of
    `|dL(x) / dxi|`: what the loss would change by if the unit went, up to terms of second order.

    Args:
        model: The model, in evaluation mode here.
        losses: For each batch what runs the model on it and returns the sum of its examples'
            losses, and how many examples these are. An example may be several rows of the model,
            one after another, such as the choices of a question.
        with_width: Whether the hidden states' dimensions are scored too.

    Source:
        Michel et al., "Are Sixteen Heads Really Better than One?", NeurIPS 2019, section 4.1, of
        heads; Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019,
        section 3.1, of gates on any unit.
    """
    return _score(model, losses, of_gradient=torch.abs, with_width=with_width)


def score_by_answers(
    model: Model,
    answers: Iterable[tuple[Callable[[], Tensor], int]],
    *,
    with_width: bool = False,
) -> UnitScores:
    """Scores units by how far the model's answers would move without them, to second order.

    The distance of a model to its own answers is 0, and so is its gradient. Its second derivative
    by a unit's gate xi is the Fisher information, for a distribution p the sum over its outcomes y
    of `p(y) (d log p(y) / dxi)^2 = (2 d sqrt(p(y)) / dxi)^2`. A sum of squared derivatives is the
    mean of the square of the derivative of `sum_y z_y 2 sqrt(p(y))` over signs z that are drawn
    independently, which one backward pass gives for all outcomes and tokens at once.

    Args:
        model: The model, in evaluation mode here.
        answers: For each batch what runs the model on it and returns `randomly_signed` of its
            answers, and how many examples these are of.
        with_width: Whether the hidden states' dimensions are scored too.

    Source:
        Kwon et al., "A Fast Post-Training Pruning Framework for Transformers", NeurIPS 2022,
        section 4.1: the Fisher information of masks on heads and neurons; there of the labels.
        Hutchinson, "A stochastic estimator of the trace", 1990, for the signs.
    """
    return _score(model, answers, of_gradient=torch.square, with_width=with_width)


def randomly_signed(
    answers: Tensor, *, are_numbers: bool, generator: torch.Generator | None = None
) -> Tensor:
    """Returns what `score_by_answers` derives: a sum of answers with random signs.

    Args:
        answers: Logits of distributions over the last dimension, or numbers.
        are_numbers: Whether they are numbers; their distance is half the square of the difference.
        generator: Draws the signs, on the CPU.
    """
    seen = answers if are_numbers else 2 * (answers.log_softmax(dim=-1) / 2).exp()
    signs = torch.randint(0, 2, seen.shape, generator=generator).to(seen.device) * 2 - 1
    return (signs * seen).sum()


def _score(
    model: Model,
    sums: Iterable[tuple[Callable[[], Tensor], int]],
    *,
    of_gradient: Callable[[Tensor], Tensor],
    with_width: bool,
) -> UnitScores:
    """Returns the means over examples of what is made of the gates' gradients."""
    totals: list[Tensor] | None = None
    num_examples = 0
    opened = open_gates(model, with_width=with_width)
    with evaluation(model), torch.enable_grad(), opened as gates:
        for compute, count in sums:
            added = [
                of_gradient(_sum_examples(found, count)).double().sum(0).cpu()
                for found in gates.gradients(compute())
            ]
            totals = (
                added if totals is None else [a + b for a, b in zip(totals, added, strict=True)]
            )
            num_examples += count
    assert totals is not None, "no batch was given"
    means = [total / num_examples for total in totals]
    depth = model.config.num_places
    width = means[-1] if with_width else None
    return UnitScores(means[:depth], means[depth : 2 * depth], width)


def _sum_examples(of_rows: Tensor, count: int) -> Tensor:
    """Shape: (rows, units) to (count, units), each the sum over the rows of an example."""
    return of_rows.reshape(count, len(of_rows) // count, of_rows.shape[-1]).sum(1)


def score_at_random(model: Model, *, seed: int) -> UnitScores:
    """Scores units by chance, which is what any other score has to beat."""
    generator = torch.Generator().manual_seed(seed)

    def draw(count: int) -> Tensor:
        return torch.rand(count, generator=generator, dtype=torch.float64)

    shapes = [model.config.layer_shape(place) for place in range(model.config.num_places)]
    return UnitScores(
        [draw(len(shape.heads)) for shape in shapes],
        [draw(shape.neurons) for shape in shapes],
        draw(model.config.hidden_size),
    )
