"""Relations on padded and packed rows, in any number of heads, with gradients; layers and heads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_losses import RELATED, config, relation_oracle

from limbeck.errors import SettingsError
from limbeck.losses import Compared, Views, build_loss, relations
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.nn.masks import MASKED_SCORE

SEQUENCES, LENGTH = 3, 6
TEACHER = (4, 6)
"""Its heads and their width; the student's are 3 of 4."""
STUDENT = (3, 4)


def make_seen(mask: torch.Tensor, *, seed: int = 0) -> Compared:
    generator = torch.Generator().manual_seed(seed)

    def views(heads: int, size: int) -> Views:
        shape = (SEQUENCES, heads, LENGTH, size)
        return Views(
            **{
                name: (2 * torch.randn(shape, generator=generator, dtype=torch.float64),)
                for name in RELATED
            }
        )

    is_real = mask if mask.dim() == 2 else mask.diagonal(dim1=1, dim2=2)
    positions = is_real.flatten().nonzero().squeeze(1)
    return Compared(
        student=views(*STUDENT),
        teacher=views(*TEACHER),
        labels=torch.full((len(positions),), IGNORE_INDEX),
        positions=positions,
        attention_mask=mask,
    )


def padded() -> torch.Tensor:
    mask = torch.ones(SEQUENCES, LENGTH, dtype=torch.long)
    mask[1, 4:] = mask[2, 1:] = 0
    return mask


def packed() -> torch.Tensor:
    """Two documents in the first row, one and padding in the second."""
    documents = torch.tensor([[1, 1, 1, 2, 2, 2], [1, 1, 1, 1, 0, 0], [1, 2, 3, 3, 3, 0]])
    same = documents[:, :, None] == documents[:, None, :]
    return (same & (documents > 0)[:, None, :]).long()


def build(**values: object) -> torch.nn.Module:
    student = config(hidden_size=12, num_attention_heads=STUDENT[0])
    teacher = config(hidden_size=24, num_attention_heads=TEACHER[0])
    return build_loss("relations", values).build(student, teacher)


@pytest.mark.parametrize("most_entries", [1, 200, 2**22])
@pytest.mark.parametrize("heads", [1, 2, 6, 12, None])
@pytest.mark.parametrize("mask", [padded(), packed()], ids=["padded", "packed"])
def test_equals_the_formula_sequence_by_sequence(mask, heads, most_entries, monkeypatch) -> None:
    monkeypatch.setattr(relations, "_MOST_ENTRIES", most_entries)
    seen = make_seen(mask)
    expected = 0.0
    for row in range(SEQUENCES):
        sees = mask[row].expand(LENGTH, LENGTH).numpy().copy()
        if mask.dim() == 2:
            sees[mask[row].numpy() == 0] = 0  # padding is no query
        for name in RELATED:
            ours, theirs = (getattr(v, name)[0][row].numpy() for v in (seen.student, seen.teacher))
            expected += relation_oracle(ours, theirs, sees, heads=heads or TEACHER[0])
    assert build(num_relation_heads=heads)(seen).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("mask", [padded(), packed()], ids=["padded", "packed"])
def test_gradient_is_that_of_finite_differences(mask, monkeypatch) -> None:
    monkeypatch.setattr(relations, "_MOST_ENTRIES", 200)
    seen, loss = make_seen(mask), build(num_relation_heads=6, of=["queries", "values"])
    queries, values = seen.student.queries[0], seen.student.values[0]
    for states in (queries, values):
        states.requires_grad_()
        (3 * loss(seen)).backward()
        with torch.no_grad():
            for place in [(0, 0, 0, 0), (0, 2, 5, 3), (1, 1, 3, 2), (1, 0, 5, 1), (2, 2, 2, 0)]:
                moved = []
                for step in (1e-6, -1e-6):
                    states[place] += step
                    moved.append(loss(seen).item())
                    states[place] -= step
                slope = 3 * (moved[0] - moved[1]) / 2e-6
                assert states.grad[place].item() == pytest.approx(slope, rel=1e-6, abs=1e-8)
        states.requires_grad_(requires_grad=False)
    padding = (packed().diagonal(dim1=1, dim2=2) if mask.dim() == 3 else mask) == 0
    assert not queries.grad.transpose(1, 2)[padding].any()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_what_is_padding_does_not_count(seed) -> None:
    seen, loss = make_seen(packed(), seed=seed), build(num_relation_heads=3)
    before = loss(seen)
    generator = torch.Generator().manual_seed(seed + 1)
    for views in (seen.student, seen.teacher):
        for name in RELATED:
            (states,) = getattr(views, name)
            states[1, :, 4:] = torch.randn(states[1, :, 4:].shape, generator=generator).double()
    torch.testing.assert_close(loss(seen), before)
    order = torch.randperm(SEQUENCES, generator=generator)
    shuffled = Compared(
        student=Views(**{n: (getattr(seen.student, n)[0][order],) for n in RELATED}),
        teacher=Views(**{n: (getattr(seen.teacher, n)[0][order],) for n in RELATED}),
        labels=seen.labels,
        positions=packed()[order].diagonal(dim1=1, dim2=2).flatten().nonzero().squeeze(1),
        attention_mask=packed()[order],
    )
    torch.testing.assert_close(loss(shuffled), before)


def test_only_one_chunk_of_relations_is_held(monkeypatch) -> None:
    """What is kept for the backward pass is as large as the values, however long sequences are."""
    monkeypatch.setattr(relations, "_MOST_ENTRIES", 1)
    seen = make_seen(padded())
    for name in RELATED:
        getattr(seen.student, name)[0].requires_grad_()
    sizes: list[int] = []
    heads = 12
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        build(num_relation_heads=heads)(seen)
    assert max(sizes) <= heads * LENGTH * LENGTH < SEQUENCES * heads * LENGTH * LENGTH


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"num_relation_heads": 48},
            r"_heads = 48 does not divide the student's width of 12; accepted: 1, 2, 3, 4, 6, 12$",
        ),
        ({"num_relation_heads": 5}, r"= 5 does not divide the student's width of 12"),
        ({"of": ["queries", "queries"]}, r"of = \['queries', 'queries'\] has one of them twice"),
        ({"of": ["query"]}, r"losses\.relations.*of.*query"),
        ({"of": []}, r"losses\.relations.*of"),
        ({"teacher_layers": [21]}, r"teacher_layers = \[21\]: 21 is no layer of the teacher"),
        (
            {"teacher_layers": [1, 2]},
            r"teacher_layers = \[1, 2\] has 2 numbers, but student_layers = \[-1\] has 1",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(values, message) -> None:
    with pytest.raises(SettingsError, match=message):
        build(**values)


def test_the_teachers_heads_have_to_divide_the_students_width() -> None:
    loss = build_loss("relations", {})
    student = config(hidden_size=10, num_attention_heads=2)
    with pytest.raises(
        SettingsError,
        match=r"= 4, the number of the teacher's heads where none is given, does not divide the "
        r"student's width of 10; accepted: 1, 2$",
    ):
        loss.build(student, config(hidden_size=24, num_attention_heads=4))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("attention_kl", {"num_attention_heads": 3}, r"has 2 heads and the student 3.*relations"),
        ("patient", {"hidden_size": 4}, r"losses\.patient.*hidden_size is 6 and the student's 4"),
        ("feature_map_mse", {"hidden_size": 4}, r"is 6 and the student's 4; leave this loss out"),
        ("patient", {"num_hidden_layers": 1}, r"patient.*one layer; accepted: .*layers=\[1\]"),
    ],
)
def test_models_that_do_not_fit_are_refused(name, changes, message) -> None:
    with pytest.raises(SettingsError, match=message):
        build_loss(name, {}).build(config(**changes), config())


def test_patience_is_for_every_other_layer_of_twelve() -> None:
    """PKD-Skip in section 3.2 of the article."""
    pairs = build_loss("patient", {}).pair_layers(6, 12)
    assert pairs == ((1, 2), (2, 4), (3, 6), (4, 8), (5, 10))


@pytest.mark.parametrize("name", ["attention_mse", "attention_kl"])
def test_a_layer_that_sees_less_is_compared_where_both_see(name) -> None:
    """As one with local attention of ModernBERT beside one that sees all: no score is -30000."""
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (
        torch.randn(1, 2, LENGTH, LENGTH, generator=generator, dtype=torch.float64)
        for _ in range(2)
    )
    tokens = torch.arange(LENGTH)
    ahead = tokens[None] - tokens[:, None]
    near, past = ahead.abs() <= 1, ahead <= 0
    loss = build_loss(name, {}).build(config(num_hidden_layers=1), config(num_hidden_layers=1))
    for sees, other in ((near, torch.ones_like(near)), (torch.ones_like(near), near), (near, past)):
        student = (ours + ~sees * MASKED_SCORE).requires_grad_()
        seen = Compared(
            student=Views(attention_scores=(student,)),
            teacher=Views(attention_scores=(theirs + ~other * MASKED_SCORE,)),
            labels=torch.full((LENGTH,), IGNORE_INDEX),
            positions=tokens,
        )
        expected = 0.0
        for token in range(LENGTH):
            keys = sees[token] & other[token]
            for head in range(2):
                a, b = ours[0, head, token, keys], theirs[0, head, token, keys]
                if name == "attention_mse":
                    expected += ((a - b) ** 2).mean().item() / 2
                else:
                    expected += (
                        b.softmax(0) * (b.softmax(0) / a.softmax(0)).log()
                    ).sum().item() / 2
        total = loss(seen)
        assert total.item() == pytest.approx(expected, rel=1e-12)
        total.backward()
        assert not student.grad[..., ~(sees & other)].any()
