from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data import Corpus
from limbeck.errors import DataError, SettingsError


@pytest.fixture
def copy(corpus, tmp_path):
    return Corpus.open(shutil.copytree(corpus.folder, tmp_path / "copy"))


@given(st.data())
def test_any_slice_reads_across_shards(corpus, data):
    split = corpus.split("train")
    start = data.draw(st.integers(0, split.num_tokens))
    stop = data.draw(st.integers(start, split.num_tokens))
    everything = np.concatenate(
        [
            np.fromfile(corpus.folder / f"{shard.name}.bin", dtype="<u2")
            for shard in corpus.info.splits["train"].shards
        ]
    )
    np.testing.assert_array_equal(split.read(start, stop), everything[start:stop])
    # separators mark the ends in this text, which holds none itself
    ends = np.flatnonzero(everything == corpus.info.separator_id) + 1
    expected = ends[(ends > start) & (ends <= stop)]
    np.testing.assert_array_equal(split.document_ends(start, stop), expected)


def test_figures_of_the_splits_agree_with_the_info(corpus):
    info = corpus.info
    for name in ("train", "heldout"):
        split = corpus.split(name)
        assert split.num_tokens == info.num_tokens[name]
        assert split.num_documents == info.num_documents[name]
        assert split.num_documents == len(split.document_ends(0, split.num_tokens))
    assert corpus.token_counts.sum() == sum(info.num_tokens.values())
    assert corpus.token_counts[info.separator_id] == sum(info.num_documents.values())
    assert "TokenSplit('train', num_tokens=" in repr(corpus.split("train"))


def test_positions_and_documents_outside_are_refused(corpus):
    split = corpus.split("heldout")
    size = split.num_tokens
    with pytest.raises(
        DataError, match=rf"positions 0 to {size + 1} are outside the {size} tokens"
    ):
        split.read(0, size + 1)
    with pytest.raises(
        DataError, match=rf"'heldout' has no document 99; it has {split.num_documents}"
    ):
        split.document(99)
    with pytest.raises(
        SettingsError, match=r"no split 'held'; accepted: train, heldout.* 'heldout'"
    ):
        corpus.split("held")


def test_a_sound_corpus_verifies(copy):
    copy.verify()


@pytest.mark.parametrize("name", ["train-00001.bin", "train-00001.documents.bin"])
def test_a_changed_byte_is_found_by_verify_and_named(copy, name):
    path = copy.folder / name
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    reopened = Corpus.open(copy.folder)
    with pytest.raises(DataError, match=f"is damaged: the checksum of {name} is wrong"):
        reopened.verify()
    split = Corpus.open(copy.folder).split("train")
    read = split.read if name == "train-00001.bin" else split.document_ends
    with pytest.raises(DataError, match=rf"{name} is wrong; build the corpus again or copy these"):
        read(0, split.num_tokens)


def test_open_checks_that_files_are_there_with_their_sizes(copy):
    shard = copy.folder / "heldout-00000.bin"
    content = shard.read_bytes()
    shard.write_bytes(content[:-2])
    with pytest.raises(
        DataError, match=rf"heldout-00000.bin has {len(content) - 2} bytes, expecte"
    ):
        Corpus.open(copy.folder)
    shard.unlink()
    with pytest.raises(DataError, match=r"heldout-00000.bin is missing; build the corpus again"):
        Corpus.open(copy.folder)
    shard.write_bytes(content)
    counts = copy.folder / "token_counts.npy"
    np.save(counts, np.load(counts) + 1)
    with pytest.raises(
        DataError, match=r"token_counts.npy is damaged: it counts \d+ tokens in sha"
    ):
        Corpus.open(copy.folder)
    counts.write_bytes(counts.read_bytes()[:100])
    with pytest.raises(DataError, match=r"token_counts.npy is damaged: "):
        Corpus.open(copy.folder)
    counts.unlink()
    with pytest.raises(DataError, match=r"token_counts.npy is missing"):
        Corpus.open(copy.folder)


def test_open_explains_what_is_wrong_with_corpus_json(copy, tmp_path):
    path = copy.folder / "corpus.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"format_version": 7}))
    with pytest.raises(
        DataError,
        match=r"has format_version 7, .* a newer Limbeck; .*format_version 1: build",
    ):
        Corpus.open(copy.folder)
    path.write_text(json.dumps(values | {"vocab_size": "many"}))
    with pytest.raises(
        DataError, match=r"corpus.json is damaged: vocab_size: Input should be a va"
    ):
        Corpus.open(copy.folder)
    path.write_text(json.dumps(values | {"dtype": "|O"}))
    with pytest.raises(DataError, match=r"damaged: dtype: Input should be '<u2' or '<u4'"):
        Corpus.open(copy.folder)
    path.write_bytes(b'{"format_version": "\xff"}')
    with pytest.raises(DataError, match=r"is not UTF-8 text: byte 20.*; build the corpus again"):
        Corpus.open(copy.folder)
    path.write_text("[1")
    with pytest.raises(DataError, match=r"corpus.json is not JSON: .*; build the corpus again"):
        Corpus.open(copy.folder)
    path.unlink()
    with pytest.raises(DataError, match=r"copy is not a corpus folder: it has no corpus.json"):
        Corpus.open(copy.folder)
    with pytest.raises(
        DataError, match=r"no corpus folder .*nowhere; make one with `limbeck corpu"
    ):
        Corpus.open(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["../secret-00000", "/tmp/train-00000", "train-00000/x", ""])
def test_a_shard_outside_the_folder_is_refused(copy, name):
    path = copy.folder / "corpus.json"
    values = json.loads(path.read_text())
    values["splits"]["train"]["shards"][0]["name"] = name
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=r"damaged: splits.train.shards.0.name: String should mat"):
        Corpus.open(copy.folder)


def test_shards_that_do_not_add_up_are_refused(copy):
    path = copy.folder / "corpus.json"
    values = json.loads(path.read_text())
    values["splits"]["train"]["num_tokens"] += 1
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=r"splits.train: the shards hold \d+ tokens"):
        Corpus.open(copy.folder)


def test_counts_that_promise_too_much_are_refused(copy):
    path = copy.folder / "token_counts.npy"
    content = path.read_bytes()
    promised = content.replace(b"'shape': (2, ", b"'shape': (2000000000000, ").ljust(len(content))
    path.write_bytes(promised)
    with pytest.raises(DataError, match=r"token_counts.npy is damaged"):
        Corpus.open(copy.folder)


def test_another_tokenizer_is_refused(corpus, tokenizer, other_tokenizer):
    corpus.require_tokenizer(tokenizer)
    message = (
        rf"tokenised with another tokenizer: its vocabulary has {tokenizer.vocab_size} entries and "
        rf"the fingerprint {tokenizer.fingerprint[:12]}, the one given has "
        rf"{other_tokenizer.vocab_size} and {other_tokenizer.fingerprint[:12]}"
    )
    with pytest.raises(DataError, match=message):
        corpus.require_tokenizer(other_tokenizer)
