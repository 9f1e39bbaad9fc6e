"""Every model traces: export with dynamic shapes, compile without a break, jit, autocast."""

from __future__ import annotations

import warnings

import pytest
import torch
from model_oracle import (
    CASE_IDS,
    CASES,
    FAMILIES,
    MAX_TOKENS,
    num_labels,
    our_class,
    our_config,
    tensors_of,
)

from limbeck.models._kinds import ENCODER
from limbeck.nn import ModelOutput

pytestmark = pytest.mark.slow

CLOSE = {"rtol": 0.0, "atol": 1e-6}
COLLECTED = [frozenset(), frozenset({"attentions", "hidden_states", "queries"})]


def make_model(family, kind):
    torch.manual_seed(0)
    config = our_config(
        family, num_hidden_layers=2, initializer_range=0.3, num_labels=num_labels(kind)
    )
    return our_class(family, kind)(config)


def make_batch(kind, rows, length):
    shape = (rows, 2, length) if kind.has_choices else (rows, length)
    mask = torch.ones(shape, dtype=torch.long)
    mask[0, ..., length // 2 :] = 0
    return torch.randint(4, 50, shape), mask


def assert_close(given, expected):
    given, expected = tensors_of(given), tensors_of(expected)
    assert given.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(given[name], tensor, msg=lambda m, n=name: f"{n}: {m}", **CLOSE)


@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_exports_with_dynamic_shapes(family, kind):
    model = make_model(family, kind).eval()
    batch, length = torch.export.Dim("batch", max=64), torch.export.Dim("length", max=MAX_TOKENS)
    shape = {0: batch, 2 if kind.has_choices else 1: length}
    program = torch.export.export(model, make_batch(kind, 3, 8), dynamic_shapes=(shape, shape))
    exported = program.module()
    for rows, tokens in ((1, 5), (7, MAX_TOKENS), (2, 2)):
        inputs = make_batch(kind, rows, tokens)
        with torch.no_grad():
            given, expected = exported(*inputs), model(*inputs)
        assert isinstance(given, ModelOutput)
        assert_close(given, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_compiles_whole(family):
    torch._dynamo.reset()  # its limit of recompilations is for all families together
    model = make_model(family, ENCODER).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=True)
    for rows, tokens, collect in (
        (3, 8, COLLECTED[0]),
        (2, 11, COLLECTED[0]),
        (2, 9, COLLECTED[1]),
        (2, 9, frozenset({("queries", 1), ("attention_scores", 0)})),
    ):
        inputs = make_batch(ENCODER, rows, tokens)
        given = compiled(*inputs, collect=collect)
        assert_close(given, model(*inputs, collect=collect))
        given.last_hidden_state.sum().backward()


@pytest.mark.parametrize("family", FAMILIES)
def test_jit_traces(family):
    model = make_model(family, ENCODER).eval()

    class Hidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids, attention_mask).last_hidden_state

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls jit.trace deprecated; exporters still use it
        traced = torch.jit.trace(Hidden().eval(), make_batch(ENCODER, 3, 8))
    inputs = make_batch(ENCODER, 5, 13)
    torch.testing.assert_close(traced(*inputs), model(*inputs).last_hidden_state, **CLOSE)


@pytest.mark.parametrize("collect", COLLECTED, ids=["fused", "explicit"])
@pytest.mark.parametrize("per_document", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_autocast(family, per_document, collect):
    model = make_model(family, ENCODER)
    ids, mask = make_batch(ENCODER, 3, 8)
    if per_document:
        mask = mask[:, None, :] * mask[:, :, None]  # padding sees nothing at all
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model(ids, mask, collect=collect).last_hidden_state
    hidden.float().logsumexp(-1).sum().backward()
    assert hidden.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
