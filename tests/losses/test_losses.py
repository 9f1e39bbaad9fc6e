"""Each loss against numpy and scipy, its properties, and the contract of the room."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine as scipy_cosine
from scipy.special import kl_div, log_softmax, softmax
from scipy.stats import zscore

from limbeck import BertConfig, listing
from limbeck.errors import SettingsError
from limbeck.losses import Compared, GroupLoss, Loss, View, Views, build_loss

ALL = listing.list_names("limbeck.losses")
GROUPED = [name for name in ALL if isinstance(build_loss(name, {}), GroupLoss)]
"""Additive over groups, and not over rows: `test_pooled_losses.py` has their properties."""
HEADS, LENGTH, WIDTH, LAYERS = 2, 7, 6, 2
RELATED = ("queries", "keys", "values")


def config(**changes: int) -> BertConfig:
    sizes = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS}
    return BertConfig(**{**sizes, "intermediate_size": 8, **changes})


def make_seen(seed: int, name: str) -> Compared:
    """One sequence, of which every position counts; every third token sees not all keys."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return 3 * torch.randn(*shape, generator=generator, dtype=torch.float64)

    def views() -> Views:
        found = {
            "logits": draw(LENGTH, WIDTH),
            "pooled": draw(LENGTH, WIDTH),  # of as many texts
            "scores": draw(LENGTH, 3),
            "last_hidden_state": draw(1, LENGTH, WIDTH),
            "hidden_states": tuple(draw(1, LENGTH, WIDTH) for _ in range(1 + LAYERS)),
            "attention_scores": tuple(draw(1, HEADS, LENGTH, LENGTH) for _ in range(LAYERS)),
            **{name: (draw(1, HEADS, LENGTH, WIDTH // HEADS),) for name in RELATED},
        }
        if name == "patient":  # whose rows are sequences
            found["hidden_states"] = (draw(LENGTH, 3, WIDTH),)
        for scores in found["attention_scores"]:
            scores[:, :, ::3, 2:5] -= 30000
        return Views(**{view: found[view] for view in build_loss(name, {}).needs})

    labels = torch.randint(0, WIDTH, (LENGTH,), generator=generator)
    mask = torch.ones(1, LENGTH, LENGTH)
    mask[:, ::3, 2:5] = 0
    return Compared(
        student=views(),
        teacher=views(),
        labels=labels,
        positions=torch.arange(LENGTH),
        attention_mask=mask,
    )


def take(seen: Compared, index: torch.Tensor) -> Compared:
    """Some of the rows: of the logits, or of the positions of the sequence."""

    def cut(views: Views) -> Views:
        if [len(states) for states in getattr(views, "hidden_states", ())] == [LENGTH]:
            return Views(hidden_states=(views.hidden_states[0][index],))
        of_rows = ("logits", "pooled", "scores")
        rows = {name: view for name, view in vars(views).items() if name in of_rows}
        return Views(**{name: view[index] for name, view in rows.items()}) if rows else views

    return Compared(
        student=cut(seen.student),
        teacher=cut(seen.teacher),
        labels=seen.labels[index],
        positions=seen.positions[index],
        attention_mask=seen.attention_mask,
    )


def compute(name: str, seen: Compared, **values: object) -> torch.Tensor:
    return build_loss(name, values).build(config(), config())(seen)


def as_arrays(views: Views) -> dict[str, list[np.ndarray]]:
    """Each view as one array a layer, without the dimension of the one sequence."""
    found = {
        name: view if isinstance(view, tuple) else (view,) for name, view in vars(views).items()
    }
    return {name: [tensor.squeeze(0).numpy() for tensor in view] for name, view in found.items()}


def relation_oracle(
    student: np.ndarray, teacher: np.ndarray, mask: np.ndarray, *, heads: int = HEADS
) -> float:
    """One sequence's sum over the tokens that see one, looped over heads and tokens.

    Shape: (attention heads, length, head size) and (length, length).
    """
    total = 0.0
    length = student.shape[1]
    parts = [
        np.split(np.concatenate(list(states), axis=-1), heads, axis=-1)
        for states in (student, teacher)
    ]
    for ours, theirs in zip(*parts, strict=True):
        for token in range(length):
            if not mask[token].any():
                continue
            relations = [
                softmax([z[token] @ z[key] / z.shape[1] ** 0.5 for key in np.flatnonzero(row)])
                for z, row in ((theirs, mask[token]), (ours, mask[token]))
            ]
            total += kl_div(*relations).sum() / heads
    return float(total)


def numpy_oracle(name: str, seen: Compared) -> float:
    student, teacher = as_arrays(seen.student), as_arrays(seen.teacher)
    if name in ("soft_targets", "standardised_targets"):
        ours, theirs = student["logits"][0], teacher["logits"][0]
        if name == "standardised_targets":
            ours, theirs = zscore(ours, axis=-1), zscore(theirs, axis=-1)
        inner = log_softmax(theirs / 2, axis=-1) - log_softmax(ours / 2, axis=-1)
        return float(4 * (softmax(theirs / 2, axis=-1) * inner).sum())
    if name in ("masked_lm", "causal_lm"):
        scores = log_softmax(student["logits"][0], axis=-1)
        return float(-scores[np.arange(LENGTH), seen.labels.numpy()].sum())
    if name == "logit_mse":
        return float(((student["logits"][0] - teacher["logits"][0]) ** 2).mean(axis=-1).sum())
    if name == "cosine":
        key = "last_hidden_state"
        return sum(
            scipy_cosine(*pair) for pair in zip(student[key][0], teacher[key][0], strict=True)
        )
    if name == "pooled_cosine":
        pairs = zip(student["pooled"][0], teacher["pooled"][0], strict=True)
        return sum(scipy_cosine(*pair) for pair in pairs)
    if name == "pooled_mse":
        pairs = zip(student["pooled"][0], teacher["pooled"][0], strict=True)
        return float(sum(np.linalg.norm(s - t) ** 2 for s, t in pairs))
    if name in ("similarity_matrix", "similarity_kl"):
        ours, theirs = (
            np.array([[1 - scipy_cosine(a, b) for b in v["pooled"][0]] for a in v["pooled"][0]])
            for v in (student, teacher)
        )
        total = 0.0
        for row in range(LENGTH):
            others = [column for column in range(LENGTH) if column != row]
            s, t = ours[row, others], theirs[row, others]
            if name == "similarity_matrix":
                total += float(((s - t) ** 2).mean())
            else:
                inner = log_softmax(t / 0.05) - log_softmax(s / 0.05)
                total += float((softmax(t / 0.05) * inner).sum())
        return total
    if name == "score_mse":
        return float(((student["scores"][0] - teacher["scores"][0]) ** 2).mean(axis=-1).sum())
    if name == "margin_mse":
        margins = [
            [[row[0] - other for other in row[1:]] for row in v["scores"][0]]
            for v in (student, teacher)
        ]
        return float(((np.array(margins[0]) - np.array(margins[1])) ** 2).mean(axis=-1).sum())
    if name == "hidden_mse":
        pairs = zip(student["hidden_states"], teacher["hidden_states"], strict=True)
        return float(sum(((s - t) ** 2).mean(axis=-1).sum() for s, t in pairs))
    if name == "attention_mse":
        pairs = zip(student["attention_scores"], teacher["attention_scores"], strict=True)
        return float(
            sum(
                np.mean((s[:, row] - t[:, row])[t[:, row] > -1e4] ** 2)
                for s, t in pairs
                for row in range(LENGTH)
            )
        )
    if name == "attention_kl":
        pairs = zip(student["attention_scores"], teacher["attention_scores"], strict=True)
        return float(
            sum(
                kl_div(softmax(t, axis=-1), softmax(s, axis=-1)).sum(axis=-1).mean(axis=0).sum()
                for s, t in pairs
            )
        )
    if name == "feature_map_mse":
        pairs = zip(student["hidden_states"], teacher["hidden_states"], strict=True)
        # layer norm adds 1e-5 to the variance
        standardised = (
            [x / np.sqrt(1 + 1e-5 / v.var(-1, keepdims=True)) for v in p for x in [zscore(v, -1)]]
            for p in pairs
        )
        return float(sum(((s - t) ** 2).mean(axis=-1).sum() for s, t in standardised))
    if name == "patient":
        ours, theirs = (
            v["hidden_states"][0][:, 0]
            / np.linalg.norm(v["hidden_states"][0][:, 0], axis=-1)[:, None]
            for v in (student, teacher)
        )
        return float(((ours - theirs) ** 2).sum())
    if name == "relations":
        return sum(
            relation_oracle(student[which][0], teacher[which][0], seen.attention_mask[0].numpy())
            for which in RELATED
        )
    raise AssertionError(f"no oracle for the loss {name}: write one")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(3))
def test_sum_equals_the_formula(name: str, seed: int) -> None:
    seen = make_seen(seed, name)
    assert compute(name, seen).item() == pytest.approx(numpy_oracle(name, seen), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in ALL if name not in GROUPED])
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), cut=st.integers(0, LENGTH))
def test_sum_is_additive_and_blind_to_order(name: str, seed: int, cut: int) -> None:
    seen, every = make_seen(seed, name), torch.arange(LENGTH)
    whole = compute(name, seen)
    parts = [compute(name, take(seen, part)) for part in (every[:cut], every[cut:])]
    torch.testing.assert_close(sum(parts), whole)
    order = torch.randperm(LENGTH, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(compute(name, take(seen, order)), whole)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_is_positive_and_zero_where_both_models_agree(name: str, seed: int) -> None:
    seen = make_seen(seed, name)
    assert compute(name, seen) >= 0
    if build_loss(name, {}).uses_teacher:
        same = Compared(
            student=seen.student,
            teacher=seen.student,
            labels=seen.labels,
            positions=seen.positions,
            attention_mask=seen.attention_mask,
        )
        assert abs(compute(name, same).item()) < 1e-12


def test_temperature_keeps_the_scale_of_the_gradient() -> None:
    """At a high temperature T² KL tends to half the squared distance of centred logits."""
    seen = make_seen(0, "soft_targets")
    value = compute("soft_targets", seen, temperature=1e4)
    difference = seen.student.logits - seen.teacher.logits
    centred = difference - difference.mean(-1, keepdim=True)
    torch.testing.assert_close(value, 0.5 * centred.square().mean(-1).sum(), rtol=1e-3, atol=0)


@given(shift=st.floats(-9, 9), scale=st.floats(0.1, 9))
@settings(max_examples=25, deadline=None)
def test_standardised_targets_do_not_see_shift_and_scale(shift: float, scale: float) -> None:
    seen = make_seen(0, "standardised_targets")
    moved = Compared(
        student=seen.student,
        teacher=Views(logits=scale * seen.teacher.logits + shift),
        labels=seen.labels,
    )
    expected = compute("standardised_targets", seen)
    torch.testing.assert_close(compute("standardised_targets", moved), expected)


def test_standardised_targets_have_a_gradient_where_all_logits_are_equal() -> None:
    student = torch.zeros(2, WIDTH, requires_grad=True)
    teacher = torch.tensor([[0.0] * WIDTH, [1.0] + [0.0] * (WIDTH - 1)])
    views = (Views(logits=logits) for logits in (student, teacher))
    seen = Compared(**dict(zip(("student", "teacher"), views, strict=True)), labels=torch.zeros(2))
    compute("standardised_targets", seen).backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize(
    ("projection", "names"),
    [
        (None, ["of_embeddings", "of_layers", "of_layers"]),  # TinyBERT's equations 8 and 9
        ("two", ["of_embeddings", "of_layers", "of_layers"]),
        ("shared", ["of_all", "of_all", "of_all"]),  # as its code has it
        ("per_layer", ["of_embeddings", "of_layer_1", "of_layer_2"]),
    ],
)
def test_projection_maps_the_student_to_the_teachers_width(
    projection: str | None, names: list[str]
) -> None:
    torch.manual_seed(0)
    seen = make_seen(0, "hidden_mse")
    narrow = tuple(states[..., :4] for states in seen.student.hidden_states)
    seen = Compared(
        student=Views(hidden_states=narrow),
        teacher=seen.teacher,
        labels=seen.labels,
        positions=seen.positions,
    )
    loss = build_loss("hidden_mse", {"projection": projection})
    module = loss.build(config(hidden_size=4), config()).double()
    matrices = {
        name.removesuffix(".weight"): p.detach().numpy() for name, p in module.named_parameters()
    }
    assert set(matrices) == set(names)
    assert all(matrix.shape == (WIDTH, 4) for matrix in matrices.values())
    states = zip(narrow, seen.teacher.hidden_states, [matrices[n] for n in names], strict=True)
    expected = sum(
        ((s.numpy() @ matrix.T - t.numpy()) ** 2).mean(axis=-1).sum() for s, t, matrix in states
    )
    assert module(seen).item() == pytest.approx(float(expected), rel=1e-12)
    lengths = np.linalg.norm(narrow[1].numpy() @ matrices[names[1]].T, axis=-1)
    assert lengths == pytest.approx(narrow[1].norm(dim=-1).numpy(), rel=1e-6)
    for matrix in module.parameters():  # by central differences
        module(seen).backward()
        assert matrix.grad is not None
        step = torch.zeros_like(matrix)
        step[1, 2] = 1e-4
        with torch.no_grad():
            matrix += step
            above = module(seen)
            matrix -= 2 * step
            below = module(seen)
            matrix += step
        assert float(matrix.grad[1, 2]) == pytest.approx(float(above - below) / 2e-4, rel=1e-6)
        module.zero_grad()


def test_a_projection_is_learned_where_widths_differ_or_it_is_asked_for() -> None:
    numbers = [
        len(list(build_loss("hidden_mse", given).build(config(), config()).parameters()))
        for given in ({}, {"projection": "shared"}, {"projection": "per_layer"})
    ]
    assert numbers == [0, 1, 1 + config().num_hidden_layers]
    with pytest.raises(SettingsError, match=r"losses.hidden_mse.*projection.*shared.*per_layer"):
        build_loss("hidden_mse", {"projection": True})


def test_pooled_vectors_of_another_width_are_projected() -> None:
    torch.manual_seed(0)
    seen = make_seen(0, "pooled_cosine")
    narrow = seen.student.pooled[:, :4]
    seen = Compared(student=Views(pooled=narrow), teacher=seen.teacher, labels=seen.labels)
    module = build_loss("pooled_cosine", {}).build(config(hidden_size=4), config()).double()
    (matrix,) = (p.detach().numpy() for p in module.parameters())
    pairs = zip(narrow.numpy() @ matrix.T, seen.teacher.pooled.numpy(), strict=True)
    expected = sum(scipy_cosine(*pair) for pair in pairs)
    assert module(seen).item() == pytest.approx(expected, rel=1e-12)


def test_unknown_loss_names_the_nearest() -> None:
    with pytest.raises(
        SettingsError, match=r"no 'cosin'.*accepted: attention_kl, .*.*cosine.*'cosine'\?"
    ):
        build_loss("cosin", {})


def test_wrong_setting_names_loss_and_key() -> None:
    with pytest.raises(SettingsError, match=r"losses\.soft_targets.*tempreture"):
        build_loss("soft_targets", {"tempreture": 2})
    with pytest.raises(SettingsError, match=r"masked_lm.*positions"):
        build_loss("masked_lm", {"positions": "real"})


@pytest.mark.parametrize("name", ALL)
def test_keeps_the_contract_of_the_room(name: str) -> None:
    module = listing.load("limbeck.losses", name)
    assert module.__doc__
    assert issubclass(module.Loss, Loss)
    assert "Source:" in module.Loss.__doc__
    assert module.Loss().name == name
    assert module.Loss.needs
    assert module.Loss.needs <= set(get_args(View))
    assert "logits" not in module.Loss.needs or module.Loss.needs == {"logits"}


def test_view_that_a_loss_did_not_ask_for_is_named() -> None:
    with pytest.raises(AttributeError, match=r"no view 'keys' here, but logits;.*`needs`"):
        _ = Views(logits=torch.zeros(1)).keys
    with pytest.raises(AttributeError, match=r"no view 'logits' here, but none;"):
        _ = Views().logits


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
    pairs = tuple(enumerate(expected, start=1))
    assert build_loss("attention_mse", {}).pair_layers(*depths) == pairs
    assert build_loss("hidden_mse", {}).pair_layers(*depths) == ((0, 0), *pairs)


def test_given_layers_have_to_exist() -> None:
    loss = build_loss("attention_mse", {"teacher_layers": [1, 5]})
    assert loss.pair_layers(2, 6) == ((1, 1), (2, 5))
    with pytest.raises(
        SettingsError,
        match=r"losses\.attention_mse\.teacher_layers = \[1, 5\] has 2 numbers, but the student "
        r"has 3",
    ):
        loss.build(config(num_hidden_layers=3), config(num_hidden_layers=6))
    with pytest.raises(SettingsError, match=r"5 is no layer of the teacher; accepted: 1 to 4"):
        loss.build(config(), config(num_hidden_layers=4))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"student_layers": [-1]}, ((4, 12),)),
        ({"student_layers": [1, 3]}, ((1, 3), (3, 9))),
        ({"student_layers": [-1], "teacher_layers": [-2]}, ((4, 11),)),
        ({"student_layers": [4, 1], "teacher_layers": [1, -12]}, ((4, 1), (1, 1))),
    ],
)
def test_some_of_the_students_layers(
    values: dict[str, list[int]], expected: tuple[tuple[int, int], ...]
) -> None:
    assert build_loss("attention_mse", values).pair_layers(4, 12) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"student_layers": [0]},
            r"mse\.student_layers = \[0\]: 0 is no layer of the student; accepted: 1 to 2,",
        ),
        ({"student_layers": [1, -3]}, r"-3 is no layer of the student; .* or -1 for the last"),
        (
            {"student_layers": [2], "teacher_layers": [1, 2]},
            r"teacher_layers = \[1, 2\] has 2 numbers, but student_layers = \[2\] has 1",
        ),
    ],
)
def test_layers_of_the_student_have_to_exist(values: dict[str, list[int]], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build_loss("attention_mse", values).build(config(), config())


@pytest.mark.parametrize(
    ("name", "student", "message"),
    [
        (
            "cosine",
            {"hidden_size": 4},
            r"losses\.cosine.*hidden_size is 6 and the student's 4.* take hidden_mse, which learns",
        ),
        (
            "attention_mse",
            {"num_attention_heads": 3},
            r"losses\.attention_mse.*teacher has 2 heads and the student 3; leave",
        ),
    ],
)
def test_models_that_do_not_fit_are_refused(
    name: str, student: dict[str, int], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        build_loss(name, {}).build(config(**student), config())


def test_a_list_of_a_table_is_read_as_on_the_command_line() -> None:
    # `intermediate.losses.relations.of=values` was read before it was known what it is for.
    assert build_loss("relations", {"of": "values"}).of == ("values",)  # type: ignore[attr-defined]
    assert build_loss("patient", {"teacher_layers": "2,4"}).teacher_layers == (2, 4)  # type: ignore[attr-defined]
