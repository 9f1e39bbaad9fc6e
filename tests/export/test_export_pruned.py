"""Layers without attention or feed-forward, and narrower hidden states, in an exported file."""

from __future__ import annotations

import pytest
import torch
from exported_models import make_graph, write_source

from limbeck import AutoModelForSequenceClassification
from limbeck.export import load_target, write_export
from limbeck.inference import load_engine
from limbeck.methods.prune_units import keep_units
from limbeck.methods.prune_width import keep_width
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_what_is_gone_is_gone_in_the_file(family, tmp_path):
    source = write_source(make_graph(family, SEQUENCE_CLASSIFICATION), tmp_path / "source")
    model = AutoModelForSequenceClassification.from_pretrained(source)
    depth, width = model.config.num_places, model.config.hidden_size
    heads = [[0], *[[]] * (depth - 1)]
    neurons = [*[[]] * (depth - 1), [0, 2]]
    small = keep_units(model, heads=heads, neurons=neurons, drop_blocks=True)
    small = keep_width(small, range(0, width, 2)).eval()
    small.save_pretrained(source)
    write_export(source, tmp_path / "onnx", load_target("onnx"))
    ids = torch.randint(5, 20, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    inputs = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
    found = load_engine("onnxruntime", tmp_path / "onnx").run(inputs)
    with torch.no_grad():
        expected = small(ids, mask).logits
    torch.testing.assert_close(torch.as_tensor(found["logits"]), expected, rtol=0, atol=1e-5)
