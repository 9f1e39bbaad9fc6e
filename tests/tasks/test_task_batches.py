"""Batches of examples: every example once an epoch, little padding, order decided by the seed."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.tasks import EncodedExample, TrainBatches, collate, evaluation_batches


def make_examples(lengths):
    # The first id says which example it is.
    return [
        EncodedExample([100 + i] + [1] * (n - 1), [0] * (n - 1) + [1], i % 2)
        for i, n in enumerate(lengths)
    ]


def first_ids(steps):
    return [batch.input_ids[:, 0].tolist() for step in steps for batch in step]


@settings(max_examples=40, deadline=None)
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
            make_examples([5] * 50), batch_size=4, accumulate=1, pad_token_id=0, seed=seed
        )
        return [chosen.tolist() for chosen in batches.epoch_order(epoch)]

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_grouping_by_length_leaves_little_padding():
    lengths = np.random.default_rng(0).integers(5, 60, 640).tolist()
    batches = TrainBatches(
        make_examples(lengths), batch_size=32, accumulate=1, pad_token_id=0, seed=0
    )
    steps = list(itertools.islice(batches.steps(), batches.steps_per_epoch))
    cells = sum(batch.input_ids.numel() for step in steps for batch in step)
    tokens = sum(batch.num_tokens for step in steps for batch in step)
    assert tokens == sum(lengths)
    assert tokens / cells > 0.9


def test_collate_pads_and_masks():
    batch = collate(make_examples([3, 1]), pad_token_id=7)
    assert batch.input_ids.tolist() == [[100, 1, 1], [101, 7, 7]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.token_type_ids.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert batch.labels.tolist() == [0, 1]
    assert (batch.num_tokens, batch.num_examples) == (4, 2)
    assert set(batch.inputs()) == {"input_ids", "attention_mask", "token_type_ids"}
    even = collate([EncodedExample([1, 2], None, None)] * 2, pad_token_id=0)
    assert even.attention_mask is even.token_type_ids is even.labels is None
    assert set(even.inputs()) == {"input_ids"}
    meta = batch.to(torch.device("meta"))
    assert meta.input_ids.device.type == meta.labels.device.type == "meta"


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_evaluation_visits_everything_once(batch_size):
    examples = make_examples([3, 9, 1, 4, 4])
    seen = {}
    for indices, batch in evaluation_batches(examples, batch_size=batch_size, pad_token_id=0):
        seen |= dict(zip(indices, batch.input_ids[:, 0].tolist(), strict=True))
    assert seen == {i: 100 + i for i in range(5)}
