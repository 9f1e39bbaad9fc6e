"""Every family of the listing through every recipe; `transformers` loads what comes out of each."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_compress
import torch
import transformers
from tiny_embeddings import distill as distill_vectors
from tiny_embeddings import write_rows
from tiny_task import FILLER, make_rows, make_tokenizer, write_data, write_model

from limbeck import SentenceEncoder, listing
from limbeck.data import CorpusSettings, build_corpus
from limbeck.inference import pipeline
from limbeck.models import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    find_architecture,
)
from limbeck.models._kinds import MASKED_LM, SEQUENCE_CLASSIFICATION
from limbeck.recipes import compress, distill, suite
from limbeck.recipes.suite import SuiteSettings
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import SilentProgress

pytestmark = pytest.mark.slow

TRAINING = {"epochs": 6, "batch_size": 8, "learning_rate": 1e-2, "max_length": 16, "device": "cpu"}


def families_with(kind):
    families = listing.list_names("limbeck.models")
    return [family for family in families if kind in find_architecture(family).kinds]


@pytest.fixture(scope="session")
def task(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("task") / "SST-2", test=0)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    text = folder / "text.txt"
    text.write_text("\n\n".join(" ".join(FILLER[i % 5 :]) * 3 for i in range(40)), encoding="utf-8")
    settings = CorpusSettings(heldout_ratio=0.2)
    build_corpus([text], tokenizer=make_tokenizer(), out=folder / "corpus", settings=settings)
    return folder / "corpus"


def assert_transformers_agrees(folder, auto):
    """It loads the folder with nothing missing or left over, and scores texts as we do."""
    theirs, info = getattr(transformers, auto.__name__).from_pretrained(
        folder, output_loading_info=True
    )
    assert not any(info.values()), info
    ours, tokenizer = auto.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    texts = [row["sentence"] for row in make_rows(6, seed=9)]
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    kept = inputs["attention_mask"].bool()
    with torch.no_grad():
        given, expected = ours(**inputs).logits, theirs.eval()(**inputs).logits
    if given.shape[:2] == kept.shape:
        given, expected = given[kept], expected[kept]
    torch.testing.assert_close(given, expected, rtol=0.0, atol=1e-4)


@pytest.mark.parametrize("family", families_with(SEQUENCE_CLASSIFICATION))
def test_tasks(family, task, tmp_path):
    """Fine-tuned and halved in a suite, compressed, and asked through a pipeline."""
    encoder = write_model(tmp_path / "encoder", model_type=family, initializer_range=0.2)
    halved = {"keep_layers": 1, "epochs": 1}
    settings = SuiteSettings.from_values(
        {
            "suite": "custom",
            "data": str(Path(task).parent),
            "out": tmp_path / "suite",
            "tasks": {"sst2": {}},
            "models": {
                "whole": {"model": encoder, "role": "teacher"},
                "half": {"model": encoder, "teacher": "whole", "finetune": halved},
            },
            "seeds": (0,),
            "finetune": TRAINING,
            "measure": False,
        }
    )
    suite.run(settings, progress=SilentProgress())
    whole, half = (tmp_path / f"suite/runs/sst2/{label}/model" for label in ("whole", "half"))
    changes = {"retain": 0.01, "depths": (1,), "epochs": 4, "learning_rate": 1e-2}
    result = compress.run(
        tiny_compress.make_settings(str(whole), task, tmp_path / "compress", **changes),
        progress=SilentProgress(),
    )
    assert result.chosen == "1 layer"
    for folder in (whole, half, tmp_path / "compress/model"):
        assert_transformers_agrees(folder, AutoModelForSequenceClassification)
    texts = [row["sentence"] for row in make_rows(4, seed=8)]
    ours, theirs = (
        make("text-classification", str(whole), device="cpu")(texts)
        for make in (pipeline, transformers.pipeline)
    )
    assert [answer["label"] for answer in ours] == [answer["label"] for answer in theirs]
    assert [a["score"] for a in ours] == pytest.approx([a["score"] for a in theirs], abs=1e-4)


@pytest.mark.parametrize("family", families_with(MASKED_LM))
def test_distillation(family, corpus, tmp_path):
    teacher = tmp_path / "teacher"
    write_model(teacher, model_type=family)
    AutoModelForMaskedLM.from_pretrained(teacher, new_head=True).save_pretrained(teacher)
    settings = distill.SettingsType.from_values(
        {
            "teacher": str(teacher),
            "corpus": corpus,
            "out": tmp_path / "run",
            "model_type": family,
            "sequence_length": 16,
            "batch_size": 8,
            "max_steps": 2,
            "device": "cpu",
        }
    )
    distill.run(settings, progress=SilentProgress())
    assert_transformers_agrees(tmp_path / "run/model", AutoModelForMaskedLM)


@pytest.mark.parametrize("family", listing.list_names("limbeck.models"))
def test_embeddings(family, tmp_path):
    """Half of its layers learn the vectors of all, which are the means of their hidden states."""
    teacher = write_model(tmp_path / "teacher", model_type=family, dropout=0.0)
    texts = write_rows(tmp_path / "texts.jsonl", 60)
    result = distill_vectors(teacher, texts, tmp_path / "run", epochs=4)
    assert result.num_layers == 1
    assert result.held_out_after["distance"] < result.held_out_before["distance"]
    sentences = [row["sentence"] for row in make_rows(3, seed=9)]
    library = pytest.importorskip("sentence_transformers")
    theirs = library.SentenceTransformer(result.model, device="cpu").encode(sentences)
    ours = SentenceEncoder(result.model).encode(sentences)
    torch.testing.assert_close(torch.from_numpy(ours), torch.from_numpy(theirs), rtol=0, atol=1e-5)
