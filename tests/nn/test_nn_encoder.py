"""Reach, uneven layers and depths of an encoder by their formulas; all at once is traced."""

from __future__ import annotations

import itertools

import pytest
import torch
from encoder_parts import (
    COLLECT,
    EXACT,
    SIZE,
    build_embeddings,
    build_layer,
    drawn,
    make_batch,
)
from torch import nn

from limbeck.errors import SettingsError
from limbeck.models.deberta_v2 import (
    ContentToPosition,
    DisentangledScores,
    DistanceEmbeddings,
    PositionToContent,
)
from limbeck.models.mpnet import DistanceBias
from limbeck.nn import (
    COLLECTABLE,
    Encoder,
    PreNormLayer,
    Reach,
    additive_mask,
    count_layers_below,
)
from limbeck.nn.masks import MASKED_SCORE

REACHES = {
    "causal": (Reach(ahead=0), Reach(ahead=0)),
    "local": (Reach(back=1, ahead=2), None, Reach(back=3, ahead=3)),
    "shared": (Reach(back=0, ahead=0), Reach(back=0, ahead=0)),
}


def sees(reach: Reach | None, query: int, key: int) -> bool:
    """Written as a reader would count."""
    if reach is None:
        return True
    if key <= query:
        return reach.back is None or query - key <= reach.back
    return reach.ahead is None or key - query <= reach.ahead


@pytest.mark.parametrize("per_document", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reaches", REACHES.values(), ids=REACHES)
def test_each_layer_sees_as_far_as_its_reach(reaches, masked, per_document):
    ours = Encoder(
        embeddings=build_embeddings(), layers=[build_layer() for _ in reaches], reaches=reaches
    )
    drawn(ours)
    ids, mask = make_batch()
    if per_document:
        mask = mask[:, :, None] * mask[:, None, :]
    visible = mask if mask.dim() == 3 else mask[:, None, :].expand(-1, 11, -1)
    with torch.no_grad():
        given = ours(ids, mask if masked else None, collect=COLLECT)
        hidden = ours.embeddings(ids)
        for place, reach in enumerate(reaches):
            table = torch.tensor([[sees(reach, q, k) for k in range(11)] for q in range(11)])
            both = table.long() * visible if masked else table.long().expand(3, -1, -1)
            whole = additive_mask(both, dtype=torch.float64)
            hidden, _ = ours.layers[place](hidden, whole)
            torch.testing.assert_close(given.hidden_states[place + 1], hidden, **EXACT)
            sees_any = both.bool().any(-1)
            unseen = given.attentions[place].transpose(1, 2)[sees_any]
            assert not unseen.masked_select(~both.bool()[sees_any][:, None]).any()
    half = ours.half()(ids, mask if masked else None, collect={"attention_scores"})
    assert half.last_hidden_state.isfinite().all()
    assert all(scores.min() >= 1.1 * MASKED_SCORE for scores in half.attention_scores)


def test_layers_differ_in_heads_and_widths():
    """As after pruning: each layer has what it was built with, and the stack runs them in turn."""
    shapes = [(4, 4, 24), (1, 4, 7), (3, 5, 1)]
    ours = Encoder(
        embeddings=build_embeddings(),
        layers=[build_layer(num_heads=n, head_size=s, width=w) for n, s, w in shapes],
    )
    drawn(ours)
    ids, mask = make_batch()
    with torch.no_grad():
        given = ours(ids, mask, collect={*COLLECT, "values"})
        hidden = ours.embeddings(ids)
        for layer, (num_heads, size, _) in zip(ours.layers, shapes, strict=True):
            attention, context = layer.attention, []
            for head in range(num_heads):
                part = slice(head * size, (head + 1) * size)
                query, key, value = (
                    projection(hidden)[..., part]
                    for projection in (attention.query, attention.key, attention.value)
                )
                scores = query @ key.mT / size**0.5
                scores = scores.masked_fill(mask[:, None, :] == 0, -torch.inf)
                context.append(scores.softmax(-1) @ value)
            hidden = layer.attention_norm(hidden + attention.output(torch.cat(context, -1)))
            hidden = layer.feed_forward_norm(hidden + layer.feed_forward(hidden))
    torch.testing.assert_close(given.last_hidden_state, hidden, **EXACT)
    assert [a.shape[1] for a in given.attentions] == [n for n, _, _ in shapes]
    assert [v.shape[-1] for v in given.values] == [s for _, s, _ in shapes]


def build_scores():
    terms = {"c2p": ContentToPosition(None), "p2c": PositionToContent(None)}
    return DisentangledScores(terms=terms, dropout=nn.Identity())


def build_everything():
    """All that an encoder can hold at once."""
    layers = [
        build_layer(scale=0.3, relative=build_scores()),
        build_layer(PreNormLayer, num_heads=2, head_size=3, scale=0.5, relative=build_scores()),
    ]
    return drawn(
        Encoder(
            embeddings=build_embeddings(8),
            layers=layers,
            order=(0, 1, 0),
            projection=nn.Linear(8, SIZE),
            position_bias=DistanceBias(nn.Embedding(8, 1)),
            relative_positions=DistanceEmbeddings(
                table=nn.Embedding(6, SIZE),
                norm=nn.LayerNorm(SIZE),
                max_distance=3,
                is_logarithmic=False,
            ),
            reaches=(None, Reach(back=2, ahead=1), Reach(ahead=0)),
            norm=nn.LayerNorm(SIZE),
        )
    )


def test_depths():
    depths = build_everything().parameter_depths()
    assert depths.keys() == dict(build_everything().named_parameters()).keys()
    found = {
        part: {depths[name] for name in depths if name.startswith(f"{part}.")}
        for part in ("embeddings", "projection", "position_bias", "relative_positions", "norm")
    }
    assert found.pop("norm") == {4}
    assert all(depth == {0} for depth in found.values())
    # The first layer runs first and last, and counts where it runs last.
    assert {depths[name] for name in depths if name.startswith("layers.0.")} == {3}
    assert {depths[name] for name in depths if name.startswith("layers.1.")} == {2}


@pytest.mark.parametrize(
    "collect", [frozenset(), frozenset(COLLECT), frozenset({("attentions", 1), ("queries", 2)})]
)
def test_everything_at_once_compiles(collect):
    torch._dynamo.reset()  # its limit of recompilations is for all tests of a process together
    encoder = build_everything()
    compiled = torch.compile(encoder, fullgraph=True, backend="eager", dynamic=True)
    for rows, length in ((3, 11), (2, 9)):
        inputs = make_batch(rows, length)
        given, expected = compiled(*inputs, collect=collect), encoder(*inputs, collect=collect)
        torch.testing.assert_close(given.last_hidden_state, expected.last_hidden_state, **EXACT)
    given.last_hidden_state.sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


@pytest.mark.parametrize("name", sorted(COLLECTABLE))
def test_what_one_layer_gives_is_the_same_alone(name):
    encoder, inputs = build_everything(), make_batch()
    whole = encoder(*inputs, collect=COLLECTABLE)
    given = getattr(whole, name)
    assert len(given) == 4 if name == "hidden_states" else 3
    for place, tensor in enumerate(given):
        alone = encoder(*inputs, collect={(name, place)})
        torch.testing.assert_close(getattr(alone, name), (tensor,), **EXACT)
        torch.testing.assert_close(alone.last_hidden_state, whole.last_hidden_state, **EXACT)
        others = vars(alone).keys() - {name, "last_hidden_state"}
        assert all(getattr(alone, other) is None for other in others)
        depth = count_layers_below({(name, place)})
        stopped = encoder(*inputs, collect={(name, place)}, num_layers=depth)
        torch.testing.assert_close(getattr(stopped, name), (tensor,), **EXACT)
        state = whole.hidden_states[depth]
        torch.testing.assert_close(stopped.last_hidden_state, state, **EXACT)


def test_some_layers_stand_in_order_from_the_bottom():
    encoder, inputs = build_everything(), make_batch()
    whole = encoder(*inputs, collect={"keys", "hidden_states"})
    some = encoder(*inputs, collect={("keys", 2), ("keys", 0), ("hidden_states", 3)})
    assert [len(some.keys), len(some.hidden_states)] == [2, 1]
    torch.testing.assert_close(some.keys, (whole.keys[0], whole.keys[2]), **EXACT)
    torch.testing.assert_close(some.hidden_states, whole.hidden_states[-1:], **EXACT)


def test_attention_is_explicit_only_where_it_is_looked_at(monkeypatch):
    fused = []
    plain = torch.nn.functional.scaled_dot_product_attention

    def count(*args, **kwargs):
        fused.append(True)
        return plain(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", count)
    encoder, inputs = build_everything(), make_batch()
    for collect, expected in [
        ({"queries", "hidden_states"}, 3),
        ({("attention_scores", 1), ("queries", 0)}, 2),
        ({"attentions"}, 0),
    ]:
        fused.clear()
        encoder(*inputs, collect=collect)
        assert len(fused) == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("values", 3), r"collect has \('values', 3\); accepted: places from 0 to 2"),
        (("hidden_states", 4), r"collect has \('hidden_states', 4\).* from 0 to 3"),
        (("keys", -1), r"collect has \('keys', -1\).* from 0 to 2"),
        (("key", 0), r"collect has 'key'; accepted: attention_scores.*'keys'\?"),
    ],
)
def test_layers_that_there_are_not_are_named(asked, message):
    with pytest.raises(SettingsError, match=message):
        build_everything()(*make_batch(), collect={asked})


def test_everything_at_once_exports():
    encoder = build_everything()
    batch, length = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("length", max=32)
    shape = {0: batch, 1: length}
    program = torch.export.export(encoder, make_batch(), dynamic_shapes=(shape, shape))
    for rows, tokens in itertools.product((1, 3), (5, 12)):
        inputs = make_batch(rows, tokens)
        with torch.no_grad():
            given, expected = program.module()(*inputs), encoder(*inputs)
        torch.testing.assert_close(given.last_hidden_state, expected.last_hidden_state, **EXACT)
