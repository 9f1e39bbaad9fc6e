"""Byte-level BPE and Unigram vocabularies: deterministic, as good as others', and read by all."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_cases import TEXTS

from limbeck.data import Corpus, CorpusSettings, build_corpus
from limbeck.errors import DataError, SettingsError
from limbeck.tokenizers import Tokenizer, train_bpe, train_unigram
from limbeck.tokenizers.counting import count_words
from limbeck.tokenizers.unigram import _divide, _expect

CORPUS = [*TEXTS.values()] * 3
TRAIN = {"bpe": train_bpe, "unigram": train_unigram}
SIZES = {"bpe": 500, "unigram": 650}
CLASSES = {"bpe": "RobertaTokenizer", "unigram": "XLMRobertaTokenizer"}
words = st.text("abc", min_size=1, max_size=7)


@pytest.fixture(scope="module", params=TRAIN)
def kind(request: Any) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tokenizer(kind: str) -> Tokenizer:
    return TRAIN[kind](CORPUS, vocab_size=SIZES[kind])


def test_the_same_corpus_gives_the_same_ids_in_every_process(
    kind: str, tokenizer: Tokenizer
) -> None:
    code = (
        f"import json, sys; from limbeck.tokenizers import train_{kind}\n"
        "texts = json.load(open(sys.argv[1], encoding='utf-8'))['texts'].values()\n"
        f"print(train_{kind}([*texts] * 3, vocab_size={SIZES[kind]}).fingerprint)"
    )
    here = Path(__file__).parent
    command = [sys.executable, "-c", code, str(here / "nasty_strings.json")]
    run = subprocess.run(command, check=True, capture_output=True, cwd=here.parents[1])
    assert run.stdout == f"{tokenizer.fingerprint}\n".encode()
    assert TRAIN[kind](CORPUS[::-1], vocab_size=SIZES[kind]).fingerprint == tokenizer.fingerprint


@pytest.mark.parametrize("name", TRAIN)
@given(texts=st.lists(st.text("ab \n東é", max_size=12), min_size=1, max_size=5), data=st.data())
@settings(max_examples=20, deadline=None)
def test_the_order_of_texts_is_of_no_account(name: str, texts: list[str], data: Any) -> None:
    texts = [*texts, "a"]
    other = data.draw(st.permutations(texts))
    options = {"vocab_size": 280, "min_frequency": 1}
    assert TRAIN[name](texts, **options).fingerprint == TRAIN[name](other, **options).fingerprint


def test_sizes_and_special_tokens(kind: str, tokenizer: Tokenizer) -> None:
    assert tokenizer.vocab_size == SIZES[kind]
    assert sorted(tokenizer.get_vocab().values()) == list(range(SIZES[kind]))
    assert tokenizer.convert_ids_to_tokens([0, 1, 2, 3]) == ["<s>", "<pad>", "</s>", "<unk>"]
    assert (tokenizer.cls_token, tokenizer.sep_token, tokenizer.mask_token) == (
        "<s>",
        "</s>",
        "<mask>",
    )
    assert "token_type_ids" not in tokenizer("a")
    assert tokenizer.continuation_mask.any()
    assert TRAIN[kind](CORPUS, vocab_size=600, model_max_length=77).model_max_length == 77


def test_transformers_reads_what_is_saved(kind: str, tokenizer: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert type(theirs).__name__ == CLASSES[kind]
    for text in TEXTS.values():
        result = tokenizer([text], [text], return_offsets_mapping=True)
        assert dict(result) == dict(theirs([text], [text], return_offsets_mapping=True))
    assert Tokenizer.from_pretrained(tmp_path).fingerprint == tokenizer.fingerprint


def test_a_corpus_is_built_with_it(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the quick fox\n\njumps", encoding="utf-8")
    reading = CorpusSettings(heldout_ratio=0)
    build_corpus([tmp_path / "a.txt"], tokenizer=tokenizer, out=tmp_path / "c", settings=reading)
    corpus = Corpus.open(tmp_path / "c")
    stream = corpus.split("train").read(0, corpus.split("train").num_tokens).tolist()
    texts = [
        tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in ("the quick fox", "jumps")
    ]
    assert stream == [i for ids in texts for i in [*ids, tokenizer.sep_token_id]]
    assert corpus.tokenizer.fingerprint == tokenizer.fingerprint


def test_nothing_is_unknown_to_bytes() -> None:
    tokenizer = train_bpe(["a"], vocab_size=261)
    text = "Ω 東京 😀 \t x"
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_the_pieces_of_a_corpus_worked_out_by_hand() -> None:
    # The example of Sennrich et al. 2016: low x5, lower x2, newest x6, widest x3.
    corpus = ["low " * 5 + "lower " * 2 + "newest " * 6 + "widest " * 3]
    vocab = train_bpe(corpus, vocab_size=264).get_vocab()
    assert sorted(vocab, key=vocab.__getitem__)[261:] == ["es", "est", "lo"]
    prefixed = train_bpe(["low low"], vocab_size=300, add_prefix_space=True, min_frequency=2)
    assert prefixed.tokenize("low") == ["Ġlow"]


def test_a_unigram_vocabulary_is_as_good_as_the_librarys() -> None:
    """As many tokens, to 2 %, as with the trainer of the tokenizers library."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import pre_tokenizers, trainers
    from tokenizers.models import Unigram

    theirs = Backend(Unigram())
    theirs.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=700, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    log = (Path(__file__).parents[2] / "docs" / "log.md").read_text(encoding="utf-8")
    lines = log.split("\n")[:150]
    theirs.train_from_iterator(lines, trainer)
    ours = train_unigram(lines, vocab_size=700)
    expected = sum(len(theirs.encode(line).ids) for line in lines)
    assert sum(len(ours.tokenize(line)) for line in lines) < 1.02 * expected


@given(words=st.lists(st.tuples(words, st.integers(1, 5)), min_size=1, max_size=4), data=st.data())
@settings(max_examples=50, deadline=None)
def test_expectations_are_those_over_all_divisions(words: Any, data: Any) -> None:
    parts = sorted(
        {w[i:j] for w, _ in words for i in range(len(w)) for j in range(i + 1, len(w) + 1)}
    )
    kept = [p for p in parts if len(p) == 1 or data.draw(st.booleans())]
    scores = {p: -data.draw(st.floats(0.1, 5)) for p in kept}
    expected: Counter[str] = Counter()
    for word, count in words:
        ways = []
        for cuts in itertools.product([0, 1], repeat=len(word) - 1):
            ends = [i + 1 for i, cut in enumerate(cuts) if cut]
            pieces = [word[a:b] for a, b in zip([0, *ends], [*ends, len(word)], strict=True)]
            if all(piece in scores for piece in pieces):
                ways.append((math.exp(sum(scores[p] for p in pieces)), pieces))
        total = sum(weight for weight, _ in ways)
        for weight, pieces in ways:
            for piece in pieces:
                expected[piece] += count * weight / total
        best = max(ways)[0]
        chosen = math.exp(sum(scores[p] for p in _divide(word, scores) or ()))
        assert chosen == pytest.approx(best)
    found = _expect(words, scores)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bpe", {"vocab_size": 260}, "vocab_size=260 is too small: .* 256 bytes take 261"),
        ("bpe", {"vocab_size": 0}, "vocab_size is 0; accepted"),
        ("unigram", {"vocab_size": 9}, "vocab_size=9 is too small.*take 10.*alphabet_size .now 10"),
        ("unigram", {"min_frequency": 0}, "min_frequency is 0; accepted"),
    ],
)
def test_wrong_numbers(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        TRAIN[name](["abcd"], **{"vocab_size": 300} | options)


def test_a_corpus_without_words() -> None:
    with pytest.raises(DataError, match="no words"):
        train_unigram([" ", ""], vocab_size=300)
    with pytest.raises(DataError, match="no words"):
        count_words([], cut=str.split, find_words=str.split)
    assert json.dumps(train_bpe([" \n"], vocab_size=300).vocab_size) == "261"
