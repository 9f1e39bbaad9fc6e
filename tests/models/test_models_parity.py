"""Every model against `transformers`, in float64 to 1e-9: outputs, collected tensors, gradients."""

from __future__ import annotations

import zlib

import pytest
import torch
import torch.nn.functional as F
from model_oracle import (
    CASE_IDS,
    CASES,
    COLLECT,
    EXACT,
    FAMILIES,
    LANGUAGE_MODEL_IDS,
    LANGUAGE_MODELS,
    assert_same,
    assert_same_gradients,
    make_inputs,
    our_config,
    ours_from,
    run_theirs,
    tensors_of,
    their_model,
)

import limbeck
from limbeck.models._kinds import ENCODER

ASKED = {"output_hidden_states": True, "output_attentions": True}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_outputs(family, kind, attention, tmp_path):
    theirs = their_model(family, kind)
    ours = ours_from(theirs, tmp_path, kind)
    is_explicit = attention == "eager"
    theirs.set_attn_implementation(attention if theirs._supports_sdpa else "eager")
    inputs = make_inputs(family, kind)
    with torch.no_grad():
        expected = run_theirs(theirs, inputs, **(ASKED if is_explicit else {}))
        given = ours(**inputs, collect=COLLECT if is_explicit else frozenset())
    mask = inputs["attention_mask"]
    assert_same(tensors_of(given, mask), tensors_of(expected, mask))


@pytest.mark.parametrize("collect", [frozenset(), COLLECT], ids=["fused", "explicit"])
@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_gradients(family, kind, collect, tmp_path):
    theirs = their_model(family, kind)
    ours = ours_from(theirs, tmp_path, kind)
    theirs.set_attn_implementation("eager")
    inputs = make_inputs(family, kind)
    mask = inputs["attention_mask"]
    expected = tensors_of(run_theirs(theirs, inputs, **ASKED), mask)
    given = tensors_of(ours(**inputs, collect=collect), mask)
    assert_same_gradients(ours, theirs, given, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_confined_to_a_document(family, tmp_path):
    theirs = their_model(family, ENCODER)
    ours = ours_from(theirs, tmp_path, ENCODER)
    ids = make_inputs(family, ENCODER, padded=False)["input_ids"]
    document = torch.tensor([[0] * 5 + [1] * 6, [0] * 11, [0, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3]])
    mask = (document[:, :, None] == document[:, None, :]).long()
    with torch.no_grad():
        if reads_neighbours(ours, ids):
            pytest.skip("the embedding of a token is made of its neighbours' too")
        given = ours(ids, mask).last_hidden_state
        for row, number in ((0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2), (2, 3)):
            is_here = document[row] == number
            inputs = {"input_ids": ids[row, is_here][None], "position_ids": is_here.nonzero().T}
            alone = run_theirs(theirs, inputs).last_hidden_state
            torch.testing.assert_close(given[row, is_here], alone[0], **EXACT)


def reads_neighbours(model, ids):
    """Tells whether another token elsewhere changes what a token starts as."""
    other = ids.clone()
    other[:, 0] = ids[:, 0] - 1
    first, second = (model.encoder.embeddings(given)[:, 1:] for given in (ids, other))
    return not torch.equal(first, second)


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


def find_projections(ours, theirs, word):
    """Yields, for each layer of ours, their module that holds a projection, and how it does."""
    names, head = ours.architecture.names, ours.kind.name
    for name, _ in ours.encoder.named_modules():
        if name.startswith("layers.") and name.endswith(f"attention.{word}"):
            stored_name, stored = names.locate(f"encoder.{name}.weight", head=head)
            yield theirs.get_submodule(stored_name.removesuffix(".weight")), stored


@pytest.mark.parametrize("collected", ["queries", "keys", "values"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_attention_projects(family, collected, tmp_path):
    """As their projections give it, caught on the way and split into heads."""
    theirs = their_model(family, ENCODER)
    ours = ours_from(theirs, tmp_path, ENCODER)
    inputs = make_inputs(family, ENCODER)
    word = {"queries": "query", "keys": "key", "values": "value"}[collected]
    caught = []

    def catch(stored):
        def hook(_module, _given, result):
            if result.shape[:2] == inputs["input_ids"].shape:  # DeBERTa projects distances too
                caught.append(result.tensor_split(stored.num_parts, dim=-1)[stored.part])

        return hook

    for module, stored in find_projections(ours, theirs, word):
        module.register_forward_hook(catch(stored))
    mask = inputs["attention_mask"][..., None]
    with torch.no_grad():
        run_theirs(theirs, inputs)
        given = getattr(ours(**inputs, collect={collected}), collected)
    assert len(given) == len(caught) == ours.config.num_places
    for mine, whole in zip(given, caught, strict=True):
        torch.testing.assert_close(mine.transpose(1, 2).flatten(2) * mask, whole * mask, **EXACT)


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_nothing(family, tmp_path):
    theirs = their_model(family, ENCODER)
    padding = theirs.config.pad_token_id or 0
    with torch.no_grad():
        # As it is in every new model; one that looks at the token beside a token sees it.
        theirs.get_input_embeddings().weight[padding] = 0
        ours = ours_from(theirs, tmp_path, ENCODER)
        ids = torch.randint(2, 50, (2, 6))
        padded = F.pad(ids, (0, 5), value=padding)
        mask = torch.tensor([[1] * 6 + [0] * 5] * 2)
        given = ours(padded, mask).last_hidden_state[:, :6]
        torch.testing.assert_close(given, ours(ids).last_hidden_state, **EXACT)


@pytest.mark.parametrize(("family", "kind"), LANGUAGE_MODELS, ids=LANGUAGE_MODEL_IDS)
def test_head_on_chosen_rows_equals_whole(family, kind, tmp_path):
    ours = ours_from(their_model(family, kind), tmp_path, kind)
    inputs = make_inputs(family, kind)
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
    names = [name for name in our_config(family).to_dict() if "drop" in name]
    return {name: 0.15 + 0.1 * index for index, name in enumerate(names)}


@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_dropout_acts_where_theirs_does(family, kind, tmp_path, monkeypatch):
    theirs = their_model(family, kind, **rates(family))
    ours = ours_from(theirs, tmp_path, kind).train()
    theirs.train().set_attn_implementation("eager")
    inputs = make_inputs(family, kind)
    mask = inputs["attention_mask"]
    monkeypatch.setattr(F, "dropout", seeded_dropout)
    expected = tensors_of(run_theirs(theirs, inputs, **ASKED), mask)
    given = tensors_of(ours(**inputs, collect=COLLECT), mask)
    assert_same(given, expected)
    calm = tensors_of(ours.eval()(**inputs), mask)
    assert (calm["last_hidden_state"] - given["last_hidden_state"]).abs().max() > 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_fused_attention_drops_probabilities_too(family):
    """With a rate this near to 1 no probability survives, whichever way attention is computed."""
    everything = 1 - 1e-7
    off = dict.fromkeys(rates(family), 0.0)
    name = next(n for n in off if n.startswith("att"))
    model = limbeck.AutoModel.from_config(
        our_config(family, initializer_range=0.3, **{**off, name: everything})
    )
    ids = torch.randint(1, 50, (2, 7))
    with torch.no_grad():
        fused = model(ids).last_hidden_state
        explicit = model(ids, collect={"attentions"})
        calm = model.eval()(ids).last_hidden_state
    assert not any(probabilities.any() for probabilities in explicit.attentions)
    torch.testing.assert_close(fused, explicit.last_hidden_state)
    assert (fused - calm).abs().max() > 1e-3
