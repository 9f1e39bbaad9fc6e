"""Batches of examples: every example once an epoch, little padding, order decided by the seed."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.tasks import EncodedExample, EncodedExamples, TrainBatches, collate, evaluation_batches
from limbeck.tasks._classification import ClassificationTask
from limbeck.tasks._texts import TextEncoding


def make_examples(lengths):
    # The first id says which example it is.
    return EncodedExamples.of(
        EncodedExample(
            index=i,
            input_ids=[100 + i] + [1] * (n - 1),
            token_type_ids=[0] * (n - 1) + [1],
            label=i % 2,
        )
        for i, n in enumerate(lengths)
    )


TASK = ClassificationTask(
    name="any", metric="accuracy", splits={}, labels=("no", "yes"), encoding=TextEncoding()
)


def first_ids(steps):
    return [batch.input_ids[:, 0].tolist() for step in steps for batch in step]


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=70),
    batch_size=st.integers(1, 9),
    accumulate=st.integers(1, 4),
    seed=st.integers(0, 5),
    start=st.integers(0, 30),
)
def test_each_epoch_has_every_example_once_and_resumes_anywhere(
    lengths, batch_size, accumulate, seed, start
):
    batches = TrainBatches(
        TASK,
        make_examples(lengths),
        batch_size=batch_size,
        accumulate=accumulate,
        pad_token_id=0,
        seed=seed,
    )
    per_epoch = batches.steps_per_epoch
    steps = list(itertools.islice(batches.steps(), 2 * per_epoch))
    for epoch in (steps[:per_epoch], steps[per_epoch:]):
        ids = sorted(itertools.chain(*first_ids(epoch)))
        assert ids == [100 + i for i in range(len(lengths))]
    assert all(len(step) <= accumulate for step in steps)
    start %= per_epoch + 1
    resumed = itertools.islice(batches.steps(start), 2 * per_epoch - start)
    assert first_ids(resumed) == first_ids(steps[start:])


def test_order_depends_on_seed_and_epoch():
    def order(seed, epoch):
        batches = TrainBatches(
            TASK, make_examples([5] * 50), batch_size=4, accumulate=1, pad_token_id=0, seed=seed
        )
        return [chosen.tolist() for chosen in batches.epoch_order(epoch)]

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def order_of(lengths, *, batch_size=32, epoch=0):
    batches = TrainBatches(
        TASK, make_examples(lengths), batch_size=batch_size, accumulate=1, pad_token_id=0, seed=0
    )
    return batches.epoch_order(epoch)


def test_grouping_by_length_leaves_little_padding_in_a_large_set():
    lengths = np.random.default_rng(0).integers(5, 60, 20_000)
    padded = sum(len(chosen) * lengths[chosen].max() for chosen in order_of(lengths.tolist()))
    assert lengths.sum() / padded > 0.9


@pytest.mark.parametrize("num_examples", [320, 640, 2_490, 3_668])  # the last two: RTE and MRPC
def test_rows_of_a_batch_seldom_meet_again_in_a_small_set(num_examples):
    lengths = np.random.default_rng(0).integers(5, 60, num_examples).tolist()
    first, second = (np.empty(num_examples, dtype=int) for _ in range(2))
    for epoch, batch_of in enumerate((first, second)):
        for number, chosen in enumerate(order_of(lengths, epoch=epoch)):
            batch_of[chosen] = number
    are_together = first[:, None] == first
    np.fill_diagonal(are_together, val=False)
    meet_again = (second[:, None] == second)[are_together].mean()
    assert meet_again < max(1.2 * 32 / num_examples, 1 / 32)


def test_a_small_set_has_batches_of_all_lengths():
    lengths = [5] * 320 + [50] * 320  # a label that follows length would be all that a batch has
    num_long = [sum(i >= 320 for i in chosen) for chosen in order_of(lengths)]
    assert 0.05 < np.std(num_long) / 32 < 0.15  # of a random half, 0.09


def test_collate_pads_and_masks():
    batch = collate(TASK, make_examples([2, 3, 1]), [1, 2], pad_token_id=7)
    assert batch.input_ids.tolist() == [[101, 1, 1], [102, 7, 7]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.token_type_ids.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert batch.labels.tolist() == [1, 0]
    assert batch.positions == (1, 2)
    assert (batch.num_tokens, batch.num_examples) == (4, 2)
    assert set(batch.inputs()) == {"input_ids", "attention_mask", "token_type_ids"}
    bare = EncodedExample(index=0, input_ids=[1, 2], token_type_ids=None, label=None)
    even = collate(TASK, EncodedExamples.of([bare] * 2), [0, 1], pad_token_id=0)
    assert even.attention_mask is even.token_type_ids is even.labels is None
    assert set(even.inputs()) == {"input_ids"}
    meta = batch.to(torch.device("meta"))
    assert meta.input_ids.device.type == meta.labels.device.type == "meta"


def test_choices_are_padded_in_number_and_length():
    row = {"token_type_ids": None, "label": 0}
    examples = [
        EncodedExample(index=0, input_ids=[[1, 2, 3], [4]], **row),
        EncodedExample(index=1, input_ids=[[5], [6, 7], [8]], **row),
    ]
    batch = collate(TASK, EncodedExamples.of(examples), [0, 1], pad_token_id=9)
    assert batch.input_ids.tolist() == [
        [[1, 2, 3], [4, 9, 9], [9, 9, 9]],
        [[5, 9, 9], [6, 7, 9], [8, 9, 9]],
    ]
    assert batch.attention_mask.sum(-1).tolist() == [[3, 1, 0], [1, 2, 1]]
    assert batch.num_tokens == 8


def test_rows_without_a_label_go_in_batches_of_their_own():
    unlabelled = [replace(example, label=None) for example in make_examples([3] * 4)]
    examples = EncodedExamples.join([make_examples([3] * 6), EncodedExamples.of(unlabelled)])
    batches = TrainBatches(TASK, examples, batch_size=10, accumulate=1, pad_token_id=0, seed=0)
    labelled, unlabelled = next(batches.steps())
    assert sorted(labelled.positions) == list(range(6))
    assert sorted(unlabelled.positions) == list(range(6, 10))
    assert unlabelled.labels is None


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_evaluation_visits_everything_once(batch_size):
    examples = make_examples([3, 9, 1, 4, 4])
    seen = {}
    for batch in evaluation_batches(TASK, examples, batch_size=batch_size, pad_token_id=0):
        seen |= dict(zip(batch.positions, batch.input_ids[:, 0].tolist(), strict=True))
    assert seen == {i: 100 + i for i in range(5)}
