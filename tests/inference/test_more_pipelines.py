"""Pipelines beyond labels, entities and answers: what they give, and what they refuse."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from pipeline_models import TEXTS, assert_same, write_model
from tokenizers import Tokenizer, models, pre_tokenizers

import limbeck
from limbeck import listing
from limbeck.errors import CheckpointError, DataError, SettingsError
from limbeck.inference import find_pipeline, find_task, pipeline
from limbeck.models import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    find_architecture,
)

ROOM = listing.ROOMS["pipelines"]
PIPELINES = listing.list_names(ROOM)
DEFAULT = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"


def write_for(task, folder, **changes):
    """Writes a tiny model that a pipeline takes."""

    class Auto(AutoModel):
        kind = find_pipeline(task).kind

    labels = {
        "zero-shot-classification": ("contradiction", "neutral", "entailment"),
        "reranking": ("LABEL_0",),
        "question-answering": ("start", "end"),
    }
    changes = {"labels": labels.get(task, ("a", "b")), **changes}
    return write_model(folder, auto_model=Auto, **changes)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_file_is_a_pipeline_of_its_name(name, tmp_path):
    cls = listing.load(ROOM, name).PipelineType
    assert cls.task == name.replace("_", "-")
    for known in (cls.task, *cls.aliases):
        assert find_pipeline(known) is cls
    write_for(cls.task, tmp_path)
    options = {"candidate_labels": "a"} if "zero" in name else {}
    made = pipeline(cls.task, tmp_path, device="cpu", **options)
    assert type(made) is cls
    assert len(made([])) == 0
    with pytest.raises(SettingsError, match=r"no option 'nonsense'; accepted: "):
        pipeline(cls.task, tmp_path, nonsense=1)
    if not cls.reads_below:
        assert cls.advise("MODEL")


@pytest.fixture(scope="module")
def choices(tmp_path_factory):
    return write_for("multiple-choice", tmp_path_factory.mktemp("choices"))


@pytest.fixture(scope="module")
def ranker(tmp_path_factory):
    return write_for("reranking", tmp_path_factory.mktemp("ranker"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_for("embeddings", tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def filler(tmp_path_factory):
    return write_for("fill-mask", tmp_path_factory.mktemp("filler"))


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    return write_for("zero-shot-classification", tmp_path_factory.mktemp("judge"))


FAMILIES = [
    name
    for name in listing.list_names(listing.ROOMS["models"])
    if AutoModelForMultipleChoice.kind in find_architecture(name).kinds
]


@pytest.mark.parametrize("model_type", FAMILIES)
def test_choices_are_scored_as_the_model_of_transformers_scores_them(model_type, tmp_path):
    transformers = pytest.importorskip("transformers")
    write_for("multiple-choice", tmp_path, model_type=model_type)
    choose = pipeline("multiple-choice", tmp_path, device="cpu")
    model = transformers.AutoModelForMultipleChoice.from_pretrained(tmp_path).eval()
    asked = [("it is good", ["a movie", "bad", "to be watched"]), ("bad", ["good", "It is NOT"])]
    for context, texts in asked:
        batch = choose.tokenizer([context] * len(texts), texts, padding=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(**{name: values[None] for name, values in batch.items()}).logits[0]
        expected = logits.softmax(-1).numpy()
        found = choose(context=context, choices=texts, top_k=5)
        assert [one["index"] for one in found] == list(np.argsort(-expected, kind="stable"))
        for one in found:
            assert one["choice"] == texts[one["index"]]
            assert one["score"] == pytest.approx(expected[one["index"]], abs=1e-5)
    forms = [{"context": context, "choices": texts} for context, texts in asked]
    assert_same(choose(forms), [choose(form) for form in forms])
    assert_same(choose(forms, top_k=9)[1][0], choose(forms)[1])
    assert_same(list(choose(iter(forms))), choose(forms))
    assert find_task(tmp_path) == "multiple-choice"


def test_choices_that_are_none_are_refused(choices):
    choose = pipeline("multiple-choice", choices)
    with pytest.raises(DataError, match=r"input 0: choices = None; accepted: a list of 2 texts"):
        choose(context="good")
    with pytest.raises(DataError, match=r"input 1: choices = \['a'\]; accepted: a list of 2"):
        choose([{"context": "a", "choices": ["a", "b"]}, {"context": "a", "choices": ["a"]}])
    with pytest.raises(DataError, match=r"input 0: context = 5; accepted: a text"):
        choose(context=5, choices=["a", "b"])
    with pytest.raises(DataError, match=r"input 0: choices\[1\] is None; accepted: a text"):
        choose(context="a", choices=["a", None])
    with pytest.raises(DataError, match=r"input 0 is 'good'; accepted: \{\"context\""):
        choose("good")
    with pytest.raises(SettingsError, match=r"context= and choices= are given besides the inputs"):
        choose([], context="a")
    with pytest.raises(SettingsError, match="top_k = 0: must be at least 1"):
        choose([], top_k=0)
    found = choose([{"context": "a", "choices": ["a", "b"]}, None], on_error="skip")
    assert found[1] is None
    assert found[0]["index"] in (0, 1)


def test_texts_are_ranked_as_cross_encoders_rank_them(ranker):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    rank = pipeline("reranking", ranker, device="cpu")
    theirs = sentence_transformers.CrossEncoder(str(ranker), device="cpu")
    texts = [*TEXTS, "a movie that is good", ""]
    query = "is it good?"
    expected = theirs.rank(query, texts)
    found = rank(query=query, texts=texts)
    assert [one["index"] for one in found] == [one["corpus_id"] for one in expected]
    scores = [float(one["score"]) for one in expected]
    assert [one["score"] for one in found] == pytest.approx(scores, abs=1e-5)
    raw = theirs.rank(query, texts, activation_fn=torch.nn.Identity(), top_k=2)
    found = rank({"query": query, "texts": texts}, raw_scores=True, top_k=2, return_text=True)
    assert [one["score"] for one in found] == pytest.approx(
        [float(o["score"]) for o in raw], abs=1e-5
    )
    assert [one["text"] for one in found] == [texts[one["index"]] for one in found]
    several = [{"query": query, "texts": texts}, {"query": "bad", "texts": ["good"]}]
    assert_same(rank(several), [rank(one) for one in several])
    assert limbeck.pipeline("text-ranking", ranker).task == "reranking"


def test_what_can_not_be_ranked_is_refused(ranker, judge):
    rank = pipeline("reranking", ranker)
    with pytest.raises(DataError, match=r"input 0: texts = \[\]; accepted: a list of one text"):
        rank(query="a", texts=[])
    with pytest.raises(DataError, match=r"input 0: query = None; accepted: a text"):
        rank(texts=["a"])
    with pytest.raises(DataError, match=r"input 0 is \{'query': 'a'\}; accepted: \{\"query\""):
        rank({"query": "a"})
    with pytest.raises(SettingsError, match=r"query= and texts= are given besides"):
        rank([], query="a")
    with pytest.raises(SettingsError, match="no option 'return_documents': it is return_text here"):
        rank(query="a", texts=["a"], return_documents=True)
    with pytest.raises(
        SettingsError,
        match=r"needs a model that gives a pair one number, and this one has 3 labels: "
        r"contradiction, neutral, entailment; accepted: a cross-encoder with one label",
    ):
        pipeline("reranking", judge)


def test_folders_say_that_they_rank(ranker, tmp_path):
    assert find_task(ranker) == "text-classification"
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        shutil.copytree(ranker, folder)
    (ours / "limbeck.json").write_text('{"task": "reranking"}')
    config = json.loads((theirs / "config.json").read_text())
    (theirs / "config.json").write_text(json.dumps({**config, "sentence_transformers": {}}))
    assert find_task(ours) == find_task(theirs) == "reranking"


def test_embeddings_are_those_of_the_sentence_encoder(encoder):
    embed = pipeline("embeddings", encoder, device="cpu")
    assert "engine='torch', precision='fp32'" in repr(embed)
    theirs = limbeck.SentenceEncoder(encoder, device="cpu")
    expected = theirs.encode(TEXTS)
    found = embed(TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(embed(TEXTS[0]), expected[0], atol=1e-6)
    np.testing.assert_allclose(np.stack(list(embed(iter(TEXTS)))), expected, atol=1e-6)
    for options in ({"truncate_dim": 5}, {"normalize_embeddings": True}, {"prompt": "good: "}):
        np.testing.assert_allclose(
            embed(TEXTS, **options), theirs.encode(TEXTS, **options), atol=1e-6
        )
    assert embed([]).shape == (0, 16)
    assert embed([], truncate_dim=3).shape == (0, 3)
    skipped = embed(["good", None], on_error="skip")
    assert skipped[1] is None
    with pytest.raises(SettingsError, match=r"there is no prompt 'query'; accepted: none, as the"):
        embed(TEXTS, prompt_name="query")
    with pytest.raises(SettingsError, match=r"prompt = 5; accepted: a text"):
        embed(TEXTS, prompt=5)
    with pytest.raises(SettingsError, match="truncate_dim = 0: must be at least 1"):
        embed(TEXTS, truncate_dim=0)
    with pytest.raises(DataError, match=r"input 1 is 5; accepted: a text"):
        embed(["good", 5])


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
def test_similarities_are_those_of_sentence_transformers(similarity, encoder, tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    made = limbeck.SentenceEncoder(
        encoder, similarity=similarity, prompts={"q": "good "}, default_prompt_name="q"
    )
    made.save_pretrained(tmp_path)
    assert find_task(tmp_path) == "sentence-similarity"
    compare = pipeline(model=tmp_path, device="cpu")
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path), device="cpu")
    vectors = theirs.encode([TEXTS[0], *TEXTS])
    expected = theirs.similarity(vectors[:1], vectors[1:])[0].tolist()
    found = compare(source_sentence=TEXTS[0], sentences=TEXTS)
    assert found == pytest.approx(expected, abs=1e-4, rel=1e-5)
    several = [
        {"source_sentence": TEXTS[0], "sentences": TEXTS},
        {"source_sentence": "bad", "sentences": ["good"]},
    ]
    for one, other in zip(compare(several), map(compare, several), strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    vectors = theirs.encode([TEXTS[0], TEXTS[1]], truncate_dim=4)
    expected = theirs.similarity(vectors[:1], vectors[1:])[0].tolist()
    found = compare(source_sentence=TEXTS[0], sentences=[TEXTS[1]], truncate_dim=4)
    assert found == pytest.approx(expected, abs=1e-4)


def test_what_can_not_be_compared_is_refused(encoder):
    compare = pipeline("sentence-similarity", encoder)
    with pytest.raises(DataError, match=r"input 0: sentences = 'good'; accepted: a list of one"):
        compare(source_sentence="a", sentences="good")
    with pytest.raises(DataError, match=r"input 0: source_sentence = None; accepted: a text"):
        compare(sentences=["a"])
    with pytest.raises(DataError, match=r"input 0 is \{\}; accepted: \{\"source_sentence\""):
        compare({})
    with pytest.raises(SettingsError, match=r"source_sentence= and sentences= are given besides"):
        compare([], sentences=["a"])


def test_what_has_no_mask_is_refused(filler):
    fill = pipeline("fill-mask", filler)
    with pytest.raises(
        DataError,
        match=r"input 0: 'good' has no \[MASK\]; accepted: texts with one or more\. To label texts",
    ):
        fill("good")
    with pytest.raises(DataError, match=r"input 1: '' has no \[MASK\]"):
        fill(["[MASK]", ""])
    long = "good " * 100 + "[MASK]"
    with pytest.raises(DataError, match=r"has no \[MASK\] in its first 64 tokens, where it is"):
        fill(long)
    for wrong in (5, [], [5]):
        with pytest.raises(
            SettingsError, match=r"targets = .*; accepted: a text, or a list of one"
        ):
            fill("[MASK]", targets=wrong)
    with pytest.raises(SettingsError, match=r"targets: '' is no piece of the vocabulary, and the"):
        fill("[MASK]", targets="")
    with pytest.raises(SettingsError, match="top_k = 0: must be at least 1"):
        fill("[MASK]", top_k=0)
    with pytest.raises(DataError, match="input 0 is None; accepted: a text, or a list of texts"):
        fill(None)


def test_a_target_of_several_pieces_is_told(filler, caplog):
    found = pipeline("fill-mask", filler)("[MASK]", targets=["goodgood"])
    assert [one["token_str"] for one in found] == ["good"]
    assert (
        "targets: 'goodgood' is no piece of the vocabulary; its first piece 'good'" in caplog.text
    )


def test_labels_that_are_none_are_refused(judge, tmp_path):
    classify = pipeline("zero-shot-classification", judge)
    with pytest.raises(
        SettingsError, match=r"candidate_labels= is missing; accepted: a list of la"
    ):
        classify("good")
    for wrong in ([], "", ", ,", 5, ["a", 5], {"a": 1}):
        with pytest.raises(SettingsError, match=r"candidate_labels = .*; accepted: a list of one"):
            classify("good", wrong)
    for template in ("no place", 5, "{", "{x}"):
        with pytest.raises(SettingsError, match=r"hypothesis_template = .*; accepted: a sentence"):
            classify("good", ["a"], hypothesis_template=template)
    long = "good " * 100
    with pytest.raises(DataError, match=r"input 0: "):
        classify("good", [long])
    write_model(tmp_path)
    with pytest.raises(
        SettingsError,
        match=r"needs a model of natural language inference, and this one's labels are NEGATIVE, "
        r"NEUTRAL, POSITIVE; accepted: labels of which one begins with 'entail'\. Where the model",
    ):
        pipeline("zero-shot-classification", tmp_path)
    made = pipeline("zero-shot-classification", judge, candidate_labels=["good", "bad"])
    assert made("bad") == classify("bad", "good, bad")


def test_features_are_cut_and_of_any_text(encoder):
    extract = pipeline("feature-extraction", encoder, max_length=8)
    assert np.shape(extract("good " * 50)) == (1, 8, 16)
    assert np.shape(extract("")) == (1, 2, 16)
    with pytest.raises(DataError, match=r"input 0 is 5; accepted: a text"):
        extract(5)


def test_a_text_without_a_token_is_refused(tmp_path):
    transformers = pytest.importorskip("transformers")
    write_model(tmp_path, model_type="gpt2")  # which frames texts with nothing
    for path in tmp_path.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    end = "<|endoftext|>"
    backend = Tokenizer(models.BPE(vocab={"g": 0, "o": 1, end: 2}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    transformers.GPT2TokenizerFast(
        tokenizer_object=backend, bos_token=end, eos_token=end, unk_token=end
    ).save_pretrained(tmp_path)
    classify = pipeline("text-classification", tmp_path)
    assert len(classify(["go", "o"])) == 2
    with pytest.raises(DataError, match=r"input 1: the model's tokenizer makes no tokens of ''"):
        classify(["go", ""])


def test_a_tokenizer_that_is_too_large_for_the_embeddings_is_refused(tmp_path):
    write_model(tmp_path / "a")
    write_model(tmp_path / "b", texts=TEXTS[:1])
    classify = pipeline("text-classification", tmp_path / "b", tokenizer=tmp_path / "a")
    assert classify("a")  # what the model embeds it reads
    with pytest.raises(
        CheckpointError,
        match=r"the tokenizer gives the piece '\w+' the number \d+, and the model embeds \d+ "
        r"pieces \(it has \d+\): its files are another model's, or pieces were added",
    ):
        classify("It is NOT good; it is awful and far too long to be watched twice.")


def make_cache(folder, source):
    """Lays a model down where the Hub's library looks for the default one."""
    place = folder / f"models--{DEFAULT.replace('/', '--')}"
    shutil.copytree(source, place / "snapshots" / "abc")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")


def test_the_default_model_is_taken_from_the_cache(tmp_path):
    folder = write_model(tmp_path / "model", labels=("NEGATIVE", "POSITIVE"))
    cache = tmp_path / "cache"
    make_cache(cache, folder)
    expected = pipeline("sentiment-analysis", folder)(TEXTS)
    assert pipeline("sentiment-analysis", cache_dir=cache, offline=True)(TEXTS) == expected
    named = pipeline("text-classification", DEFAULT, cache_dir=cache, offline=True)
    assert named(TEXTS) == expected


def test_without_the_default_model_it_is_said_how_to_be_offline(tmp_path):
    with pytest.raises(
        CheckpointError,
        match=rf"no model is named, so that the sentiment-analysis pipeline takes {DEFAULT} from "
        rf"the Hub: .*Without a network give a model folder, as in pipeline\('sentiment-analysis', "
        rf"model='FOLDER'\); or fetch the model once where there is one, with `hf download "
        rf"{DEFAULT}`, and set HF_HUB_OFFLINE=1, or give offline=True",
    ):
        pipeline("sentiment-analysis", cache_dir=tmp_path, offline=True)


def test_how_to_fetch_is_for_models_of_the_hub(filler):
    model = AutoModelForMaskedLM.from_pretrained(filler)
    with pytest.raises(
        SettingsError, match=r"revision = 'main': it is for models of the Hub, and a model object"
    ):
        pipeline("fill-mask", model, tokenizer=filler, revision="main")
    found = pipeline("fill-mask", model, tokenizer=filler)("[MASK]")
    assert found == pipeline("fill-mask", filler)("[MASK]")


LONG = "it is good " * 9
CUT = {  # a call each with one input that is too long, in the ways that inputs become rows
    "text-classification": lambda run: run(["good", LONG, "bad"]),
    "zero-shot-classification": lambda run: run(["good", LONG], ["bad", "awful"]),
    "multiple-choice": lambda run: run(
        [{"context": text, "choices": ["good", "bad"]} for text in ("good", LONG)]
    ),
    "reranking": lambda run: run(query="good", texts=["bad", LONG]),
    "fill-mask": lambda run: run(["[MASK] good", f"[MASK] {LONG}"]),
    "feature-extraction": lambda run: run(["good", LONG]),
    "embeddings": lambda run: run(["good", LONG]),
    "sentence-similarity": lambda run: run(source_sentence="good", sentences=["bad", LONG]),
    # These read all of a text, in windows.
    "token-classification": lambda run: run(["good", LONG]),
    "question-answering": lambda run: run(question="good", context=LONG),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_inputs_that_were_cut_are_counted(name, tmp_path):
    task = name.replace("_", "-")
    run = pipeline(task, write_for(task, tmp_path), max_length=16, device="cpu")
    reads_all = task in ("token-classification", "question-answering")
    for number in (1, 2):
        CUT[task](run)
        assert run.num_cut == (0 if reads_all else number)
    assert (run.max_length, run.most_tokens) == (16, 64)
