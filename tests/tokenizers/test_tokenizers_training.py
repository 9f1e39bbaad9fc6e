"""Training a vocabulary: deterministic, exact, and the same from files and from texts."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tokenizer_cases import TEXTS

from limbeck.errors import DataError, SettingsError
from limbeck.tokenizers import train_wordpiece
from limbeck.tokenizers.training import SPECIAL_TOKENS

CORPUS = [*TEXTS.values()] * 3


def pieces(**options: Any) -> list[str]:
    corpus = options.pop("corpus", CORPUS)
    vocab = train_wordpiece(corpus, **{"vocab_size": 1500} | options).get_vocab()
    assert sorted(vocab.values()) == list(range(len(vocab)))
    return sorted(vocab, key=vocab.__getitem__)


def test_the_same_corpus_gives_the_same_ids_in_every_process() -> None:
    code = (
        "import json, sys; from limbeck.tokenizers import train_wordpiece\n"
        "texts = json.load(open(sys.argv[1], encoding='utf-8'))['texts'].values()\n"
        "print(train_wordpiece([*texts] * 3, vocab_size=1500).fingerprint)"
    )
    here = Path(__file__).parent
    command = [sys.executable, "-c", code, str(here / "nasty_strings.json")]
    runs = {
        subprocess.run(command, check=True, capture_output=True, cwd=here.parents[1]).stdout
        for _ in range(2)
    }
    expected = train_wordpiece(CORPUS, vocab_size=1500).fingerprint
    assert runs == {f"{expected}\n".encode()}
    # The order of texts does not matter either, as only the words are counted.
    assert train_wordpiece(CORPUS[::-1], vocab_size=1500).fingerprint == expected


def test_the_vocabulary_of_a_corpus_worked_out_by_hand() -> None:
    # Words: low x5, lower x2, newest x6, widest x3, the example of Sennrich et al. 2016.
    # Pairs: e+s and s+t both 9; ties go to the pair of smaller ids, so ##es, then ##est.
    corpus = ["low " * 5 + "lower " * 2 + "newest " * 6 + "widest " * 3]
    letters = sorted(set("lowernewestwidest"))
    inside = [f"##{c}" for c in letters if any(c in w[1:] for w in corpus[0].split())]
    base = [*SPECIAL_TOKENS, *letters, *inside]
    assert pieces(corpus=corpus, vocab_size=len(base)) == base
    trained = pieces(corpus=corpus, vocab_size=len(base) + 4)
    assert trained[len(base) :] == ["##es", "##est", "lo", "low"]


def test_files_texts_and_iterators_give_the_same(tmp_path: Path) -> None:
    texts = [text.replace("\n", " ").replace("\r", " ") for text in TEXTS.values()]
    (tmp_path / "a.txt").write_text("\n".join(texts[:50]) + "\n", encoding="utf-8", newline="")
    (tmp_path / "b.txt").write_text("\n".join(texts[50:]), encoding="utf-8", newline="")
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    expected = pieces(corpus=texts, min_frequency=1)
    assert pieces(corpus=files, min_frequency=1) == expected
    assert pieces(corpus=iter(texts), min_frequency=1) == expected


def test_counting_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = pieces()
    monkeypatch.setattr("limbeck.tokenizers.counting._FOLD_AT", 3)
    monkeypatch.setattr("limbeck.tokenizers.counting._CHUNK_LENGTH", 7)
    assert pieces() == expected


def test_words_are_counted_as_the_pipeline_splits_them() -> None:
    from limbeck.tokenizers.backend import build_pipeline
    from limbeck.tokenizers.counting import count_words
    from limbeck.tokenizers.training import _find_words

    backend = build_pipeline({"[UNK]": 0}, lowercase=True)
    assert backend.normalizer is not None
    assert backend.pre_tokenizer is not None
    plain = Counter(
        word
        for text in TEXTS.values()
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(
            backend.normalizer.normalize_str(text)
        )
        if len(word) <= 100
    )
    found = count_words(
        TEXTS.values(), cut=lambda text: text.split(" "), find_words=partial(_find_words, backend)
    )
    assert found == plain


def test_options_are_honoured() -> None:
    assert list(SPECIAL_TOKENS) == pieces()[:5]
    assert len(pieces(vocab_size=900)) == 900
    assert len(pieces(vocab_size=100_000)) < 100_000
    cased = train_wordpiece(["Ab é Ab é"], vocab_size=50, lowercase=False)
    assert cased.tokenize("Ab é") == ["Ab", "é"]
    uncased = train_wordpiece(["Ab é Ab é"], vocab_size=50, model_max_length=77)
    assert uncased.tokenize("Ab é") == ["ab", "e"]
    assert uncased.model_max_length == 77
    kept = train_wordpiece(["Ab é Ab é"], vocab_size=50, strip_accents=False)
    assert kept.tokenize("Ab é") == ["ab", "é"]
    words = train_wordpiece(["東京 東京"], vocab_size=50, tokenize_chinese_chars=False)
    assert words.tokenize("東京") == ["東京"]
    assert "abc" not in pieces(corpus=["abc"], min_frequency=2)
    assert "abc" in pieces(corpus=["abc"], min_frequency=1)


def test_the_alphabet_keeps_the_most_frequent_characters() -> None:
    trained = pieces(corpus=["aaa bbb cc d"], alphabet_size=3, min_frequency=100)
    assert trained[5:] == ["a", "b", "c", "##a", "##b", "##c"]


def test_special_tokens_in_the_corpus_are_plain_text() -> None:
    tokenizer = train_wordpiece(["[MASK] [CLS] x"] * 4, vocab_size=60)
    assert tokenizer.mask_token_id == 4
    assert tokenizer("[MASK]")["input_ids"] == [2, 4, 3]


@pytest.mark.parametrize(
    ("corpus", "options", "message"),
    [
        ([], {}, "no words"),
        (["", " \n"], {}, "no words"),
        ("some text", {}, "corpus is a single str; give a list of texts"),
        (Path("a.txt"), {}, r"corpus is a single \w*Path; give a list"),
        (["a", 3], {}, r"item 1 of the corpus is 3 \(int\); accepted"),
        (["a", "\ud800"], {}, r"text 1 of the corpus has a lone surrogate U\+D800"),
        ([Path("no such file")], {}, "no such file can't be read"),
    ],
)
def test_wrong_corpora(corpus: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        train_wordpiece(corpus, vocab_size=100, **options)


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine\nna\xefve\n")
    with pytest.raises(DataError, match=r"a\.txt, line 2 is not UTF-8"):
        train_wordpiece([tmp_path / "a.txt"], vocab_size=100)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": 9}, "vocab_size=9 is too small.*take 10.*alphabet_size .now 1000."),
        ({"vocab_size": 0}, "vocab_size is 0; accepted"),
        ({"min_frequency": 1.5}, r"min_frequency is 1\.5; accepted"),
        ({"alphabet_size": -3}, "alphabet_size is -3; accepted"),
        ({"model_max_length": None}, "model_max_length is None; accepted"),
    ],
)
def test_wrong_numbers(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        train_wordpiece(["abc"], **{"vocab_size": 100} | options)
