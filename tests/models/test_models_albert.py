"""ALBERT's groups: who runs where, and what becomes of them where layers are kept."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from model_oracle import assert_parity, draw_wide, our_config

import limbeck
from limbeck.errors import SettingsError
from limbeck.methods.keep_layers import KeepLayersSettings, apply, choose_layers
from limbeck.models._kinds import MASKED_LM


def make_config(**changes):
    return our_config("albert", **{"num_hidden_groups": 1, "inner_group_num": 1, **changes})


@pytest.mark.parametrize(
    ("layers", "groups", "inner"), [(4, 1, 1), (5, 2, 1), (3, 3, 1), (4, 3, 2), (2, 1, 3)]
)
def test_groups_run_where_theirs_do(layers, groups, inner, tmp_path):
    sizes = {"num_hidden_layers": layers, "num_hidden_groups": groups, "inner_group_num": inner}
    assert_parity("albert", MASKED_LM, tmp_path, **sizes)


@given(layers=st.integers(1, 48), data=st.data())
def test_every_group_runs(layers, data):
    groups = data.draw(st.integers(1, layers))
    order = make_config(num_hidden_layers=layers, num_hidden_groups=groups).order
    assert len(order) == layers
    assert sorted(set(order)) == list(range(groups))
    assert list(order) == sorted(order)


def test_more_groups_than_runs_are_refused():
    with pytest.raises(
        SettingsError, match=r"num_hidden_groups is 4; accepted: at most num_hidden_layers 3"
    ):
        make_config(num_hidden_groups=4)


@given(runs=st.integers(1, 6), groups=st.integers(1, 6), data=st.data())
def test_evenly_spaced_layers_keep_their_groups(runs, groups, data):
    """Of models whose groups run equally often, such as all that were published."""
    config = make_config(num_hidden_layers=runs * groups, num_hidden_groups=groups)
    depth = data.draw(st.integers(1, runs * groups))
    layers = choose_layers(depth, num_teacher_layers=runs * groups)
    student = config.keep_layers(layers)
    kept = [config.order[layer] for layer in layers]
    assert student.num_hidden_layers == depth
    assert [sorted(set(kept))[group] for group in student.order] == kept


def make_teacher(**changes):
    teacher = limbeck.AlbertForMaskedLM(make_config(**changes))
    draw_wide(teacher)
    return teacher.double().eval()


def test_a_student_runs_fewer_times_through_the_same_layer():
    teacher = make_teacher(num_hidden_layers=4, inner_group_num=2)
    student = apply(teacher, KeepLayersSettings(layers=2)).double().eval()
    assert student.num_parameters == teacher.num_parameters
    ids = torch.randint(2, 50, (2, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        states = teacher(ids, output_hidden_states=True).hidden_states
        kept = student(ids, output_hidden_states=True).hidden_states
    assert (len(states), len(kept)) == (1 + 8, 1 + 4)
    for mine, whole in zip(kept, states, strict=False):
        torch.testing.assert_close(mine, whole, rtol=0.0, atol=1e-4)  # float32 in between


def test_a_group_of_which_nothing_is_kept_goes():
    teacher = make_teacher(num_hidden_layers=6, num_hidden_groups=3)
    student = apply(teacher, KeepLayersSettings(layers=(0, 1, 4, 5)))
    assert (student.config.num_hidden_groups, student.config.order) == (2, (0, 0, 1, 1))
    for place, group in enumerate((0, 0, 2, 2)):
        kept = student.encoder.layer_at(place).state_dict()
        for name, tensor in teacher.encoder.layers[group].state_dict().items():
            torch.testing.assert_close(kept[name].double(), tensor, rtol=0.0, atol=1e-6)


def test_layers_that_are_shared_in_another_way_are_refused():
    teacher = make_teacher(num_hidden_layers=6, num_hidden_groups=2)
    with pytest.raises(
        SettingsError,
        match=r"layers = \[0, 3, 4, 5\] are runs of the groups \[0, 1, 1, 1\], but 4 layers share "
        r"2 groups as \[0, 0, 1, 1\]; accepted",
    ):
        apply(teacher, KeepLayersSettings(layers=(0, 3, 4, 5)))


def test_no_other_family_takes_an_alberts_layers_or_gives_it_any():
    sizes = {"vocab_size": 30, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    bert = limbeck.BertForMaskedLM(limbeck.BertConfig(**sizes, num_hidden_layers=2))
    albert = limbeck.AlbertForMaskedLM(
        limbeck.AlbertConfig(**sizes, embedding_size=8, num_hidden_layers=2)
    )
    with pytest.raises(SettingsError, match=r"'bert' has no place for .*projection\.weight"):
        apply(albert, KeepLayersSettings(layers=1, model_type="bert"))
    with pytest.raises(SettingsError, match=r"'albert' has no place for .*layers\..*'bert', the"):
        apply(bert, KeepLayersSettings(layers=1, model_type="albert"))
