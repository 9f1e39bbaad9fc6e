"""Layers that differ in heads and inner neurons: the model, its configuration and its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_oracle import (
    FAMILIES,
    SIZES,
    draw_wide,
    make_inputs,
    our_class,
    our_config,
    tensors_of,
    their_class,
    theirs_from,
)

from limbeck import AutoConfig, CheckpointError, SettingsError
from limbeck.errors import with_article
from limbeck.methods.keep_layers import KeepLayersSettings
from limbeck.methods.keep_layers import apply as keep_layers
from limbeck.methods.prune_units import keep_units
from limbeck.models import LayerShape, Model, find_architecture
from limbeck.models._kinds import MASKED_LM, SEQUENCE_CLASSIFICATION
from limbeck.nn import GatedFeedForward
from limbeck.recipes._replaced_tokens import narrow_config

CUT = [name for name in FAMILIES if find_architecture(name).config_type.why_alike is None]
WHOLE = [name for name in FAMILIES if name not in CUT]
DEPTH, HEADS, NEURONS = (
    SIZES[name] for name in ("num_hidden_layers", "num_attention_heads", "intermediate_size")
)
KEPT_HEADS = [[1, 3], [0, 1, 2, 3], [2]]
KEPT_NEURONS = [list(range(0, 40, 2)), [7], list(range(40))]
SHAPES = [
    LayerShape(heads=tuple(heads), neurons=len(neurons))
    for heads, neurons in zip(KEPT_HEADS, KEPT_NEURONS, strict=True)
]
# Where distances have projections of their own.
MORE = [("deberta_v2", {"share_att_key": False})]
CASES = [*((family, {}) for family in CUT), *MORE]
CASE_IDS = [family + "".join(f"-{name}" for name in changes) for family, changes in CASES]


def make_model(family: str, *, std: float = 0.3, **changes: object) -> Model:
    model = our_class(family, SEQUENCE_CLASSIFICATION)(our_config(family, num_labels=5, **changes))
    draw_wide(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(std / 0.3)
    return model.eval()


def prune(model: Model) -> Model:
    return keep_units(model, heads=KEPT_HEADS, neurons=KEPT_NEURONS)


@contextlib.contextmanager
def masked(model: Model, heads: list[list[int]], neurons: list[list[int]]) -> Iterator[None]:
    """Multiplies what other heads and neurons give by zero, right before it is written."""
    hooks = []

    def keep_only(module: torch.nn.Linear, places: list[int]) -> None:
        mask = torch.zeros(module.in_features)
        mask[places] = 1
        hooks.append(
            module.register_forward_pre_hook(lambda _, args: (args[0] * mask.to(args[0].dtype),))
        )

    for place in range(DEPTH):
        layer = model.encoder.layer_at(place)
        size = layer.attention.head_size
        columns = [size * head + i for head in heads[place] for i in range(size)]
        keep_only(layer.attention.output, columns)
        keep_only(layer.feed_forward.down, neurons[place])
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def outputs_of(model: Model, family: str, **arguments: object) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return tensors_of(model(**make_inputs(family, SEQUENCE_CLASSIFICATION), **arguments))


@pytest.mark.parametrize(("family", "changes"), CASES, ids=CASE_IDS)
@pytest.mark.parametrize(
    ("dtype", "std", "atol"), [(torch.float64, 0.3, 1e-10), (torch.float32, 0.1, 1e-6)]
)
def test_the_pruned_model_is_the_masked_one(family, changes, dtype, std, atol):
    model = make_model(family, std=std, **changes).to(dtype)
    pruned = prune(model)
    asked = {"output_hidden_states": True}
    given = outputs_of(pruned, family, **asked)
    with masked(model, KEPT_HEADS, KEPT_NEURONS):
        expected = outputs_of(model, family, **asked)
    assert given.keys() == expected.keys()
    for name, tensor in given.items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=atol)
    whole = outputs_of(model, family)["logits"]
    assert (whole - expected["logits"]).abs().max() > 1e-3


@pytest.mark.parametrize(("family", "changes"), CASES, ids=CASE_IDS)
def test_whole_blocks_may_go(family, changes, tmp_path):
    """What they added to every token, the bias, stays; the folder holds the same model."""
    heads, neurons = [[1, 3], [], []], [[], [7], []]
    model = make_model(family, **changes).double()
    with pytest.raises(
        SettingsError, match=r"heads leaves layer 1 none; accepted: at least one of "
    ):
        keep_units(model, heads=heads, neurons=neurons)
    pruned = keep_units(model, heads=heads, neurons=neurons, drop_blocks=True)
    with masked(model, heads, neurons):
        expected = outputs_of(model, family)["logits"]
    torch.testing.assert_close(outputs_of(pruned, family)["logits"], expected, rtol=0, atol=1e-10)
    shapes = pruned.config.layer_shapes
    assert [(shape.heads, shape.neurons) for shape in shapes] == [((1, 3), 0), ((), 1), ((), 0)]
    pruned.save_pretrained(tmp_path)
    again = type(pruned).from_pretrained(tmp_path).double()
    torch.testing.assert_close(outputs_of(again, family)["logits"], expected, rtol=0, atol=1e-4)
    names = ("queries", "attention_scores")
    with torch.no_grad():
        output = pruned(**make_inputs(family, SEQUENCE_CLASSIFICATION), collect=frozenset(names))
    assert [[one.shape[1] for one in output[name]] for name in names] == [[2, 0, 0]] * 2


def test_no_neurons_in_any_layer_stay_shapes():
    pruned = keep_units(make_model("bert"), neurons=[[]] * DEPTH, drop_blocks=True)
    assert [shape.neurons for shape in pruned.config.layer_shapes] == [0] * DEPTH


@given(data=st.data())
@settings(max_examples=25)
def test_any_heads_and_neurons(data):
    family = data.draw(st.sampled_from(CUT))

    def draw(size: int) -> list[list[int]]:
        some = st.lists(st.integers(0, size - 1), min_size=1, max_size=size, unique=True)
        return [data.draw(some) for _ in range(DEPTH)]

    heads, neurons = draw(HEADS), draw(NEURONS)
    model = make_model(family).double()
    given_ = outputs_of(keep_units(model, heads=heads, neurons=neurons), family)["logits"]
    with masked(model, heads, neurons):
        expected = outputs_of(model, family)["logits"]
    torch.testing.assert_close(given_, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("family", "changes"), CASES, ids=CASE_IDS)
def test_it_is_smaller_by_what_went(family, changes):
    model = make_model(family, **changes)
    layer = model.encoder.layer_at(0)
    size, width = layer.attention.head_size, SIZES["hidden_size"]
    reads = width if layer.feed_forward.up.bias is None else width + 1
    ways = 2 if isinstance(layer.feed_forward, GatedFeedForward) else 1
    neuron = ways * reads + width
    row = width if layer.attention.query.bias is None else width + 1
    of_distances = 2 if changes else 0
    head = size * ((3 + of_distances) * row + width)
    heads = sum(HEADS - len(kept) for kept in KEPT_HEADS)
    neurons = sum(NEURONS - len(kept) for kept in KEPT_NEURONS)
    gone = heads * head + neurons * neuron
    pruned = prune(model)
    assert model.num_parameters - pruned.num_parameters == gone
    built = type(model)(pruned.config)
    shapes = {name: tensor.shape for name, tensor in pruned.state_dict().items()}
    assert {name: tensor.shape for name, tensor in built.state_dict().items()} == shapes


@pytest.mark.parametrize("family", CUT)
def test_a_folder_has_the_same_model(family, tmp_path):
    pruned = prune(make_model(family))
    assert list(pruned.config.layer_shapes) == SHAPES
    pruned.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path) == pruned.config
    again = type(pruned).from_pretrained(tmp_path)
    for name, tensor in pruned.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    expected = outputs_of(pruned, family)
    for name, tensor in outputs_of(again, family).items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("family", CUT)
def test_transformers_refuses_layers_that_differ(family, tmp_path):
    """By an error, and not with weights drawn anew; the folder says why."""
    prune(make_model(family)).save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="size"):
        their_class(family, SEQUENCE_CLASSIFICATION).from_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "It has layers without some of their heads or inner neurons, which" in card


def test_a_card_that_is_there_stays(tmp_path):
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    prune(make_model("bert")).save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("family", CUT)
def test_transformers_loads_layers_that_are_alike(family, tmp_path):
    """Fewer neurons in all layers, and all heads, are a smaller `intermediate_size`."""
    neurons = [list(range(place, 40, 2)) for place in (0, 1, 0)]
    pruned = keep_units(make_model(family).double(), neurons=neurons)
    assert pruned.config.layer_shapes is None
    assert pruned.config.intermediate_size == 20
    assert pruned.config == our_config(family, num_labels=5, intermediate_size=20)
    pruned.save_pretrained(tmp_path)
    assert not (tmp_path / "README.md").exists()
    theirs = theirs_from(tmp_path, family, SEQUENCE_CLASSIFICATION)
    inputs = make_inputs(family, SEQUENCE_CLASSIFICATION, padded=False)
    inputs.pop("position_ids")
    if not pruned.has_token_types:
        inputs.pop("token_type_ids", None)
    with torch.no_grad():
        expected = theirs(**inputs).logits
        given_ = pruned(**inputs).logits
    torch.testing.assert_close(given_, expected.to(given_.dtype), rtol=0, atol=1e-5)


def test_all_units_are_the_model_again():
    model = make_model("gpt2")
    kept = keep_units(model)
    assert kept is not model
    assert kept.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(kept.state_dict()[name], tensor)


def test_it_is_pruned_again_by_what_is_left():
    """Heads are counted among those that are left; their numbers are those of the whole model."""
    model = make_model("mpnet").double()
    twice = keep_units(prune(model), heads=[[1], [0, 2], [0]], neurons=[[0, 1], [0], [39]])
    once = keep_units(model, heads=[[3], [0, 2], [2]], neurons=[[0, 2], [7], [39]])
    assert twice.config == once.config
    assert [shape.heads for shape in twice.config.layer_shapes] == [(3,), (0, 2), (2,)]
    for name, tensor in once.state_dict().items():
        assert torch.equal(twice.state_dict()[name], tensor), name


@pytest.mark.parametrize("family", CUT)
def test_layers_that_are_kept_have_their_shapes(family):
    pruned = prune(make_model(family))
    student = keep_layers(pruned, KeepLayersSettings(layers=(0, 2))).eval()
    assert list(student.config.layer_shapes) == [SHAPES[0], SHAPES[2]]
    for place, layer in enumerate((0, 2)):
        kept = student.encoder.layer_at(place).state_dict()
        for name, tensor in pruned.encoder.layer_at(layer).state_dict().items():
            assert torch.equal(kept[name], tensor), name


def test_layers_of_another_family_have_their_shapes():
    pruned = prune(our_class("bert", MASKED_LM)(our_config("bert")))
    student = keep_layers(pruned, KeepLayersSettings(layers=(2,), model_type="distilbert"))
    assert student.config.layer_shapes == (SHAPES[2],)
    alike = keep_layers(pruned, KeepLayersSettings(layers=(1,), model_type="distilbert"))
    assert (alike.config.layer_shapes, alike.config.hidden_dim) == (None, 1)
    with pytest.raises(SettingsError, match=r"accepted for albert: null, since a layer of a group"):
        keep_layers(pruned, KeepLayersSettings(layers=(0,), model_type="albert"))


def test_a_generator_beside_it_has_all_heads():
    config = prune(make_model("electra")).config
    narrow = narrow_config(config, ratio=0.5)
    assert (narrow.layer_shapes, narrow.num_attention_heads) == (None, 2)
    assert narrow.intermediate_size == 20


@pytest.mark.parametrize("family", CUT)
def test_queries_and_attention_of_the_heads_that_are_left(family):
    pruned = prune(make_model(family))
    inputs = make_inputs(family, MASKED_LM)
    names = ("queries", "values", "attention_scores", "attentions")
    with torch.no_grad():
        output = pruned(**inputs, collect=frozenset(names))
    for name in names:
        assert [tensor.shape[1] for tensor in output[name]] == [2, 4, 1], name


@pytest.mark.parametrize("family", WHOLE)
def test_families_whose_layers_stay_alike(family):
    model = our_class(family, SEQUENCE_CLASSIFICATION)(our_config(family))
    with pytest.raises(
        SettingsError,
        match=rf"out of {with_article(family)}, since a layer .*; accepted: .* bert, camembert, ",
    ):
        prune(model)
    with pytest.raises(
        SettingsError, match=rf"layer_shapes is given; accepted for {family}: null, since a layer"
    ):
        our_config(family, layer_shapes=SHAPES)


def test_layers_that_share_weights_stay_alike():
    model = our_class("bert", MASKED_LM)(our_config("bert", num_hidden_groups=2))
    with pytest.raises(
        SettingsError, match=r"out of a bert, since its layers share weights in 2 groups; accepted"
    ):
        prune(model)
    with pytest.raises(SettingsError, match=r"accepted for bert: null, since its layers share wei"):
        our_config("bert", layer_shapes=SHAPES, num_hidden_groups=2)


def shapes_with(place: int, **changes: object) -> list[dict[str, object]]:
    """Shapes as a file has them, one of them changed."""
    shapes = [{"heads": list(shape.heads), "neurons": shape.neurons} for shape in SHAPES]
    shapes[place] |= changes
    return shapes


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (shapes_with(0)[:2], r"layer_shapes has 2 layers; accepted: as many as there are, 3"),
        ([], r"layer_shapes has 0 layers; accepted: as many as there are, 3"),
        (shapes_with(1, heads=[0, 4]), r"layer 1 has the heads '?0, 4'?; accepted: some of 0 to 3"),
        (shapes_with(1, heads=[-1]), r"layer 1 has the heads '?-1'?; accepted: some of 0 to 3"),
        (shapes_with(2, heads=[1, 1]), r"layer 2 has the heads '?1, 1'?; accepted: ascending numb"),
        (shapes_with(2, heads=[2, 1]), r"layer 2 has the heads '?2, 1'?; accepted: ascending numb"),
        (shapes_with(0, neurons=-1), r"layer 0 has -1 neurons; accepted: 0 to 40"),
        (shapes_with(0, neurons=41), r"layer 0 has 41 neurons; accepted: 0 to 40"),
        (
            shapes_with(0, neurons=True),
            r"layer_shapes is \[.*; accepted: a list with \{\"heads\": ",
        ),
        (shapes_with(0, heads=[0.5]), r"layer_shapes is \[.*; accepted: a list with \{\"heads\": "),
        (shapes_with(0, heads="all"), r"layer_shapes is \[.*; accepted: a list with \{\"heads\": "),
        (shapes_with(0, width=3), r"layer_shapes is \[.*; accepted: a list with \{\"heads\": "),
        ("half", r"layer_shapes is 'half'; accepted: a list with \{\"heads\": \[NUMBERS\], \"neu"),
        (7, r"layer_shapes is 7; accepted: a list with"),
        ([LayerShape(heads=("a",), neurons=1)] * 3, r"layer_shapes is \[.*; accepted: a list with"),
    ],
)
def test_wrong_shapes(shapes, message):
    with pytest.raises(SettingsError, match=message):
        our_config("bert", layer_shapes=shapes)


def test_a_shape_of_a_file_that_the_weights_do_not_have(tmp_path):
    pruned = prune(make_model("bert"))
    pruned.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    text = path.read_text(encoding="utf-8")
    assert text.count('"neurons": 20') == 1
    path.write_text(text.replace('"neurons": 20', '"neurons": 21'), encoding="utf-8")
    with pytest.raises(
        CheckpointError,
        match=r"encoder\.layer\.0\.intermediate\.dense\.weight' has shape \(20, 24\), but config.j",
    ):
        type(pruned).from_pretrained(tmp_path)


def test_other_depths_need_other_shapes():
    config = our_config("bert", layer_shapes=SHAPES)
    with pytest.raises(SettingsError, match=r"layer_shapes has 3 layers; accepted: .*, 2"):
        config.replace(num_hidden_layers=2)
    assert list(config.keep_layers([2, 0]).layer_shapes) == [SHAPES[2], SHAPES[0]]
    assert config.replace(num_hidden_layers=2, layer_shapes=None).layer_shapes is None
