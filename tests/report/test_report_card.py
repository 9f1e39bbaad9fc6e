"""The model card, read back with the Hub's own library."""

import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from limbeck.checkpoints import read_inherited
from limbeck.errors import CheckpointError
from limbeck.report.card import SENTENCE_ENCODER, Card, CardScore, ExportUse, write_card

SCORES = (
    CardScore(
        split="validation",
        metric="spearman",
        value=0.87654321,
        num_examples=1500,
        seed_values=(0.8, 0.87654321, 0.85),
    ),
    CardScore(split="test", metric="spearman", value=0.8, num_examples=1379),
)


def make_card(**changes):
    values = {
        "name": "small",
        "summary": "A small model.",
        "auto_class": "AutoModelForSequenceClassification",
        "task": "stsb",
        "dataset": "nyu-mll/glue:stsb",
        "scores": SCORES,
        "made": {"Teacher": "big", "Seeds": "0 | 1"},
        "notes": ["Scores < 1."],
        "base_model": "owner/big",
        "tags": ["distillation"],
        "inherited": {"license": "apache-2.0", "language": "en"},
    }
    return Card(**(values | changes))


def test_the_hub_reads_the_results(tmp_path):
    assert write_card(tmp_path, make_card())
    data = ModelCard.load(tmp_path / "README.md").data
    assert data.model_name == "small"
    results = data.eval_results
    assert [(r.dataset_split, r.metric_value) for r in results] == [
        ("validation", 0.876543),
        ("test", 0.8),
    ]
    first = results[0]
    assert (first.task_type, first.task_name) == ("text-classification", "stsb")
    assert (first.dataset_type, first.dataset_config) == ("nyu-mll/glue", "stsb")
    assert (first.metric_type, first.metric_name) == ("spearmanr", "spearman")
    assert data.to_dict() | {"model-index": None} == {
        "model-index": None,
        "library_name": "transformers",
        "base_model": "owner/big",
        "datasets": ["nyu-mll/glue"],
        "metrics": ["spearmanr"],
        "pipeline_tag": "text-classification",
        "tags": ["limbeck", "distillation"],
        "license": "apache-2.0",
        "language": "en",
    }


def test_people_read_the_same(tmp_path):
    write_card(tmp_path, make_card())
    text = ModelCard.load(tmp_path / "README.md").text
    row = "Spearman correlation | 0.8765 | 1,500 | 3 | 0.8500 | 0.8000 to 0.8765 |"
    assert f"| validation | {row}" in text
    assert (
        "| test | Spearman correlation | 0.8000 | 1,379 | 1 | 0.8000 | 0.8000 to 0.8000 |" in text
    )
    assert r"| Seeds | 0 \| 1 |" in text
    assert "Scores &lt; 1." in text
    code = text.partition("```python\n")[2].partition("```")[0]
    compile(code, "card", "exec")
    assert "from transformers import AutoModelForSequenceClassification" in code


def test_what_is_not_known_is_not_said(tmp_path):
    bare = make_card(
        dataset=None, scores=(), base_model=str(tmp_path), tags=(), inherited={}, notes=()
    )
    write_card(tmp_path, bare)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.to_dict() == {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["limbeck"],
    }
    assert "Results" not in card.text
    write_card(tmp_path, make_card(dataset=None))
    first = ModelCard.load(tmp_path / "README.md").data.eval_results[0]
    assert first.dataset_type == "local"
    assert first.dataset_config is None


def test_only_our_own_card_is_overwritten(tmp_path):
    assert write_card(tmp_path, make_card())
    assert write_card(tmp_path, make_card(name="new"))
    path = tmp_path / "README.md"
    assert ModelCard.load(path).data.model_name == "new"
    kept = "\n".join(line for line in path.read_text().splitlines() if "<!--" not in line)
    path.write_text(kept)
    assert not write_card(tmp_path, make_card())
    assert path.read_text() == kept


def test_licence_and_language_are_passed_on(tmp_path):
    assert read_inherited(tmp_path) == {}
    path = tmp_path / "README.md"
    path.write_text("---\nlicense: mit\nlanguage:\n- de\n- fr\ntags: [x]\n---\n# A model\n")
    assert read_inherited(tmp_path) == {"license": "mit", "language": ["de", "fr"]}
    for text in ("no metadata", "---\n- a list\n---\n", "---\nlicense: [\n---\n"):
        path.write_text(text)
        assert read_inherited(tmp_path) == {}


@pytest.mark.parametrize(
    ("link", "is_kept"),
    [
        ("https://a.org/b", True),
        ("LICENSE.md", True),
        ("javascript:a()", False),
        ("//a", False),
    ],
)
def test_a_link_that_a_page_would_run_is_not_passed_on(tmp_path, link, is_kept):
    card = {"license": "other", "license_link": link, "language": {"a": [{"b": "c"}]}}
    (tmp_path / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n")
    expected = {"license": "other"} | ({"license_link": link} if is_kept else {})
    assert read_inherited(tmp_path) == expected


def test_labels_make_no_links_and_no_images(tmp_path):
    for label in ("![a](https://b/c.png)", "[a](javascript:d)", "<img src=x>", "a\n\n[b]: c\n![b]"):
        write_card(tmp_path, make_card(name=label, summary=label, notes=[label]))
        body = ModelCard.load(tmp_path / "README.md").text
        page = MarkdownIt("gfm-like", {"linkify": False}).render(body)
        assert not re.search("<a |<img ", page)


def test_a_card_that_cannot_be_read_is_named(tmp_path):
    Path(tmp_path / "README.md").mkdir()
    with pytest.raises(CheckpointError, match=r"can't read .*README\.md: that is a folder"):
        write_card(tmp_path, make_card())


@pytest.mark.parametrize("markup", ["<script>x</script>", "a | b", "**a**\n\n# b", "[a](b)", "# a"])
def test_nothing_in_a_card_is_read_as_markup(tmp_path, markup):
    card = make_card(
        name=markup, summary=markup, task=markup, made={markup: markup}, notes=[markup]
    )
    plain = make_card(name="a", summary="a", task="a", made={"a": "a"}, notes=["a"])
    structures = []
    for written in (card, plain):
        write_card(tmp_path, written)
        text = ModelCard.load(tmp_path / "README.md").text
        tokens = MarkdownIt("commonmark").enable("table").parse(text)
        parts = [part for token in tokens for part in (token.children or [token])]
        structures.append([p.type for p in parts if not p.type.startswith("text")])
    assert structures[0] == structures[1]
    assert structures[1].count("table_open") == 2


def test_a_model_of_vectors_is_one_of_sentence_transformers(tmp_path):
    write_card(tmp_path, make_card(auto_class="SentenceEncoder", task=None, scores=()))
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.library_name == "sentence-transformers"
    assert card.data.pipeline_tag == "sentence-similarity"
    assert card.data.tags == [
        *("limbeck", "distillation"),
        *("sentence-transformers", "sentence-similarity", "feature-extraction"),
    ]
    blocks = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
    for block, line in zip(
        blocks,
        (
            "from sentence_transformers import SentenceTransformer",
            "from limbeck import SentenceEncoder",
        ),
        strict=True,
    ):
        compile(block, "card", "exec")
        assert line in block
    assert "AutoTokenizer" not in card.text


@pytest.mark.parametrize(
    ("engine", "dtype", "auto_class", "library"),
    [
        ("onnxruntime", "q8", "AutoModelForSequenceClassification", "transformers.js"),
        ("openvino", None, "AutoModelForSequenceClassification", None),
        ("openvino", None, SENTENCE_ENCODER, "sentence-transformers"),
        ("litert", None, SENTENCE_ENCODER, None),
    ],
)
def test_an_export_is_of_the_library_that_loads_it(engine, dtype, auto_class, library):
    use = ExportUse(engine=engine, needs="", file="x", target="x", dtype=dtype)
    card = Card(name="x", summary="x", auto_class=auto_class, made={}, inherited={}, export=use)
    assert card.library == library
