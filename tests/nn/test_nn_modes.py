"""Evaluation mode for a while: each part comes back in the mode it was in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from limbeck.nn import evaluation


@given(modes=st.lists(st.booleans(), min_size=5, max_size=5))
def test_each_part_comes_back_in_its_own_mode(modes: list[bool]) -> None:
    body = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
    models = nn.Sequential(body, nn.Dropout()), body  # a part of two models is no special case
    parts = list(models[0].modules())
    for part, mode in zip(parts, modes, strict=True):
        part.training = mode
    with evaluation(*models):
        assert not any(part.training for part in parts)
    assert [part.training for part in parts] == modes


def test_modes_come_back_after_an_error() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    with pytest.raises(ZeroDivisionError), evaluation(model):
        raise ZeroDivisionError
    assert [part.training for part in model.modules()] == [True, True, False]
