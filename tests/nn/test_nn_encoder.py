"""What families may put into an encoder, each by a family of `transformers` or by its formula."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
import transformers
from encoder_parts import (
    SIZE,
    BucketBias,
    DisentangledScores,
    PreNormLayer,
    RelativeEmbeddings,
    build_embeddings,
    build_layer,
)
from torch import nn

from limbeck.nn import Encoder, Reach, additive_mask, build_activation
from limbeck.nn.masks import MASKED_SCORE

EXACT = {"rtol": 0.0, "atol": 1e-9}
SIZES = {
    "vocab_size": 50,
    "hidden_size": SIZE,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "layer_norm_eps": 1e-3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "attn_implementation": "eager",
}
COLLECT = {"hidden_states", "attentions"}


def drawn(module: nn.Module) -> nn.Module:
    """In float64, with weights, biases and norms drawn wide, so that nothing is lost in them."""
    module = module.double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return module


def copy_weights(ours: nn.Module, theirs: nn.Module, names: dict[str, str]) -> None:
    """Copies by a table of modules; every tensor of ours is set exactly once."""
    target, source = ours.state_dict(), theirs.state_dict()
    loaded = {}
    for mine, other in names.items():
        for leaf in ("weight", "bias"):
            if f"{mine}.{leaf}" in target:
                loaded[f"{mine}.{leaf}"] = source[f"{other}.{leaf}"]
    ours.load_state_dict(loaded, strict=True)


def layer_names(mine: str, other: str, theirs: dict[str, str]) -> dict[str, str]:
    return {f"{mine}.{name}": f"{other}.{value}" for name, value in theirs.items()}


def make_batch(rows=3, length=11):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(2, 50, (rows, length), generator=generator)
    mask = (torch.arange(length) < torch.tensor([[length], [4], [8]])[:rows]).long()
    return ids, mask


def assert_equal_outputs(given, expected, mask):
    """Compares hidden states and attention at positions that are no padding."""
    kept = mask.bool()
    states = zip(given.hidden_states, expected.hidden_states, strict=True)
    for index, (mine, theirs) in enumerate(states):
        torch.testing.assert_close(mine[kept], theirs[kept], msg=f"state {index}", **EXACT)
    for mine, theirs in zip(given.attentions, expected.attentions, strict=True):
        rows = mine.transpose(1, 2)[kept], theirs.transpose(1, 2)[kept]
        torch.testing.assert_close(*rows, **EXACT)
    assert given.hidden_states[-1] is given.last_hidden_state


MPNET_LAYER = {
    "attention.query": "attention.attn.q",
    "attention.key": "attention.attn.k",
    "attention.value": "attention.attn.v",
    "attention.output": "attention.attn.o",
    "attention_norm": "attention.LayerNorm",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}


def test_position_bias_is_mpnets():
    config = transformers.MPNetConfig(**SIZES, num_hidden_layers=2)
    theirs = drawn(transformers.MPNetModel(config, add_pooling_layer=False))
    ours = Encoder(
        embeddings=build_embeddings(token_types=0),
        layers=[build_layer() for _ in range(2)],
        position_bias=BucketBias(32, 4),
    ).double()
    names = {
        "embeddings.word": "embeddings.word_embeddings",
        "embeddings.position": "embeddings.position_embeddings",
        "embeddings.norm": "embeddings.LayerNorm",
        "position_bias.table": "encoder.relative_attention_bias",
    }
    for i in range(2):
        names |= layer_names(f"layers.{i}", f"encoder.layer.{i}", MPNET_LAYER)
    copy_weights(ours, theirs, names)
    ids, mask = make_batch()
    positions = torch.arange(11)[None] + 2  # its two first positions belong to no token
    with torch.no_grad():
        expected = theirs(
            ids, mask, position_ids=positions, output_hidden_states=True, output_attentions=True
        )
        given = ours(ids, mask, position_ids=positions, collect=COLLECT)
        fused = ours(ids, mask, position_ids=positions).last_hidden_state
        unmasked = ours(ids, position_ids=positions).last_hidden_state
        whole = theirs(ids, position_ids=positions).last_hidden_state
    assert_equal_outputs(given, expected, mask)
    torch.testing.assert_close(fused, given.last_hidden_state, **EXACT)
    torch.testing.assert_close(unmasked, whole, **EXACT)


def test_position_bias_far_away_is_mpnets():
    """Distances beyond the exact buckets, where they are cut logarithmically."""
    bias = drawn(BucketBias(32, 4)).float()
    theirs = transformers.models.mpnet.modeling_mpnet.MPNetEncoder(
        transformers.MPNetConfig(**SIZES, num_hidden_layers=0)
    )
    theirs.relative_attention_bias.load_state_dict(bias.table.state_dict())
    hidden = torch.zeros(1, 300, 1)
    torch.testing.assert_close(bias(hidden), theirs.compute_position_bias(hidden))


ALBERT_LAYER = {
    "attention.query": "attention.query",
    "attention.key": "attention.key",
    "attention.value": "attention.value",
    "attention.output": "attention.dense",
    "attention_norm": "attention.LayerNorm",
    "feed_forward.up": "ffn",
    "feed_forward.down": "ffn_output",
    "feed_forward_norm": "full_layer_layer_norm",
}


def test_shared_layers_and_projection_are_alberts():
    config = transformers.AlbertConfig(
        **SIZES, embedding_size=8, num_hidden_layers=4, num_hidden_groups=2
    )
    theirs = drawn(transformers.AlbertModel(config, add_pooling_layer=False))
    activation = build_activation("gelu_new")
    ours = Encoder(
        embeddings=build_embeddings(8),
        layers=[build_layer(activation=activation) for _ in range(2)],
        order=(0, 0, 1, 1),
        projection=nn.Linear(8, SIZE),
    ).double()
    names = {
        "embeddings.word": "embeddings.word_embeddings",
        "embeddings.position": "embeddings.position_embeddings",
        "embeddings.token_type": "embeddings.token_type_embeddings",
        "embeddings.norm": "embeddings.LayerNorm",
        "projection": "encoder.embedding_hidden_mapping_in",
    }
    for i in range(2):
        group = f"encoder.albert_layer_groups.{i}.albert_layers.0"
        names |= layer_names(f"layers.{i}", group, ALBERT_LAYER)
    copy_weights(ours, theirs, names)
    ids, mask = make_batch()
    types = (ids > 20).long()
    with torch.no_grad():
        expected = theirs(ids, mask, types, output_hidden_states=True, output_attentions=True)
        given = ours(ids, mask, types, collect=COLLECT)
    assert_equal_outputs(given, expected, mask)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert ours.layer_at(1) is ours.layers[0]
    assert ours.layer_at(2) is ours.layers[1]


DEBERTA_LAYER = {
    "attention.query": "attention.self.query_proj",
    "attention.key": "attention.self.key_proj",
    "attention.value": "attention.self.value_proj",
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward.up": "intermediate.dense",
    "feed_forward.down": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}


def test_bias_of_queries_and_keys_is_debertas():
    config = transformers.DebertaV2Config(
        **SIZES,
        num_hidden_layers=2,
        type_vocab_size=0,
        relative_attention=True,
        max_relative_positions=5,  # rows are longer: distances are cut
        position_biased_input=False,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        pos_att_type=["p2c", "c2p"],
    )
    theirs = drawn(transformers.DebertaV2Model(config))
    # Of three products that are added up; they take the root in float32, whatever the weights are.
    scale = 1 / torch.tensor(3 * SIZE / 4).sqrt().item()
    ours = Encoder(
        embeddings=build_embeddings(num_positions=0, token_types=0),
        layers=[build_layer(scale=scale, relative=DisentangledScores()) for _ in range(2)],
        relative_positions=RelativeEmbeddings(5),
    ).double()
    names = {
        "embeddings.word": "embeddings.word_embeddings",
        "embeddings.norm": "embeddings.LayerNorm",
        "relative_positions.table": "encoder.rel_embeddings",
        "relative_positions.norm": "encoder.LayerNorm",
    }
    for i in range(2):
        names |= layer_names(f"layers.{i}", f"encoder.layer.{i}", DEBERTA_LAYER)
    copy_weights(ours, theirs, names)
    ids, mask = make_batch()
    with torch.no_grad():
        # It sets the embeddings of padding to 0, which nobody else sees.
        expected = theirs(ids, mask, output_hidden_states=True, output_attentions=True)
        given = ours(ids, mask, collect=COLLECT)
        fused = ours(ids, mask).last_hidden_state
    assert_equal_outputs(given, expected, mask)
    torch.testing.assert_close(fused, given.last_hidden_state, **EXACT)


def test_norm_at_the_end_is_torchs():
    theirs = drawn(
        nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                SIZE, 4, 24, dropout=0.0, activation="gelu", norm_first=True, batch_first=True,
                layer_norm_eps=1e-3,
            ),
            num_layers=2,
            norm=nn.LayerNorm(SIZE),
            enable_nested_tensor=False,
        )
    )  # fmt: skip
    embeddings = drawn(build_embeddings())
    ours = Encoder(
        embeddings=embeddings,
        layers=[PreNormLayer(build_layer()) for _ in range(2)],
        norm=copy.deepcopy(theirs.norm),
    ).double()
    with torch.no_grad():
        for mine, other in zip(ours.layers, theirs.layers, strict=True):
            layer = mine.layer
            thirds = other.self_attn.in_proj_weight.chunk(3), other.self_attn.in_proj_bias.chunk(3)
            parts = (layer.attention.query, layer.attention.key, layer.attention.value)
            for part, weight, bias in zip(parts, *thirds, strict=True):
                part.weight.copy_(weight)
                part.bias.copy_(bias)
            layer.attention.output.load_state_dict(other.self_attn.out_proj.state_dict())
            layer.attention_norm.load_state_dict(other.norm1.state_dict())
            layer.feed_forward_norm.load_state_dict(other.norm2.state_dict())
            layer.feed_forward.up.load_state_dict(other.linear1.state_dict())
            layer.feed_forward.down.load_state_dict(other.linear2.state_dict())
        ids, mask = make_batch()
        expected = theirs(embeddings(ids), src_key_padding_mask=mask == 0)
        given = ours(ids, mask, collect={"hidden_states"})
    kept = mask.bool()
    torch.testing.assert_close(given.last_hidden_state[kept], expected[kept], **EXACT)
    assert given.hidden_states[-1] is given.last_hidden_state
    assert len(given.hidden_states) == 3


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


def build_everything():
    """All that an encoder can hold at once."""
    layers = [
        build_layer(scale=0.3, relative=DisentangledScores()),
        PreNormLayer(
            build_layer(num_heads=2, head_size=3, scale=0.5, relative=DisentangledScores())
        ),
    ]
    return drawn(
        Encoder(
            embeddings=build_embeddings(8),
            layers=layers,
            order=(0, 1, 0),
            projection=nn.Linear(8, SIZE),
            position_bias=BucketBias(8, 1),
            relative_positions=RelativeEmbeddings(3),
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


@pytest.mark.parametrize("collect", [frozenset(), frozenset(COLLECT)])
def test_everything_at_once_compiles(collect):
    encoder = build_everything()
    compiled = torch.compile(encoder, fullgraph=True, backend="eager", dynamic=True)
    for rows, length in ((3, 11), (2, 9)):
        inputs = make_batch(rows, length)
        given, expected = compiled(*inputs, collect=collect), encoder(*inputs, collect=collect)
        torch.testing.assert_close(given.last_hidden_state, expected.last_hidden_state, **EXACT)
    given.last_hidden_state.sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


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
