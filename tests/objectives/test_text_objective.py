"""One module holds student and losses: what a loss sees, what is trained, what is kept."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck import BertConfig, BertForMaskedLM, DistilBertConfig, DistilBertForMaskedLM
from limbeck.data import MaskedBatch
from limbeck.losses import Compared, Loss, View, Views, build_loss
from limbeck.models import ModelConfig
from limbeck.objectives import TextObjective, evaluate_language_model
from limbeck.train import build_adamw


class Relations(Loss):
    """How alike the values of each two tokens are, in both models' last layers.

    Source:
        Wang et al., "MiniLM", 2020, equation 10.
    """

    needs: ClassVar[frozenset[View]] = frozenset({"queries", "keys", "values"})

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        return ComparesRelations()


class ComparesRelations(nn.Module):
    def forward(self, seen: Compared) -> Tensor:
        hidden = (1 - seen.attention_mask[:, None, None, :].double()) * -1e4
        ours, theirs = (
            [self.relate(x[-1], hidden) for x in (views.queries, views.keys, views.values)]
            for views in (seen.student, seen.teacher)
        )
        return sum(
            F.kl_div(seen.rows(a), seen.rows(b), log_target=True, reduction="sum") / a.shape[2]
            for a, b in zip(ours, theirs, strict=True)
        )

    def relate(self, states: Tensor, hidden: Tensor) -> Tensor:
        scores = states @ states.mT / states.shape[-1] ** 0.5
        return (scores + hidden).log_softmax(dim=-1).transpose(1, 2)


class PooledDistance(Loss):
    """A learned map from the student's pooled vectors to a wider teacher's."""

    needs: ClassVar[frozenset[View]] = frozenset({"pooled"})

    def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
        assert teacher is not None
        return MapsPooled(student.hidden_size, teacher.hidden_size)


class MapsPooled(nn.Module):
    def __init__(self, student_size: int, teacher_size: int) -> None:
        super().__init__()
        # Its name must not be taken for the encoder's.
        self.embeddings = nn.Linear(student_size, teacher_size)

    def forward(self, seen: Compared) -> Tensor:
        return (self.embeddings(seen.student.pooled) - seen.teacher.pooled).square().sum()


@pytest.fixture
def teacher() -> BertForMaskedLM:
    config = BertConfig(
        vocab_size=30,
        hidden_size=12,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=8,
        initializer_range=0.3,
    )
    torch.manual_seed(1)
    return BertForMaskedLM(config).double().eval().requires_grad_(requires_grad=False)


@pytest.fixture
def student() -> DistilBertForMaskedLM:
    config = DistilBertConfig(
        vocab_size=30,
        dim=8,
        n_layers=2,
        n_heads=2,
        hidden_dim=16,
        max_position_embeddings=8,
        initializer_range=0.3,
        dropout=0.0,
        attention_dropout=0.0,
    )
    torch.manual_seed(2)
    return DistilBertForMaskedLM(config).double()


@pytest.fixture
def batch() -> MaskedBatch:
    generator = torch.Generator().manual_seed(3)
    input_ids = torch.randint(5, 30, (4, 8), generator=generator)
    labels = torch.where(torch.rand(4, 8, generator=generator) < 0.3, input_ids, -100)
    mask = torch.ones_like(input_ids)
    mask[1, 5:] = mask[3, 3:] = 0
    labels[mask == 0] = -100
    return MaskedBatch(input_ids, labels, mask)


def make(student: nn.Module, teacher: nn.Module, **losses: Loss) -> TextObjective:
    torch.manual_seed(4)
    objective = TextObjective(student, losses, teacher=teacher, chunk_rows=3)
    return objective.double()


def test_sees_queries_keys_and_values_and_nothing_else(student, teacher, batch) -> None:
    objective = make(student, teacher, relations=Relations(positions="real", weight=3))
    assert objective.of_student.collect == {"queries", "keys", "values"}
    prepared = objective.prepare(batch)
    assert prepared.counts == {"relations": 8 + 5 + 8 + 3}
    total, terms = objective(prepared, prepared.counts)
    collect = objective.of_student.collect
    ours = student(batch.input_ids, batch.attention_mask, collect=collect)
    theirs = teacher(batch.input_ids, batch.attention_mask, collect=collect)
    expected = 0.0
    for row, length in enumerate(batch.attention_mask.sum(1).tolist()):
        for name in collect:
            log_ours, log_theirs = (
                (x @ x.mT / x.shape[-1] ** 0.5).log_softmax(-1)
                for x in (getattr(out, name)[-1][row, :, :length] for out in (ours, theirs))
            )
            divergence = (log_theirs.exp() * (log_theirs - log_ours)).sum(-1).mean(0).sum()
            expected += divergence.item() / (8 + 5 + 8 + 3)
    assert terms["relations"].item() == pytest.approx(expected, rel=1e-9)
    assert total.item() == pytest.approx(3 * terms["relations"].item(), rel=1e-12)


def test_a_teacher_runs_as_far_as_a_loss_looks(student, teacher, batch) -> None:
    """No further layer is run, and of no other layer anything is kept."""
    attention = build_loss("attention_mse", {"student_layers": [2], "teacher_layers": [3]})
    objective = make(student, teacher, attention=attention)
    prepared = objective.prepare(batch)
    called = []
    for place, layer in enumerate(teacher.encoder.layers):
        layer.register_forward_hook(lambda *_, place=place: called.append(place))
    _, terms = objective(prepared, prepared.counts)
    assert called == [0, 1, 2]
    assert objective.of_teacher.collect == {("attention_scores", 2)}
    assert objective.of_student.collect == {("attention_scores", 1)}
    scores = {"attention_scores"}
    ours = student(batch.input_ids, batch.attention_mask, collect=scores).attention_scores[1]
    theirs = teacher(batch.input_ids, batch.attention_mask, collect=scores).attention_scores[2]
    expected = sum(
        (ours[row, :, :length, :length] - theirs[row, :, :length, :length])
        .square()
        .mean((0, 2))
        .sum()
        for row, length in enumerate(batch.attention_mask.sum(1).tolist())
    )
    torch.testing.assert_close(terms["attention"], expected.detach() / (8 + 5 + 8 + 3))
    for name, runs in (("masked_lm", [0, 1, 2]), ("soft_targets", [0, 1, 2, 3])):
        called.clear()
        objective = make(student, teacher, attention=attention, **{name: build_loss(name, {})})
        objective(objective.prepare(batch), objective.prepare(batch).counts)
        assert called == runs, name


def test_parameters_of_losses_are_trained_and_the_teachers_are_not(student, teacher, batch) -> None:
    projected = build_loss("hidden_mse", {"projection": "two"})
    objective = make(student, teacher, hidden_mse=projected, pooled=PooledDistance())
    names = objective.state_dict().keys()
    own = {f"student.{name}" for name in student.state_dict()}
    assert names - own == {
        "losses.hidden_mse.of_embeddings.weight",
        "losses.hidden_mse.of_layers.weight",
        "losses.pooled.embeddings.weight",
        "losses.pooled.embeddings.bias",
    }
    optimizer = build_adamw([objective], learning_rate=1.0, layer_decay=0.5)
    rates = {
        id(p): group["peak_learning_rate"]
        for group in optimizer.param_groups
        for p in group["params"]
    }
    trained = dict(objective.named_parameters())
    assert rates.keys() == {id(p) for p in trained.values()}
    assert all(rates[id(p)] == 1.0 for name, p in trained.items() if name.startswith("losses."))
    assert rates[id(student.encoder.embeddings.word.weight)] == 0.5**3
    prepared = objective.prepare(batch)
    total, _ = objective(prepared, prepared.counts)
    total.backward()
    for name, parameter in trained.items():
        if not name.startswith("student.head."):  # no loss looks at logits
            assert parameter.grad is not None, name
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_change_nothing(student, teacher, batch, parts) -> None:
    losses = {
        "soft_targets": build_loss("soft_targets", {"positions": "real"}),
        "masked_lm": build_loss("masked_lm", {}),
        "hidden_mse": build_loss("hidden_mse", {"projection": "two"}),
        "pooled": PooledDistance(),
    }
    objective = make(student, teacher, **losses)

    def gradients(batches: list[MaskedBatch]) -> list[Tensor]:
        objective.zero_grad()
        counts: Counter[str] = Counter()
        prepared = [objective.prepare(part) for part in batches]
        for part in prepared:
            counts.update(part.counts)
        assert counts["pooled"] == 4
        for part in prepared:
            objective(part, counts)[0].backward()
        return [p.grad for p in objective.parameters() if p.grad is not None]

    whole, split = gradients([batch]), gradients(batch.split(parts))
    assert len(whole) == len(split) == len(list(objective.parameters()))
    for expected, actual in zip(whole, split, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-12)


def test_views_of_a_loss_are_those_that_it_lists(student, teacher, batch) -> None:
    seen: list[dict[str, object]] = []

    class Recorded(PooledDistance):
        def build(self, student: ModelConfig, teacher: ModelConfig | None) -> nn.Module:
            module = super().build(student, teacher)
            module.register_forward_pre_hook(
                lambda _module, given: seen.extend(vars(views) for views in found(given[0]))
            )
            return module

    def found(compared: Compared) -> tuple[Views, Views]:
        return compared.student, compared.teacher

    objective = make(student, teacher, pooled=Recorded(), relations=Relations())
    prepared = objective.prepare(batch)
    objective(prepared, prepared.counts)
    assert [set(views) for views in seen] == [{"pooled"}, {"pooled"}]


def test_a_measurement_wakes_no_dropout_of_a_frozen_encoder(student, teacher, batch) -> None:
    student.train()
    student.encoder.eval()
    teacher.train()
    before = [[part.training for part in model.modules()] for model in (student, teacher)]
    evaluate_language_model(student, [batch], teacher=teacher, device=torch.device("cpu"))
    after = [[part.training for part in model.modules()] for model in (student, teacher)]
    assert after == before
