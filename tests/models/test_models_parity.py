"""Every model against `transformers`, in float64 to 1e-9: outputs, collected tensors, gradients."""

from __future__ import annotations

import zlib

import pytest
import torch
import torch.nn.functional as F
from model_oracle import (
    CASE_IDS,
    CASES,
    FAMILIES,
    make_inputs,
    our_config,
    ours_from,
    tensors_of,
    their_inputs,
    their_model,
)

import limbeck
from limbeck.models._kinds import ENCODER, MASKED_LM

COLLECT = frozenset({"hidden_states", "attentions"})
EXACT = {"rtol": 0.0, "atol": 1e-9}


def run_theirs(theirs, inputs):
    inputs = their_inputs(theirs.config.model_type, inputs)
    output = theirs(**inputs, output_hidden_states=True, output_attentions=True)
    return tensors_of(output)


def run_ours(ours, inputs, collect=COLLECT):
    inputs = dict(inputs)
    if ours.kind.has_choices and inputs["position_ids"].dim() == 2:
        shape = inputs["input_ids"].shape
        inputs["position_ids"] = inputs["position_ids"].expand(shape)
    return tensors_of(ours(**inputs, collect=collect))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_outputs(family, kind, attention, tmp_path):
    theirs = their_model(family, kind)
    ours = ours_from(theirs, tmp_path, kind)
    theirs.set_attn_implementation(attention)
    inputs = make_inputs(family, kind)
    with torch.no_grad():
        if attention == "eager":
            expected, given = run_theirs(theirs, inputs), run_ours(ours, inputs)
        else:
            expected = tensors_of(theirs(**their_inputs(family, inputs)))
            given = run_ours(ours, inputs, collect=frozenset())
    shared = given.keys() & expected.keys()
    assert shared >= expected.keys()
    assert given.keys() - shared <= {"last_hidden_state", "pooler_output"}
    for name in shared:
        torch.testing.assert_close(
            given[name], expected[name], msg=lambda m, n=name: f"{n}: {m}", **EXACT
        )


@pytest.mark.parametrize("collect", [frozenset(), COLLECT], ids=["fused", "explicit"])
@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_gradients(family, kind, collect, tmp_path):
    theirs = their_model(family, kind)
    ours = ours_from(theirs, tmp_path, kind)
    theirs.set_attn_implementation("eager")
    inputs = make_inputs(family, kind)
    expected, given = run_theirs(theirs, inputs), run_ours(ours, inputs, collect)
    for outputs in (expected, given):
        total = torch.zeros((), dtype=torch.float64)
        for name in sorted(expected.keys() & given.keys()):
            weights = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            drawn = torch.randn(outputs[name].shape, generator=weights, dtype=torch.float64)
            total = total + (drawn * outputs[name]).sum()
        total.backward()
    table, wanted = ours.architecture.names, dict(theirs.named_parameters())
    seen = set()
    for name, parameter in ours.named_parameters():
        theirs_name = table.to_hf(name, head=kind.name)
        seen.add(theirs_name)
        if parameter.grad is None:  # the bare pooler when nothing reads it
            assert wanted[theirs_name].grad is None
            continue
        torch.testing.assert_close(
            parameter.grad, wanted[theirs_name].grad, msg=lambda m, n=name: f"{n}: {m}", **EXACT
        )
    assert {n for n, p in wanted.items() if p.grad is not None} <= seen | table.tied.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_confined_to_a_document(family, tmp_path):
    theirs = their_model(family, ENCODER)
    ours = ours_from(theirs, tmp_path, ENCODER)
    ids = make_inputs(family, ENCODER, padded=False)["input_ids"]
    document = torch.tensor([[0] * 5 + [1] * 6, [0] * 11, [0, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3]])
    mask = (document[:, :, None] == document[:, None, :]).long()
    with torch.no_grad():
        given = ours(ids, mask).last_hidden_state
        for row, number in ((0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2), (2, 3)):
            is_here = document[row] == number
            inputs = {"input_ids": ids[row, is_here][None], "position_ids": is_here.nonzero().T}
            alone = theirs(**their_inputs(family, inputs)).last_hidden_state
            torch.testing.assert_close(given[row, is_here], alone[0], **EXACT)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("collect", [frozenset(), COLLECT], ids=["fused", "explicit"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_row_that_sees_nothing_stays_finite(family, collect, dtype):
    model = limbeck.AutoModel.from_config(our_config(family)).eval().to(dtype)
    mask = torch.zeros(2, 4, 4, dtype=torch.long)
    with torch.no_grad():
        assert (
            model(torch.ones(2, 4, dtype=torch.long), mask, collect=collect)
            .last_hidden_state.isfinite()
            .all()
        )


@pytest.mark.parametrize("collected", ["queries", "keys", "values"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_attention_projects(family, collected, tmp_path):
    """As their projections give it, caught on the way and split into heads."""
    theirs = their_model(family, MASKED_LM)
    ours = ours_from(theirs, tmp_path, MASKED_LM)
    inputs = make_inputs(family, MASKED_LM)
    word = {"queries": "query", "keys": "key", "values": "value"}[collected]
    caught = []
    for layer in range(ours.config.num_hidden_layers):
        name = f"encoder.layers.{layer}.attention.{word}.weight"
        stored = ours.architecture.names.to_hf(name, head=MASKED_LM.name)
        theirs.get_submodule(stored.removesuffix(".weight")).register_forward_hook(
            lambda _module, _given, result: caught.append(result)
        )
    with torch.no_grad():
        theirs(**their_inputs(family, inputs))
        given = getattr(ours(**inputs, collect={collected}), collected)
    assert len(given) == len(caught) == ours.config.num_hidden_layers
    for mine, whole in zip(given, caught, strict=True):
        torch.testing.assert_close(mine.transpose(1, 2).flatten(2), whole, **EXACT)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_nothing(family, tmp_path):
    ours = ours_from(their_model(family, MASKED_LM), tmp_path, MASKED_LM)
    ids = torch.randint(1, 50, (2, 6))
    padded = F.pad(ids, (0, 5))
    with torch.no_grad():
        given = ours(padded, (padded > 0).long()).logits[:, :6]
        torch.testing.assert_close(given, ours(ids).logits, **EXACT)


@pytest.mark.parametrize("family", FAMILIES)
def test_head_on_chosen_rows_equals_whole(family, tmp_path):
    ours = ours_from(their_model(family, MASKED_LM), tmp_path, MASKED_LM)
    inputs = make_inputs(family, MASKED_LM)
    rows = torch.tensor([[True] + [False] * 9 + [True]] * 3)
    with torch.no_grad():
        hidden = ours.encode(**inputs).last_hidden_state
        torch.testing.assert_close(ours.score(hidden[rows]), ours(**inputs).logits[rows], **EXACT)


def seeded_dropout(given, p=0.5, training=True, inplace=False):
    """Dropout whose mask depends on shape and rate alone, so that two models draw the same."""
    if not training or p == 0:
        return given
    seed = zlib.crc32(f"{tuple(given.shape)} {p}".encode())
    kept = torch.rand(given.shape, generator=torch.Generator().manual_seed(seed)) >= p
    return given * kept / (1 - p)


def rates(family):
    """A rate of its own for every dropout, so that a wrong rate, place or scale changes numbers."""
    names = [name for name in our_config(family).to_dict() if "dropout" in name]
    return {name: 0.15 + 0.1 * index for index, name in enumerate(names)}


@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_dropout_acts_where_theirs_does(family, kind, tmp_path, monkeypatch):
    theirs = their_model(family, kind, **rates(family))
    ours = ours_from(theirs, tmp_path, kind).train()
    theirs.train().set_attn_implementation("eager")
    inputs = make_inputs(family, kind)
    monkeypatch.setattr(F, "dropout", seeded_dropout)
    expected, given = run_theirs(theirs, inputs), run_ours(ours, inputs)
    for name in given.keys() & expected.keys():
        torch.testing.assert_close(
            given[name], expected[name], msg=lambda m, n=name: f"{n}: {m}", **EXACT
        )
    calm = run_ours(ours.eval(), inputs)
    assert (calm["last_hidden_state"] - given["last_hidden_state"]).abs().max() > 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_fused_attention_drops_probabilities_too(family):
    """With a rate this near to 1 no probability survives, whichever way attention is computed."""
    everything = 1 - 1e-7
    off = dict.fromkeys(rates(family), 0.0)
    name = next(n for n in off if n.startswith("attention"))
    model = limbeck.AutoModel.from_config(our_config(family, **{**off, name: everything}))
    ids = torch.randint(1, 50, (2, 7))
    with torch.no_grad():
        fused = model(ids).last_hidden_state
        explicit = model(ids, collect={"attentions"})
        calm = model.eval()(ids).last_hidden_state
    assert not any(probabilities.any() for probabilities in explicit.attentions)
    torch.testing.assert_close(fused, explicit.last_hidden_state)
    assert (fused - calm).abs().max() > 1e-3


def test_every_architecture_is_compared():
    assert {"bert", "distilbert"} <= set(FAMILIES)
    assert {family for family, _ in CASES} == set(FAMILIES)
