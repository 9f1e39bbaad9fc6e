"""Models whose layers differ in heads and neurons, or have none, are exported as any are."""

import pytest
import torch
from exported_models import RUNTIMES, make_graph, relative_difference, write_source

from limbeck import AutoModelForSequenceClassification
from limbeck.checkpoints import read_config
from limbeck.export import Graph, load_target, write_export
from limbeck.inference import load_engine
from limbeck.methods.prune_units import keep_units
from limbeck.methods.prune_width import keep_width
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION

pytestmark = pytest.mark.slow

# Biases of distances for each head (MPNet), projections of distances (DeBERTa), rotations and gates
# (ModernBERT), masks of causal attention (GPT-2), and the plain one.
FAMILIES = ("bert", "mpnet", "deberta_v2", "modernbert", "gpt2")
TARGETS = ("onnx", "onnx_int8", "openvino")


@pytest.fixture(scope="module", params=FAMILIES)
def pruned(request, tmp_path_factory):
    whole = make_graph(request.param, SEQUENCE_CLASSIFICATION).model
    model = keep_units(whole, heads=[[1], [0, 1]], neurons=[range(0, 32, 2), range(9)])
    graph = Graph(model.eval())
    return graph, write_source(graph, tmp_path_factory.mktemp(request.param) / "source")


@pytest.mark.parametrize("name", TARGETS)
def test_an_export_gives_what_torch_gives(name, pruned, tmp_path):
    graph, source = pruned
    target, folder = load_target(name), tmp_path / "exported"
    assert target.refuse(graph) is None
    info = write_export(source, folder, target, graph=graph)
    assert relative_difference(graph, RUNTIMES[target.engine](folder, info)) <= target.tolerance
    assert load_engine(target.engine, folder).facts.kind == SEQUENCE_CLASSIFICATION
    shapes = read_config(folder)["layer_shapes"]
    assert shapes == [{"heads": [1], "neurons": 16}, {"heads": [0, 1], "neurons": 9}]


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
