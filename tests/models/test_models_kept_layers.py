"""`keep_layers` on every family and head: `transformers` loads what it makes, nothing is lost."""

from __future__ import annotations

import pytest
import torch
from model_oracle import (
    CASE_IDS,
    CASES,
    EXACT,
    SIZES,
    draw_wide,
    make_inputs,
    num_labels,
    our_class,
    our_config,
    run_theirs,
    tensors_of,
    theirs_from,
)

from limbeck.methods.keep_layers import KeepLayersSettings, apply

DEPTH = SIZES["num_hidden_layers"]


def make_teacher(family, kind):
    teacher = our_class(family, kind)(our_config(family, num_labels=num_labels(kind)))
    draw_wide(teacher)
    return teacher.double().eval()


def keep(teacher, layers):
    return apply(teacher, KeepLayersSettings(layers=layers)).double().eval()


@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_all_layers_make_the_teacher_again(family, kind):
    teacher = make_teacher(family, kind)
    student = keep(teacher, tuple(range(DEPTH)))
    assert student.config == teacher.config
    inputs = make_inputs(family, kind)
    with torch.no_grad():
        expected = tensors_of(teacher(**inputs))
        for name, tensor in tensors_of(student(**inputs)).items():
            torch.testing.assert_close(tensor, expected[name], rtol=0.0, atol=1e-4)


@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_fewer_layers_are_a_model_of_the_family(family, kind, tmp_path):
    """Each layer sees what it saw in the teacher: it stands on the one before it."""
    teacher = make_teacher(family, kind)
    student = keep(teacher, (0, 2))
    for place, layer in enumerate((0, 2)):
        kept = student.encoder.layer_at(place).state_dict()
        for name, tensor in teacher.encoder.layer_at(layer).state_dict().items():
            torch.testing.assert_close(kept[name], tensor, rtol=0.0, atol=1e-6)
        assert student.encoder.reaches[place] == teacher.encoder.reaches[layer]
    student.save_pretrained(tmp_path)
    theirs = theirs_from(tmp_path, family, kind)
    inputs = make_inputs(family, kind, padded=False)
    with torch.no_grad():
        given, expected = tensors_of(student(**inputs)), tensors_of(run_theirs(theirs, inputs))
    for name, tensor in expected.items():
        torch.testing.assert_close(given[name], tensor, **EXACT)
