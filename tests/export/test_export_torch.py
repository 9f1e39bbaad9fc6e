"""A `.pt2` runs where Limbeck is not, and is compared with the model when it is written."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from exported_models import make_graph, write_source

from limbeck.errors import CheckpointError, ExportError
from limbeck.export import load_target, write_export
from limbeck.export.torch_export import FILE
from limbeck.inference import load_engine
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION

pytestmark = pytest.mark.slow

ALONE = """
import sys

sys.modules["limbeck"] = None  # so that its import fails
import numpy as np
import torch

module = torch.export.load(sys.argv[1]).module()
for rows, tokens in ((1, 1), (3, 9), (2, 64)):
    given = np.load(f"{sys.argv[2]}/{rows}x{tokens}.npz")
    inputs = {name: torch.from_numpy(given[name]) for name in given.files}
    (logits,) = module(**inputs)
    np.save(f"{sys.argv[2]}/{rows}x{tokens}.npy", logits.detach().numpy())
"""


@pytest.fixture(scope="module")
def graph():
    return make_graph("bert", SEQUENCE_CLASSIFICATION)


@pytest.fixture(scope="module")
def source(graph, tmp_path_factory):
    return write_source(graph, tmp_path_factory.mktemp("torch") / "source")


def test_runs_without_limbeck(graph, source, tmp_path):
    info = write_export(source, tmp_path / "out", load_target("torch_export"), graph=graph)
    assert info.engine is None
    assert info.options["relative_difference"] < 1e-5
    shapes = ((1, 1), (3, 9), (2, 64))
    for rows, tokens in shapes:
        inputs = dict(zip(graph.input_names, graph.example(rows=rows, tokens=tokens), strict=True))
        np.savez(tmp_path / f"{rows}x{tokens}.npz", **{n: t.numpy() for n, t in inputs.items()})
    path = tmp_path / "out" / FILE
    subprocess.run([sys.executable, "-c", ALONE, path, tmp_path], check=True)
    for rows, tokens in shapes:
        with torch.no_grad():
            (expected,) = graph(*graph.example(rows=rows, tokens=tokens))
        given = np.load(tmp_path / f"{rows}x{tokens}.npy")
        np.testing.assert_allclose(given, expected.numpy(), atol=1e-6, rtol=0)


def test_no_engine_opens_it(graph, source, tmp_path):
    write_export(source, tmp_path, load_target("torch_export"), graph=graph)
    with pytest.raises(CheckpointError, match=r"was exported to torch-export, which"):
        load_engine("auto", tmp_path)


def test_a_program_that_differs_is_refused(graph, source, tmp_path, monkeypatch):
    target = load_target("torch_export")
    other = make_graph("bert", SEQUENCE_CLASSIFICATION, is_sentence=False)
    load = torch.export.load

    def load_damaged(path):
        program = load(path)
        name = next(n for n in program.state_dict if n.endswith("head.output.weight"))
        program.state_dict[name] += 0.1
        return program

    monkeypatch.setattr(torch.export, "load", load_damaged)
    with pytest.raises(
        ExportError,
        match=r"model\.pt2 gives other outputs than BertForSequenceClassification: "
        r"they differ by [\d.]+ of their spread, and 1e-05 is accepted",
    ):
        write_export(source, tmp_path, target, graph=other)
