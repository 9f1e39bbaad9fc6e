"""A page in a real browser: it says what the model says, as one types, and asks nobody else."""

import math
import re
import shutil

import numpy as np
import pytest
import torch
from pipeline_models import write_model
from web_pages import (
    export_page,
    open_page,
    read_bars,
    read_facts,
    require_runtime,
    serve,
    start_browser,
    type_into,
    visit,
    write_trained,
)

from limbeck.export import load_graph
from limbeck.inference import pipeline
from limbeck.models import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    SentenceModel,
)
from limbeck.tokenizers import AutoTokenizer, train_bpe, train_unigram

pytestmark = pytest.mark.slow

REVIEWS = {
    "a gorgeous and witty film": 1,
    "witty, warm and very funny": 1,
    "i loved this film": 1,
    "a warm and gorgeous story": 1,
    "a dull and awful film": 0,
    "awful, cold and very slow": 0,
    "i hated this film": 0,
    "a cold and dull story": 0,
}
PEOPLE = "Ada Lovelace lived in London, and Charles Babbage in New York."
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TAGS_OF_PEOPLE = {
    "ada": 1,
    "lovelace": 2,
    "london": 3,
    "charles": 1,
    "babbage": 2,
    "new": 3,
    "york": 4,
}
MARKUP = "<img src=x onerror=alert(1)>"
CONTEXT = "Ada Lovelace wrote notes in London. Charles Babbage built an engine."
NEAR = 0.02  # between int8 in a browser and fp32 in torch


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    require_runtime(tmp_path_factory.mktemp("runtime"))
    with start_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def reviews(browser, tmp_path_factory):
    """A model that tells good reviews from bad ones, and its page."""
    folder = tmp_path_factory.mktemp("reviews")
    examples = [
        ((text,), lambda row, label=label: {"logits": torch.tensor([label])})
        for text, label in REVIEWS.items()
    ]
    source = write_trained(
        folder / "tiny reviews",
        auto_model=AutoModelForSequenceClassification,
        examples=examples,
        labels=("negative", "positive"),
        texts=list(REVIEWS) * 3,
    )
    return source, export_page(source, folder / "out")


def test_a_label_as_one_types(browser, reviews):
    source, site = reviews
    classify = pipeline("text-classification", source)
    with visit(browser, site) as page:
        assert page.locator("h1").text_content() == "tiny reviews"
        for text in ("i loved this film", "a dull and awful story", "warm and witty"):
            type_into(page, text)
            expected = {x["label"]: x["score"] for x in classify(text, top_k=None)}
            assert page.locator("#headline strong").text_content() == max(
                expected, key=expected.get
            )
            assert read_bars(page) == pytest.approx(expected, abs=NEAR)
            assert page.locator("#timing").text_content().endswith("tokens")
        page.locator("textarea").fill("")
        page.wait_for_selector("#headline.request")
        assert "as you type" in page.locator("#headline").text_content()


def test_transformers_js_loads_the_model_by_itself(browser, reviews):
    _, site = reviews
    facts = read_facts(site)
    assert facts["folder"] == "tiny-reviews"
    with open_page(browser, site) as (page, _):
        found = page.evaluate(
            """async ([name, dtype]) => {
                const { env, pipeline } = await import("./runtime/transformers.min.js");
                Object.assign(env, { allowRemoteModels: false, allowLocalModels: true });
                Object.assign(env, { localModelPath: "/models/", useWasmCache: false });
                const address = (ending) =>
                  new URL(`runtime/ort-wasm-simd-threaded.${ending}`, location).href;
                env.backends.onnx.wasm.wasmPaths = { mjs: address("mjs"), wasm: address("wasm") };
                const classify = await pipeline("text-classification", name, { dtype });
                return classify("i loved this film");
            }""",
            [facts["folder"], facts["dtype"]],
        )
    assert found[0]["label"] == "positive"


def test_nothing_leaves_the_page(browser, reviews, tmp_path):
    _, site = reviews
    (tmp_path / "seen").write_text("")
    with open_page(browser, site) as (page, _), serve(tmp_path) as elsewhere:
        page.wait_for_selector("#answer:not([hidden])", timeout=60_000)
        ask = f"() => fetch('{elsewhere}seen', {{ mode: 'no-cors' }}).then(() => 'seen', String)"
        (worker,) = page.workers
        for place in (page, worker):
            assert "Failed to fetch" in place.evaluate(ask)


def test_a_part_of_the_folder_that_is_lost(browser, reviews, tmp_path):
    _, site = reviews
    for lost in ("model.json", "models/tiny-reviews/onnx", "runtime/transformers.min.js"):
        copy = tmp_path / lost.replace("/", "-")
        shutil.copytree(site, copy)
        path = copy / lost
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        with open_page(browser, copy) as (page, _):
            page.wait_for_selector(".failed", timeout=60_000)
            assert "can't be loaded" in page.locator("#status").text_content()


def test_texts_are_cut_where_the_model_ends(browser, reviews):
    source, site = reviews
    text = "i loved this film, warm and witty. " * 20
    expected = pipeline("text-classification", source)(text)[0]
    with visit(browser, site) as page:
        page.locator("textarea").fill(text)
        page.wait_for_selector("#note:not([hidden])")
        assert "the model reads 64 tokens" in page.locator("#note").text_content()
        assert page.locator("#headline strong").text_content() == expected["label"]
        assert read_bars(page)[expected["label"]] == pytest.approx(expected["score"], abs=NEAR)


def test_entities_in_the_text(browser, tmp_path):
    def find_tags(row):
        names = tokenizer.convert_ids_to_tokens(row["input_ids"][0])
        return {"logits": torch.tensor([TAGS_OF_PEOPLE.get(name, 0) for name in names])}

    texts = [MARKUP, PEOPLE, f"{PEOPLE} {PEOPLE}"]
    tokenizer = AutoTokenizer.from_pretrained(
        write_model(tmp_path / "words", texts=texts * 4, model_type="distilbert")
    )
    source = write_trained(
        tmp_path / "people",
        auto_model=AutoModelForTokenClassification,
        examples=[((text,), find_tags) for text in texts],
        labels=TAGS,
        texts=texts * 4,
    )
    site = export_page(source, tmp_path / "out")
    find = pipeline("ner", tmp_path / "out", aggregation_strategy="first", batch_size=1)
    # Longer than the model's 64 tokens, and written in another way than its vocabulary.
    text = f"{MARKUP} {PEOPLE} " + f"ÁDA {PEOPLE}\n" * 5
    with visit(browser, site) as page:
        page.locator("textarea").fill(text)
        page.wait_for_function(
            "text => document.querySelector('.marked')?.innerText.includes(text)", arg="ÁDA"
        )
        marks = page.locator("#details mark")
        types = marks.locator(".type").all_text_contents()
        words = [
            mark.removesuffix(kind)
            for mark, kind in zip(marks.all_text_contents(), types, strict=True)
        ]
        expected = [(text[e["start"] : e["end"]], e["entity_group"]) for e in find(text)]
        assert ("Charles Babbage", "PER") in expected
        assert list(zip(words, types, strict=True)) == expected
        assert page.locator("#details img").count() == 0


def test_an_answer_from_a_text(browser, tmp_path):
    questions = {"Who built an engine?": "charles babbage", "Where was it written?": "london"}

    def find_span(row, answer):
        names = tokenizer.convert_ids_to_tokens(row["input_ids"][0])
        words = answer.split()
        start = names.index(words[0])  # in the questions none of them stands
        end = start + len(words) - 1
        return {"start_logits": torch.tensor([start]), "end_logits": torch.tensor([end])}

    texts = [CONTEXT, *questions] * 4
    tokenizer = AutoTokenizer.from_pretrained(
        write_model(tmp_path / "words", texts=texts, model_type="distilbert")
    )
    source = write_trained(
        tmp_path / "answers",
        auto_model=AutoModelForQuestionAnswering,
        examples=[
            ((question, CONTEXT), lambda row, answer=answer: find_span(row, answer))
            for question, answer in questions.items()
        ],
        labels=("a", "b"),
        texts=texts,
    )
    site = export_page(source, tmp_path / "out")
    answer = pipeline("question-answering", tmp_path / "out", batch_size=1)
    with visit(browser, site) as page:
        for question, words in questions.items():
            for context in (CONTEXT, f"{CONTEXT} " + "Notes. " * 60):  # several windows
                expected = answer(question=question, context=context)
                type_into(page, question)
                page.locator("textarea").nth(1).fill(context)
                page.wait_for_function(
                    "text => document.querySelector('.marked')?.textContent === text", arg=context
                )
                found = page.locator("#headline strong").text_content()
                assert found == expected["answer"]
                assert context != CONTEXT or found.lower() == words
                assert page.locator("mark").text_content() == found
                assert read_bars(page)[found] == pytest.approx(expected["score"], abs=NEAR)


def test_words_for_a_gap(browser, tmp_path):
    texts = ["paris is the capital of france", "she drinks tea with milk"]
    mask = "[MASK]"
    given = {
        text.replace(word, mask): word for text, word in zip(texts, ("capital", "tea"), strict=True)
    }

    def find_word(row, word):
        ids = row["input_ids"][0]
        target = torch.full_like(ids, -100)
        target[ids == tokenizer.mask_token_id] = tokenizer.convert_tokens_to_ids(word)
        return {"logits": target}

    tokenizer = AutoTokenizer.from_pretrained(
        write_model(tmp_path / "words", texts=texts * 4, model_type="distilbert")
    )
    source = write_trained(
        tmp_path / "gaps",
        auto_model=AutoModelForMaskedLM,
        examples=[
            ((text,), lambda row, word=word: find_word(row, word)) for text, word in given.items()
        ],
        labels=("a", "b"),
        texts=texts * 4,
    )
    model = AutoModelForMaskedLM.from_pretrained(source)
    site = export_page(source, tmp_path / "out")
    with visit(browser, site) as page:
        for text, word in given.items():
            type_into(page, text)
            row = tokenizer(text, return_tensors="pt")
            with torch.no_grad():
                scores = (
                    model(**row).logits[row["input_ids"] == tokenizer.mask_token_id].softmax(-1)
                )
            assert page.locator("#headline strong").text_content() == word
            assert read_bars(page)[word] == pytest.approx(float(scores.max()), abs=NEAR)
        page.locator("textarea").fill("no gap")
        page.wait_for_selector("#headline.request")
        assert "Write [MASK]" in page.locator("#headline").text_content()


def test_other_heads_give_what_the_graph_gives(browser, tmp_path):
    """Several labels, one of several choices, similarity of texts, each from random weights."""
    texts = ["a gorgeous movie", "good", "bad", "it is far too long"]
    lines = "\n".join(texts)

    def encode(source, *columns):
        return AutoTokenizer.from_pretrained(source)(*columns, padding=True, return_tensors="pt")

    def run(source, inputs):
        graph = load_graph(source)
        with torch.no_grad():
            return graph(*(inputs[name] for name in graph.input_names))[-1]

    labels = ("film", "person", "place")
    source = write_model(
        tmp_path / "labels", labels=labels, problem_type="multi_label_classification"
    )
    expected = run(source, encode(source, texts[0], texts[1])).sigmoid()[0].tolist()
    with visit(browser, export_page(source, tmp_path / "labels-out")) as page:
        page.get_by_role("button", name="Add a second text").click()
        type_into(page, texts[0], texts[1])
        assert read_bars(page) == pytest.approx(dict(zip(labels, expected, strict=True)), abs=NEAR)

    source = write_model(tmp_path / "choices", auto_model=AutoModelForMultipleChoice)
    inputs = encode(source, [texts[0]] * 3, texts[1:])
    scores = run(source, {name: value[None] for name, value in inputs.items()}).softmax(-1)[0]
    with visit(browser, export_page(source, tmp_path / "choices-out")) as page:
        type_into(page, texts[0], "\n".join(texts[1:]))
        assert read_bars(page) == pytest.approx(
            dict(zip(texts[1:], scores.tolist(), strict=True)), abs=NEAR
        )

    source = write_model(tmp_path / "vectors", auto_model=AutoModel)
    SentenceModel(AutoModel.from_pretrained(source, add_pooling_layer=False)).save_pretrained(
        source
    )
    vectors = run(source, encode(source, texts))
    vectors = (vectors / vectors.norm(dim=-1, keepdim=True)).numpy()
    with visit(browser, export_page(source, tmp_path / "vectors-out")) as page:
        type_into(page, lines)
        found = read_bars(page)
        assert len(found) == math.comb(len(texts), 2)
        for pair, score in found.items():
            first, second = (texts.index(text.strip()) for text in pair.split("↔"))
            assert score == pytest.approx(float(vectors[first] @ vectors[second]), abs=NEAR)


def test_ten_thousand_labels_and_odd_names(browser, tmp_path):
    """The best are shown, how many there are besides, and names as they are."""
    odd = ["", "<b>bold</b> & <script>alert(1)</script>", "ا\u202eب", "long " * 60, "B-", "😀\n\t"]
    labels = [*odd, *(f"label {number}" for number in range(10_000 - len(odd)))]
    problem = {"problem_type": "multi_label_classification"}
    source = write_model(tmp_path / "many", labels=labels, **problem)
    classify = pipeline("text-classification", source)
    expected = classify("good", top_k=None)
    with visit(browser, export_page(source, tmp_path / "many-out")) as page:
        type_into(page, "good")
        scores = {one["label"] or "(no name)": one["score"] for one in expected}
        shown = read_bars(page)
        assert shown == pytest.approx({label: scores[label] for label in shown}, abs=NEAR)
        assert [*shown.values()] == sorted(shown.values(), reverse=True)
        assert min(shown.values()) > expected[100]["score"]
        bars = page.locator("#details .bars")
        assert (len(shown), bars.get_attribute("data-rest")) == (20, "and 9,980 more")
        assert re.fullmatch(r"and [\d,]+ more", page.locator("#headline span").text_content())
    source = write_model(tmp_path / "odd", labels=odd)
    expected = {one["label"]: one["score"] for one in pipeline(model=source)("good", top_k=None)}
    with visit(browser, export_page(source, tmp_path / "odd-out")) as page:
        type_into(page, "good")
        shown = page.locator("#details .label").all_text_contents()
        assert shown == [label or "(no name)" for label in odd]
        assert read_bars(page)["(no name)"] == pytest.approx(expected[""], abs=NEAR)


@pytest.mark.parametrize("kind", ["wordpiece", "bytes", "metaspace"])
def test_places_of_tokens_are_those_of_the_tokenizer(browser, reviews, kind, tmp_path):
    texts = [
        "Ada Lovelace, born in London (1815), didn't stay.",
        "  Zoë  naïve\ncafé — ŁÓDŹ, São Paulo!  ",
        "Straße ﬁne Ⅳ 東京 e\u0301 l'Été 3.14 C++",
    ]
    _, site = reviews
    copy = shutil.copytree(site, tmp_path / "site")
    folder = copy / "models" / "tiny-reviews"
    if kind != "wordpiece":
        train = {"bytes": train_bpe, "metaspace": train_unigram}[kind]
        train(texts * 4, vocab_size=400).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with open_page(browser, copy, start="LICENSES.txt") as (page, _):
        found = page.evaluate(
            """async ([texts, spelling]) => {
                const { AutoTokenizer, env } = await import("/runtime/transformers.min.js");
                const { Encoder } = await import("/encoder.js");
                Object.assign(env, { allowRemoteModels: false, allowLocalModels: true });
                env.localModelPath = "/models/";
                const tokenizer = await AutoTokenizer.from_pretrained("tiny-reviews");
                const encoder = new Encoder(tokenizer, { spelling });
                return texts.map((text) => encoder.pieces(text));
            }""",
            [texts, kind],
        )
    for text, pieces in zip(texts, found, strict=True):
        expected = tokenizer([text], add_special_tokens=False).encodings[0]
        assert [piece["id"] for piece in pieces] == expected.ids
        ours = [text[p["start"] : p["end"]] for p in pieces]
        theirs = [text[start:end].strip() for start, end in expected.offsets]
        # Where accents are dropped, one by itself belongs to no token of the tokenizer.
        assert [t.replace("\u0301", "") for t in ours] == [t.replace("\u0301", "") for t in theirs]
        words = [p["word"] for p in pieces]
        same = np.array(words)[:, None] == np.array(words)
        numbers = np.array(expected.word_ids)
        assert (same == (numbers[:, None] == numbers)).all()
