"""Name tables are bijections onto the names of `transformers`."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from model_oracle import (
    CASE_IDS,
    CASES,
    num_labels,
    our_class,
    our_config,
    their_class,
    their_config,
)

from limbeck.models.bert import NAMES


@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_bijection(family, kind):
    changes = {"num_labels": num_labels(kind)}
    with torch.device("meta"):
        ours = our_class(family, kind)(our_config(family, **changes))
    names = ours.architecture.names
    native = list(ours.state_dict())
    theirs = {names.to_hf(name, head=kind.name) for name in native}
    back = [names.to_native(names.tidy(name), head=kind.name) for name in theirs]
    assert sorted(name for parts in back for name in parts) == sorted(native)
    with torch.device("meta"):
        expected = their_class(family, kind)(their_config(family, **changes)).state_dict()
    assert theirs == expected.keys() - names.tied.keys()


@given(st.integers(0, 10**6), st.sampled_from(["weight", "bias"]))
def test_layer_numbers_survive(number, leaf):
    native = f"encoder.layers.{number}.feed_forward.up.{leaf}"
    theirs = NAMES.to_hf(native, head="masked_lm")
    assert theirs == f"bert.encoder.layer.{number}.intermediate.dense.{leaf}"
    assert NAMES.to_native(NAMES.tidy(theirs), head="masked_lm") == (native,)


@given(st.text())
def test_foreign_names_are_nobodys(name):
    assert NAMES.to_native(name, head="encoder") == ()


def test_old_names():
    assert NAMES.tidy("bert.embeddings.LayerNorm.gamma") == "embeddings.LayerNorm.weight"
    assert NAMES.tidy("embeddings.LayerNorm.beta") == "embeddings.LayerNorm.bias"
    assert NAMES.tidy("bert.embeddings.position_ids") is None
    assert NAMES.tidy("temperature") == "temperature"
