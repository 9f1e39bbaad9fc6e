"""What `prune` counts and chooses: costs of units, shares, and rankings over all layers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_task import make_tokenizer, write_model
from torch.utils.flop_counter import FlopCounterMode

from limbeck import AutoModelForSequenceClassification
from limbeck.methods._choosing import choose_best, choose_worthiest
from limbeck.methods._importance import UnitScores
from limbeck.methods._unit_costs import LayerCost, count_operations, count_weights, sum_costs
from limbeck.methods.prune_units import keep_units

FAMILIES = ("bert", "deberta_v2", "modernbert", "mpnet")
KEPT = {"heads": [[1], [0, 1]], "neurons": [range(3, 11), range(20)]}


def load(family, folder):
    write_model(folder, model_type=family, head=["bad", "good"])
    return AutoModelForSequenceClassification.from_pretrained(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_units_weigh_is_what_goes_with_them(family, tmp_path):
    model = load(family, tmp_path / "model")
    neurons = model.config.intermediate_size
    kept = {**KEPT, "neurons": [range(neurons // 2), range(neurons - 1)]}
    small = keep_units(model, **kept)
    gone = sum_costs(count_weights(model)) - sum_costs(count_weights(small))
    if family == "deberta_v2":  # whose projections of positions are shared with those of tokens
        assert model.num_parameters - small.num_parameters >= gone
    else:
        assert model.num_parameters - small.num_parameters == gone


@pytest.mark.parametrize("family", ["bert", "modernbert", "mpnet"])
def test_operations_are_those_that_torch_counts(family, tmp_path):
    """Attention is explicit here, whose products torch counts on every processor."""
    model = load(family, tmp_path / "model").eval()
    ids = torch.full((1, 7), make_tokenizer().vocab_size - 1)
    for one in (model, keep_units(model, heads=KEPT["heads"])):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            one.encode(ids, collect={"attentions"})
        counted = counter.get_total_flops()
        assert counted == sum_costs(count_operations(one, num_tokens=7))


def test_the_best_stay_where_they_stand_and_of_equals_the_first():
    scores = UnitScores([torch.tensor([1.0, 3.0, 2.0])], [torch.tensor([0.0, 0.0, 5.0, 0.0])])
    units = choose_best(scores, num_heads=[2], num_neurons=[2])
    assert (units.heads, units.neurons) == (((1, 2),), ((0, 2),))
    assert (units.num_heads, units.num_neurons) == ((2,), (2,))


def test_units_compete_by_score_for_cost():
    """A head of ten times a neuron's cost stays if it scores ten times as much."""
    costs = [LayerCost(num_heads=2, num_neurons=3, head=10, neuron=1)] * 2
    scores = UnitScores(
        [torch.tensor([9.0, 50.0]), torch.tensor([1.0, 0.5])],
        [torch.tensor([8.0, 0.8, 3.0]), torch.tensor([0.1, 0.2, 1.0])],
    )
    units = choose_worthiest(scores, costs, budget=23)
    # One of each in each layer costs 22; then 3.0 for 1, before 0.9 for 1 in ten.
    assert units.heads == ((1,), (0,))
    assert units.neurons == ((0, 2), (2,))
    units = choose_worthiest(scores, costs, budget=33)
    assert units.heads == ((0, 1), (0,))


@given(
    seed=st.integers(0, 99),
    layers=st.integers(1, 4),
    head=st.integers(1, 50),
    neuron=st.integers(1, 9),
    share=st.floats(0.3, 1),
)
def test_a_budget_is_kept_and_used(seed, layers, head, neuron, share):
    generator = torch.Generator().manual_seed(seed)
    costs = [LayerCost(num_heads=4, num_neurons=16, head=head, neuron=neuron)] * layers
    scores = UnitScores(
        [torch.rand(4, generator=generator) for _ in costs],
        [torch.rand(16, generator=generator) for _ in costs],
    )
    budget = max(share * sum_costs(costs), sum(cost.least for cost in costs))
    units = choose_worthiest(scores, costs, budget=budget)
    spent = sum(units.num_heads) * head + sum(units.num_neurons) * neuron
    assert spent <= budget
    assert min(*units.num_heads, *units.num_neurons) >= 1
    left = [head] * (sum(units.num_heads) < 4 * layers)
    left += [neuron] * (sum(units.num_neurons) < 16 * layers)
    assert all(budget - spent < cost for cost in left)
    for layer in (*units.heads, *units.neurons):
        assert list(layer) == sorted(set(layer))
