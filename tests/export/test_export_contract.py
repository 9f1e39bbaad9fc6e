"""Every target takes every family and kind and gives what torch gives, or refuses with a reason.

The listing decides what is tested: a new target, family or kind is in it without an edit here.
"""

import pytest
from exported_models import (
    RUNTIMES,
    calibration_of,
    make_graph,
    make_sentence_graph,
    relative_difference,
    round_both,
    write_source,
)
from pipeline_models import EVERY_EXPORT, SLOWLY_WRITTEN, require_packages
from web_pages import require_runtime

from limbeck import listing
from limbeck.checkpoints.exported import ExportInfo
from limbeck.export import Graph, load_target, write_export
from limbeck.methods import apply_methods
from limbeck.models import find_architecture
from limbeck.models._kinds import ENCODER, MASKED_LM, SEQUENCE_CLASSIFICATION

TARGETS = listing.list_names("limbeck.export")
FAMILIES = listing.list_names("limbeck.models")
# All families with one kind and all kinds of two families: their product would take an hour. Heads
# do not know the family below them, nor families the head above. ELECTRA has a kind of its own, and
# GPT-2 another.
MODELS = [
    *((family, SEQUENCE_CLASSIFICATION) for family in FAMILIES),
    *(
        (family, kind)
        for family in ("electra", "gpt2")
        for kind in find_architecture(family).kinds
        if kind != SEQUENCE_CLASSIFICATION
    ),
]
# MPNet has a bias of distances, which is more than what most families have; DeBERTa looks distances
# up as well.
FEW = [("mpnet", SEQUENCE_CLASSIFICATION)]
SOME = [*FEW, ("deberta_v2", SEQUENCE_CLASSIFICATION), *(m for m in MODELS if m[0] == "electra")]


def is_tried(target, family, kind):
    """Whether a pair is tried where not all are asked for.

    Families and heads differ in how a graph is read. ONNX reads it through `torch.export`, OpenVINO
    through TorchScript, and what narrows ONNX takes half a second more; all others read it the
    same, and take seconds a pair.
    """
    if EVERY_EXPORT:
        return True
    found = load_target(target)
    if (found.engine or target) in SLOWLY_WRITTEN:
        return (family, kind) in FEW
    return found.engine == "onnxruntime" or target == "openvino" or (family, kind) in SOME


# Models outside, so that targets that begin with the same trace can share it.
CASES = [
    pytest.param(target, family, kind, id=f"{target}-{family}-{kind.name}")
    for family, kind in MODELS
    for target in TARGETS
    if is_tried(target, family, kind)
]
SENTENCES = [target for target in TARGETS if is_tried(target, "bert", ENCODER)]

pytestmark = pytest.mark.slow


def assert_exports(target, graph, tmp_path):
    target = load_target(target)
    reason = target.refuse(graph)
    if reason is not None:
        assert reason.strip()
        return
    require_packages(target)
    if target.name == "web":
        require_runtime(tmp_path / "runtime")
    source, folder = write_source(graph, tmp_path / "source"), tmp_path / "exported"
    calibration = calibration_of(graph) if target.needs_calibration else ()
    info = write_export(source, folder, target, graph=graph, calibration=calibration)
    assert info.changed_file(folder) is None
    runner = target.engine or target.name
    if runner in RUNTIMES:
        # Rounding alone, in torch, moves tiny models of some families by 0.8 of their spread, and
        # of others by 0.03. Where it can be told apart, what is left is the runtime's.
        rounds_vectors = runner in ("executorch", "litert") and target.precision == "int8"
        expected = round_both(graph, target) if rounds_vectors else graph
        assert relative_difference(expected, RUNTIMES[runner](folder, info)) <= target.tolerance


@pytest.mark.parametrize(("target", "family", "kind"), CASES)
def test_exports_to(target, family, kind, tmp_path):
    assert_exports(target, make_graph(family, kind), tmp_path)


@pytest.mark.parametrize("target", SENTENCES)
def test_exports_a_sentence_model_to(target, tmp_path):
    assert_exports(target, make_sentence_graph(), tmp_path)


@pytest.mark.parametrize("target", SENTENCES)
def test_exports_factors_and_shared_layers_to(target, tmp_path):
    steps = [{"method": "factorise_embeddings"}, {"method": "share_layers"}]
    whole = make_graph("bert", MASKED_LM).model
    assert_exports(target, Graph(apply_methods(whole, steps)), tmp_path)


@pytest.mark.parametrize("target", TARGETS)
def test_an_engine_or_precision_that_is_not_the_targets_is_refused(target):
    """What `export.json` is checked by knows each target, without its module."""
    wanted = load_target(target)
    said = {"target": target, "engine": wanted.engine, "precision": wanted.precision}
    rest = {"kind": "masked_lm", "inputs": (), "outputs": (), "max_tokens": 5, "files": {"a": ""}}
    assert ExportInfo(**said, **rest).engine == wanted.engine
    for name, other in (("engine", "another"), ("precision", "fp64")):
        with pytest.raises(ValueError, match=f"target = '{target}' has {name} = .*'{other}' is"):
            ExportInfo(**{**said, **rest, name: other})


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_that_runs_here_is_run(target):
    target = load_target(target)
    assert target.engine is None or target.engine in RUNTIMES
