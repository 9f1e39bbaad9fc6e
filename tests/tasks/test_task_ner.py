"""Tagged sentences: schemes, files, pieces of words, entities counted by hand, a tiny model."""

import json
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck import BertConfig, BertModel
from limbeck.errors import DataError
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.recipes import finetune
from limbeck.tasks import collate, read_task
from limbeck.tasks._tags import guess_scheme, to_bio2
from limbeck.tasks.ner import NO_WORD
from limbeck.tokenizers import train_wordpiece
from limbeck.train import SilentProgress


def write(folder, **splits):
    for name, sentences in splits.items():
        rows = [{"tokens": tokens, "ner_tags": tags} for tokens, tags in sentences]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return str(folder)


# ---- schemes


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from(["O", "X", "Y"]), st.integers(1, 3)), min_size=1, max_size=6)
)
def test_every_scheme_says_the_same(entities):
    expected, written = [], {"iob1": [], "bio2": [], "bioes": [], "bilou": []}
    before = None
    for kind, length in entities:
        if kind == "O":
            tags = dict.fromkeys(written, ["O"] * length)
        else:
            inner = [f"I-{kind}"] * length
            bio2 = [f"B-{kind}", *inner[1:]]
            bioes = [f"S-{kind}"] if length == 1 else [*bio2[:-1], f"E-{kind}"]
            tags = {
                "bio2": bio2,
                "iob1": bio2 if before == kind else inner,
                "bioes": bioes,
                "bilou": [t.replace("S-", "U-").replace("E-", "L-") for t in bioes],
            }
        for scheme in written:
            written[scheme] += tags[scheme]
        expected += tags["bio2"]
        before = kind
    for scheme, tags in written.items():
        name = "bioes" if scheme == "bilou" else scheme
        assert list(to_bio2(tags, scheme=name, types={}, place="here")) == expected
    assert guess_scheme([written["bio2"]]) == "bio2"
    if any(tags != "O" for tags in expected):
        assert guess_scheme([written["bioes"]]) in ("bioes", "bio2")


def test_types_are_read_as_others_or_as_none():
    tags = ["B-MISC", "I-MISC", "B-GPE", "I-GPE", "O"]
    mapped = to_bio2(tags, scheme="bio2", types={"MISC": "O", "GPE": "LOC"}, place="here")
    assert mapped == ("O", "O", "B-LOC", "I-LOC", "O")


@pytest.mark.parametrize(
    ("tags", "options", "message"),
    [
        (["X-PER", "O"], {}, r"line 1: 'X-PER' is no tag; accepted: O, or B-, I-, E- or S-"),
        (["B-", "O"], {}, r"line 1: 'B-' is no tag"),
        (["O", "I-PER"], {"scheme": "bio2"}, r"line 1: 'I-PER' at word 1 has no B- .* 'iob1'"),
        (["O"], {}, r"line 1: 2 words, but 1 tags in column 'ner_tags'"),
        ("O O", {}, r"line 1: 2 words, but no list of tags"),
        (["B-PER", "O"], {"labels": ["O", "B-LOC"]}, r"line 1: unknown tag 'B-PER'; known: O"),
        ([1, 0], {}, r"line 1: '1' is no tag; .* or the number of a tag in task_options.labels"),
        ([2, 0], {"labels": ["O", "B-LOC"]}, r"line 1: '2' is no tag"),
        ([-1, 0], {"labels": ["O", "B-LOC"]}, r"line 1: '-1' is no tag"),
        ([True, 0], {"labels": ["O", "B-LOC"]}, r"line 1: 'True' is no tag"),
        (None, {}, r"line 1: column 'ner_tags' has no label"),
    ],
)
def test_bad_tags_are_refused_with_their_place(tmp_path, tags, options, message):
    data = write(tmp_path, train=[(["Anna", "runs"], tags)])
    with pytest.raises(DataError, match=message):
        read_task("ner", data, options=options)


def test_numbers_are_tags_by_their_place_among_the_labels(tmp_path):
    data = write(tmp_path, train=[(["Anna", "runs"], [1, 0])])
    task = read_task("ner", data, options={"labels": ["O", "B-PER", "I-PER"]})
    assert task.splits["train"].examples[0].label == ("B-PER", "O")
    (tmp_path / "test.conll").write_text("Anna 1\nRossi 2\nruns 0\n", encoding="utf-8")
    task = read_task("ner", data, options={"labels": ["O", "B-PER", "I-PER"]})
    assert task.splits["test"].examples[0].label == ("B-PER", "I-PER", "O")


def test_bad_words_are_refused_with_their_place(tmp_path):
    data = write(tmp_path, train=[([], [])])
    with pytest.raises(DataError, match=r"line 1: column 'tokens' holds \[\]; accepted: a list"):
        read_task("ner", data)


def test_conlls_columns_are_read(tmp_path):
    (tmp_path / "train.conll").write_text(
        "-DOCSTART- -X- O\n\nAnna NNP I-PER\nRossi NNP I-PER\nruns VBZ O\n\n\nRome NNP I-LOC\n",
        encoding="utf-8",
    )
    task = read_task("ner", str(tmp_path))
    sentences = task.splits["train"].examples
    assert [s.words for s in sentences] == [("Anna", "Rossi", "runs"), ("Rome",)]
    assert [s.label for s in sentences] == [("B-PER", "I-PER", "O"), ("B-LOC",)]
    assert task.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    (tmp_path / "test.conll").write_text("Anna\n\u00a0\r\n\r\nRome\n", encoding="utf-8")
    test = read_task("ner", str(tmp_path)).splits["test"]
    assert [s.words for s in test.examples] == [("Anna", "\u00a0"), ("Rome",)]
    assert not test.is_labelled
    for content, message in (
        ("Rome B-LOC\nAnna\n", r"train.conll, line 2: 'Anna' has a word and no tag"),
        ("Rome B-LOC\n\nAnna\n", r"line 3: column 'ner_tags' has no label, .* 1 of the 2 rows"),
    ):
        (tmp_path / "train.conll").write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            read_task("ner", str(tmp_path))


# ---- pieces


@settings(max_examples=30)
@given(num_words=st.integers(1, 40), max_length=st.integers(8, 16), seed=st.integers(0, 99))
def test_every_word_has_one_place_however_long_the_sentence(
    tmp_path_factory, num_words, max_length, seed
):
    vocabulary = ["rain", "uncharacteristic", "Rome", "x"]
    texts = ["rain Rome x un char act er istic"]
    tokenizer = train_wordpiece(texts, vocab_size=60, min_frequency=1)
    assert len(tokenizer("uncharacteristic", add_special_tokens=False)["input_ids"]) > 1
    random.seed(seed)
    words = random.choices(vocabulary, k=num_words)
    tags = [random.choice(["O", "B-X"]) for _ in words]
    task = read_task("ner", write(tmp_path_factory.mktemp("ner"), train=[(words, tags)]))
    split = task.splits["train"]
    encoded = task.encode(split, tokenizer, max_length=max_length)
    assert all(len(row.input_ids) <= max_length for row in encoded)
    placed = [word for row in encoded for word in row.words if word != NO_WORD]
    assert placed == list(range(num_words))
    labelled = [
        task.labels[place] for row in encoded for place in row.label if place != IGNORE_INDEX
    ]
    assert labelled == tags
    logits = [
        torch.nn.functional.one_hot(torch.tensor(row.label).clamp_min(0), len(task.labels)).T
        for row in encoded
    ]
    (record,) = task.predict(split, encoded, logits)
    assert record["prediction"] == tags
    batch = collate(task, encoded, range(len(encoded)), pad_token_id=0)
    assert task.loss_count(batch) == num_words


def test_a_tiny_model_learns_names(tmp_path):
    random.seed(0)
    kinds = {"Anna": "B-PER", "Rossi": "I-PER", "Rome": "B-LOC", "rain": "O", "saw": "O"}

    def make(count):
        sentences = []
        for _ in range(count):
            words = random.choices(["Anna", "Rome", "rain", "saw"], k=6)
            sentences.append((words, [kinds[word] for word in words]))
        return sentences

    data = write(tmp_path, train=make(64), validation=make(16), test=make(16))
    tokenizer = train_wordpiece([" ".join(kinds)], vocab_size=80, min_frequency=1)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    settings = finetune.FinetuneSettings.from_values(
        {
            "model": str(tmp_path / "model"),
            "data": data,
            "out": str(tmp_path / "run"),
            "task": "ner",
            "epochs": 6,
            "batch_size": 8,
            "learning_rate": 1e-2,
            "max_length": 16,
        }
    )
    result = finetune.run(settings, progress=SilentProgress())
    assert result.seeds[0].scores["test"]["f1"] > 0.95
