"""What stands for a whole is taken from all over it."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data import Corpus, CorpusSettings, build_corpus
from limbeck.data.sampling import take_evenly
from limbeck.models import AutoModelForMaskedLM
from limbeck.recipes._language_model import make_held_out_batches
from limbeck.recipes.pretrain import SettingsType
from limbeck.tokenizers import train_wordpiece


@given(size=st.integers(1, 300), number=st.integers(1, 100))
def test_a_sample_has_one_item_of_each_equal_part(size, number):
    taken = take_evenly(range(size), number)
    assert len(taken) == min(size, number)
    assert taken == sorted(set(taken))
    for part, item in enumerate(taken):
        assert part * size // len(taken) <= item < -(-(part + 1) * size // len(taken))


def test_of_fewer_than_twice_as_many_the_last_are_not_left_out():
    assert take_evenly(range(100), 64)[-1] == 99


@pytest.mark.parametrize("rows", [32, 128])
def test_held_out_rows_are_of_all_sources_whatever_their_number(tmp_path, rows):
    words = ["river", "stone", "cloud"]
    tokenizer = train_wordpiece([" ".join(words)], vocab_size=80, min_frequency=1)
    for word in words:
        texts = [f"{number} " + " ".join([word] * 60) for number in range(200)]
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (tmp_path / f"{word}.jsonl").write_text(lines, encoding="utf-8")
    build_corpus(
        [tmp_path / f"{word}.jsonl" for word in words],
        tokenizer=tokenizer,
        out=tmp_path / "corpus",
        settings=CorpusSettings(heldout_ratio=0.3),
    )
    corpus = Corpus.open(tmp_path / "corpus")
    settings = SettingsType.from_values(
        {
            "corpus": str(tmp_path / "corpus"),
            "out": str(tmp_path / "run"),
            "sequence_length": 32,
            "evaluate_rows": rows,
        }
    )
    found: Counter[str] = Counter()
    for batch in make_held_out_batches(corpus, settings, kind=AutoModelForMaskedLM.kind):
        for row in batch.input_ids.tolist():
            pieces = tokenizer.convert_ids_to_tokens(row)
            found.update({max(words, key=pieces.count): 1})
    assert found.total() == rows
    assert all(found[word] > rows / 5 for word in words)
