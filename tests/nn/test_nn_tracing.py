"""The models trace: export with dynamic shapes, compile without a break, autocast."""

from __future__ import annotations

import warnings

import pytest
import torch

import limbeck
from limbeck.nn import ModelOutput

pytestmark = pytest.mark.slow

CONFIGS = [
    limbeck.BertConfig(
        vocab_size=50,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=32,
    ),
    limbeck.DistilBertConfig(
        vocab_size=50, dim=24, n_layers=2, n_heads=4, hidden_dim=32, max_position_embeddings=32
    ),
]
IDS = ["bert", "distilbert"]
HEADS = [
    limbeck.AutoModel,
    limbeck.AutoModelForMaskedLM,
    limbeck.AutoModelForSequenceClassification,
    limbeck.AutoModelForQuestionAnswering,
]
EXACT = {"rtol": 0.0, "atol": 1e-6}


def make_batch(rows, length):
    ids = torch.randint(1, 50, (rows, length))
    mask = torch.ones_like(ids)
    mask[0, length // 2 :] = 0
    return ids, mask


def first_tensor(output: ModelOutput) -> torch.Tensor:
    for name in ("logits", "start_logits", "last_hidden_state"):
        if (tensor := getattr(output, name)) is not None:
            return tensor
    raise AssertionError


@pytest.mark.parametrize("auto", HEADS, ids=lambda a: a.__name__)
@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_exports_with_dynamic_shapes(config, auto):
    model = auto.from_config(config).eval()
    batch, length = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("length", max=32)
    shape = {0: batch, 1: length}
    program = torch.export.export(
        model,
        make_batch(3, 8),
        dynamic_shapes=(shape, shape),
    )
    exported = program.module()
    for rows, tokens in ((1, 5), (7, 32), (2, 2)):
        inputs = make_batch(rows, tokens)
        with torch.no_grad():
            given, expected = exported(*inputs), model(*inputs)
        assert isinstance(given, ModelOutput)
        torch.testing.assert_close(first_tensor(given), first_tensor(expected), **EXACT)


@pytest.mark.parametrize(
    "collect", [frozenset(), frozenset({"attentions", "hidden_states", "queries"})]
)
@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_compiles_whole(config, collect):
    model = limbeck.AutoModelForMaskedLM.from_config(config).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=True)
    for rows, tokens in ((3, 8), (2, 11)):
        inputs = make_batch(rows, tokens)
        given, expected = compiled(*inputs, collect=collect), model(*inputs, collect=collect)
        torch.testing.assert_close(given.logits, expected.logits, **EXACT)
        if collect:
            torch.testing.assert_close(given.attentions, expected.attentions, **EXACT)
        given.logits.sum().backward()


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_jit_traces(config):
    model = limbeck.AutoModelForSequenceClassification.from_config(config).eval()

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids, attention_mask).logits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls jit.trace deprecated; exporters still use it
        traced = torch.jit.trace(Logits().eval(), make_batch(3, 8))
    inputs = make_batch(5, 13)
    torch.testing.assert_close(traced(*inputs), model(*inputs).logits, **EXACT)


@pytest.mark.parametrize("collect", [frozenset(), frozenset({"attentions"})])
@pytest.mark.parametrize("per_document", [False, True])
@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_autocast(config, per_document, collect):
    model = limbeck.AutoModelForMaskedLM.from_config(config)
    ids, mask = make_batch(3, 8)
    if per_document:
        mask = mask[:, None, :] * mask[:, :, None]  # padding sees nothing at all
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(ids, mask, collect=collect).logits
    logits.float().logsumexp(-1).sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
