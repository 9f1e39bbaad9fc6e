"""Every engine that is listed gives what the model gives, and one more is one more file."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from pipeline_models import EVERY_EXPORT, SLOWLY_WRITTEN, TEXTS, require_packages, write_model

import limbeck
from limbeck import listing
from limbeck.checkpoints import ExitInfo
from limbeck.checkpoints.exported import ExportInfo
from limbeck.cli import main
from limbeck.errors import CheckpointError, MachineError, SettingsError
from limbeck.export import load_target, write_export
from limbeck.files import sha256_of
from limbeck.inference import ModelFacts, TextClassificationPipeline, load_engine, pipeline
from limbeck.inference import engines as room
from limbeck.inference.bench import name_contestants, run_contest
from limbeck.inference.engines import ASKED, engine_name, find_engine
from limbeck.inference.engines._exported import ExportedEngine
from limbeck.inference.engines._files import wanted_files
from limbeck.inference.engines._sentence import SentenceEngine
from limbeck.inference.engines.openvino import OpenVinoEngine, require_narrow, share_core
from limbeck.inference.engines.torch import TorchEngine
from limbeck.inference.engines.torch_compiled import CompiledSentenceEngine
from limbeck.inference.speed import measure_speed
from limbeck.models import (
    AutoModel,
    AutoModelForSequenceClassification,
    EarlyExitModel,
    find_architecture,
    find_class,
)
from limbeck.models._kinds import ENCODER, MASKED_LM
from limbeck.tokenizers import AutoTokenizer

ENGINES = listing.list_names(listing.ROOMS["engines"])
CLASSIFIER = AutoModelForSequenceClassification.kind

PAIRWISE = '''"""Runs two rows at a time, always, as a program of fixed shape does."""

import torch

from limbeck.inference.engines import Limits
from limbeck.inference.engines.torch import TorchEngine


class PairwiseEngine(TorchEngine):
    def __init__(self, model, *, device="auto"):
        super().__init__(model, device=device)
        limits = self.limits
        self.limits = Limits(inputs=limits.inputs, max_tokens=limits.max_tokens, max_rows=2)

    def compute(self, batch):
        rows = len(batch["input_ids"])
        full = {n: torch.cat([torch.as_tensor(v)] * 2)[:2] for n, v in batch.items()}
        return {name: array[:rows] for name, array in super().compute(full).items()}


EngineType = PairwiseEngine
'''


WITHOUT_TORCH = """
import sys
from limbeck.cli import main

assert main(["predict", *sys.argv[1:]]) == 0
assert "torch" not in sys.modules
"""


@pytest.fixture
def pairwise(tmp_path, monkeypatch):
    """Adds an engine the way a contributor does: one more file in the room."""
    folder = tmp_path / "room"
    folder.mkdir()
    (folder / "pairwise.py").write_text(PAIRWISE)
    monkeypatch.setattr(room, "__path__", [*room.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "limbeck.inference.engines.pairwise", raising=False)


def encode(folder, **options):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer(TEXTS, padding=True, return_tensors="pt", **options)


TARGETS = {
    load_target(name).engine: name
    for name in reversed(listing.list_names(listing.ROOMS["targets"]))
    if load_target(name).precision == "fp32"
}
"""For each engine that runs exports, what is exported to."""
TOLERANCE = 1e-5
"""Largest difference from torch's scores in fp32, which are about 1."""
NARROW_TOLERANCE = 0.05
"""The same in bf16 and fp16, of the largest score: of weights drawn wide, which make most of
rounding."""
FAMILIES = [
    pytest.param(model_type, kind, id=f"{model_type}-{kind.name}")
    for model_type in listing.list_names(listing.ROOMS["models"])
    for kind in find_architecture(model_type).kinds
    if not kind.has_choices
]
SOME = ("distilbert-sequence", "roberta-question", "mpnet-encoder")
"""Where every engine is run; `tests/export` has the others."""

SLOW = (*SLOWLY_WRITTEN, "torch_compiled")

each_engine = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in ENGINES],
)


def require_compiler():
    """Skips a test that compiles where nothing does."""
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("there is no C++ compiler")


@pytest.fixture(scope="module")
def run_by(tmp_path_factory):
    """Returns a folder that an engine runs, of the model in another one; each is made once."""
    made = {}

    def find(name, source):
        if name == "torch_compiled":
            require_compiler()
        if name not in TARGETS:  # it runs weights
            return source
        if (name, source) not in made:
            folder = tmp_path_factory.mktemp("exported") / "model"
            require_packages(load_target(TARGETS[name]))
            write_export(source, folder, load_target(TARGETS[name]))
            made[name, source] = folder
        return made[name, source]

    return find


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("classifier"), model_type="distilbert")


def write_kind(folder, kind, model_type):
    class Auto(AutoModel):
        pass

    Auto.kind = kind
    return write_model(folder, auto_model=Auto, model_type=model_type, labels=("a", "b"))


def assert_runs_as_the_model(name, folder, source, kind, model_type):
    engine = load_engine(name, folder, kind=kind, device="cpu")
    assert (engine.kind, engine.device, engine.facts.num_labels) == (kind, "cpu", 2)
    assert engine.precision == "fp32"
    batch = encode(source)
    model = find_class(model_type, kind).from_pretrained(source)
    assert engine.facts == ModelFacts.of(model, sentence=engine.facts.sentence)
    with torch.no_grad():
        expected = model(**batch)
    found = engine.run(batch)
    assert found
    for output, array in found.items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, getattr(expected, output).numpy(), atol=TOLERANCE)
    again = engine.run({name: tensor.numpy() for name, tensor in batch.items()})
    assert all((again[output] == array).all() for output, array in found.items())
    assert set(found) <= {"logits", "start_logits", "end_logits"} or not kind.has_head


@pytest.mark.parametrize(("model_type", "kind"), FAMILIES)
def test_torch_gives_what_the_model_gives(kind, model_type, tmp_path):
    write_kind(tmp_path, kind, model_type)
    assert_runs_as_the_model("torch", tmp_path, tmp_path, kind, model_type)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n in ENGINES if n != "torch" and (EVERY_EXPORT or n not in SLOWLY_WRITTEN)]
)
@pytest.mark.parametrize(
    ("model_type", "kind"), [one for one in FAMILIES if one.id.startswith(SOME)]
)
def test_an_engine_gives_what_the_model_gives(name, kind, model_type, tmp_path, run_by):
    source = write_kind(tmp_path, kind, model_type)
    assert_runs_as_the_model(name, run_by(name, source), source, kind, model_type)


@each_engine
def test_what_is_beyond_the_limits_is_refused(name, classifier, run_by):
    folder = run_by(name, classifier)
    engine = load_engine(name, folder, kind=CLASSIFIER, device="cpu")
    assert engine.limits.inputs == ("input_ids", "attention_mask")
    assert engine.limits.max_tokens == 64
    ids = np.ones((2, 65), np.int64)
    with pytest.raises(SettingsError, match=r"a row has 65 tokens, but the engine takes 64\."):
        engine.run({"input_ids": ids})
    with pytest.raises(
        SettingsError,
        match=r"the batch has input_ids, token_type_ids; accepted: input_ids, and of these what "
        r"there is: input_ids, attention_mask\. The model's own tokenizer",
    ):
        engine.run({"input_ids": ids, "token_type_ids": ids})
    with pytest.raises(SettingsError, match=r"the batch has no inputs; accepted: input_ids"):
        engine.run({})
    with pytest.raises(SettingsError, match=r"device = 'nowhere' can't be used"):
        load_engine(name, folder, kind=CLASSIFIER, device="nowhere")


@each_engine
def test_a_folder_is_run_by_what_it_was_exported_for(name, classifier, run_by):
    folder = run_by(name, classifier)
    run, expected = pipeline(model=folder), pipeline(model=classifier)
    assert engine_name(type(run.engine)) == (name if name in TARGETS else "torch")
    scores = [one["score"] for one in expected(TEXTS)]
    assert [one["score"] for one in run(TEXTS)] == pytest.approx(scores, abs=TOLERANCE)


@each_engine
def test_a_damaged_file_is_one_clear_error(name, classifier, run_by, tmp_path):
    """Also one whose checksum is right, as of a folder that somebody else has made."""
    if name not in TARGETS:
        return  # it reads weights, see tests/checkpoints
    folder = shutil.copytree(run_by(name, classifier), tmp_path / "copy")
    info = ExportInfo.read(folder)
    file = next(iter(info.files))
    content = (folder / file).read_bytes()
    noise = random.Random(1).randbytes(len(content))
    for damaged in (b"", noise, content[: len(content) // 2]):
        (folder / file).write_bytes(damaged)
        info.write(folder)
        with pytest.raises(CheckpointError, match=rf"{file} is not what was written: export\.json"):
            load_engine(name, folder)
        files = {**info.files, file: sha256_of(folder / file)}
        info.model_copy(update={"files": files}).write(folder)
        with pytest.raises(CheckpointError, match=rf"{file} .*[Ee]xport the model again") as caught:
            load_engine(name, folder)
        assert len(str(caught.value)) < 800


@each_engine
def test_several_threads_at_once(name, classifier, run_by):
    folder = run_by(name, classifier)
    engine = load_engine(name, folder, kind=CLASSIFIER, device="cpu")
    batch = {column: values.numpy() for column, values in encode(folder).items()}
    batches = [{n: values[place:] for n, values in batch.items()} for place in range(len(TEXTS))]
    expected = [engine.run(one)["logits"] for one in batches]
    places = list(range(len(batches))) * 40
    with ThreadPoolExecutor(4) as threads:
        for place, found in zip(
            places, threads.map(lambda place: engine.run(batches[place]), places), strict=True
        ):
            np.testing.assert_allclose(found["logits"], expected[place], atol=TOLERANCE)


def test_an_unknown_engine_is_refused_with_those_there_are(tmp_path):
    write_model(tmp_path)
    with pytest.raises(
        SettingsError,
        match=r"there is no 'troch' among the engines; accepted: .*torch, torch_compiled\. Did you "
        r"mean 'torch'",
    ):
        pipeline("sentiment-analysis", tmp_path, engine="troch")


def test_a_pipeline_runs_on_an_engine(tmp_path):
    write_model(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    engine = TorchEngine(model.train(), device="cpu")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    classify = TextClassificationPipeline(engine, tokenizer)
    assert classify(TEXTS) == pipeline("sentiment-analysis", tmp_path)(TEXTS)
    assert model.training, "a model under training is looked at, and is trained on as it was"
    for option, value in (("device", "cpu"), ("engine", "torch")):
        with pytest.raises(
            SettingsError,
            match=rf"{option} = '{value}': the model is given as an engine, which is on cpu; leave "
            rf"{option} out",
        ):
            pipeline(model=engine, tokenizer=tokenizer, **{option: value})
    with pytest.raises(SettingsError, match=r"a model object .* give tokenizer="):
        pipeline(model=engine)


def test_a_call_has_only_the_options_of_its_pipeline(tmp_path):
    write_model(tmp_path, auto_model=limbeck.AutoModelForTokenClassification)
    find = pipeline(model=tmp_path, ignore_labels=[])
    with pytest.raises(
        SettingsError,
        match=r"the token-classification pipeline has no option 'strid'; accepted: aggregation_"
        r"strategy, ignore_labels, stride\. Did you mean 'stride'",
    ):
        find("good", strid=1)
    assert find("good", stride=None) == find("good", stride=31)


@pytest.mark.usefixtures("pairwise")
def test_one_more_file_is_one_more_engine(tmp_path, capsys):
    write_model(tmp_path)
    assert main(["list", "engines"]) == 0
    assert re.search(r"pairwise +Runs two rows at a time", capsys.readouterr().out)
    expected = pipeline("sentiment-analysis", tmp_path)(TEXTS)
    found = pipeline("sentiment-analysis", tmp_path, engine="pairwise")(TEXTS)
    assert [one["label"] for one in found] == [one["label"] for one in expected]
    scores = [one["score"] for one in expected]
    assert [one["score"] for one in found] == pytest.approx(scores, abs=1e-6)
    assert main(["predict", str(tmp_path), *TEXTS, "--engine", "pairwise"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [one["label"] for one in expected]

    with pytest.raises(SettingsError, match=r"batch_size = 3, but the engine takes 2 at a time"):
        pipeline("sentiment-analysis", tmp_path, engine="pairwise", batch_size=3)
    engine = load_engine("pairwise", tmp_path, kind=CLASSIFIER)
    with pytest.raises(SettingsError, match=r"batch has 4 rows, but the engine takes 2 at a time"):
        engine.run(encode(tmp_path))
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    with pytest.raises(
        SettingsError,
        match=r"engine = 'pairwise': it reads a model folder.*; accepted: torch,",
    ):
        pipeline("sentiment-analysis", model, tokenizer=tmp_path, engine="pairwise")


@pytest.mark.usefixtures("pairwise")
def test_engines_and_models_are_timed_side_by_side(tmp_path):
    write_model(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    models = {
        "model": AutoModelForSequenceClassification.from_pretrained(tmp_path).train(),
        "engine": load_engine("pairwise", tmp_path, kind=CLASSIFIER, device="cpu"),
    }
    settings = {"texts": TEXTS, "repeats": 2, "batch_size": 2, "max_length": 64}
    speeds = measure_speed(models, tokenizer, **settings)
    assert {speed.device for speed in speeds.values()} == {"cpu"}
    assert all(speed.latency_ms.lowest > 0 for speed in speeds.values())
    assert models["model"].training
    for name, value, limit in (("batch_size", 3, 2), ("max_length", 65, 64)):
        with pytest.raises(
            SettingsError, match=rf"{name} = {value}, but the engine of engine takes {limit}"
        ):
            measure_speed(models, tokenizer, **{**settings, name: value})
    models["model"].to("meta")
    with pytest.raises(SettingsError, match=r"one device only, but: model on meta, engine on cpu"):
        measure_speed(models, tokenizer, **settings)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_torch_runs_in_half_precision(precision, classifier):
    engine = load_engine("torch", classifier, precision=precision, device="cpu")
    assert engine.precision == precision
    batch = encode(classifier)
    expected = load_engine("torch", classifier, device="cpu").run(batch)["logits"]
    found = engine.run(batch)["logits"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=NARROW_TOLERANCE * np.abs(expected).max())
    assert not np.array_equal(found, expected)
    scores = pipeline(model=classifier, precision=precision)(TEXTS)
    assert [one["label"] for one in scores] == [
        one["label"] for one in pipeline(model=classifier)(TEXTS)
    ]


@pytest.mark.slow
def test_rows_of_every_size_are_compiled(tmp_path):
    """The head over all words, of some tokens alone, is one with inputs and steps of its own."""
    require_compiler()
    source = write_kind(tmp_path, MASKED_LM, "bert")
    compiled, plain = (load_engine(n, source, device="cpu") for n in ("torch_compiled", "torch"))
    assert engine_name(type(compiled)) == "torch_compiled"
    draw = np.random.default_rng(0)
    for rows, tokens in ((1, 5), (1, 33), (3, 20), (7, 64), (16, 2)):
        ids = draw.integers(5, 60, (rows, tokens))
        mask = np.ones_like(ids)
        mask[-1, tokens // 2 + 1 :] = 0
        batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        for asked in ({}, {ASKED: mask}):
            found, expected = (one.run(batch | asked)["logits"] for one in (compiled, plain))
            np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@pytest.mark.slow
def test_vectors_and_answers_of_what_was_compiled(tmp_path, classifier):
    require_compiler()
    source = write_kind(tmp_path, ENCODER, "mpnet")
    plain, compiled = (
        limbeck.SentenceEncoder(source, engine=name) for name in ("torch", "torch_compiled")
    )
    np.testing.assert_allclose(compiled.encode(TEXTS), plain.encode(TEXTS), atol=TOLERANCE)
    assert compiled.model.config == plain.model.config
    found = pipeline(model=classifier, engine="torch_compiled")(TEXTS)
    expected = [one["score"] for one in pipeline(model=classifier)(TEXTS)]
    assert [one["score"] for one in found] == pytest.approx(expected, abs=TOLERANCE)


def test_a_part_of_an_engine_has_its_name():
    assert engine_name(CompiledSentenceEngine) == "torch_compiled"
    assert engine_name(SentenceEngine) == "torch"


def test_early_exits_are_not_compiled(classifier, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(classifier)
    info = ExitInfo(layers=(1,), uncertainty="entropy", bound=0.5)
    folder = shutil.copytree(classifier, tmp_path / "exits")
    EarlyExitModel(model, info).save_pretrained(folder)
    with pytest.raises(
        SettingsError,
        match=r"engine = 'torch_compiled': \S+exits has early exits, .*; accepted: engine='torch'",
    ):
        load_engine("torch_compiled", folder, device="cpu")


def test_early_exits_are_not_advised_to_be_exported(classifier, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(classifier)
    info = ExitInfo(layers=(1,), uncertainty="entropy", bound=0.5)
    folder = shutil.copytree(classifier, tmp_path / "exits")
    EarlyExitModel(model, info).save_pretrained(folder)
    message = "exits has early exits, which onnxruntime does not run; accepted: engine = 'torch'"
    with pytest.raises(CheckpointError, match=message):
        load_engine("onnxruntime", folder)


def test_without_a_compiler_it_is_told(classifier):
    import torch._inductor.config as settings

    torch._dynamo.reset()  # what another test has compiled would be taken
    with (
        settings.patch({"cpp.cxx": (None, "no-such-compiler"), "fx_graph_cache": False}),
        pytest.raises(
            MachineError,
            match=r"engine = 'torch_compiled': torch \S+ can't compile .* here: .*no-such-compiler"
            r".* It needs a C\+\+ compiler .*; accepted: engine='torch', or .*apt install g\+\+",
        ),
    ):
        load_engine("torch_compiled", classifier, device="cpu")


INTERRUPTED = """
import gc, signal, sys
from limbeck.inference import load_engine
first = load_engine("openvino", sys.argv[1])
second = load_engine("openvino", sys.argv[1])
del first
gc.collect()
del second
gc.collect()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.slow
def test_a_process_that_ran_openvino_can_be_interrupted(classifier, run_by):
    folder = run_by("openvino", classifier)
    command = [sys.executable, "-c", INTERRUPTED, str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, "interrupted\n"), said.stderr


@pytest.mark.slow
def test_openvino_computes_in_bf16_where_the_cpu_can(classifier, run_by):
    folder = run_by("openvino", classifier)
    if "BF16" not in share_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(SettingsError, match=r"neither AVX512-BF16 nor AMX"):
            load_engine("openvino", folder, precision="bf16")
        return
    engine = load_engine("openvino", folder, precision="bf16")
    assert engine.precision == "bf16"
    batch = encode(classifier)
    expected = load_engine("torch", classifier, device="cpu").run(batch)["logits"]
    found = engine.run(batch)["logits"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=NARROW_TOLERANCE * np.abs(expected).max())
    exact = load_engine("openvino", folder)
    assert exact.precision == "fp32"
    np.testing.assert_allclose(exact.run(batch)["logits"], expected, atol=TOLERANCE)
    assert not np.allclose(found, expected, atol=TOLERANCE), "it was computed in fp32"
    names = {"models": [str(folder)], "engines": [None], "precisions": ["fp32", "bf16"]}
    contest = run_contest(name_contestants(**names), TEXTS, repeats=3, with_memory=False)
    assert [*contest.contestants.values()] == [("openvino", "fp32"), ("openvino", "bf16")]
    with pytest.raises(
        SettingsError,
        match=r"precision = 'fp16': .* holds openvino/openvino_model\.xml \(fp32\); accepted: "
        r"fp32, bf16, or none",
    ):
        load_engine("openvino", folder, precision="fp16")


def test_bf16_is_refused_where_the_cpu_lacks_it():
    require_narrow(["FP32", "BF16", "INT8"])
    with pytest.raises(
        SettingsError,
        match=r"precision = 'bf16': this CPU has neither AVX512-BF16 nor AMX, and OpenVINO "
        r"computes on it in fp32, int8; accepted: fp32",
    ):
        require_narrow(["WINOGRAD", "FP32", "INT8", "BIN", "EXPORT_IMPORT"])


def test_settings_of_torch_that_it_does_not_have(classifier):
    with pytest.raises(
        SettingsError,
        match=r"precision = 'int8': torch runs models in fp32, bf16, fp16\. For int8, export the "
        r"model: limbeck export MODEL --to onnx-int8",
    ):
        pipeline(model=classifier, precision="int8")
    with pytest.raises(SettingsError, match=r"precision = 'fp17': .* Did you mean 'fp16'"):
        pipeline(model=classifier, precision="fp17")
    with pytest.raises(SettingsError, match=r"num_threads = 0: must be at least 1"):
        pipeline(model=classifier, num_threads=0)
    with pytest.raises(SettingsError, match=r"num_threads = 10,000: .* cores; accepted: 1 to "):
        pipeline(model=classifier, num_threads=10_000)
    model = AutoModelForSequenceClassification.from_pretrained(classifier)
    with pytest.raises(SettingsError, match=r"precision = 'fp16': a model object is given"):
        pipeline(model=model, tokenizer=classifier, precision="fp16")


def test_threads_are_those_that_were_asked_for(classifier, monkeypatch):
    monkeypatch.setenv("RAYON_NUM_THREADS", "7")  # given back after the test
    monkeypatch.delenv("RAYON_NUM_THREADS")
    before = torch.get_num_threads()
    try:
        pipeline(model=classifier, num_threads=3)
        assert torch.get_num_threads() == 3
        assert os.environ["RAYON_NUM_THREADS"] == "3"
        monkeypatch.setenv("RAYON_NUM_THREADS", "5")
        pipeline(model=classifier, num_threads=3)
        assert os.environ["RAYON_NUM_THREADS"] == "5", "who has said it decides"
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("is_ours", [True, False], ids=["ours", "another library's"])
def test_an_export_answers_without_torch(is_ours, classifier, run_by, tmp_path):
    folder = shutil.copytree(run_by("onnxruntime", classifier), tmp_path / "model")
    if not is_ours:
        (folder / "export.json").unlink()
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(folder), *TEXTS],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [one["label"] for one in pipeline(model=classifier)(TEXTS)]
    assert [line.split()[0] for line in said.stdout.splitlines()] == expected


@pytest.mark.parametrize("name", [n for n in ENGINES if issubclass(find_engine(n), ExportedEngine)])
def test_an_engine_of_files_names_a_target_that_it_runs(name, tmp_path):
    target = find_engine(name).target
    assert load_target(target).engine == name
    write_model(tmp_path)
    with pytest.raises(
        CheckpointError,
        match=rf"has nothing that {name} runs\. Export .*: limbeck export .* --to {target} --out",
    ):
        load_engine(name, tmp_path)


def test_a_head_over_all_words_is_run_where_it_is_asked(tmp_path):
    write_model(tmp_path, auto_model=limbeck.AutoModelForMaskedLM)
    engine = load_engine("torch", tmp_path, device="cpu")
    batch = encode(tmp_path)
    asked = torch.zeros_like(batch["input_ids"])
    asked[0, 1] = asked[2, 3] = asked[2, 5] = 1
    found = engine.run({**batch, ASKED: asked})["logits"]
    expected = engine.run(batch)["logits"][asked.numpy() == 1]
    assert found.shape == (3, engine.facts.vocab_size)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_a_hub_model_is_fetched_as_the_engine_needs_it():
    onnx = find_engine("onnxruntime")
    fp32 = wanted_files(onnx, precision=None)
    assert "onnx/model.onnx" in fp32
    assert "onnx/model.onnx_data" in fp32
    assert not [name for name in fp32 if "quantized" in name]
    assert "onnx/model_quantized.onnx" in wanted_files(onnx, precision="int8")
    narrow, wide = (wanted_files(OpenVinoEngine, precision=name) for name in ("bf16", "fp32"))
    assert narrow == wide != []
    assert wanted_files(TorchEngine, precision=None) == []
