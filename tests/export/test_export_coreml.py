"""Core ML is converted here and run on a Mac: what is written is looked at, and damage is seen."""

import copy
import os
import subprocess
import sys

import pytest
import torch
from exported_models import make_graph, write_source

from limbeck.errors import ExportError
from limbeck.export import _program, coreml, load_target, write_export
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION

coremltools = pytest.importorskip("coremltools")
pytestmark = pytest.mark.slow

# Only a Mac has what runs a package; this answers in its place, with an error of a size.
RUNTIME = """
import os
from pathlib import Path

import numpy as np


class models:
    class MLModel:
        def __init__(self, path):
            self.known = np.load(Path(path).parent / "reference.npz")

        def predict(self, inputs):
            ids = inputs["input_ids"]
            assert ids.dtype == np.int32
            for case in "012":
                if np.array_equal(self.known[f"{case}/inputs/input_ids"], ids):
                    logits = self.known[f"{case}/outputs/logits"]
                    return {"logits": logits + float(os.environ["OFF"])}
"""


@pytest.fixture(scope="module")
def graph():
    return make_graph("distilbert", SEQUENCE_CLASSIFICATION)


@pytest.fixture(scope="module")
def exported(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("coreml")
    source = write_source(graph, folder / "source")
    return folder / "out", write_export(source, folder / "out", load_target("coreml"), graph=graph)


def change(graph, name, edit):
    """A copy of a graph with another weight."""
    other = copy.deepcopy(graph)
    with torch.no_grad():
        edit(other.model.get_parameter(name))
    return other


def test_writes_a_package_that_a_mac_can_check(exported):
    folder, info = exported
    assert info.engine is None
    assert info.precision == "fp16"
    assert {coreml.SCRIPT, coreml.REFERENCE} < set(info.files)
    assert f"{coreml.FOLDER}/Data/com.apple.CoreML/weights/weight.bin" in info.files
    assert info.options["weights_compared"] == 15
    assert "5 layer_norm" in info.options["steps"]
    assert 0 < info.options["fp16_relative_difference_in_torch"] < 1e-2
    assert "a Mac (python coreml/check_on_mac.py, there)" in load_target("coreml").needs
    spec = coremltools.utils.load_spec(str(folder / coreml.FOLDER))
    flexible = {port.name: port.type.multiArrayType.shapeRange for port in spec.description.input}
    assert list(flexible) == ["input_ids", "attention_mask"]
    for name in flexible:
        rows, tokens = flexible[name].sizeRanges
        assert rows.upperBound == -1 or rows.upperBound > 1000
        assert (tokens.lowerBound, tokens.upperBound) == (1, 64)


@pytest.mark.parametrize(
    ("off", "code", "said"),
    [
        ("0", 0, "as the model: 0, accepted 0.05"),
        ("1", 1, "NOT as the model"),
        ("nan", 1, "NOT as the model"),
    ],
)
def test_the_script_for_a_mac_compares(exported, tmp_path, off, code, said):
    (tmp_path / "coremltools.py").write_text(RUNTIME, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, exported[0] / coreml.SCRIPT],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "OFF": off},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.splitlines()[-1].startswith(said)
    assert "2x12 logits: " in done.stdout


def test_a_package_with_another_weight_is_refused(exported, graph):
    path = exported[0] / coreml.FOLDER
    spec = coremltools.utils.load_spec(str(path))
    name = "encoder.layers.1.feed_forward.up.weight"
    other = change(graph, name, lambda weight: weight[0, 0].add_(0.01))
    program = _program.trace(other).run_decompositions({})
    with pytest.raises(
        ExportError,
        match=r"model\.mlpackage lacks the weight .*layers\.1\.feed_forward\.up\.weight .*, or has "
        r"another one in its place; 14 of 15 are as they should be",
    ):
        coreml._check_weights(path, spec, program)


def test_a_package_with_other_inputs_is_refused(exported):
    spec = coremltools.utils.load_spec(str(exported[0] / coreml.FOLDER))
    with pytest.raises(
        ExportError,
        match="package takes input_ids, attention_mask; BertForSequenceClassification takes "
        "input_ids, attention_mask, token_type_ids",
    ):
        coreml._check_ends(spec, make_graph("bert", SEQUENCE_CLASSIFICATION))


def test_a_model_that_overflows_in_fp16_is_refused(graph, tmp_path):
    name = "encoder.layers.0.feed_forward.up.weight"
    wide = change(graph, name, lambda weight: weight.mul_(1e6))
    with (
        torch.no_grad(),
        pytest.raises(
            ExportError,
            match=r"DistilBertForSequenceClassification in fp16 differs from itself in fp32 by "
            r"(nan|inf) of the spread of its outputs, and 0\.05 is accepted",
        ),
    ):
        load_target("coreml").write(wide, tmp_path)
    assert not any(tmp_path.rglob("*.*"))
