"""What a label counts beside a teacher: the same in any company, batch, division and rank."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from limbeck import BertConfig, BertForSequenceClassification
from limbeck.losses import build_loss
from limbeck.objectives import CachedTeacher, TaskObjective, TaskTeacher
from limbeck.tasks import EncodedExample, EncodedExamples, TrainBatches, read_task

NUM_ROWS = 12
LABEL_WEIGHT = 0.5


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = '{"text": "a", "label": "no"}\n{"text": "b", "label": "yes"}\n'
    (folder / "train.jsonl").write_text(rows, encoding="utf-8")
    return read_task("text_classification", str(folder), options={})


@pytest.fixture(scope="module")
def objective(task):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=8,
        initializer_range=0.5,
    ).replace(**task.head())
    expected = torch.randn(NUM_ROWS, 2, dtype=torch.float64)
    teacher = TaskTeacher(
        config=config,
        outputs=CachedTeacher(lambda positions: [expected[i] for i in positions]),
        losses={"soft_targets": build_loss("soft_targets", {"temperature": 1})},
    )
    model = BertForSequenceClassification(config).double().eval()
    return TaskObjective(task, model, teacher=teacher, label_weight=LABEL_WEIGHT)


def make_rows(labelled: set[int]) -> EncodedExamples:
    generator = torch.Generator().manual_seed(1)
    return EncodedExamples.of(
        EncodedExample(
            index=i,
            input_ids=torch.randint(5, 30, (5,), generator=generator).tolist(),
            token_type_ids=None,
            label=i % 2 if i in labelled else None,
        )
        for i in range(NUM_ROWS)
    )


def epoch_gradient(objective, task, rows, *, batch_size: int, accumulate: int) -> Tensor:
    """Returns the gradient of an epoch, each step counting as its share of the examples."""
    batches = TrainBatches(
        task, rows, batch_size=batch_size, accumulate=accumulate, pad_token_id=0, seed=3
    )
    objective.zero_grad()
    for _, micro_batches in zip(range(batches.steps_per_epoch), batches.steps(), strict=False):
        prepared = [objective.prepare(batch) for batch in micro_batches]
        counts: Counter[str] = Counter()
        for part in prepared:
            counts.update(part.counts)
        size = sum(batch.num_examples for batch in micro_batches)
        for part in prepared:
            (objective(part, counts)[0] * size / NUM_ROWS).backward()
    return torch.cat([p.grad.flatten() for p in objective.parameters()])


@settings(deadline=None, max_examples=25)
@given(
    labelled=st.sets(st.integers(0, NUM_ROWS - 1)),
    batch_size=st.sampled_from([1, 2, 3, 5, 12]),
    accumulate=st.sampled_from([1, 2]),
)
def test_a_label_counts_the_same_in_any_company(
    objective, task, labelled, batch_size, accumulate
) -> None:
    """An epoch's gradient is that of one formula, whichever rows have labels and meet."""
    rows = make_rows(labelled)
    found = epoch_gradient(objective, task, rows, batch_size=batch_size, accumulate=accumulate)
    everything = TrainBatches(task, rows, batch_size=12, accumulate=1, pad_token_id=0, seed=3)
    model = objective.student
    objective.zero_grad()
    for batch in next(everything.steps()):
        logits = model(**batch.inputs()).logits
        _, expected = objective._teacher.outputs(batch, objective.of_teacher)
        loss = F.kl_div(logits.log_softmax(-1), expected.softmax(-1), reduction="sum")
        if batch.labels is not None:
            loss = loss + LABEL_WEIGHT * F.cross_entropy(logits, batch.labels, reduction="sum")
        (loss / NUM_ROWS).backward()
    expected = torch.cat([p.grad.flatten() for p in objective.parameters()])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_a_step_without_labels_learns_from_the_teacher_alone(objective, task) -> None:
    rows = make_rows(set())
    (batch,) = next(
        TrainBatches(task, rows, batch_size=4, accumulate=1, pad_token_id=0, seed=0).steps()
    )
    prepared = objective.prepare(batch)
    total, terms = objective(prepared, prepared.counts)
    assert terms["task"] == 0
    assert total == terms["soft_targets"] > 0


def test_where_all_have_labels_it_is_their_mean(objective, task) -> None:
    rows = make_rows(set(range(NUM_ROWS)))
    (batch,) = next(
        TrainBatches(task, rows, batch_size=4, accumulate=1, pad_token_id=0, seed=0).steps()
    )
    prepared = objective.prepare(batch)
    _, terms = objective(prepared, prepared.counts)
    logits = objective.student(**batch.inputs()).logits
    assert terms["task"] == F.cross_entropy(logits, batch.labels, reduction="sum") / 4
    unlabelled = objective.prepare(replace(batch, labels=None))
    assert prepared.counts["soft_targets"] == unlabelled.counts["soft_targets"]
