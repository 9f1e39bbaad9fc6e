"""Entities are those of `transformers.pipeline` on the same folder, and no text is cut."""

import itertools
import random

import numpy as np
import pytest
import torch
from pipeline_models import write_model

import limbeck
from limbeck.errors import DataError, SettingsError
from limbeck.inference import TokenClassificationPipeline, pipeline
from limbeck.inference.pipelines._entities import STRATEGIES, Piece, find_entities
from limbeck.models import AutoModelForTokenClassification
from limbeck.recipes._tasks.predictions import predict_logits
from limbeck.tasks import read_task
from limbeck.tokenizers import AutoTokenizer

TEXTS = [
    "Ada Lovelace, born in London, wrote notes; Zoë and Łukasz read them in São Paulo!",
    "Señor Peña's co-op (U.S.) isn't in Łódź... or is it?",
    "Unknown words: 日本 ☃ qqqq ждать, and [MASK] or [SEP] as words",
    "in E\u0301t Ze\u0301o, \u0130stanbul stra\u00dfe \ud55c\uad6d a\u00adb x\x00y",
    "  spaces\tand\nlines  ",
    "one",
    "",
]
LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC")


def write(folder, **changes):
    given = {"labels": LABELS, "texts": TEXTS[:2], **changes}
    return write_model(folder, auto_model=AutoModelForTokenClassification, **given)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("model"))


def assert_equal_entities(given, expected):
    assert len(given) == len(expected)
    for one, other in zip(given, expected, strict=True):
        if isinstance(one, list):
            assert_equal_entities(one, other)
            continue
        assert set(one) == set(other)
        for name, value in one.items():
            if name == "score":
                assert value == pytest.approx(float(other["score"]), abs=1e-6)
            else:
                assert value == other[name], name


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("model_type", ["bert", "distilbert"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_entities_equal_those_of_transformers(strategy, model_type, seed, tmp_path):
    transformers = pytest.importorskip("transformers")
    write(tmp_path, model_type=model_type, seed=seed)
    ours = limbeck.pipeline("ner", model=tmp_path, aggregation_strategy=strategy, batch_size=2)
    theirs = transformers.pipeline(
        "ner", model=str(tmp_path), aggregation_strategy=strategy, device="cpu"
    )
    for inputs in (TEXTS, TEXTS[0], TEXTS[2], TEXTS[:1]):
        assert_equal_entities(ours(inputs), theirs(inputs))
    everything = ours(TEXTS, ignore_labels=[])
    assert_equal_entities(everything, theirs(TEXTS, ignore_labels=[]))
    assert max(len(entities) for entities in everything) > 5
    assert_equal_entities(
        ours(TEXTS, ignore_labels=["PER", "B-LOC"]),
        theirs(TEXTS, ignore_labels=["PER", "B-LOC"]),
    )


def test_entities_of_any_characters_equal_those_of_transformers(folder):
    transformers = pytest.importorskip("transformers")
    pieces = [*"aábcdeotnrsü .,-'#", "[MASK]", "[UNK]", "日", "  ", "E\u0301", "☃", " Lon", "don "]
    draw = random.Random(0)
    texts = ["".join(draw.choices(pieces, k=draw.randint(0, 30))) for _ in range(60)]
    ours = pipeline("ner", folder, ignore_labels=[])
    theirs = transformers.pipeline("ner", model=str(folder), ignore_labels=[], device="cpu")
    for strategy in STRATEGIES:
        assert_equal_entities(
            ours(texts, aggregation_strategy=strategy), theirs(texts, aggregation_strategy=strategy)
        )


def test_a_text_of_any_length_is_read_to_its_end(folder):
    text = " ".join(TEXTS[:2] * 6)
    find = pipeline("ner", folder, ignore_labels=[])
    tokens = find(text)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    (row,) = tokenizer([text], add_special_tokens=False).encodings
    assert len(row) > 250
    assert [(token["start"], token["end"]) for token in tokens] == row.offsets
    assert [token["index"] for token in tokens] == list(range(1, len(row) + 1))
    assert find(text, stride=0) != tokens
    entities = find(text, aggregation_strategy="first")
    assert entities[-1]["end"] == len(text)
    between = [text[one["end"] : other["start"]] for one, other in itertools.pairwise(entities)]
    assert not "".join(between).strip()


@pytest.mark.parametrize("stride", [0, 5, 40, 61])
def test_a_token_counts_where_it_has_most_text_around_it(folder, stride):
    text = " ".join(TEXTS[:2] * 4)
    find = pipeline("ner", folder, ignore_labels=[], stride=stride, batch_size=3)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder)
    ids = tokenizer([text], add_special_tokens=False)["input_ids"][0]
    begins = [0]
    while begins[-1] + 62 < len(ids):
        begins.append(begins[-1] + 62 - stride)
    scores = {}
    for begin in begins:
        window = [tokenizer.cls_token_id, *ids[begin : begin + 62], tokenizer.sep_token_id]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([window])).logits
        scores[begin] = logits[0, 1:-1].softmax(-1).numpy()
    for number, token in enumerate(find(text)):
        inside = {
            begin: min(
                number - begin if begin else np.inf,
                begin + len(rows) - 1 - number if begin != begins[-1] else np.inf,
            )
            for begin, rows in scores.items()
            if begin <= number < begin + len(rows)
        }
        begin = max(inside, key=inside.get)
        best = scores[begin][number - begin].argmax()
        assert token["entity"] == LABELS[best]
        assert token["score"] == pytest.approx(float(scores[begin][number - begin][best]), abs=1e-5)


def test_many_texts_are_read_in_parts(folder, monkeypatch):
    monkeypatch.setattr("limbeck.inference._stream._FIRST_OF_LIST", 1)
    find = pipeline("token-classification", folder, aggregation_strategy="max", batch_size=2)
    assert_equal_entities(find(TEXTS), [find(text) for text in TEXTS])
    assert find([]) == []


def test_strategies_by_hand():
    rows = [[0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.2, 0.8, 0.0]]
    pieces = [
        Piece(text, np.array(scores, np.float32), 2 * i, 2 * i + 1, i, word)
        for i, (text, scores, word) in enumerate(
            zip(["a", "##b", "c"], rows, [0, 0, 1], strict=True)
        )
    ]
    labels = {0: "B-X", 1: "I-X", 2: "Y"}

    def found(strategy):
        entities = find_entities(pieces, strategy=strategy, labels=labels, join=" ".join)
        return [
            (e.get("entity_group") or e["entity"], round(e["score"], 6), e["start"], e["end"])
            for e in entities
        ]

    assert found("none") == [("B-X", 0.6, 0, 1), ("Y", 0.7, 2, 3), ("I-X", 0.8, 4, 5)]
    assert found("simple") == [("X", 0.6, 0, 1), ("Y", 0.7, 2, 3), ("X", 0.8, 4, 5)]
    assert found("first") == [("X", 0.7, 0, 5)]
    assert found("max") == [("Y", 0.7, 0, 3), ("X", 0.8, 4, 5)]
    assert found("average") == [("Y", 0.4, 0, 3), ("X", 0.8, 4, 5)]
    assert find_entities([], strategy="first", labels=labels, join=" ".join) == []


def test_wrong_arguments_are_refused(folder):
    with pytest.raises(
        SettingsError,
        match=r"aggregation_strategy = 'avarage'; accepted: none, simple, first, average, max\. "
        r"Did you mean 'average'",
    ):
        pipeline("ner", folder, aggregation_strategy="avarage")
    with pytest.raises(
        SettingsError,
        match=r"the token-classification pipeline has no option 'strid'; accepted: aggregation_"
        r"strategy, ignore_labels, stride, tokenizer, .*\. Did you mean 'stride'",
    ):
        pipeline("ner", folder, strid=3)
    find = pipeline("ner", folder)
    assert isinstance(find, TokenClassificationPipeline)
    with pytest.raises(SettingsError, match=r"ignore_labels = 'O'; accepted: .* such as \['O'\]"):
        find("a", ignore_labels="O")
    with pytest.raises(SettingsError, match=r"stride = -1: must be at least 0"):
        find("a", stride=-1)
    with pytest.raises(SettingsError, match=r"stride = 0\.5: must be a whole number of at least 0"):
        find("a", stride=0.5)
    with pytest.raises(SettingsError, match=r"stride=62 must be smaller than the 62 tokens"):
        find("a", stride=62)
    with pytest.raises(SettingsError, match=r"max_length=1 leaves no room for text beside the 2 "):
        pipeline("ner", folder, max_length=1)("a")
    with pytest.raises(DataError, match=r"input 1 is \['a', 'b'\]; .*is_split_into_words=True"):
        find(["a", ["a", "b"]])
    with pytest.raises(DataError, match=r"input 0 is 5; accepted: a text, or a list"):
        find(5)


WORDS = [["Anna", "saw", "O'Hara-Smith", "in", "Rome."], ["the", "rain", "Rome"]]


@pytest.mark.parametrize("strategy", ["none", "simple"])
def test_words_that_are_divided_already_equal_those_of_transformers(folder, strategy):
    transformers = pytest.importorskip("transformers")
    options = {"aggregation_strategy": strategy, "ignore_labels": []}
    ours = pipeline("ner", folder, **options)
    theirs = transformers.pipeline("ner", model=str(folder), device="cpu", **options)
    for words in WORDS:
        expected = theirs(words, is_split_into_words=True)
        assert_equal_entities(ours(words, is_split_into_words=True), expected)
    both = ours(WORDS, is_split_into_words=True)
    assert_equal_entities(both, [ours(words, is_split_into_words=True)[0] for words in WORDS])


def test_a_word_that_is_given_gets_the_tag_that_the_task_gives_it(folder):
    """As the task predicts it: by the word's first piece, whatever the tokenizer divides."""
    task = read_task(
        "ner",
        {"test": [{"tokens": words} for words in WORDS]},
        options={"labels": list(LABELS)},
    )
    model = limbeck.AutoModelForTokenClassification.from_pretrained(folder)
    tokenizer = limbeck.AutoTokenizer.from_pretrained(folder)
    rows = task.encode(task.splits["test"], tokenizer, max_length=32)
    logits = predict_logits(task, model, rows, batch_size=2, pad_token_id=tokenizer.pad_token_id)
    expected = [record["prediction"] for record in task.predict(task.splits["test"], rows, logits)]
    find = pipeline("ner", folder, aggregation_strategy="first", ignore_labels=[])
    for words, tags in zip(WORDS, expected, strict=True):
        text, kinds = " ".join(words), {}
        for entity in find([words], is_split_into_words=True)[0]:
            for place in range(entity["start"], entity["end"]):
                kinds[place] = entity["entity_group"]
        starts = [len(" ".join(words[:i])) + (i > 0) for i in range(len(words))]
        assert text[starts[2] :].startswith(words[2])
        assert [kinds[start] for start in starts] == [tag[tag.find("-") + 1 :] for tag in tags]


@pytest.mark.parametrize("given", ["a text", ["a", 3], [["a"], []], [["a", " "]], [], None])
def test_what_is_no_list_of_words_is_refused(folder, given):
    with pytest.raises(DataError, match=r"accepted with is_split_into_words: a list of words"):
        pipeline("ner", folder)(given, is_split_into_words=True)
