"""Reranking: three forms of data, cross-encoders that learn, and vectors of sentence models."""

import json

import pytest
import torch
from task_examples import TEXTS
from test_task_contract import make_model
from test_task_retrieval import evaluate_folder as retrieve
from test_task_retrieval import read_predictions, write_beir
from test_task_retrieval import write_model as write_sentence_model
from transformers import BertForSequenceClassification

from limbeck.api._infer import infer_task
from limbeck.errors import DataError, MissingHeadError, SettingsError
from limbeck.metrics import Rankings, score
from limbeck.recipes.evaluate import EvaluateSettings, run
from limbeck.recipes.finetune import FinetuneSettings
from limbeck.recipes.finetune import run as finetune
from limbeck.tasks import TaskBatch, read_task
from limbeck.tokenizers import train_wordpiece
from limbeck.train import SilentProgress

LISTS = [
    {"query": "a film", "positive": [TEXTS[0]], "negative": TEXTS[2:]},
    {"query": "the rain", "positive": [TEXTS[2]], "negative": TEXTS[:2]},
]
PAIRS = [
    {"query": row["query"], "document": text, "label": float(text in row["positive"])}
    for row in LISTS
    for text in [*row["positive"], *row["negative"]]
]


def read(rows, **options):
    return read_task("reranking", {"validation": rows, "train": rows}, options=options)


def write_cross_encoder(folder, **changes):
    tokenizer = train_wordpiece(TEXTS, vocab_size=100)
    task = read(LISTS)
    make_model(task, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def evaluate_folder(folder, data, out, **changes):
    given = EvaluateSettings(
        model=str(folder), data=data, out=out, task="reranking", device="cpu", **changes
    )
    return run(given, progress=SilentProgress())


def test_lists_and_pairs_of_the_same_documents_are_the_same():
    lists, pairs = read(LISTS), read(PAIRS)
    assert lists.splits == pairs.splits
    first = lists.splits["validation"].examples[0]
    assert first.documents == (TEXTS[0], *TEXTS[2:])
    assert first.targets == (1.0, 0.0, 0.0, 0.0)
    assert first.label == {"0": 1.0, "1": 0.0, "2": 0.0, "3": 0.0}
    assert first.shown() == {"id": "0", "query": "a film"}


def test_which_of_two_lists_a_document_is_from_is_not_looked_at_in_a_transfer_split():
    task = read_task("reranking", {"train": LISTS, "transfer": LISTS})
    (first, *_), (hidden, *_) = (task.splits[name].examples for name in ("train", "transfer"))
    assert hidden.documents == first.documents
    assert (hidden.targets, hidden.label) == (None, None)


def test_rows_with_two_lists_are_for_reranking():
    assert infer_task(LISTS, where="train", options={}).name == "reranking"


def test_a_single_text_and_a_list_in_a_table_are_lists():
    rows = [{"query": "a", "positive": "b", "negative": "['c', 'd']"}]
    assert read(rows).splits["validation"].examples[0].documents == ("b", "c", "d")


def test_rows_of_one_query_are_held_out_together():
    rows = [{**row, "query": f"{row['query']} {i}"} for i in range(5) for row in PAIRS]
    task = read_task("reranking", {"train": rows}, options={"validation_ratio": 0.3})
    queries = [{e.query for e in split.examples} for split in task.splits.values()]
    assert not queries[0] & queries[1]
    assert task.num_held_out == len(task.splits["validation"].examples)


def beir(tmp_path, candidates, **changes):
    data = write_beir(tmp_path, **changes)
    write_rows(tmp_path / "candidates.jsonl", candidates)
    return data


def test_candidates_of_beirs_files_may_miss_what_is_relevant(tmp_path):
    qrels = [("q0", "d0", 2), ("q0", "d1", 1)]
    candidates = [{"query-id": "q0", "corpus-ids": ["d4", "d0"]}]
    data = beir(tmp_path, candidates, qrels=qrels)
    (example,) = read_task("reranking", data).splits["test"].examples
    assert example.names == ("d4", "d0")
    assert example.targets == (0.0, 1.0)
    assert example.label == {"d4": 0, "d0": 2, "d1": 1}  # which counts as not found
    (tmp_path / "qrels/test.tsv").rename(tmp_path / "qrels/train.tsv")
    (example,) = read_task("reranking", data).splits["train"].examples
    assert example.names == ("d4", "d0", "d1")  # what is relevant is learned


def test_what_a_retrieval_run_found_is_put_in_another_order(tmp_path):
    write_sentence_model(tmp_path / "model")
    data = write_beir(tmp_path / "data")
    found = retrieve(tmp_path / "model", data, tmp_path / "found")
    files = {
        "corpus": f"{data}/corpus.jsonl",
        "queries": f"{data}/queries.jsonl",
        "candidates": str(tmp_path / "found/predictions.jsonl"),
        "test": f"{data}/qrels/test.tsv",
    }
    again = evaluate_folder(tmp_path / "model", files, tmp_path / "again")
    assert again.scores == pytest.approx(found.scores)  # by the same vectors, all documents
    for one, other in zip(
        *map(read_predictions, (tmp_path / "found", tmp_path / "again")), strict=True
    ):
        assert one["prediction"] == other["prediction"]
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-6)
    write_cross_encoder(tmp_path / "cross")
    crossed = evaluate_folder(tmp_path / "cross", files, tmp_path / "crossed")
    assert crossed.num_examples == 3


def test_a_cross_encoder_orders_by_the_number_that_transformers_gives(tmp_path):
    tokenizer = write_cross_encoder(tmp_path / "model")
    data = {"validation": write_rows(tmp_path / "rows.jsonl", LISTS)}
    result = evaluate_folder(tmp_path / "model", data, tmp_path / "run")
    peer = BertForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    judged, orders = [], []
    for record, row in zip(read_predictions(tmp_path / "run"), LISTS, strict=True):
        documents = [*row["positive"], *row["negative"]]
        numbers = []
        for document in documents:
            encoded = tokenizer([row["query"]], [document])
            inputs = {name: torch.tensor(encoded[name]) for name in tokenizer.model_input_names}
            with torch.no_grad():
                numbers.append(float(peer(**inputs).logits[0, 0]))
        order = sorted(range(len(documents)), key=lambda i: -numbers[i])
        assert record["prediction"] == list(map(str, order))
        assert record["scores"] == pytest.approx(sorted(numbers, reverse=True), abs=1e-5)
        judged.append({str(i): float(i == 0) for i in range(len(documents))})
        orders.append(list(map(str, order)))
    expected = score(Rankings(judged, orders))
    assert {name: result.scores[name] for name in expected} == pytest.approx(expected)
    assert result.metric == "mean_average_precision"
    assert result.trivial["validation"].answer == "a random order"


def test_the_loss_is_the_binary_cross_entropy_or_the_squared_error(tmp_path):
    numbered = [{**row, "label": row["label"] * 7 - 3} for row in PAIRS]
    logits = torch.linspace(-2, 2, len(PAIRS), dtype=torch.float64)[:, None]
    for rows, expected in (
        (PAIRS, lambda z, y: -(y * z.sigmoid().log() + (1 - y) * (1 - z.sigmoid()).log())),
        (numbered, lambda z, y: (z - y) ** 2),
    ):
        task = read(rows)
        labels = torch.tensor([row["label"] for row in rows], dtype=torch.float64)

        batch = TaskBatch(
            input_ids=torch.ones(len(rows), 1, dtype=torch.long),
            attention_mask=None,
            token_type_ids=None,
            labels=labels,
            num_tokens=len(rows),
            positions=range(len(rows)),
        )
        found = task.loss_sum(logits, batch)
        assert float(found) == pytest.approx(float(expected(logits[:, 0], labels).sum()))
    assert read(PAIRS).targets == "categorical"
    assert read(numbered).targets == "real"
    probabilities = read(PAIRS).distributions(logits, None).softmax(dim=-1)
    torch.testing.assert_close(probabilities[:, 0], logits[:, 0].sigmoid())


@pytest.mark.slow
def test_a_cross_encoder_learns_and_teaches_a_smaller_one(tmp_path):
    """Relevant is what has the query's word; an encoder without a head is what begins."""
    words = ["rain", "film", "men", "story"]
    rows = [
        {
            "query": f"the {word}",
            "positive": [f"a {word} {filler}"],
            "negative": [f"a {other} {filler}" for other in words if other != word],
        }
        for word in words
        for filler in ("great", "bad", "good", "dull")
    ]
    data = {name: write_rows(tmp_path / f"{name}.jsonl", rows) for name in ("train", "validation")}
    write_cross_encoder(tmp_path / "model")
    given = {
        "model": str(tmp_path / "model"),
        "task": "reranking",
        "data": data,
        "epochs": 12,
        "batch_size": 16,
        "learning_rate": 5e-3,
        "max_length": 24,
        "device": "cpu",
    }
    taught = finetune(
        FinetuneSettings.from_values({**given, "out": tmp_path / "teacher"}),
        progress=SilentProgress(),
    )
    best = taught.seeds[0].scores["validation"]["mean_average_precision"]
    trivial = taught.seeds[0].trivial["validation"].score
    assert best > trivial + 0.2
    learned = finetune(
        FinetuneSettings.from_values(
            {
                **given,
                "model": str(tmp_path / "teacher/model"),
                "teacher": str(tmp_path / "teacher/model"),
                "keep_layers": [0],
                "losses": {"logit_mse": {}},
                "out": tmp_path / "student",
            }
        ),
        progress=SilentProgress(),
    )
    assert learned.seeds[0].scores["validation"]["mean_average_precision"] > trivial + 0.1
    card = (tmp_path / "student/model/README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: text-ranking" in card
    # What was fine-tuned is a cross-encoder: its folder says so, and its task is remembered.
    again = run(
        EvaluateSettings(
            model=str(tmp_path / "student/model"), data=data, out=tmp_path / "run", device="cpu"
        ),
        progress=SilentProgress(),
    )
    assert again.scores == pytest.approx(learned.seeds[0].scores["validation"])


def test_an_encoder_without_a_head_is_scored_by_its_vectors_if_that_is_asked(tmp_path):
    write_sentence_model(tmp_path / "model")
    (tmp_path / "model/modules.json").unlink()
    (tmp_path / "model/1_Pooling/config.json").unlink()
    data = {"validation": write_rows(tmp_path / "rows.jsonl", LISTS)}
    with pytest.raises(MissingHeadError, match=r"has no head that is fine-tuned for reranking"):
        evaluate_folder(tmp_path / "model", data, tmp_path / "run")
    result = evaluate_folder(
        tmp_path / "model", data, tmp_path / "run", task_options={"scorer": "bi_encoder"}
    )
    assert result.num_examples == 2


def test_vectors_are_not_fine_tuned(tmp_path):
    write_sentence_model(tmp_path / "model")
    path = write_rows(tmp_path / "rows.jsonl", LISTS)
    given = FinetuneSettings(
        model=str(tmp_path / "model"),
        data={"train": path, "validation": path},
        task="reranking",
        task_options={"scorer": "bi_encoder"},
        out=tmp_path / "run",
    )
    with pytest.raises(SettingsError, match=r"'reranking' has nothing to fine-tune"):
        finetune(given, progress=SilentProgress())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"query": "a", "documents": ["b"]}],
            r"neither a column .* nor .*it has: query, documents\. Did .*'doc",
        ),
        ([{"query": "a", "positive": [], "negative": ["b"]}], r"row 0: column 'positive' is empty"),
        ([{"query": "a", "positive": ["b"]}], r"row 0: there is no column 'negative'"),
        (
            [{"query": "a", "positive": [1], "negative": []}],
            r"column 'positive' holds \[1\]; accepted: a list of texts",
        ),
        ([{"query": 3, "document": "b", "label": 1}], r"column 'query' holds 3, not text"),
        (
            [{"query": "a", "document": "b", "label": "yes"}],
            r"row 0: 'yes' in column 'label' is no number",
        ),
        (
            [*PAIRS, {"query": "a", "document": "b", "label": None}],
            r"column 'label' has no label, and so have 1 of the 8 rows",
        ),
    ],
)
def test_rows_that_are_no_candidates_are_refused(rows, message):
    with pytest.raises(DataError, match=message):
        read_task("reranking", {"validation": rows})


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (
            [{"query-id": "q0", "corpus-id": "d00"}],
            r"candidates\.jsonl, line 1: document 'd00' is none of the 5 in .* Did you mean 'd0'\?",
        ),
        (
            [{"query-id": "q0", "corpus-id": "d0"}],
            r"candidates\.jsonl has no candidates of query 'q1', which is in test",
        ),
        ([{"query-id": "q0"}], r"line 1: it has query-id; a row of candidates needs one of"),
    ],
)
def test_candidates_that_do_not_match_are_refused(tmp_path, candidates, message):
    with pytest.raises(DataError, match=message):
        read_task("reranking", beir(tmp_path, candidates))


def test_a_corpus_without_candidates_is_told_what_it_lacks(tmp_path):
    with pytest.raises(DataError, match=r"has no candidates; it needs corpus, queries, candidates"):
        read_task("reranking", write_beir(tmp_path))


def test_settings_of_vectors_do_not_fit_a_cross_encoder():
    with pytest.raises(SettingsError, match=r"similarity is for vectors, but .*'cross_encoder'"):
        read(LISTS, scorer="cross_encoder", similarity="dot")
