"""Running text from Python: corpora of what is in memory, distillation, pretraining."""

import datasets
import pytest
from tiny_rows import rows
from tiny_task import make_tokenizer, write_model

import limbeck
from limbeck.data import Corpus
from limbeck.errors import DataError
from limbeck.runs import DistillRecord

TEXTS = [" ".join(row["text"] for row in rows(3, seed=seed)) for seed in range(200)]
SHORT = {"sequence_length": 16, "batch_size": 4, "max_steps": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus") / "built"
    return limbeck.build_corpus(TEXTS, tokenizer=make_tokenizer(), out=out, heldout_ratio=0.2)


@pytest.fixture(scope="module")
def language_model(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("pretrained") / "run"
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return limbeck.pretrain(
        corpus, model_type="bert", intermediate_size=32, max_position_embeddings=32,
        out=out, **shape, **SHORT,
    )  # fmt: skip


FORMS = {
    "generator": iter,
    "documents": lambda texts: [{"text": text, "source": "here"} for text in texts],
    "dataset": lambda texts: datasets.Dataset.from_dict({"text": texts}),
    "file": None,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_corpus_of_texts_in_every_form(form, corpus, tmp_path):
    given = tmp_path / "texts.txt"
    given.write_text("\n\n".join(TEXTS), encoding="utf-8")
    texts = str(given) if FORMS[form] is None else FORMS[form](TEXTS)
    found = limbeck.build_corpus(
        texts, tokenizer=make_tokenizer(), out=tmp_path / "out", heldout_ratio=0.2
    )
    assert isinstance(found, Corpus)
    assert found.info.splits == corpus.info.splits


def test_a_corpus_says_what_it_holds(corpus):
    tokens = corpus.info.splits["train"].num_tokens
    assert repr(corpus).startswith(f"Corpus('{corpus.folder}', train={tokens:,} tokens, heldout=")


def test_texts_are_read_one_after_the_other(tmp_path):
    """A generator is asked for a text when the one before has gone on its way."""
    alive = []

    class Text(str):
        __slots__ = ()

        def __del__(self):
            alive.remove(id(self))

    def make():
        for text in TEXTS:
            made = Text(text)
            alive.append(id(made))
            largest.append(len(alive))
            yield made

    largest: list[int] = []
    limbeck.build_corpus(
        make(), tokenizer=make_tokenizer(), out=tmp_path / "out", batch_characters=1000
    )
    assert max(largest) < 40


def test_a_finished_corpus_of_the_same_texts_is_kept(corpus, tmp_path):
    given = {"tokenizer": make_tokenizer(), "out": corpus.folder, "heldout_ratio": 0.2}
    before = (corpus.folder / "corpus.json").stat().st_mtime_ns
    assert limbeck.build_corpus(TEXTS, **given).info == corpus.info
    assert (corpus.folder / "corpus.json").stat().st_mtime_ns == before
    with pytest.raises(limbeck.DataError, match=r"was begun with"):
        limbeck.build_corpus(TEXTS[1:], **given)
    with pytest.raises(limbeck.DataError, match=r"can't be known of a generator; take it as it is"):
        limbeck.build_corpus(iter(TEXTS), **given)


def test_malformed_texts(tmp_path):
    given = {"tokenizer": make_tokenizer(), "out": tmp_path / "out"}
    with pytest.raises(limbeck.DataError, match=r"row 1: expected a mapping .* got '3'"):
        limbeck.build_corpus(["a film", 3], **given)
    with pytest.raises(limbeck.SettingsError, match=r"limbeck.build_corpus: .*'heldout_ratio'"):
        limbeck.build_corpus(["a film"], held_out_ratio=0.1, **given)
    with pytest.raises(limbeck.SettingsError, match=r"tokenizer = 3: texts need a tokenizer"):
        limbeck.build_corpus(["a film"], tokenizer=3, out=tmp_path / "out")


def test_distil_a_result_on_texts(language_model, tmp_path):
    student = limbeck.distill(language_model, TEXTS, out=tmp_path / "run", **SHORT)
    assert student.record == DistillRecord.read(tmp_path / "run")
    assert Corpus.open(tmp_path / "run" / "data" / "corpus").info.num_characters
    assert student.model.config.num_hidden_layers == 1
    assert student.scores == student.record.held_out_after
    assert "2 steps" in repr(student)
    assert "before" in student._repr_html_()
    again = limbeck.distill(language_model, TEXTS, out=tmp_path / "run", **SHORT)
    assert again.record == student.record


def test_distil_a_model_in_memory(language_model, corpus, tmp_path):
    model, tokenizer = language_model.model, language_model.tokenizer
    found = limbeck.distill(model, corpus, tokenizer=tokenizer, out=tmp_path / "run", **SHORT)
    assert found.settings["corpus"] == str(corpus.folder)
    assert found.settings["teacher"] == str(tmp_path / "run" / "given" / "teacher")


def test_pretrain_goes_on_from_an_encoder(corpus, tmp_path):
    encoder = write_model(tmp_path / "encoder")
    found = limbeck.pretrain(
        str(corpus.folder), encoder, new_head=True, freeze_body=True, out=tmp_path / "run", **SHORT
    )
    assert type(found.model).__name__ == "BertForMaskedLM"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "model", head=["bad", "good"])


@pytest.mark.parametrize("form", ["list", "documents", "file", "corpus", "model in memory"])
def test_trims_whatever_form_texts_have(form, tmp_path, classifier):
    texts = ["the good film", "a dull story about men"]
    model, given = classifier, texts
    if form == "documents":
        given = [{"text": text, "source": "here"} for text in texts]
    if form == "file":
        given = tmp_path / "texts.txt"
        given.write_text("\n".join(texts))
    if form == "corpus":
        given = limbeck.build_corpus(texts, tokenizer=classifier, out=tmp_path / "corpus")
    if form == "model in memory":
        loaded = limbeck.AutoModelForSequenceClassification.from_pretrained(classifier)
        model = (loaded, limbeck.AutoTokenizer.from_pretrained(classifier))
    result = limbeck.trim(model, given, out=tmp_path / "run")
    assert result.record.num_pieces < result.record.num_pieces_before
    assert result.tokenizer.tokenize(texts[1]) == texts[1].split()
    assert result.model.config.vocab_size == result.record.num_pieces == len(result.tokenizer)
    assert "% of the parameters went" in repr(result)
    again = limbeck.trim(model, given, out=tmp_path / "run")
    assert again.record == result.record


def test_trim_refuses_what_is_no_text(tmp_path, classifier):
    with pytest.raises(DataError, match=r"text 1 of texts is 3; accepted: a str, or a mapping"):
        limbeck.trim(classifier, ["fine", 3], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(DataError, match=r"text 0 .*one in the column 'body'"):
        limbeck.trim(classifier, [{"text": "fine"}], text_field="body", out=tmp_path / "run")


@pytest.mark.parametrize("form", ["strings", "documents", "file"])
def test_distils_embeddings_whatever_form_texts_have(form, tmp_path):
    texts = [f"a good film, seen {number} times" for number in range(30)]
    given = texts
    if form == "documents":
        given = [{"text": text, "source": "here"} for text in texts]
    if form == "file":
        given = tmp_path / "texts.txt"
        given.write_text("\n".join(texts))
    teacher = write_model(tmp_path / "teacher")
    values = {"max_length": 16, "max_steps": 2, "out": tmp_path / "run"}
    result = limbeck.distill_embeddings(teacher, given, **values)
    assert result.record.num_texts == len(texts)
    assert result.scores["cosine"] == result.record.held_out_after["cosine"]
    assert result.sentence_encoder.encode("a good film").shape == (16,)
    expected = result.sentence_encoder.encode("a good film")
    assert (limbeck.SentenceEncoder(result).encode("a good film") == expected).all()
    report = result.report()
    assert report.files["html"] == tmp_path / "run/report/report.html"
    assert report.headline in report.files["md"].read_text()
    assert "1 of 2 layers, vectors of 16 numbers" in repr(result)
    assert result.model.config.num_hidden_layers == 1
    again = limbeck.distill_embeddings(teacher, given, **values)
    assert again.record == result.record


def test_rows_of_several_texts_in_memory(tmp_path):
    teacher = write_model(tmp_path / "teacher")
    pairs = [(f"film {i}", f"story {i}") for i in range(30)]
    values = {"rows": "parallel", "max_length": 16, "max_steps": 1, "out": tmp_path / "run"}
    assert limbeck.distill_embeddings(teacher, pairs, **values).record.num_texts == 60
    with pytest.raises(DataError, match=r"row 1 of texts is .*accepted: a str, a tuple of 2"):
        limbeck.distill_embeddings(
            teacher, [*pairs[:1], ("a", "b", "c")], **{**values, "out": tmp_path / "other"}
        )
    assert not (tmp_path / "other").exists()
