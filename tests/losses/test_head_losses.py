"""Losses on heads where a student's were pruned: compared in those that are left."""

from __future__ import annotations

import pytest
import torch
from scipy.special import kl_div, softmax
from test_losses import RELATED, config, relation_oracle

from limbeck.errors import SettingsError
from limbeck.losses import Compared, Views, build_loss
from limbeck.models import LayerShape

HEADS, SIZE, LENGTH = 4, 3, 5
KEPT = [(0, 3), (2,)]
WHOLE = {"hidden_size": HEADS * SIZE, "num_attention_heads": HEADS}


def shapes(heads=KEPT):
    return [LayerShape(heads=of_layer, neurons=8) for of_layer in heads]


def draw(name, kept, *, seed):
    """Views of two layers whose heads in `kept` are, by their numbers, those of one whole model."""
    generator = torch.Generator().manual_seed(seed)
    last = LENGTH if name == "attention_scores" else SIZE
    shape = (2, 1, HEADS, LENGTH, last)
    whole = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return tuple(layer[:, list(heads)] for layer, heads in zip(whole, kept, strict=True))


def see(names, *, student=KEPT, teacher=((0, 1, 2, 3),) * 2):
    return Compared(
        student=Views(**{name: draw(name, student, seed=i) for i, name in enumerate(names)}),
        teacher=Views(**{name: draw(name, teacher, seed=10 + i) for i, name in enumerate(names)}),
        labels=torch.zeros(LENGTH),
        positions=torch.arange(LENGTH),
    )


def sum_by_hand(name, seen):
    """Each of the student's heads with the teacher's of its number."""
    total = 0.0
    for place, heads in enumerate(KEPT):
        ours = seen.student.attention_scores[place][0].numpy()
        theirs = seen.teacher.attention_scores[place][0].numpy()[list(heads)]
        if name == "attention_mse":
            total += ((ours - theirs) ** 2).mean(axis=(0, 2)).sum()
        else:
            divergence = kl_div(softmax(theirs, axis=-1), softmax(ours, axis=-1)).sum(axis=-1)
            total += divergence.mean(axis=0).sum()
    return total


@pytest.mark.parametrize("name", ["attention_mse", "attention_kl"])
def test_heads_are_compared_by_their_numbers(name):
    seen = see(["attention_scores"])
    student, teacher = config(**WHOLE, layer_shapes=shapes()), config(**WHOLE)
    loss = build_loss(name, {}).build(student, teacher)
    assert loss(seen).item() == pytest.approx(sum_by_hand(name, seen), rel=1e-12)


@pytest.mark.parametrize("name", ["attention_mse", "attention_kl"])
def test_a_teacher_that_was_pruned_too(name):
    """It has head 1 more in the first layer, and the others stand in other places."""
    theirs = [(0, 1, 3), (2,)]
    whole, cut = see(["attention_scores"]), see(["attention_scores"], teacher=theirs)
    student, teacher = (config(**WHOLE, layer_shapes=shapes(heads)) for heads in (KEPT, theirs))
    loss = build_loss(name, {})
    expected = loss.build(student, config(**WHOLE))(whole)
    torch.testing.assert_close(loss.build(student, teacher)(cut), expected)
    with pytest.raises(
        SettingsError,
        match=rf"losses.{name} compares attention head by head, but layer 1 of the student has the "
        r"heads \[0, 1, 3\] and layer 1 of the teacher \[0, 3\]; leave this loss out, or take a te",
    ):
        loss.build(teacher, student)


def test_relations_need_heads_that_divide_what_is_left():
    student, teacher = config(**WHOLE, layer_shapes=shapes()), config(**WHOLE)
    seen = see(RELATED)
    with pytest.raises(
        SettingsError,
        match=r"num_relation_heads = 4, the number of the teacher's heads where none is given, doe"
        r"s not divide the student's width of 6 in layer 1; accepted: 1, 3$",
    ):
        build_loss("relations", {"student_layers": None}).build(student, teacher)
    loss = build_loss("relations", {"student_layers": None, "num_relation_heads": 3})
    mask = torch.ones(LENGTH, LENGTH).numpy()
    expected = sum(
        relation_oracle(
            getattr(seen.student, which)[place][0].numpy(),
            getattr(seen.teacher, which)[place][0].numpy(),
            mask,
            heads=3,
        )
        for which in RELATED
        for place in range(2)
    )
    assert loss.build(student, teacher)(seen).item() == pytest.approx(expected, rel=1e-12)


def test_relations_ask_of_the_layers_that_are_compared():
    wide = config(**WHOLE, layer_shapes=shapes([(1,), (0, 1, 2, 3)]))
    assert build_loss("relations", {}).build(wide, config(**WHOLE)) is not None
    narrow = config(**WHOLE, layer_shapes=shapes([(0, 1, 2, 3), (1,)]))
    with pytest.raises(SettingsError, match=r"does not divide the student's width of 3 in layer 2"):
        build_loss("relations", {}).build(narrow, config(**WHOLE))
    # A pruned teacher's own heads, where no number is given.
    assert build_loss("relations", {}).build(narrow, narrow) is not None
