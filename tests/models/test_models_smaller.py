"""Factorised tables, fewer positions, shared layers: in every family and with every head."""

from __future__ import annotations

import json

import pytest
import torch
from model_oracle import (
    CASE_IDS,
    CASES,
    FAMILIES,
    MAX_TOKENS,
    draw_wide,
    make_inputs,
    num_labels,
    our_class,
    our_config,
    run_theirs,
    tensors_of,
    their_class,
    theirs_from,
)

import limbeck
from limbeck.errors import SettingsError
from limbeck.methods import apply_methods
from limbeck.methods.factorise_embeddings import choose_rank
from limbeck.methods.keep_layers import KeepLayersSettings, apply
from limbeck.models import find_architecture
from limbeck.models._kinds import MASKED_LM, SEQUENCE_CLASSIFICATION

SAME = {"rtol": 0.0, "atol": 1e-12}  # the last bit hangs on where in memory weights lie
CLOSE = {torch.float64: {"rtol": 1e-10, "atol": 1e-10}, torch.float32: {"rtol": 1e-5, "atol": 1e-5}}
STATES = frozenset({"hidden_states"})
SHARING = [case for case in CASES if case[0] != "modernbert"]  # whose layers are not alike


def make_model(family, kind, dtype=torch.float64, **changes):
    config = our_config(family, num_labels=num_labels(kind), **changes)
    model = our_class(family, kind)(config)
    draw_wide(model)
    return model.to(dtype).eval()


def make_of_low_rank(family, kind, dtype=torch.float64):
    """A model whose table is of the highest rank that its factors are worth, and that rank."""
    model = make_model(family, kind)
    table = model.encoder.embeddings.word.weight
    rows, width = table.shape
    rank = next(r for r in range(width, 0, -1) if r * (rows + width) < rows * width)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        left = torch.randn(rows, rank, generator=generator, dtype=torch.float64)
        table.copy_(left @ torch.randn(rank, width, generator=generator, dtype=torch.float64) / 10)
    return model.to(dtype), rank


def run(model, inputs):
    with torch.no_grad():
        return tensors_of(model(**inputs, collect=STATES))


def assert_close(given, expected, **tolerance):
    assert given.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(
            given[name], tensor, msg=lambda m, n=name: f"{n}: {m}", **tolerance
        )


def assert_is_read_as_it_was_saved(model, family, kind, folder):
    model.save_pretrained(folder)
    again = our_class(family, kind).from_pretrained(folder, dtype=model.dtype)
    assert again.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_factors_of_full_rank_are_the_table(family, kind, tmp_path):
    dtype = torch.float32 if kind == SEQUENCE_CLASSIFICATION else torch.float64
    model, rank = make_of_low_rank(family, kind, dtype)
    factorised = apply_methods(model, [{"method": "factorise_embeddings", "rank": rank}])
    rows, width = model.encoder.embeddings.word.weight.shape
    went = rows * width - rank * (rows + width)
    assert went > 0
    assert model.num_parameters - factorised.num_parameters == went
    inputs = make_inputs(family, kind)
    assert_close(run(factorised, inputs), run(model, inputs), **CLOSE[dtype])
    assert_is_read_as_it_was_saved(factorised, family, kind, tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_refuses_a_table_of_another_shape(family, tmp_path):
    kind = SEQUENCE_CLASSIFICATION
    model = make_model(family, kind, torch.float32)
    apply_methods(model, [{"method": "factorise_embeddings", "rank": 4}]).save_pretrained(tmp_path)
    if family == "deberta_v2":  # see below
        return
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        their_class(family, kind).from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "kind",
    [kind for family, kind in CASES if family == "deberta_v2" and kind != MASKED_LM],
    ids=lambda kind: kind.name,
)
def test_transformers_has_debertas_factors(kind, tmp_path):
    """It calls them so too, where tokens have no positions and no types to be projected."""
    model = make_model("deberta_v2", kind)
    factorised = apply_methods(model, [{"method": "factorise_embeddings", "rank": 4}])
    factorised.save_pretrained(tmp_path)
    theirs = theirs_from(tmp_path, "deberta_v2", kind)
    inputs = make_inputs("deberta_v2", kind, padded=False)
    with torch.no_grad():
        expected = tensors_of(run_theirs(theirs, inputs))
        given = tensors_of(factorised(**inputs))
    for name, tensor in expected.items():
        torch.testing.assert_close(given[name], tensor, rtol=0.0, atol=1e-9)


def test_a_configuration_says_so_only_where_it_is_so(tmp_path):
    model = make_model("bert", MASKED_LM)
    for steps, added in (
        ([], {}),
        ([{"method": "factorise_embeddings", "rank": 5}], {"embedding_rank": 5}),
        ([{"method": "share_layers", "groups": 2}], {"num_hidden_groups": 2}),
    ):
        folder = tmp_path / str(len(added))
        apply_methods(model, steps).save_pretrained(folder)
        values = json.loads((folder / "config.json").read_text())
        names = {"embedding_rank", "num_hidden_groups"}
        assert {name: values[name] for name in names & values.keys()} == added


@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_texts_that_fit_are_read_as_before(family, kind, tmp_path):
    model = make_model(family, kind)
    steps = [{"method": "trim_positions", "max_tokens": 14}]
    table = model.encoder.embeddings.position
    if table is None:
        named = model.config.model_type
        with pytest.raises(SettingsError, match=rf"max_tokens = 14: {named} has no table of pos"):
            apply_methods(model, steps)
        return
    trimmed = apply_methods(model, steps)
    assert trimmed.config.max_tokens == 14
    went = (MAX_TOKENS - 14) * table.embedding_dim
    assert model.num_parameters - trimmed.num_parameters == went
    inputs = make_inputs(family, kind)  # whose positions end at 13
    assert_close(run(trimmed, inputs), run(model, inputs), **SAME)
    assert_is_read_as_it_was_saved(trimmed, family, kind, tmp_path)
    theirs_from(tmp_path, family, kind)


def test_debertas_distances_stay_where_positions_go():
    """Without a number of its own, the table of distances is as long as that of positions."""
    changes = {
        "position_biased_input": True,
        "max_relative_positions": -1,
        "position_buckets": -1,
    }
    model = make_model("deberta_v2", MASKED_LM, **changes)
    trimmed = apply_methods(model, [{"method": "trim_positions", "max_tokens": 14}])
    inputs = make_inputs("deberta_v2", MASKED_LM)
    assert_close(run(trimmed, inputs), run(model, inputs), **SAME)


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (16, r"max_tokens = 16: the model takes 16 tokens; accepted: 8 to 15"),
        (512, r"max_tokens = 512: the model takes 16 tokens; accepted: 8 to 15"),
        (None, r"trim_positions keeps the positions of .*give max_tokens = LENGTH"),
        (7, r"max_tokens = 7 is not accepted.*>= 8"),
    ],
)
def test_positions_that_can_not_be_trimmed(length, message):
    model = make_model("roberta", MASKED_LM)
    with pytest.raises(SettingsError, match=message):
        apply_methods(model, [{"method": "trim_positions", "max_tokens": length}])


@pytest.mark.parametrize(
    ("family", "kind"), SHARING, ids=[f"{family}-{kind.name}" for family, kind in SHARING]
)
def test_layers_that_are_alike_may_be_one(family, kind, tmp_path):
    """Of a model whose layers have the same weights, sharing changes nothing."""
    depths = {"num_hidden_layers": 4}
    if family == "albert":
        depths["num_hidden_groups"] = 4
    model = make_model(family, kind, **depths)
    layers = model.encoder.layers
    for layer in layers:
        layer.load_state_dict(layers[0].state_dict())
    shared = apply_methods(model, [{"method": "share_layers", "groups": 2}])
    of_a_layer = sum(parameter.numel() for parameter in layers[0].parameters())
    assert model.num_parameters - shared.num_parameters == 2 * of_a_layer
    assert shared.encoder.order == (0, 0, 1, 1)
    inputs = make_inputs(family, kind)
    assert_close(run(shared, inputs), run(model, inputs), rtol=1e-10, atol=1e-10)
    assert_is_read_as_it_was_saved(shared, family, kind, tmp_path)


def test_what_a_group_starts_as():
    model = make_model("bert", MASKED_LM, num_hidden_layers=5)
    up = [layer.feed_forward.up.weight for layer in model.encoder.layers]
    order = our_config("bert", num_hidden_layers=5, num_hidden_groups=2).order
    assert order == (0, 0, 0, 1, 1)  # as ALBERT's groups: 5 / 2 runs each, rounded
    for take, expected in {
        "mean": [(up[0] + up[1] + up[2]) / 3, (up[3] + up[4]) / 2],
        "first": [up[0], up[3]],
        "last": [up[2], up[4]],
        (1, 4): [up[1], up[4]],
    }.items():
        shared = apply_methods(model, [{"method": "share_layers", "groups": 2, "take": take}])
        given = [layer.feed_forward.up.weight for layer in shared.encoder.layers]
        for mine, wanted in zip(given, expected, strict=True):
            torch.testing.assert_close(mine, wanted, rtol=0.0, atol=1e-12)


def test_layers_of_a_model_that_shares_them_are_kept_as_alberts_are():
    model = make_model("bert", MASKED_LM, num_hidden_layers=4)
    shared = apply_methods(model, [{"method": "share_layers", "groups": 2}])
    kept = apply(shared, KeepLayersSettings(layers=(0, 3)))
    assert (kept.config.num_hidden_groups, kept.encoder.order) == (2, (0, 1))
    alone = apply(shared, KeepLayersSettings(layers=(0, 1)))
    assert (alone.config.num_hidden_groups, alone.encoder.order) == (1, (0, 0))
    with pytest.raises(
        SettingsError, match=r"layers = \[0, 2, 3\] are runs of the groups \[0, 1, 1"
    ):
        apply(shared, KeepLayersSettings(layers=(0, 2, 3)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"groups": 3}, r"groups = 3: 3 layers have weights of their own; accepted: 1 to 2"),
        ({"groups": 0}, r"groups = 0 is not accepted.*>= 1"),
        ({"take": "middle"}, r"take = 'middle' is not accepted"),
        (
            {"groups": 2, "take": [0]},
            r"take = \[0\] with groups = 2; accepted: mean, first, last, or 2 of the layers 0 to 2",
        ),
        ({"groups": 2, "take": [0, 3]}, r"take = \[0, 3\] with groups = 2; .*0 to 2, one for each"),
    ],
)
def test_layers_that_can_not_be_shared(values, message):
    model = make_model("bert", MASKED_LM)
    with pytest.raises(SettingsError, match=message):
        apply_methods(model, [{"method": "share_layers", **values}])


def test_layers_that_are_not_alike():
    model = make_model("modernbert", MASKED_LM)
    with pytest.raises(SettingsError, match=r"share_layers: .*groups is 1; .*modernbert are not a"):
        apply_methods(model, [{"method": "share_layers"}])
    alone = make_model("bert", MASKED_LM, num_hidden_layers=1)
    with pytest.raises(SettingsError, match=r"groups = 1: 1 layers have .* several have"):
        apply_methods(alone, [{"method": "share_layers"}])


@pytest.mark.parametrize(
    ("rank", "message"),
    [
        (0, r"rank = 0 is not accepted.*> 0"),
        (-2, r"rank = -2 is not accepted.*> 0"),
        (1.5, r"rank = 1\.5: no number of columns; give a whole number, or a share"),
        (17, r"rank = 17: factors of 50 x 17 and 17 x 24 have no fewer .*accepted: 1 to 16, or a"),
        (30, r"rank = 30: factors of 50 x 30 and 30 x 24 have no fewer numbers than .* 50 x 24"),
        (0.9, r"rank = 0\.9: factors of 50 x 22 and .*or a share of 24 up to 0\.666"),
    ],
)
def test_ranks_that_save_nothing(rank, message):
    model = make_model("bert", MASKED_LM)
    with pytest.raises(SettingsError, match=message):
        apply_methods(model, [{"method": "factorise_embeddings", "rank": rank}])


def test_a_table_is_factorised_once():
    step = {"method": "factorise_embeddings", "rank": 5}
    with pytest.raises(
        SettingsError, match=r"rank = 5: .*already, with a rank of 5; accepted: the"
    ):
        apply_methods(make_model("bert", MASKED_LM), [step, step])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_with_all_of_it(family, tmp_path):
    """Methods follow each other, and a vocabulary is trimmed of a factorised table too."""
    from limbeck.methods.trim_vocabulary import keep_rows

    kind = find_architecture(family).language_model
    model = make_model(family, kind)
    steps = [{"method": "factorise_embeddings", "rank": 4}]
    if family != "modernbert":
        steps.append({"method": "keep_layers", "layers": 2})
    if model.encoder.embeddings.position is not None:
        steps.append({"method": "trim_positions", "max_tokens": 14})
    small = apply_methods(model, steps).double().eval()
    assert small.config.embedding_rank == 4
    trimmed = keep_rows(small, range(40))
    inputs = make_inputs(family, kind)
    inputs["input_ids"] = inputs["input_ids"] % 40
    given, expected = run(trimmed, inputs), run(small, inputs)
    expected["logits"] = expected["logits"][..., :40]
    assert_close(given, expected, rtol=1e-10, atol=1e-10)
    assert_is_read_as_it_was_saved(trimmed, family, kind, tmp_path)


def test_a_factorised_model_learns_through_both_factors():
    model = make_model("bert", MASKED_LM, torch.float32)
    small = apply_methods(model, [{"method": "factorise_embeddings", "rank": 5}]).train()
    inputs = make_inputs("bert", MASKED_LM)
    labels = inputs["input_ids"].clone()
    small(**inputs, labels=labels).loss.backward()
    word = small.encoder.embeddings.word
    assert word.weight.grad.abs().sum() > 0
    assert word.projection.weight.grad.abs().sum() > 0
    depths = small.parameter_depths()
    assert depths["encoder.embeddings.word.projection.weight"] == 0


def test_a_student_of_another_family_has_the_same_factors():
    model = make_model("bert", MASKED_LM, torch.float32)
    small = apply_methods(model, [{"method": "factorise_embeddings", "rank": 5}])
    student = apply(small, KeepLayersSettings(layers=2, model_type="distilbert"))
    assert isinstance(student, limbeck.DistilBertForMaskedLM)
    for name in ("word.weight", "word.projection.weight"):
        mine, whole = (m.encoder.embeddings.get_parameter(name) for m in (student, small))
        assert torch.equal(mine, whole)


def test_new_factors_are_drawn():
    torch.manual_seed(0)
    config = our_config("bert", vocab_size=2000, embedding_rank=8, initializer_range=0.05)
    word = limbeck.BertModel(config).encoder.embeddings.word
    assert word.weight.std().item() == pytest.approx(0.05, rel=0.05)
    assert word.projection.weight.std().item() == pytest.approx(0.05, rel=0.3)
    assert not word.weight[config.pad_token_id].any()


def test_the_largest_rank_is_the_last_that_saves_something():
    for rows, width in ((50, 24), (30_522, 384), (7, 7)):
        fitting = [r for r in range(1, width + 1) if r * (rows + width) < rows * width]
        assert choose_rank(fitting[-1], num_rows=rows, width=width) == fitting[-1]
        with pytest.raises(SettingsError, match=rf"accepted: 1 to {fitting[-1]}, or"):
            choose_rank(fitting[-1] + 1, num_rows=rows, width=width)


@pytest.mark.parametrize(("rows", "width"), [(30_522, 384), (50_368, 768), (50, 24), (3, 8)])
def test_a_share_that_a_message_names_is_accepted(rows, width):
    with pytest.raises(SettingsError, match=r"have no fewer numbers") as refused:
        choose_rank(width, num_rows=rows, width=width)
    share = float(str(refused.value).rpartition(" up to ")[2])
    assert 0 < choose_rank(share, num_rows=rows, width=width) < width
