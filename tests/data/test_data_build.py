from __future__ import annotations

import json
import logging
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import Corpus, CorpusSettings, build_corpus
from limbeck.data.tokenising import SEGMENT_CHARACTERS
from limbeck.errors import DataError
from limbeck.tokenizers import Tokenizer


def write_jsonl(path, texts):
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return path


def encode(tokenizer, texts):
    """The plain way: one call a document."""
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


def documents_of(corpus, split):
    stream = corpus.split(split)
    return [stream.document(i).tolist() for i in range(stream.num_documents)]


def test_corpus_holds_every_document_as_the_tokenizer_gives_it(corpus, tokenizer, texts):
    stored = documents_of(corpus, "train") + documents_of(corpus, "heldout")
    assert sorted(stored) == sorted(encode(tokenizer, texts))
    assert corpus.info.dtype == "<u2"
    assert corpus.info.num_characters == sum(map(len, texts))
    assert corpus.info.num_documents["train"] + corpus.info.num_documents["heldout"] == len(texts)
    assert 0 < corpus.info.num_documents["heldout"] < 20
    for name in ("train", "heldout"):
        shards = corpus.info.splits[name].shards
        assert [shard.num_tokens for shard in shards[:-1]] == [97] * (len(shards) - 1)


def test_order_is_kept_and_a_separator_stands_after_every_document(make_corpus, tokenizer, texts):
    corpus = make_corpus(texts)
    split = corpus.split("train")
    expected = [
        token for ids in encode(tokenizer, texts) for token in [*ids, tokenizer.sep_token_id]
    ]
    assert split.read(0, split.num_tokens).tolist() == expected
    assert (
        corpus.token_counts.tolist()
        == np.bincount(expected, minlength=tokenizer.vocab_size).tolist()
    )


def test_heldout_documents_do_not_depend_on_order_or_company(make_corpus, texts):
    whole = make_corpus(texts, heldout_ratio=0.3)
    other = make_corpus(texts[::-2], heldout_ratio=0.3)
    held = {tuple(ids) for ids in documents_of(whole, "heldout")}
    for split in ("train", "heldout"):
        assert all((tuple(d) in held) == (split == "heldout") for d in documents_of(other, split))


@settings(max_examples=15)
@given(st.integers(1000, 3000), st.integers(60, 5000), st.lists(st.integers(0, 39), min_size=1))
def test_batch_and_shard_size_do_not_change_the_tokens(
    make_corpus, tokenizer, texts, batch_characters, shard_tokens, chosen
):
    documents = [texts[i] for i in chosen]
    corpus = make_corpus(documents, batch_characters=batch_characters, shard_tokens=shard_tokens)
    assert documents_of(corpus, "train") == encode(tokenizer, documents)


def test_a_novel_is_tokenised_in_pieces_to_the_same_ids(make_corpus, tokenizer, texts):
    novel = "\n".join(texts * 20)
    assert len(novel) > 5 * SEGMENT_CHARACTERS
    corpus = make_corpus([novel], batch_characters=20_000, shard_tokens=4096)
    assert documents_of(corpus, "train") == encode(tokenizer, [novel])


def test_deduplication_keeps_the_first_of_equal_documents(make_corpus, tokenizer, texts):
    corpus = make_corpus([*texts, f" {texts[3]}\n", texts[5], texts[3] + "!"], deduplicate=True)
    assert corpus.info.num_duplicates == 2
    assert documents_of(corpus, "train") == encode(tokenizer, [*texts, texts[3] + "!"])
    assert make_corpus([texts[3]] * 4).info.num_documents["train"] == 4


def test_a_large_vocabulary_is_stored_in_four_bytes(tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(70_000))]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = Tokenizer.from_pretrained(tmp_path)
    source = write_jsonl(tmp_path / "a.jsonl", ["w69999 w1 w65536"])
    out = tmp_path / "out"
    chosen = CorpusSettings(heldout_ratio=0)
    info = build_corpus([source], tokenizer=tokenizer, out=out, settings=chosen)
    assert info.dtype == "<u4"
    assert info.num_bytes == 4 * 4 == (out / "train-00000.bin").stat().st_size
    assert Corpus.open(out).split("train").document(0).tolist() == [70_004, 6, 65_541]


def test_the_corpus_folder_is_a_tokenizer_folder(corpus, tokenizer):
    assert Tokenizer.from_pretrained(corpus.folder).fingerprint == tokenizer.fingerprint
    assert corpus.tokenizer.fingerprint == tokenizer.fingerprint


def test_a_malformed_line_stops_the_build_or_is_skipped_and_counted(
    tmp_path, tokenizer, texts, caplog
):
    source = tmp_path / "a.jsonl"
    lines = [json.dumps({"text": text}) for text in texts]
    source.write_text("\n".join([*lines[:3], "{oops", *lines[3:], '{"txt": 1}']))
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"a.jsonl, line 4, column 2: not valid JSON.*Set on_err"):
        build_corpus([source], tokenizer=tokenizer, out=out)
    with pytest.raises(DataError, match=r"out is not complete: its build was interrupted. Run the"):
        Corpus.open(out)
    skip = CorpusSettings(on_error="skip")
    with caplog.at_level(logging.WARNING):
        info = build_corpus([source], tokenizer=tokenizer, out=out, settings=skip)
    assert info.num_malformed == 2
    assert sum(info.num_documents.values()) == len(texts)
    assert "line 4, column 2: not valid JSON" in caplog.text
    fresh = build_corpus([source], tokenizer=tokenizer, out=tmp_path / "new", settings=skip)
    assert fresh == info


def test_an_empty_corpus_is_refused(tmp_path, tokenizer):
    source = write_jsonl(tmp_path / "a.jsonl", ["", "  \n", "\u200b"])
    with pytest.raises(
        DataError, match=r"corpus is empty: no text in 1 sources \(.*a.jsonl\); 3 e"
    ):
        build_corpus([source], tokenizer=tokenizer, out=tmp_path / "out")
    # nothing was lost, so the same folder may be used for what has text
    write_jsonl(source, ["some text"])
    info = build_corpus([source], tokenizer=tokenizer, out=tmp_path / "out")
    assert sum(info.num_documents.values()) == 1


def test_a_corpus_without_training_documents_is_refused(tmp_path, tokenizer):
    source = write_jsonl(tmp_path / "a.jsonl", ["one document"])
    held = CorpusSettings(heldout_ratio=0.9999999)
    with pytest.raises(
        DataError, match=r"went to the held-out split: 1 documents with heldout_rat"
    ):
        build_corpus([source], tokenizer=tokenizer, out=tmp_path / "out", settings=held)


def test_a_folder_with_other_things_is_left_alone(tmp_path, tokenizer):
    source = write_jsonl(tmp_path / "a.jsonl", ["one document"])
    with pytest.raises(
        DataError, match=r"exists and is not a corpus; give a new or an empty folder"
    ):
        build_corpus([source], tokenizer=tokenizer, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_folder_that_cannot_be_written_is_an_error_that_says_why(tmp_path, tokenizer):
    source = write_jsonl(tmp_path / "a.jsonl", ["one document"])
    with pytest.raises(
        DataError, match=r"can't write .*a.jsonl/out: a part of its path is a f.*continues"
    ):
        build_corpus([source], tokenizer=tokenizer, out=source / "out")


def test_the_corpus_commands_do_not_wait_for_torch(tmp_path, tokenizer, texts):
    source = write_jsonl(tmp_path / "a.jsonl", texts)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    code = (
        "import sys; from limbeck.cli import main; source, tokenizer, out = sys.argv[1:];"
        "assert main(['corpus', 'build', source, '--tokenizer', tokenizer, '--out', out]) == 0;"
        "assert main(['corpus', 'info', out]) == 0;"
        "heavy = {'torch', 'datasets', 'pyarrow'} & sys.modules.keys(); assert not heavy, heavy"
    )
    arguments = [str(source), str(tmp_path / "tokenizer"), str(tmp_path / "out")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)


def test_progress_counts_every_byte_once(tmp_path, tokenizer, texts):
    class Recorder:
        def __init__(self):
            self.done, self.fields = 0, {}

        def stage(self, description, *, total, unit):
            self.total, self.unit = total, unit
            return self

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def advance(self, amount=1):
            self.done += amount

        def update(self, **fields):
            self.fields = fields

        def log(self, message):
            raise AssertionError(message)

    recorder = Recorder()
    paths = [write_jsonl(tmp_path / f"{i}.jsonl", texts) for i in range(3)]
    build_corpus(paths, tokenizer=tokenizer, out=tmp_path / "out", progress=recorder)
    assert recorder.unit == "bytes"
    assert recorder.done == recorder.total == sum(path.stat().st_size for path in paths)
    assert recorder.fields["documents"] == 3 * len(texts)
    corpus = Corpus.open(tmp_path / "out")
    recorder = Recorder()
    corpus.verify(progress=recorder)
    assert recorder.done == recorder.total > 0
