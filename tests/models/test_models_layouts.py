"""Tensors that files hold in another layout: transposed, fused, or both."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.models._names import NameTable, Stored

NAMES = NameTable(
    prefix="novel",
    body={
        "encoder.embeddings.word": "wte",
        "encoder.layers.{i}.attention.query": Stored(name="h.{i}.attn.Wqkv", part=0, num_parts=3),
        "encoder.layers.{i}.attention.key": Stored(name="h.{i}.attn.Wqkv", part=1, num_parts=3),
        "encoder.layers.{i}.attention.value": Stored(name="h.{i}.attn.Wqkv", part=2, num_parts=3),
        "encoder.layers.{i}.attention.output": Stored(name="h.{i}.c_proj", transposed=True),
        "encoder.layers.{i}.feed_forward.up": Stored(
            name="h.{i}.Wi", part=1, num_parts=2, transposed=True
        ),
        "encoder.layers.{i}.feed_forward.gate": Stored(
            name="h.{i}.Wi", part=0, num_parts=2, transposed=True
        ),
    },
    heads={
        "masked_lm": {"head": Stored(name="decoder", transposed=True)},
        "sequence_classification": {"head.dense.1": "classifier.0.dense"},
    },
)
OURS = ("query", "key", "value", "output")


def draw_weights(width: int, inner: int, num_layers: int) -> dict[str, torch.Tensor]:
    tensors = {"encoder.embeddings.word.weight": torch.randn(5, width)}
    for i in range(num_layers):
        for name in OURS:
            tensors[f"encoder.layers.{i}.attention.{name}.weight"] = torch.randn(width, width)
            tensors[f"encoder.layers.{i}.attention.{name}.bias"] = torch.randn(width)
        for name in ("up", "gate"):
            tensors[f"encoder.layers.{i}.feed_forward.{name}.weight"] = torch.randn(inner, width)
    tensors["head.weight"] = torch.randn(5, width)
    return tensors


@given(st.integers(1, 5), st.integers(1, 7), st.integers(0, 12))
def test_there_and_back(width, inner, num_layers):
    """Bit for bit, each of ours once, and none in memory that another one has too."""
    tensors = draw_weights(width, inner, num_layers)
    written = NAMES.write(tensors, head="masked_lm")
    assert all(tensor.is_contiguous() for tensor in written.values())
    tidied = {NAMES.tidy(name): tensor for name, tensor in written.items()}
    assert len(tidied) == len(written) == 2 + 4 * num_layers + num_layers
    read, unknown = NAMES.read(tidied, head="masked_lm")
    assert not unknown
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
    assert all(tensor.is_contiguous() for tensor in read.values())
    again = NAMES.write(read, head="masked_lm")
    assert again.keys() == written.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in written.items())
    homes = [tensor.untyped_storage().data_ptr() for tensor in read.values()]
    assert len(set(homes)) == len(homes)


def test_layouts_by_hand():
    layer = "encoder.layers.1."
    query, key, value = (torch.full((2, 2), float(i)) for i in range(3))
    up, gate = torch.arange(6.0).view(3, 2), torch.arange(6.0, 12.0).view(3, 2)
    written = NAMES.write(
        {
            f"{layer}attention.value.weight": value,
            f"{layer}attention.query.weight": query,
            f"{layer}attention.key.weight": key,
            f"{layer}feed_forward.up.weight": up,
            f"{layer}feed_forward.gate.weight": gate,
        },
        head="encoder",
    )
    assert written["h.1.attn.Wqkv.weight"].tolist() == [[i, i] for i in (0, 0, 1, 1, 2, 2)]
    assert written["h.1.Wi.weight"].tolist() == [[6, 8, 10, 0, 2, 4], [7, 9, 11, 1, 3, 5]]


def test_names_of_what_is_fused():
    assert NAMES.to_native("h.3.attn.Wqkv.bias", head="masked_lm") == tuple(
        f"encoder.layers.3.attention.{name}.bias" for name in ("query", "key", "value")
    )
    for name in ("query", "key", "value"):
        native = f"encoder.layers.3.attention.{name}.bias"
        assert NAMES.to_hf(native, head="masked_lm") == "novel.h.3.attn.Wqkv.bias"


def test_a_number_in_a_head_is_no_layers():
    kind = "sequence_classification"
    assert NAMES.to_hf("head.dense.1.bias", head=kind) == "classifier.0.dense.bias"
    assert NAMES.to_native("classifier.0.dense.bias", head=kind) == ("head.dense.1.bias",)
    assert NAMES.to_native("classifier.1.dense.bias", head=kind) == ()


def test_what_is_not_the_models_keeps_its_name():
    extra = {"h.0.attn.bias": torch.ones(1)}
    assert NAMES.read(extra, head="masked_lm") == ({}, extra)


@pytest.mark.parametrize("parts", [(0,), (1, 2), (0, 0), (0, 1, 2)])
def test_a_table_with_half_a_tensor(parts):
    body = {f"m{i}": Stored(name="W", part=part, num_parts=2) for i, part in enumerate(parts)}
    with pytest.raises(AssertionError, match=f"W has the parts \\[{parts[0]}"):
        NameTable(prefix="x", body=body, heads={})
