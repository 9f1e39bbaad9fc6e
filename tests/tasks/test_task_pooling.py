"""The vectors of `sts` are what the model's folder makes of a text, or what is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from limbeck.errors import CheckpointError
from limbeck.models import (
    DenseConfig,
    NormalizeConfig,
    PoolingConfig,
    SentenceConfig,
    SentenceModel,
    find_class,
)
from limbeck.models._kinds import ENCODER
from limbeck.models.bert import BertConfig
from limbeck.nn import ModelOutput, Pooling
from limbeck.tasks import read_task
from limbeck.tasks._examples import TaskBatch
from limbeck.tokenizers import train_wordpiece

WIDTH = 8
LAYERS = (DenseConfig(in_features=2 * WIDTH, out_features=5), NormalizeConfig())
POOLING = PoolingConfig(modes=("cls", "lasttoken"))
BATCH = TaskBatch(
    input_ids=torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]]),
    attention_mask=torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    token_type_ids=None,
    labels=None,
    num_tokens=7,
    positions=[0, 1],
)


def read_sts(**options):
    rows = [{"sentence1": "a", "sentence2": "b", "label": 1.0}]
    return read_task("sts", {"validation": rows}, options=options)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=10,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    encoder = find_class("bert", ENCODER)(config, add_pooling_layer=False)
    sentence = SentenceConfig(hidden_size=WIDTH, pooling=POOLING, layers=LAYERS)
    return SentenceModel(encoder, sentence).eval()


@pytest.fixture
def folder(model, tmp_path):
    model.save_pretrained(tmp_path)
    return tmp_path


def test_all_that_the_folder_has_after_the_encoder_counts(model, folder):
    task = read_sts().for_folder(folder)
    with torch.no_grad():
        output = ModelOutput(
            last_hidden_state=model.encoder.encode(**BATCH.inputs()).last_hidden_state
        )
        found = task.logits(output, BATCH)
        torch.testing.assert_close(found, model(**BATCH.inputs()))
    assert found.shape == (2, 5)


@pytest.mark.parametrize("pooling", ["mean", "max", "mean_sqrt_len_tokens"])
def test_a_setting_is_that_pooling_alone(folder, pooling):
    hidden = torch.randn(2, 4, WIDTH)
    found = (
        read_sts(pooling=pooling)
        .for_folder(folder)
        .logits(ModelOutput(last_hidden_state=hidden), BATCH)
    )
    torch.testing.assert_close(found, Pooling([pooling])(hidden, BATCH.attention_mask))


def test_a_folder_that_says_nothing_is_the_mean(model, tmp_path):
    model.encoder.save_pretrained(tmp_path)
    hidden = torch.randn(2, 4, WIDTH)
    found = read_sts().for_folder(tmp_path).logits(ModelOutput(last_hidden_state=hidden), BATCH)
    torch.testing.assert_close(found, Pooling(["mean"])(hidden, BATCH.attention_mask))


def test_what_is_not_done_here_can_be_scored_all_the_same(folder):
    (folder / "modules.json").write_text("[]", encoding="utf-8")
    with pytest.raises(
        CheckpointError, match=r"the modules none; .* set task_options\.pooling=mean, for example"
    ):
        read_sts().for_folder(folder)
    assert read_sts(pooling="cls").for_folder(folder).pooling == "cls"


def test_the_folder_s_own_prompt_stands_before_both_sentences(model, tmp_path):
    tokenizer = train_wordpiece(["find : a b"], vocab_size=30, min_frequency=1)
    config = replace(model.config, prompts={"query": "find: "}, default_prompt_name="query")
    model.save_pretrained(tmp_path, config=config)
    task = read_sts().for_folder(tmp_path)
    encoded = task.encode(task.splits["validation"], tokenizer, max_length=16)
    found = [tokenizer.decode(encoded[row].input_ids) for row in range(2)]
    assert found == ["[CLS] find : a [SEP]", "[CLS] find : b [SEP]"]
    left_out = replace(config, pooling=replace(POOLING, include_prompt=False))
    model.save_pretrained(tmp_path, config=left_out)
    task = read_sts().for_folder(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"'find: ' before texts .* task_options\.pooling=mean"
    ):
        task.encode(task.splits["validation"], tokenizer, max_length=16)
