"""Retrieval: the files of BEIR, exact search, and scores of a model's own vectors."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from task_examples import TEXTS

from limbeck import AutoModel, BertConfig, evaluate
from limbeck.errors import CheckpointError, DataError, SettingsError
from limbeck.metrics import Rankings, score
from limbeck.models import PoolingConfig, SentenceConfig, SentenceModel
from limbeck.nn import similarity_matrix
from limbeck.recipes.evaluate import EvaluateSettings, plan, run, summarise
from limbeck.tasks import _search, read_task
from limbeck.tasks._search import search
from limbeck.tokenizers import train_wordpiece
from limbeck.train import SilentProgress

CORPUS = [{"_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(TEXTS)]
QUERIES = [{"_id": f"q{i}", "text": text} for i, text in enumerate(["a film", "the rain", "dull"])]
QRELS = [("q0", "d0", 2), ("q0", "d1", 1), ("q2", "d4", 1), ("q1", "d2", 1), ("q1", "d4", 0)]


def write_beir(folder, *, corpus=CORPUS, queries=QUERIES, qrels=QRELS, split="test", header=None):
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, rows in (("corpus", corpus), ("queries", queries)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    rows = [header or ("query-id", "corpus-id", "score"), *qrels]
    table = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    (folder / f"qrels/{split}.tsv").write_text(table, encoding="utf-8")
    return str(folder)


def write_model(folder, **changes):
    """Writes a sentence model of random weights, wide enough to tell texts apart."""
    torch.manual_seed(0)
    tokenizer = train_wordpiece([*TEXTS, "query : passage"], vocab_size=100)
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.4,
    )
    encoder = AutoModel.from_config(config, add_pooling_layer=False)
    SentenceModel(encoder, SentenceConfig(hidden_size=16, **changes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return SentenceModel.from_pretrained(folder), tokenizer


def evaluate_folder(folder, data, out, **changes):
    given = EvaluateSettings(
        model=str(folder), data=data, out=out, task="retrieval", device="cpu", **changes
    )
    return run(given, progress=SilentProgress())


def read_predictions(out):
    lines = (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_folder_as_beir_has_it_is_read(tmp_path):
    corpus = [*CORPUS[:-1], {"_id": "d4", "title": "Rain", "text": "dull"}]
    task = read_task("retrieval", write_beir(tmp_path, corpus=corpus))
    assert list(task.splits) == ["test"]
    # Equally near ones stand by their ids, the last first.
    assert task.documents.ids == ["d4", "d3", "d2", "d1", "d0"]
    assert task.documents.texts[0] == "Rain dull"
    examples = task.splits["test"].examples
    assert [(e.id, e.label) for e in examples] == [
        ("q0", {4: 2, 3: 1}),
        ("q1", {2: 1, 0: 0}),
        ("q2", {0: 1}),
    ]
    assert examples[0].shown() == {"id": "q0", "text": "a film"}


def test_queries_that_nobody_judged_are_left_out_and_dev_is_validation(tmp_path):
    data = write_beir(tmp_path, qrels=QRELS[:2], split="dev")
    task = read_task("retrieval", data)
    assert [e.id for e in task.splits["validation"].examples] == ["q0"]


def test_parts_may_be_rows_in_memory_with_whole_numbers_as_ids():
    task = read_task(
        "retrieval",
        {
            "corpus": [{"_id": 7, "text": "rain"}, {"_id": 8, "text": "film"}],
            "queries": [{"_id": 1, "text": "what"}],
            "test": [{"query-id": 1, "corpus-id": 8, "score": 1.5}],
        },
    )
    assert task.documents.ids == ["8", "7"]
    assert task.splits["test"].examples[0].label == {0: 1.5}


@pytest.mark.parametrize(
    ("values", "document_prompt"),
    [
        ({"prompts": {"query": "query : ", "document": "passage : "}}, "passage : "),
        # The default is for texts of which nobody says what they are.
        ({"prompts": {"query": "query : "}, "default_prompt_name": "query"}, ""),
    ],
    ids=["one each", "a default"],
)
def test_scores_are_those_of_the_models_own_vectors(values, document_prompt, tmp_path):
    """Against vectors from the sentence model one by one, and ranks in float64."""
    model, tokenizer = write_model(tmp_path / "model", **values)
    data = write_beir(tmp_path / "data")
    result = evaluate_folder(tmp_path / "model", data, tmp_path / "run")
    assert result.split == "test"  # the only one, and none was asked for

    def embed(text):
        ids = torch.tensor([tokenizer([text])["input_ids"][0]])
        with torch.no_grad():
            return model(ids)[0].double()

    documents = torch.stack([embed(document_prompt + row["text"]) for row in CORPUS])
    documents = documents / documents.norm(dim=1, keepdim=True)
    orders, cosines = [], []
    for row in QUERIES:
        query = embed("query : " + row["text"])
        found = documents @ query / query.norm()
        cosines.append(found.sort(descending=True).values)
        orders.append([f"d{i}" for i in found.argsort(descending=True).tolist()])
    judged = [{d: s for q, d, s in QRELS if q == row["_id"]} for row in QUERIES]
    expected = score(Rankings(judged, orders))
    assert result.scores == pytest.approx({**expected, "num_examples": 3})
    records = read_predictions(tmp_path / "run")
    assert [record["prediction"] for record in records] == orders
    assert [record["label"] for record in records] == judged
    np.testing.assert_allclose([record["scores"] for record in records], cosines, atol=1e-6)
    assert result.details["at"]["1"]["ndcg"] == pytest.approx(
        Rankings(judged, orders).ndcg(1).mean()
    )
    assert result.trivial["test"].answer == "one and the same order"
    said = summarise(result).splitlines()
    assert said[0].endswith(f": test ndcg_at_10 {expected['ndcg_at_10']:.3f}, 3 examples")
    assert said[2].split() == ["first:", "1", "3", "5"]
    assert said[3].split()[:2] == ["ndcg", f"{result.details['at']['1']['ndcg']:.3f}"]


@pytest.mark.parametrize(
    ("similarity", "peer"),
    [
        ("dot", lambda q, d: q @ d.T),
        ("euclidean", lambda q, d: -(q[:, None] - d[None]).norm(dim=-1)),
        ("manhattan", lambda q, d: -(q[:, None] - d[None]).abs().sum(-1)),
    ],
)
def test_the_folder_or_an_option_says_how_vectors_are_compared(tmp_path, similarity, peer):
    model, tokenizer = write_model(tmp_path / "a", similarity=similarity)
    write_model(tmp_path / "b")
    data = write_beir(tmp_path / "data")
    evaluate_folder(tmp_path / "a", data, tmp_path / "run-a")
    evaluate_folder(
        tmp_path / "b", data, tmp_path / "run-b", task_options={"similarity": similarity}
    )
    found = read_predictions(tmp_path / "run-a")
    assert found == read_predictions(tmp_path / "run-b")

    def embed(rows):
        texts = [tokenizer([row["text"]])["input_ids"][0] for row in rows]
        with torch.no_grad():
            return torch.cat([model(torch.tensor([ids])) for ids in texts])

    expected = peer(embed(QUERIES), embed(CORPUS)).sort(dim=1, descending=True).values
    np.testing.assert_allclose([record["scores"] for record in found], expected, atol=1e-5)


def test_the_length_is_the_folders_unless_it_is_given(tmp_path):
    write_model(tmp_path / "model", max_seq_length=64)
    data = write_beir(tmp_path / "data")
    for options, expected in (({}, 64), ({"max_length": 16}, 16)):
        progress, lines = SilentProgress(), []
        progress.log = lines.append
        out = tmp_path / str(expected)
        asked = EvaluateSettings(
            model=str(tmp_path / "model"),
            data=data,
            task="retrieval",
            out=out,
            device="cpu",
            **options,
        )
        run(asked, progress=progress)
        assert ("max_length 64: as the model's folder says" in lines) == (not options)
        values = json.loads((out / "run.json").read_text(encoding="utf-8"))
        assert values["settings"]["max_length"] == expected


def test_a_folder_that_names_more_tokens_than_the_model_takes_is_cut_at_these(tmp_path):
    """As SentenceEncoder cuts texts; BERT has 512 positions here."""
    write_model(tmp_path / "model", max_seq_length=600)
    evaluate_folder(tmp_path / "model", write_beir(tmp_path / "data"), tmp_path / "run")
    values = json.loads((tmp_path / "run/run.json").read_text(encoding="utf-8"))
    assert values["settings"]["max_length"] == 512


def test_a_dry_run_says_the_split_and_reads_what_the_run_would(tmp_path):
    write_model(tmp_path / "model")
    data = write_beir(tmp_path / "data")
    given = EvaluateSettings(
        model=str(tmp_path / "model"), data=data, out=tmp_path / "run", task="retrieval"
    )
    planned = plan(given)
    assert planned["split"] == "test"
    assert planned["num_test_examples"] == 3
    assert not (tmp_path / "run").exists()
    with pytest.raises(DataError, match=r"no validation split.*it has: test"):
        evaluate_folder(tmp_path / "model", data, tmp_path / "run", split="validation")


def test_a_query_is_not_its_own_document(tmp_path):
    write_model(tmp_path / "model")
    data = write_beir(
        tmp_path / "data", queries=[{"_id": "d0", "text": TEXTS[0]}], qrels=[("d0", "d1", 1)]
    )
    evaluate_folder(tmp_path / "model", data, tmp_path / "with")
    evaluate_folder(
        tmp_path / "model", data, tmp_path / "without", task_options={"ignore_identical_ids": True}
    )
    (first,), (second,) = (read_predictions(tmp_path / name) for name in ("with", "without"))
    assert first["prediction"][0] == "d0"
    assert second["prediction"] == first["prediction"][1:]


def test_from_python_with_rows_in_memory(tmp_path):
    write_model(tmp_path / "model")
    qrels = [dict(zip(("query-id", "corpus-id", "score"), row, strict=True)) for row in QRELS]
    result = evaluate(
        str(tmp_path / "model"),
        data={"corpus": CORPUS, "queries": QUERIES, "test": qrels},
        task="retrieval",
        out=tmp_path / "memory",
        progress=False,
    )
    from_files = evaluate_folder(
        tmp_path / "model", write_beir(tmp_path / "data"), tmp_path / "files"
    )
    assert result.record.scores == from_files.scores
    assert read_predictions(tmp_path / "memory") == read_predictions(tmp_path / "files")


def test_a_model_that_leaves_prompts_out_of_its_vectors_is_refused(tmp_path):
    write_model(
        tmp_path / "model",
        prompts={"query": "query : "},
        pooling=PoolingConfig(include_prompt=False),
    )
    data = write_beir(tmp_path / "data")
    with pytest.raises(CheckpointError, match=r"include_prompt is false.*'query : '.*query_prompt"):
        evaluate_folder(tmp_path / "model", data, tmp_path / "run")
    options = {"query_prompt": "", "document_prompt": ""}
    evaluate_folder(tmp_path / "model", data, tmp_path / "run", task_options=options)


def test_there_is_nothing_to_fine_tune(tmp_path):
    from limbeck.recipes.finetune import FinetuneSettings
    from limbeck.recipes.finetune import run as finetune

    write_model(tmp_path / "model")
    data = write_beir(tmp_path / "data")
    data = {
        "corpus": f"{data}/corpus.jsonl",
        "queries": f"{data}/queries.jsonl",
        **dict.fromkeys(("train", "validation"), f"{data}/qrels/test.tsv"),
    }
    given = FinetuneSettings(
        model=str(tmp_path / "model"), data=data, task="retrieval", out=tmp_path / "run"
    )
    with pytest.raises(SettingsError, match=r"'retrieval' has nothing to fine-tune"):
        finetune(given, progress=SilentProgress())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"qrels": [("q0", "d0", 1), ("q00", "d0", 1)]},
            r"line 3: query-id 'q00' is none of the 3 in .*queries\.jsonl\. Did you mean 'q0'\?",
        ),
        (
            {"qrels": [("q0", "d00", 1)]},
            r"line 2: corpus-id 'd00' is none of the 5 in .*corpus\.jsonl\. Did you mean 'd0'\?",
        ),
        (
            {"corpus": [*CORPUS, {"_id": "d1", "text": "again"}]},
            r"corpus\.jsonl, line 6: the _id 'd1' stands twice, first in .*corpus\.jsonl, line 2",
        ),
        (
            {"queries": [*QUERIES, {"_id": "q0", "text": "again"}]},
            r"queries\.jsonl, line 4: the _id 'q0' stands twice, first in .*line 1",
        ),
        ({"qrels": []}, r"test\.tsv.*has no rows"),
        (
            {"qrels": [("q0", "d0", 0), ("q1", "d0", -1)]},
            r"test\.tsv: none of the 2 judgements has a score above 0",
        ),
        (
            {"qrels": [("q0", "d0", "high")]},
            r"line 2: 'score' is 'high'; accepted: a number, .* not relevant\.$",
        ),
        (
            {"qrels": [("q0", "d0", 1), ("q0", "d0", 2)]},
            r"line 3: document 'd0' was judged 1 for query 'q0' before, and is 2 now",
        ),
        (
            {"header": ("query_id", "corpus-id", "score")},
            r"line 2: 'query-id' is missing; accepted: .* Did you mean 'query_id'\?",
        ),
        (
            {"header": ("query-id", "corpus-id", "sore")},
            r"line 2: 'score' is missing; accepted: .* Did you mean 'sore'\?",
        ),
        ({"corpus": [{"id": "d0", "text": "a"}]}, r"corpus\.jsonl, line 1: '_id' is missing"),
        ({"corpus": [{"_id": "d0", "contents": "a"}]}, r"corpus\.jsonl, line 1: 'text' is None"),
        ({"corpus": []}, r"corpus\.jsonl.* has no rows"),
        ({"qrels": [("q0", "", 1)], "split": "dev"}, r"'corpus-id' is empty.*1 of the 1 queries"),
    ],
)
def test_what_does_not_match_is_refused_with_file_and_line(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_task("retrieval", write_beir(tmp_path, **changes))


def test_missing_parts_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere' is not there; give a folder with corpus\.jsonl"):
        read_task("retrieval", str(tmp_path / "nowhere"))
    data = write_beir(tmp_path)
    (tmp_path / "queries.jsonl").unlink()
    with pytest.raises(DataError, match=r"has no queries; it needs corpus, queries and a split"):
        read_task("retrieval", data)
    rows = {"corpus": CORPUS, "queries": QUERIES}
    with pytest.raises(DataError, match=r"data \(corpus, queries\) has no split; accepted: train"):
        read_task("retrieval", rows)
    with pytest.raises(DataError, match=r"data\.tests: there is no split of that name"):
        read_task("retrieval", {**rows, "tests": []})
    with pytest.raises(DataError, match=r"'hf://BeIR/scifact' can't be read as parts"):
        read_task("retrieval", "hf://BeIR/scifact")
    with pytest.raises(SettingsError, match=r"top_k = 10"):
        read_task("retrieval", data, options={"top_k": 10})


def nearest(queries, documents, top_k, similarity):
    """Returns what all scores at once give, equal ones in the order of their places."""
    scores = similarity_matrix(queries, documents, similarity)
    return [
        sorted(range(len(documents)), key=lambda i, row=row: (-float(row[i]), i))[:top_k]
        for row in scores
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["dot", "manhattan"]))
def test_search_in_parts_finds_what_all_scores_at_once_do(seed, similarity):
    """Vectors of few different numbers, so that many documents are equally near."""
    random = torch.Generator().manual_seed(seed)
    count, top_k = 1 + seed % 23, 1 + seed % 9
    queries = torch.randint(-1, 2, (5, 3), generator=random).float()
    documents = torch.randint(-1, 2, (count, 3), generator=random).float()
    original = _search._QUERIES_AT_A_TIME, _search._DOCUMENTS_AT_A_TIME
    try:
        _search._QUERIES_AT_A_TIME, _search._DOCUMENTS_AT_A_TIME = 2, 4
        found = list(search(queries, documents, top_k=top_k, similarity=similarity))
    finally:
        _search._QUERIES_AT_A_TIME, _search._DOCUMENTS_AT_A_TIME = original
    assert [places for places, _ in found] == nearest(queries, documents, top_k, similarity)
    for _, scores in found:
        assert scores == sorted(scores, reverse=True)


def test_a_document_that_is_left_out_leaves_its_place_to_the_next():
    vectors = torch.eye(3)
    found = list(search(vectors, vectors, top_k=3, similarity="dot", left_out=[0, None, 2]))
    assert [places for places, _ in found] == [[1, 2], [1, 0, 2], [0, 1]]
