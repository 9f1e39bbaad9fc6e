"""Importance of heads and neurons: gates' gradients, and the scores that are made of them."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from tiny_task import make_rows, write_model

from limbeck import AutoModelForSequenceClassification, AutoTokenizer
from limbeck.methods._importance import (
    open_gates,
    randomly_signed,
    score_at_random,
    score_by_answers,
    score_by_loss,
)

FAMILIES = ("bert", "deberta_v2", "modernbert")
STEP = 1e-5


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "model"
    write_model(folder, model_type=request.param, head=["bad", "good"], initializer_range=0.5)
    return AutoModelForSequenceClassification.from_pretrained(folder).double()


@pytest.fixture(scope="module")
def batch(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder") / "model"
    tokenizer = AutoTokenizer.from_pretrained(write_model(folder))
    rows = make_rows(3, seed=4)
    inputs = tokenizer([row["sentence"] for row in rows], padding=True, return_tensors="pt")
    if not model.has_token_types:
        inputs.pop("token_type_ids", None)
    return dict(inputs), torch.tensor([row["label"] for row in rows])


def list_units(model):
    """Yields kind, layer and place of heads and some neurons, and the weights they write by."""
    for number in range(model.config.num_places):
        layer = model.encoder.plain_layer_at(number)
        size = layer.attention.head_size
        for head in range(len(layer.attention.heads)):
            columns = slice(head * size, (head + 1) * size)
            yield "heads", number, head, layer.attention.output.weight[:, columns]
        for neuron in range(0, layer.feed_forward.down.in_features, 7):
            yield "neurons", number, neuron, layer.feed_forward.down.weight[:, neuron]


@torch.no_grad()
def derive(compute, weights):
    """The central difference of what a unit's writing is scaled by, which is what a gate does."""
    kept = weights.clone()
    found = []
    for scale in (1 + STEP, 1 - STEP):
        weights.copy_(scale * kept)
        found.append(compute())
    weights.copy_(kept)
    return (found[0] - found[1]) / (2 * STEP)


def losses_of(model, batch):
    inputs, labels = batch
    return F.cross_entropy(model(**inputs).logits, labels, reduction="none")


def test_gates_gradients_are_those_of_units_and_rows(model, batch):
    with open_gates(model) as gates:
        gradients = gates.gradients(losses_of(model, batch).sum())
    depth = model.config.num_places
    found = {"heads": gradients[:depth], "neurons": gradients[depth:]}
    for kind, layer, place, weights in list_units(model):
        expected = derive(partial(losses_of, model, batch), weights)
        torch.testing.assert_close(found[kind][layer][:, place], expected, rtol=1e-6, atol=1e-8)


def test_the_gate_of_a_dimension_is_one_for_all_layers(model, batch):
    """What embeddings and layers give is scaled in that dimension, wherever it stands."""
    with open_gates(model, with_width=True) as gates:
        *_, width = gates.gradients(losses_of(model, batch).sum())
    encoder = model.encoder
    first = encoder.embeddings if encoder.projection is None else encoder.projection
    sources = [first, *(encoder.layer_at(place) for place in range(model.config.num_places))]
    for dimension in (0, 3):
        found = []
        for scale in (1 + STEP, 1 - STEP):
            factors = torch.ones(model.config.hidden_size, dtype=torch.float64)
            factors[dimension] = scale

            def scaled(_, __, given, factors=factors):
                if isinstance(given, tuple):
                    return given[0] * factors, given[1]
                return given * factors

            hooks = [source.register_forward_hook(scaled) for source in sources]
            with torch.no_grad():
                found.append(losses_of(model, batch))
            for hook in hooks:
                hook.remove()
        expected = (found[0] - found[1]) / (2 * STEP)
        torch.testing.assert_close(width[:, dimension], expected, rtol=1e-6, atol=1e-8)
    assert not any(source._forward_hooks for source in sources)


def test_open_gates_change_no_number_and_leave_nothing(model, batch):
    before = losses_of(model, batch)
    with open_gates(model):
        assert torch.equal(losses_of(model, batch), before)
    layer = model.encoder.plain_layer_at(0)
    assert not layer.attention.output._forward_pre_hooks
    assert not layer.feed_forward.down._forward_pre_hooks


def test_the_score_by_a_loss_is_the_mean_size_of_its_change(model, batch):
    """Two batches, of two rows and of one, add up as one of three."""
    inputs, labels = batch

    def loss(rows):
        given = {name: tensor[rows] for name, tensor in inputs.items()}
        return losses_of(model, (given, labels[rows])).sum()

    parts = [(partial(loss, slice(0, 2)), 2), (partial(loss, slice(2, 3)), 1)]
    scores = score_by_loss(model, parts)
    for kind, layer, place, weights in list_units(model):
        expected = derive(partial(losses_of, model, batch), weights).abs().mean()
        found = getattr(scores, kind)[layer][place]
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_rows_of_one_example_count_together(model, batch):
    """The choices of a question: their changes add up before their size is taken."""
    total = partial(lambda: losses_of(model, batch).sum())
    together = score_by_loss(model, [(total, 1)])
    for kind, layer, place, weights in list_units(model):
        expected = derive(total, weights).abs()
        found = getattr(together, kind)[layer][place]
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_the_score_by_answers_is_their_fisher_information(model, batch):
    """Over all signs: of two labels' distribution two sums differ, whose squares' mean it is."""
    inputs, _ = batch
    first = {name: tensor[:1] for name, tensor in inputs.items()}

    def answers(generator):
        return randomly_signed(model(**first).logits, are_numbers=False, generator=generator)

    drawn = {}
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        scores = score_by_answers(model, [(partial(answers, generator), 1)])
        drawn[round(scores.heads[0][0].item(), 12)] = scores
    assert len(drawn) == 2
    one, other = drawn.values()

    @torch.no_grad()
    def chances():
        return model(**first).logits[0].log_softmax(-1)

    weight = chances().exp()
    for kind, layer, place, weights in list_units(model):
        expected = (weight * derive(chances, weights) ** 2).sum()
        found = (getattr(one, kind)[layer][place] + getattr(other, kind)[layer][place]) / 2
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-9)


def test_the_score_by_numbers_is_the_square_of_their_change(model, batch):
    inputs, _ = batch

    def numbers():
        return model(**inputs).logits[:, :1]

    def answers():
        return randomly_signed(numbers(), are_numbers=True)

    scores = score_by_answers(model, [(answers, len(batch[1]))])
    for kind, layer, place, weights in list_units(model):
        expected = derive(lambda: numbers()[:, 0], weights).square().mean()
        found = getattr(scores, kind)[layer][place]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-9)


def test_chance_is_its_seeds(model):
    one, same, other = (score_at_random(model, seed=seed) for seed in (3, 3, 4))
    sizes = [(len(h), len(n)) for h, n in zip(one.heads, one.neurons, strict=True)]
    shapes = [model.config.layer_shape(i) for i in range(model.config.num_places)]
    assert sizes == [(len(shape.heads), shape.neurons) for shape in shapes]
    assert all(map(torch.equal, [*one.heads, *one.neurons], [*same.heads, *same.neurons]))
    assert not torch.equal(one.neurons[0], other.neurons[0])
