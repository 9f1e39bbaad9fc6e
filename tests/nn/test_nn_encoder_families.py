"""What families put into an encoder, each compared with `transformers` or `torch`."""

from __future__ import annotations

import copy

import torch
import transformers
from encoder_parts import (
    COLLECT,
    EXACT,
    SIZE,
    BucketBias,
    DisentangledScores,
    RelativeEmbeddings,
    build_embeddings,
    build_layer,
    drawn,
    make_batch,
)
from torch import nn

from limbeck.nn import Encoder, PreNormLayer

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
        layers=[build_layer(PreNormLayer) for _ in range(2)],
        norm=copy.deepcopy(theirs.norm),
    ).double()
    with torch.no_grad():
        for layer, other in zip(ours.layers, theirs.layers, strict=True):
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
