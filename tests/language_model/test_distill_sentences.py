"""What `distill` makes of a sentence encoder is one: its pooling comes along."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from huggingface_hub import ModelCard
from tiny_language_runs import run, values

from limbeck.errors import CheckpointError
from limbeck.models import (
    DenseConfig,
    NormalizeConfig,
    PoolingConfig,
    SentenceConfig,
    SentenceHead,
    SentenceModel,
)
from limbeck.models._sentence.weights import carry_sentence_files, write_sentence_files
from limbeck.recipes import distill

CONFIG = SentenceConfig(
    hidden_size=16,
    pooling=PoolingConfig(modes=("cls",)),
    layers=(DenseConfig(in_features=16, out_features=5), NormalizeConfig()),
    prompts={"query": "find: "},
)


@pytest.fixture
def teacher(teacher_folder, tmp_path):
    folder = shutil.copytree(teacher_folder, tmp_path / "teacher")
    torch.manual_seed(0)
    write_sentence_files(folder, CONFIG, SentenceHead(CONFIG))
    return folder


def test_a_student_pools_as_its_teacher(teacher, corpus_folder, tmp_path):
    result = run(distill, **values(corpus_folder, teacher, tmp_path / "run", max_steps=2))
    student = SentenceModel.from_pretrained(result.model)
    assert student.config == CONFIG
    theirs = SentenceModel.from_pretrained(teacher).head.state_dict()
    for name, tensor in student.head.state_dict().items():
        assert torch.equal(tensor, theirs[name])
    assert "1_Pooling/config.json" in result.model_files
    again = run(
        distill,
        **values(corpus_folder, result.model, tmp_path / "next", student=result.model, max_steps=1),
    )
    assert SentenceModel.from_pretrained(again.model).config == CONFIG
    card = ModelCard.load(f"{again.model}/README.md").data
    assert card.pipeline_tag == "fill-mask"  # what it is to be trained further as


def test_of_another_width_the_dense_layer_stays_behind(teacher, tmp_path):
    assert carry_sentence_files(teacher, tmp_path / "new", width=16, new_width=8)
    written = json.loads((tmp_path / "new/modules.json").read_text())
    assert [entry["path"] for entry in written] == ["", "1_Pooling", "2_Normalize"]
    pooling = json.loads((tmp_path / "new/1_Pooling/config.json").read_text())
    assert (pooling["word_embedding_dimension"], pooling["pooling_mode_cls_token"]) == (8, True)


def test_a_plain_encoder_has_nothing_to_give(teacher_folder, tmp_path):
    assert not carry_sentence_files(teacher_folder, tmp_path / "new", width=16, new_width=16)
    assert not (tmp_path / "new").exists()


def test_what_can_not_be_carried_is_said_before_the_run(teacher, corpus_folder, tmp_path):
    path = teacher / "modules.json"
    path.write_text(path.read_text().replace("models.Dense", "models.LSTM"))
    with pytest.raises(CheckpointError, match=r"module 2 is .*LSTM'; accepted: Transformer, Pool"):
        run(distill, **values(corpus_folder, teacher, tmp_path / "run"))
    assert not (tmp_path / "run").exists()
