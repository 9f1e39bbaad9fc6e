"""Each loss against numpy and scipy, its properties, and the contract of the room."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine as scipy_cosine
from scipy.special import log_softmax, softmax

from limbeck import listing
from limbeck.errors import SettingsError
from limbeck.losses import Rows, build_loss

ALL = listing.list_names("limbeck.losses")


def make_rows(seed: int, name: str, num_rows: int = 7, width: int = 11) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda: 3 * torch.randn(num_rows, width, generator=generator, dtype=torch.float64)  # noqa: E731
    labels = torch.randint(0, width, (num_rows,), generator=generator)
    rows = Rows(student=draw(), teacher=draw(), labels=labels)
    if name == "attention_mse":
        for scores in (rows.student, rows.teacher):
            scores[::3, 2:5] -= 30000
    return rows


def numpy_oracle(name: str, rows: Rows) -> float:
    student, teacher = rows.student.numpy(), rows.teacher.numpy()
    if name == "soft_targets":
        expected = softmax(teacher / 2, axis=-1)
        inner = log_softmax(teacher / 2, axis=-1) - log_softmax(student / 2, axis=-1)
        return float(4 * (expected * inner).sum())
    if name == "masked_lm":
        picked = log_softmax(student, axis=-1)[np.arange(len(student)), rows.labels.numpy()]
        return float(-picked.sum())
    if name == "cosine":
        return float(sum(scipy_cosine(s, t) for s, t in zip(student, teacher, strict=True)))
    if name == "attention_mse":  # a key is hidden in every third row
        visible = teacher > -1e4
        means = [
            np.mean((s - t)[v] ** 2) for s, t, v in zip(student, teacher, visible, strict=True)
        ]
        return float(sum(means))
    if name in ("logit_mse", "hidden_mse"):
        return float(((student - teacher) ** 2).mean(axis=-1).sum())
    raise AssertionError(f"no oracle for the loss {name}: write one")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(3))
def test_sum_equals_the_formula(name: str, seed: int) -> None:
    rows = make_rows(seed, name)
    assert build_loss(name, {}).sum(rows).item() == pytest.approx(
        numpy_oracle(name, rows), rel=1e-12
    )


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(0, 7))
def test_sum_is_additive_and_blind_to_order(name: str, seed: int, cut: int) -> None:
    rows, loss = make_rows(seed, name), build_loss(name, {})

    def take(index: slice | torch.Tensor) -> Rows:
        return Rows(
            student=rows.student[index], teacher=rows.teacher[index], labels=rows.labels[index]
        )

    whole = loss.sum(rows)
    torch.testing.assert_close(loss.sum(take(slice(cut))) + loss.sum(take(slice(cut, None))), whole)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(loss.sum(take(order)), whole)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_is_positive_and_zero_where_both_models_agree(name: str, seed: int) -> None:
    rows, loss = make_rows(seed, name), build_loss(name, {})
    assert loss.sum(rows) >= 0
    if loss.uses_teacher:
        same = Rows(student=rows.student, teacher=rows.student, labels=rows.labels)
        assert abs(loss.sum(same).item()) < 1e-12


def test_temperature_keeps_the_scale_of_the_gradient() -> None:
    """At a high temperature T² KL tends to half the squared distance of centred logits."""
    rows = make_rows(0, "soft_targets")
    value = build_loss("soft_targets", {"temperature": 1e4}).sum(rows)
    difference = rows.student - rows.teacher
    centred = difference - difference.mean(-1, keepdim=True)
    torch.testing.assert_close(value, 0.5 * centred.square().mean(-1).sum(), rtol=1e-3, atol=0)


def test_unknown_loss_names_the_nearest() -> None:
    with pytest.raises(
        SettingsError, match=r"no 'cosin'.*accepted: attention_mse, cosine.*'cosine'\?"
    ):
        build_loss("cosin", {})


def test_wrong_setting_names_loss_and_key() -> None:
    with pytest.raises(SettingsError, match=r"losses\.soft_targets.*tempreture"):
        build_loss("soft_targets", {"tempreture": 2})
    with pytest.raises(SettingsError, match=r"masked_lm.*positions"):
        build_loss("masked_lm", {"positions": "real"})


@pytest.mark.parametrize("name", ALL)
def test_documented(name: str) -> None:
    module = listing.load("limbeck.losses", name)
    assert listing.summary(module)
    assert "Source:" in module.Loss.__doc__


@pytest.mark.parametrize(
    ("depths", "expected"),
    [
        ((4, 12), (3, 6, 9, 12)),  # TinyBERT, section 4.1
        ((3, 6), (2, 4, 6)),
        ((4, 6), (2, 3, 5, 6)),
        ((1, 12), (12,)),
        ((3, 1), (1, 1, 1)),
    ],
)
def test_layers_are_paired_evenly(depths: tuple[int, int], expected: tuple[int, ...]) -> None:
    assert build_loss("hidden_mse", {}).pair_layers(*depths) == expected


def test_given_layers_have_to_exist() -> None:
    loss = build_loss("attention_mse", {"teacher_layers": [1, 5]})
    assert loss.pair_layers(2, 6) == (1, 5)
    with pytest.raises(SettingsError, match=r"\[1, 5\] has 2 numbers, but the student has 3"):
        loss.pair_layers(3, 6)
    with pytest.raises(SettingsError, match=r"5 is no layer of the teacher; accepted: 1 to 4"):
        loss.pair_layers(2, 4)
