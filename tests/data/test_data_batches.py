from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import MaskedBatch, MaskedBatches, MaskingSettings
from limbeck.errors import DataError, SettingsError


@pytest.fixture(scope="module")
def make_batches(corpus, tokenizer):
    def make(split="train", *, masking=None, **values):
        values = {"batch_size": 4, "sequence_length": 16, "seed": 1} | values
        return MaskedBatches(
            corpus.split(split),
            tokenizer=values.pop("tokenizer", tokenizer),
            token_counts=corpus.token_counts,
            masking=masking or MaskingSettings(),
            **values,
        )

    return make


def originals(batch):
    """The tokens before masking."""
    return torch.where(batch.labels != -100, batch.labels, batch.input_ids)


def equal(first, second):
    return torch.equal(first.input_ids, second.input_ids) and torch.equal(
        first.labels, second.labels
    )


@settings(max_examples=40)
@given(st.integers(8, 40), st.integers(4, 30), st.integers(0, 3), st.booleans(), st.booleans())
def test_an_epoch_has_every_token_once(
    corpus, make_batches, length, batch_size, epoch, keep_last, shuffle
):
    batches = make_batches(
        sequence_length=length, batch_size=batch_size, keep_last=keep_last, shuffle=shuffle
    )
    first = epoch * batches.steps_per_epoch
    parts = [originals(batches.batch(first + i)) for i in range(batches.steps_per_epoch)]
    rows = torch.cat(parts)[:, 1:-1].numpy()
    stream = corpus.split("train").read(0, batches.num_rows * (length - 2))
    expected = stream.reshape(batches.num_rows, length - 2)
    if keep_last:
        assert sorted(rows.tolist()) == sorted(expected.tolist())
    else:
        assert 0 <= batches.num_rows - len(rows) < batch_size
        assert Counter(map(tuple, rows.tolist())) <= Counter(map(tuple, expected.tolist()))
    if not shuffle:
        np.testing.assert_array_equal(rows, expected[: len(rows)])


def test_batches_are_a_pure_function_of_seed_and_step(make_batches):
    first, second = make_batches(), make_batches()
    num = first.steps_per_epoch
    steps = [3, 0, num + 1, 3, 2 * num]
    assert all(equal(first.batch(step), second.batch(step)) for step in steps)
    assert not equal(first.batch(0), first.batch(1))
    assert not equal(first.batch(0), first.batch(num))
    assert not equal(first.batch(0), make_batches(seed=2).batch(0))


def test_steps_can_be_resumed_anywhere(make_batches):
    batches = make_batches()
    stop = 2 * batches.steps_per_epoch
    whole = list(batches.steps(0, stop))
    assert len(whole) == stop
    resumed = list(make_batches().steps(7, stop))
    assert all(equal(a, b) for a, b in zip(whole[7:], resumed, strict=True))
    endless = batches.steps(5)
    assert equal(next(endless), whole[5])
    endless.close()
    assert not [t for t in threading.enumerate() if t.name == "limbeck-prefetch"]


def test_an_error_in_the_background_is_raised_in_the_foreground(make_batches, tmp_path, corpus):
    import shutil

    from limbeck.data import Corpus

    copy = Corpus.open(shutil.copytree(corpus.folder, tmp_path / "copy"))
    batches = MaskedBatches(
        copy.split("train"),
        tokenizer=copy.tokenizer,
        token_counts=None,
        masking=MaskingSettings(),
        batch_size=2,
        sequence_length=16,
        seed=0,
    )
    shutil.rmtree(copy.folder)
    with pytest.raises(FileNotFoundError, match="train-"):
        list(batches.steps(0, 50))


@pytest.mark.parametrize("quota", ["row", "batch"])
@pytest.mark.parametrize("confine", [False, True])
def test_division_into_micro_batches_and_ranks_changes_nothing(make_batches, quota, confine):
    masking = MaskingSettings(quota=quota, weights="smoothed")
    batches = make_batches(masking=masking, confine_attention=confine)
    batch = batches.batch(2)

    def joined(parts):
        fields = ["input_ids", "labels", "attention_mask", "position_ids"]
        values = [[getattr(part, field) for part in parts] for field in fields]
        return [torch.cat(value) for value in values if value[0] is not None]

    expected = joined([batch])
    assert len(expected) == (4 if confine else 2)
    ways = [
        batch.split(4),
        [part for rank in range(2) for part in batch.shard(rank, 2).split(2)],
        [batch.shard(rank, 4) for rank in range(4)],
        batch.split(3),
    ]
    for parts in ways:
        assert sum(part.num_tokens for part in parts) == batch.num_tokens
        assert sum(part.num_masked for part in parts) == batch.num_masked
        assert all(torch.equal(a, b) for a, b in zip(expected, joined(parts), strict=True))


@given(st.integers(1, 20), st.integers(1, 20))
def test_parts_differ_by_one_row_at_most(rows, parts):
    ids = torch.arange(rows)[:, None]
    batch = MaskedBatch(ids, ids)
    if parts > rows:
        message = (
            rf"batch of {rows} rows can't be divided into {parts} parts; accepted: 1 to {rows}"
        )
        with pytest.raises(SettingsError, match=message):
            batch.split(parts)
        return
    sizes = [len(part) for part in batch.split(parts)]
    assert sum(sizes) == rows
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == parts


def test_with_a_quota_a_row_the_batch_size_changes_nothing(make_batches):
    small, large = make_batches(batch_size=2), make_batches(batch_size=6)
    rows = [small.batch(step) for step in range(3)]
    together = large.batch(0)
    assert torch.equal(torch.cat([b.input_ids for b in rows]), together.input_ids)
    assert torch.equal(torch.cat([b.labels for b in rows]), together.labels)


def test_heldout_batches_are_the_same_each_time(make_batches):
    evaluate = {"split": "heldout", "shuffle": False, "keep_last": True, "batch_size": 1000}
    batches = make_batches(**evaluate)
    assert batches.steps_per_epoch == 1
    assert len(batches.batch(0)) == batches.num_rows
    assert equal(batches.batch(0), make_batches(**evaluate).batch(0))


def test_attention_is_confined_to_documents(make_batches, tokenizer):
    batch = make_batches(confine_attention=True, sequence_length=64).batch(0)
    mask = batch.attention_mask
    assert mask.shape == (4, 64, 64)
    assert batch.num_tokens == 4 * 64
    same = batch.document_ids[:, :, None] == batch.document_ids[:, None, :]
    assert torch.equal(mask, same)
    assert batch.attention_mask is mask, "it is large, and both models and losses ask for it"
    assert (batch.document_ids.amax(dim=1) > 0).any()
    starts = torch.diff(batch.document_ids, dim=1) == 1
    assert (batch.position_ids[:, 1:][starts] == 0).all()
    assert (torch.diff(batch.position_ids, dim=1)[~starts] == 1).all()
    plain = make_batches(sequence_length=64).batch(0)
    assert plain.attention_mask is None
    assert plain.position_ids is None
    assert torch.equal(plain.input_ids, batch.input_ids)


def test_a_padded_batch_keeps_its_mask():
    ids = torch.tensor([[1, 2, 0], [1, 2, 3]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    batch = MaskedBatch(ids, ids, mask)
    assert batch.num_tokens == 5
    assert torch.equal(batch.split(2)[0].attention_mask, mask[:1])
    assert batch.to("cpu").attention_mask is mask
    square = MaskedBatch(ids, ids, mask[:, None, :].expand(2, 3, 3))
    assert square.num_tokens == 5
    both = MaskedBatch(ids, ids, mask, document_ids=torch.tensor([[0, 1, 1], [0, 0, 1]]))
    assert both.attention_mask[0].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert both.num_tokens == 5
    assert repr(batch) == "MaskedBatch(rows=2, length=3)"


def test_what_does_not_fit_together_is_refused(make_batches, other_tokenizer):
    with pytest.raises(
        DataError, match=r"split 'train' of the corpus .* with another tokenizer: it"
    ):
        make_batches(tokenizer=other_tokenizer)
    rows = make_batches().num_rows
    message = rf"'train' fills {rows} rows of 16 tokens, fewer than batch_size={rows + 1}; lower"
    with pytest.raises(DataError, match=message):
        make_batches(batch_size=rows + 1)
    with pytest.raises(SettingsError, match=r"batch_size=0 is not a number of rows; at least 1"):
        make_batches(batch_size=0)
    with pytest.raises(DataError, match=r"sequence_length=100000 is longer than the split 'train'"):
        make_batches(sequence_length=100_000)
    batch = make_batches().batch(0)
    with pytest.raises(SettingsError, match=r"rank=2 is not one of 2 processes"):
        batch.shard(2, 2)
