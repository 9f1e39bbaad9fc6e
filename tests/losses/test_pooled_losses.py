"""Losses on vectors of whole texts: groups, several texts a row, gradients, who learns by them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from limbeck import BertConfig, listing
from limbeck.errors import SettingsError
from limbeck.losses import (
    EMBEDDINGS,
    Compared,
    GroupLoss,
    VectorLoss,
    Views,
    build_loss,
    require_fit,
)
from limbeck.models import VectorConfig
from limbeck.nn.constants import IGNORE_INDEX

ALL = [
    name
    for name in listing.list_names("limbeck.losses")
    if build_loss(name, {}).needs & {"pooled", "scores"}
]
GROUPED = [name for name in ALL if isinstance(build_loss(name, {}), GroupLoss)]
ON_SCORES = [name for name in ALL if build_loss(name, {}).needs == {"scores"}]
GROUP = 3
CONFIG = BertConfig(hidden_size=5, num_attention_heads=1, num_hidden_layers=1, intermediate_size=4)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def compute(
    name: str, student: torch.Tensor, teacher: torch.Tensor, **values: object
) -> torch.Tensor:
    loss = build_loss(name, values)
    (view,) = loss.needs
    seen = Compared(
        student=Views(**{view: student}), teacher=Views(**{view: teacher}), labels=torch.zeros(0)
    )
    return loss.build(CONFIG, CONFIG)(seen)


@pytest.mark.parametrize("name", GROUPED)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    rows=st.integers(1, 11),
    texts=st.integers(1, 3),
    cut=st.integers(0, 3),
)
def test_sums_are_additive_over_groups_and_blind_to_order_within(
    name: str, seed: int, rows: int, texts: int, cut: int
) -> None:
    """The last group of a step may be a part of one."""
    student, teacher = (draw(rows, texts, 5, seed=seed + i) for i in range(2))
    whole = compute(name, student, teacher, group_size=GROUP)
    at = cut * GROUP
    parts = [
        compute(name, student[part], teacher[part], group_size=GROUP)
        for part in (slice(at), slice(at, None))
        if len(student[part])
    ]
    torch.testing.assert_close(sum(parts), whole)
    order = [
        row
        for start in range(0, rows, GROUP)
        for row in reversed(range(start, min(start + GROUP, rows)))
    ]
    torch.testing.assert_close(
        compute(name, student[order], teacher[order], group_size=GROUP), whole
    )


@pytest.mark.parametrize("texts", [2, 3])
def test_all_texts_of_a_group_are_compared(texts: int) -> None:
    """By hand: 7 rows of data in groups of 3, each with its texts, against plain loops."""
    student, teacher = draw(7, texts, 5).numpy(), draw(7, texts, 4, seed=1).numpy()
    matrix = kl = 0.0
    for start in range(0, 7, GROUP):
        rows = range(start, min(start + GROUP, 7))
        every = [(row, text) for row in rows for text in range(texts)]
        for row, text in every:
            errors = [
                (cos(student[row, text], student[other]) - cos(teacher[row, text], teacher[other]))
                ** 2
                for other in every
                if other != (row, text)
            ]
            matrix += float(np.mean(errors)) / texts
        for row in rows:
            s, t = (
                np.array([cos(v[row, 0], v[other]) for other in every if other[1] > 0]) / 0.1
                for v in (student, teacher)
            )
            kl += float((softmax(t) * (log_softmax(t) - log_softmax(s))).sum())
    given_ = torch.from_numpy(student), torch.from_numpy(teacher)
    found = compute("similarity_matrix", *given_, group_size=GROUP)
    assert found.item() == pytest.approx(matrix, rel=1e-12)
    found = compute("similarity_kl", *given_, group_size=GROUP, temperature=0.1)
    assert found.item() == pytest.approx(kl, rel=1e-12)


def cos(left: np.ndarray, right: np.ndarray) -> float:
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    shape = (4, 3) if name in ON_SCORES else (7, 2, 5) if name in GROUPED else (4, 5)
    values = {"group_size": GROUP} if name in GROUPED else {}
    if name == "similarity_kl":
        values["temperature"] = 0.5
    teacher = draw(*shape, seed=1)
    student = draw(*shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: compute(name, given, teacher, **values), student)


@pytest.mark.parametrize("name", GROUPED)
def test_a_row_with_a_group_for_itself_has_nothing_to_be_unlike(name: str) -> None:
    student = draw(1, 1, 5).requires_grad_()
    loss = compute(name, student, draw(1, 1, 5, seed=1))
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None
    assert student.grad.abs().sum() == 0


@pytest.mark.parametrize("name", [n for n in ALL if isinstance(build_loss(n, {}), VectorLoss)])
def test_a_narrower_student_learns_a_projection(name: str) -> None:
    loss = build_loss(name, {})
    module = loss.build(CONFIG.replace(hidden_size=2), CONFIG).double()
    (matrix,) = module.parameters()
    student, teacher = draw(4, 2), draw(4, 5, seed=1)
    seen = Compared(
        student=Views(pooled=student), teacher=Views(pooled=teacher), labels=torch.zeros(0)
    )
    torch.testing.assert_close(module(seen), compute(name, student @ matrix.T, teacher))


@pytest.mark.parametrize("name", [*GROUPED, *ON_SCORES])
def test_other_recipes_say_which_one_learns_by_it(name: str) -> None:
    losses = {name: build_loss(name, {})}
    require_fit(losses, student=CONFIG, teacher=CONFIG, recipe=EMBEDDINGS)
    with pytest.raises(
        SettingsError, match=rf"losses\.{name} compares texts.*limbeck distill-embeddings learns"
    ):
        require_fit(losses, student=CONFIG, teacher=CONFIG)


def test_a_group_of_one_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"similarity_matrix.*group_size.*2"):
        build_loss("similarity_matrix", {"group_size": 1})


@pytest.mark.parametrize("name", ["similarity_matrix", "similarity_kl"])
def test_autocast_does_not_round_what_is_compared(name) -> None:
    """Of a student near its teacher, bf16 would change a loss by 40 to 160 %."""
    generator = torch.Generator().manual_seed(0)
    teacher = F.normalize(torch.randn(8, 1, 64, generator=generator) + 1, dim=-1)
    student = teacher + 0.004 * torch.randn(teacher.shape, generator=generator)
    config = VectorConfig(hidden_size=64)
    loss, found = build_loss(name, {}).build(config, config), []
    for enabled in (False, True):
        ours = student.clone().requires_grad_()
        seen = Compared(
            student=Views(pooled=ours),
            teacher=Views(pooled=teacher),
            labels=torch.full((8,), IGNORE_INDEX),
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            total = loss(seen)
        total.backward()
        found.append((total, ours.grad))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-9)
