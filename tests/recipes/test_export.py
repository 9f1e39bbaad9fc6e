"""`limbeck export`: nothing stands under its final name before it was held against the model."""

from __future__ import annotations

import copy
import json
import math
import re
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from narrow_targets import narrow_targets as known_targets
from pipeline_models import require_packages
from tiny_task import Lines, write_data, write_model

import limbeck.export
from limbeck import AutoModelForSequenceClassification, AutoTokenizer
from limbeck.checkpoints.exported import ExportInfo
from limbeck.cli import main
from limbeck.errors import (
    CheckpointError,
    ContractError,
    DataError,
    ExportError,
    MissingExtraError,
    SettingsError,
)
from limbeck.export import load_target, measure_sensitivity
from limbeck.inference import load_engine
from limbeck.methods._unit_costs import count_operations as count_units
from limbeck.methods._unit_costs import sum_costs
from limbeck.recipes import evaluate, finetune, trim
from limbeck.recipes._tasks.speeds import measure_runs
from limbeck.recipes.export import ExportSettings, making, plan, run, summarise
from limbeck.recipes.export.gate import refuse_outputs
from limbeck.recipes.export.result import describe_doubt, require_kept
from limbeck.recipes.export.source import Source, find_modules
from limbeck.report import write_report
from limbeck.runs import ExportRecord, describe_begun
from limbeck.runs.export import ExportedModel, OutputsCompared, RepairRecord, ScoreCompared
from limbeck.train import SilentProgress

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def narrow_targets(tmp_path_factory):
    with known_targets(tmp_path_factory.mktemp("room") / "targets"):
        yield


@pytest.fixture(scope="module")
def exported(deep_teacher, data, tmp_path_factory):
    """Settings, result and lines of an export that was scored and measured."""
    settings = make_settings(deep_teacher, tmp_path_factory.mktemp("export") / "run", data=data)
    progress = Lines()
    return settings, run(settings, progress=progress), progress.lines


@pytest.fixture(scope="module")
def outlier(deep_teacher, tmp_path_factory):
    """The same model with numbers of very different size in the values of one layer."""
    folder = tmp_path_factory.mktemp("outlier") / "model"
    model = AutoModelForSequenceClassification.from_pretrained(deep_teacher)
    attention = model.encoder.layers[1].attention
    with torch.no_grad():  # what one weight gains the next one loses: it computes the same
        attention.value.weight[3] *= 300
        attention.value.bias[3] *= 300
        attention.output.weight[:, 3] /= 300
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(deep_teacher).save_pretrained(folder)
    return str(folder)


def make_settings(model, out, *, to="onnx", **changes):
    values = {"model": model, "to": to, "out": str(out), "num_rows": 16, "calibration_rows": 16}
    return ExportSettings.from_values(values | changes)


def export(*arguments, **changes):
    settings = make_settings(*arguments, **{"measure": False, **changes})
    return run(settings, progress=SilentProgress())


def test_an_export_is_scored_beside_the_model(exported, data):
    settings, result, _ = exported
    folder = settings.out / "model"
    (model,) = result.models
    assert (model.target, model.engine, model.folder) == ("onnx", "onnxruntime", str(folder))
    assert (result.task, result.metric, result.num_examples) == ("sst2", "accuracy", 24)
    assert model.score.score == result.score >= 0.9
    assert model.score.drop == 0
    assert model.score.interval == (0, 0)
    assert not model.score.is_distinguishable
    assert model.outputs.largest < 1e-4
    assert model.outputs.agreement == 1
    assert model.file_bytes == sum(
        (folder / n).stat().st_size for n in ExportInfo.read(folder).files
    )
    assert model.latency_ms > 0
    assert {"onnx/model.onnx", "export.json", "limbeck.json", "tokenizer.json"} <= {
        *model.model_files
    }
    left = {path.name for path in settings.out.iterdir()} - {".lock"}
    assert left == {"model", "result.json", "run.json"}


def test_what_was_exported_is_not_trained_or_trimmed(exported, deep_teacher, data, tmp_path):
    model, out = str(exported[0].out / "model"), tmp_path / "run"
    own = {"data": data, "max_length": 16, "out": out}
    for recipe, values in (
        (finetune, {"model": model, **own}),
        (finetune, {"model": deep_teacher, "teacher": model, **own}),
        (trim, {"model": model, "max_tokens": 16, "out": out}),
    ):
        settings = recipe.SettingsType.from_values(values)
        with pytest.raises(
            CheckpointError, match=r"was exported to onnx\S* and has no weights for t"
        ):
            recipe.plan(settings)
        assert not out.exists()


def test_nobody_knows_what_a_metric_that_is_no_share_may_lose_where_no_example_differs(exported):
    _, result, _ = exported
    (model,) = result.models
    assert "24 examples allow a drop of up to 0.1250" in describe_doubt(model, result)
    other = result.model_copy(update={"metric": "matthews_correlation"})
    assert describe_doubt(model, other) is None


def test_the_table_and_the_card_say_what_was_measured(exported):
    settings, result, _ = exported
    table = summarise(result)
    (model,) = result.models
    assert min(result.texts_per_second, model.texts_per_second) > 0
    is_told = Path("/proc/self/status").exists()
    assert ("Peak memory is that of a process" in table) == is_told
    if is_told:
        assert result.peak_bytes > result.loaded_bytes
        assert model.peak_bytes > model.loaded_bytes
    graph = limbeck.export.load_graph(Path(result.model))
    counted = sum_costs(count_units(graph.model, num_tokens=result.num_tokens))
    assert counted < result.num_operations < 1.5 * counted  # with the head
    assert f"operations of a text of {result.num_tokens} tokens" in table
    assert "Scored on 24 validation examples of sst2; a drop of up to 0.01 is accepted." in table
    assert "compared on 16 validation rows of sst2" in table
    card = (settings.out / "model/README.md").read_text(encoding="utf-8")
    for words in (
        f"| Accuracy | {result.score:.4f} | {result.score:.4f} |",
        "0.0000 more (no example differs). A drop of up to 0.01 was accepted.",
        "24 examples allow a drop of up to 0.1250, beyond the bound of 0.01; more of them would",
        '$ limbeck predict FOLDER_OR_HUB_ID "The ferry leaves at nine."',
        "the largest difference is of two logits.",
        "| Same answers | – | 100.0 % |",
        "| Texts a second, in a batch |",
        f"| Operations of a text of {result.num_tokens} tokens |",
        f"| Latency at batch 1, median, {torch.get_num_threads()} thread",
        'limbeck.pipeline("text-classification", model="FOLDER_OR_HUB_ID")',
        'InferenceSession("FOLDER/onnx/model.onnx")',
        '"FOLDER_OR_HUB_ID", { dtype: "fp32" }',
        "type: accuracy",
        "library_name: transformers.js",
    ):
        assert words in card


def test_the_script_on_the_card_runs(exported):
    folder = exported[0].out / "model"
    blocks = (folder / "README.md").read_text(encoding="utf-8").split("```python\n")[1:]
    for block in blocks:
        code = block.partition("```")[0].replace("FOLDER_OR_HUB_ID", str(folder))
        exec(code.replace("FOLDER", str(folder)), {})


def test_each_step_is_shown_with_the_target_when_it_begins(deep_teacher, data, tmp_path, capsys):
    arguments = ["--to", "onnx-int8", "--data", data, "--max-drop", "0.5"]
    arguments += ["--out", str(tmp_path / "run")]
    assert main(["export", deep_teacher, *arguments]) == 0
    lines = capsys.readouterr().err.splitlines()
    steps = [line.partition(": ")[2] for line in lines if line.startswith("onnx-int8: ")]
    assert steps[:6] == [
        "looking for outliers in 8 batches",
        "tracing",
        "quantising",
        "comparing outputs on 24 rows",
        "scoring 24 validation examples",
        "scoring the model beside it",
    ]
    assert any("of torch, onnx-int8" in line for line in lines)
    assert any(
        re.match(r"Latency is that of single texts, \d+ threads?\. A speed-up is", li)
        for li in lines
    )


@pytest.mark.parametrize("target", ["litert", "executorch"])
def test_rows_longer_than_a_phone_takes_are_refused_before_anything_is_written(target, tmp_path):
    require_packages(load_target(target))
    folder = write_model(tmp_path / "model", max_position_embeddings=1024)
    out = tmp_path / "out"
    message = (
        rf"max_length = 1,000, .* but a row of {target} has 512 tokens at most, .*; accepted: "
        r"another target, or max_length = 512"
    )
    with pytest.raises(ExportError, match=message):
        export(folder, out, to=target, max_length=1000)
    assert not out.exists()
    found = plan(make_settings(folder, out, to=target, max_length=1000))
    assert re.search(message, found["targets"][target]["refused"])
    assert "refused" not in plan(make_settings(folder, out, to=target))["targets"][target]


def test_what_is_done_is_not_done_again(exported, tmp_path):
    settings, result, _ = exported
    progress = Lines()
    assert run(settings, progress=progress) == result
    assert progress.lines[-1] == f"{settings.out} is already complete"
    path = settings.out / "model/onnx/model.onnx"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    try:
        with pytest.raises(
            CheckpointError, match=r"model\.onnx is not the file that the run wrote"
        ):
            run(settings, progress=SilentProgress())
    finally:
        path.write_bytes(content)
    other = make_settings(settings.model, settings.out, max_drop=0.5, data=settings.data)
    with pytest.raises(SettingsError, match=r"max_drop"):
        run(other, progress=SilentProgress())


def test_evaluate_scores_an_exported_folder_and_reports_hold_it(exported, data, tmp_path):
    settings, result, _ = exported
    found = {}
    for label, model in {"torch": settings.model, "onnx": str(settings.out)}.items():
        given = {"model": model, "data": data, "out": str(tmp_path / label), "label": label}
        found[label] = evaluate.run(
            evaluate.EvaluateSettings.from_values(given | {"device": "cpu"}),
            progress=SilentProgress(),
        )
    own, other = found.values()
    assert other.scores["accuracy"] == result.score == own.scores["accuracy"]
    assert other.file_bytes == result.models[0].file_bytes
    assert other.num_parameters == own.num_parameters
    given = {"model": str(settings.out), "data": data, "out": str(tmp_path / "no")}
    with pytest.raises(CheckpointError, match=r"onnx and has no weights for torch.*onnxruntime"):
        evaluate.run(
            evaluate.EvaluateSettings.from_values(given | {"engine": "torch"}),
            progress=SilentProgress(),
        )
    assert not (tmp_path / "no").exists()
    runs = [tmp_path / label for label in found]
    measure = partial(measure_runs, num_examples=2, repeats=3)
    report = write_report(runs, out=tmp_path / "report", teacher="torch", measure=measure)
    assert [model.label for model in report.models] == ["torch", "onnx"]
    assert all(model.speed is not None for model in report.models)


def test_what_is_interrupted_leaves_nothing_and_says_so(
    deep_teacher, data, tmp_path, monkeypatch, capsys
):
    def interrupt(*_given, **_more):
        raise KeyboardInterrupt

    out = tmp_path / "run"
    arguments = ["export", deep_teacher, "--to", "onnx", "--out", str(out), "--measure", "false"]
    target = type(limbeck.export.load_target("onnx"))
    with monkeypatch.context() as patch:
        patch.setattr(target, "write", interrupt)
        assert main(arguments) == 130
    expected = "interrupted; nothing was made yet, and the same command begins anew"
    assert expected in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} <= {"run.json", ".lock"}
    assert main(arguments) == 0


def test_a_damaged_export_is_refused(deep_teacher, data, tmp_path, narrow_targets):
    out = tmp_path / "run"
    expected = (
        r"refused tiny-nothing: accuracy falls from [01]\.\d+ to 0\.\d+, by 0\.\d+, and "
        r"max_drop is 0\.005\. Nothing was left\. What would help: repair=true[^;]*; a wider "
        r"precision$"
    )
    with pytest.raises(ContractError, match=expected) as caught:
        export(deep_teacher, out, to="tiny_nothing", data=data, max_drop=0.005)
    (model,) = caught.value.result.models
    assert model.folder is None
    assert model.score.drop > 0.2
    assert model.score.interval[0] > 0
    assert not out.exists()


def test_without_data_outputs_are_compared(deep_teacher, tmp_path, narrow_targets, capsys):
    """One that is refused leaves the others."""
    out = tmp_path / "run"
    arguments = ["export", deep_teacher, "--to", "onnx", "--to", "tiny-nothing", "--out", str(out)]
    assert main([*arguments, "--measure", "false", "--json"]) == 1
    shown = capsys.readouterr()
    expected = r"refused tiny-nothing: its outputs differ from the model's by up to .*, and 0\.2 is"
    assert re.search(expected, shown.err)
    assert "The others stand: onnx." in shown.err
    assert "compared on 64 English texts that come with Limbeck" in shown.err
    assert "says less than a score on the task" in shown.err
    failed = json.loads(shown.out)["result"]["models"]
    assert [model["folder"] is None for model in failed] == [False, True]
    assert failed[0]["outputs"]["relative"] < 1e-4
    assert (out / "models/onnx/onnx/model.onnx").is_file()
    assert [path.name for path in (out / "models").iterdir()] == ["onnx"]
    assert ExportRecord.read(out).models[1].refusal is not None


def test_without_data_answers_decide_however_far_numbers_may_differ(
    deep_teacher, tmp_path, narrow_targets
):
    expected = r"refused tiny-opposite: \d\.\d % of its answers .*, and without data 90\.0 % have"
    with pytest.raises(ContractError, match=expected) as caught:
        export(deep_teacher, tmp_path / "run", to="tiny_opposite")
    (model,) = caught.value.result.models
    assert model.outputs.relative < model.outputs.tolerance
    assert "has to give 90.0 % of the same answers" in summarise(caught.value.result)
    assert not (tmp_path / "run").exists()


def test_an_export_is_measured_with_the_threads_of_the_model_beside_it(exported):
    settings, result, _ = exported
    gate = Source.read(settings, SilentProgress()).gate
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        engine = gate.judge(Path(result.models[0].folder), load_target("onnx")).engine
    finally:
        torch.set_num_threads(before)
    assert engine._session.get_session_options().intra_op_num_threads == 3


def test_a_repair_finds_the_layer_that_has_to_stay_in_float(outlier, tmp_path, narrow_targets):
    progress = Lines()
    settings = make_settings(outlier, tmp_path / "run", to="tiny_int8", repair=True)
    result = run(settings, progress=progress)
    (model,) = result.models
    assert model.repair.kept_float == ("encoder.layers.1.attention.value",)
    assert model.repair.num_exports == 2
    assert model.outputs.relative < model.outputs.tolerance
    assert model.repair.latency_ms_before > 0
    assert any("tiny-int8: its outputs differ" in line for line in progress.lines)
    expected = "tiny-int8: kept in float: encoder.layers.1.attention.value. That took size from "
    assert expected in summarise(result)
    card = (tmp_path / "run/model/README.md").read_text(encoding="utf-8")
    assert "| Kept in float | encoder.layers.1.attention.value |" in card
    assert card.count("Kept in float") == 1


def test_what_texts_show_is_found_once_for_all_exports_of_a_repair(
    outlier, tmp_path, narrow_targets, monkeypatch
):
    target, found, written = type(load_target("tiny_int8")), [], []
    write = target.write

    def fit_to(self, graph, calibration, *, keep_float=()):
        fitted = copy.copy(self)
        found.append(fitted)
        return fitted

    def note(self, *given, **more):
        written.append(self)
        return write(self, *given, **more)

    monkeypatch.setattr(target, "fit_to", fit_to)
    monkeypatch.setattr(target, "write", note)
    result = export(outlier, tmp_path / "run", to="tiny_int8", repair=True)
    assert result.models[0].repair.num_exports == 2
    assert [*map(id, written)] == [id(found[0])] * 2
    assert len(found) == 1


class StopsInStage(Lines):
    """Interrupts where a stage has come to a number of units, and counts the stages' totals."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.stop_at, self.done = stop_at, 0

    @contextmanager
    def stage(self, description, *, total, unit):
        self.done = 0
        yield self

    def advance(self, amount=1):
        self.done += amount
        if self.done == self.stop_at:
            raise KeyboardInterrupt

    def update(self, **fields):
        pass


def test_a_repair_that_was_interrupted_goes_on(outlier, tmp_path, narrow_targets):
    out = tmp_path / "run"
    settings = make_settings(outlier, out, to="tiny_int8", repair=True, measure=False)
    with pytest.raises(KeyboardInterrupt):
        run(settings, progress=StopsInStage(stop_at=4))
    assert {path.name for path in out.iterdir()} == {"run.json", ".lock", "repairs"}
    assert "the same command goes on with what stands in" in describe_begun(out)
    place = out / "repairs/tiny-int8"
    found = RepairRecord.read(place)
    assert len(found.costs) == 4
    path = place / RepairRecord.FILE_NAME
    content = path.read_text()
    path.write_text(content.replace('"costs": {', '"costs": {"another": [1.0],'))
    with pytest.raises(DataError, match=r"repair\.json is damaged: .*; remove it to measure again"):
        run(settings, progress=SilentProgress())
    # As if it had been stopped again, after the first layer alone was too few.
    ranked = {**found.costs, "encoder.layers.1.attention.value": (1e9,)}
    found.model_copy(update={"costs": ranked, "refusals": {1: "it is too far off"}}).write(place)
    measured, progress = [], Lines()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "measure_sensitivity", spy(measure_sensitivity, measured))
        (model,) = run(settings, progress=progress).models
    total = len(limbeck.export.list_modules(limbeck.export.load_graph(Path(outlier))))
    assert not set(measured) & set(ranked)
    assert len(measured) == total - len(ranked)
    expected = f"{len(ranked)} of {total} sensitivities and 1 export"
    assert any(line.endswith(expected) for line in progress.lines)
    assert len(model.repair.kept_float) == 2
    assert model.repair.kept_float[0] == "encoder.layers.1.attention.value"
    assert model.repair.num_exports == 3
    assert {path.name for path in out.iterdir()} <= {"model", "result.json", "run.json", ".lock"}


def spy(measure, names):
    def measured(*given, **more):
        for one in measure(*given, **more):
            names.append(one.name)
            yield one

    return measured


def test_a_dry_run_says_what_a_repair_would_do(outlier, tmp_path, narrow_targets):
    names = ["onnx", "tiny_int8", "elsewhere"]
    found = plan(make_settings(outlier, tmp_path / "run", to=names, repair=True))["targets"]
    total = len(limbeck.export.list_modules(limbeck.export.load_graph(Path(outlier))))
    assert re.fullmatch(
        rf"if the bound is broken, {total} layers narrowed in turn and compared on 16 English "
        r"texts that come with Limbeck, some \d+ s here; then exports with the most sensitive ones "
        r"wider, "
        rf"most often one or two and up to {2 * math.ceil(math.log2(total))}, each judged as the "
        "first",
        found["tiny-int8"]["repair"],
    )
    assert found["onnx"]["repair"] == "none: there is nothing to keep wider, as all is in float"
    plain = plan(make_settings(outlier, tmp_path / "run", to="tiny_int8"))["targets"]
    assert "repair" not in plain["tiny-int8"]


def test_remedies_are_those_that_would_help():
    def refusal(*, low, precision="int8", was_repaired=False, training=None):
        score = ScoreCompared(
            score=0.78, drop=0.02, interval=(low, 0.05), is_distinguishable=low > 0
        )
        name = "onnx" if precision == "fp32" else "onnx-int8"
        model = {
            "target": name, "engine": "onnxruntime", "precision": precision, "folder": None,
            "refusal": "accuracy falls", "not_run": None, "file_bytes": 1, "outputs": None,
            "score": score, "latency_ms": None, "speed_up": None, "repair": None,
            "model_files": {},
        }  # fmt: skip
        result = ExportRecord(
            model="m", model_class="M", file_bytes=1, rows="texts", num_rows=1, calibration=None,
            task="sst2", metric="accuracy", split="validation", num_examples=1200, score=0.8,
            max_drop=0.01, latency_ms=None, num_threads=None, models=(ExportedModel(**model),),
            training=training,
        )  # fmt: skip
        with pytest.raises(ContractError, match="refused onnx") as caught:
            require_kept(result, was_repaired=was_repaired)
        said, _, helps = str(caught.value).partition("What would help: ")
        stays = "What was trained, as int4, stays in training/model of the run's folder"
        assert (stays in said) is (training is not None)
        assert ("Nothing was left" in said) is (training is None)
        return helps

    longer = "a longer training, such as finetune.epochs=10, or more bits, in another folder"
    assert refusal(low=0.011, was_repaired=True, training="as int4") == longer
    repair = "repair=true, which finds the layers that have to stay wider"
    assert refusal(low=0.011) == f"{repair}; a wider precision"
    assert refusal(low=-0.01, was_repaired=True) == (
        "more examples, since 1,200 don't tell whether onnx-int8 loses so much (95 % interval of "
        "the drop -0.0100 to 0.0500); a wider precision"
    )
    assert refusal(low=0.02, precision="fp32") == "another target"


def test_modules_are_named_one_by_one_or_as_what_they_are_in(outlier):
    graph = limbeck.export.load_graph(Path(outlier))
    attention = "encoder.layers.1.attention"
    parts = ("query", "key", "value", "output")
    assert find_modules(graph, [attention]) == tuple(f"{attention}.{part}" for part in parts)
    assert find_modules(graph, [f"{attention}.value"]) == (f"{attention}.value",)


def test_what_cannot_be_run_here_says_so(deep_teacher, data, tmp_path, narrow_targets):
    result = export(deep_teacher, tmp_path / "run", to="elsewhere", data=data)
    (model,) = result.models
    assert (model.not_run, model.score, model.outputs) == ("a telephone", None, None)
    assert "elsewhere was not run: needs a telephone." in summarise(result)
    card = (tmp_path / "run/model/README.md").read_text(encoding="utf-8")
    assert "It was not run: needs a telephone." in card
    given = {"model": model.folder, "data": data, "out": str(tmp_path / "evaluated")}
    with pytest.raises(CheckpointError, match="was exported to elsewhere, which runs elsewhere"):
        evaluate.run(evaluate.EvaluateSettings.from_values(given), progress=SilentProgress())


def test_without_data_vectors_have_to_point_the_same_way():
    compared = {"largest": 1.0, "relative": 0.1, "tolerance": 0.5, "agreement": None}
    refusal = refuse_outputs(OutputsCompared(**compared, cosine=0.93))
    assert "a mean cosine of 0.9300 with the model's, and without data 0.95 is the least" in refusal
    assert refuse_outputs(OutputsCompared(**compared, cosine=0.96)) is None


def test_a_sentence_model_keeps_its_vectors(tmp_path):
    source = tmp_path / "source"
    write_model(source)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {
            "idx": 1,
            "name": "1",
            "path": "1_Pooling",
            "type": "sentence_transformers.models.Pooling",
        },
    ]
    (source / "modules.json").write_text(json.dumps(modules))
    (source / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
    (source / "1_Pooling/config.json").write_text(json.dumps(pooling))
    result = export(str(source), tmp_path / "run")
    (model,) = result.models
    assert result.model_class == "SentenceModel"
    assert model.outputs.cosine > 0.999999
    engine = load_engine("onnxruntime", model.folder, vectors=True)
    assert engine.facts.sentence is not None
    assert "cosine 1.00000" in summarise(result)


def test_a_dry_run_tells_the_truth(deep_teacher, data, tmp_path, narrow_targets, monkeypatch):
    out = tmp_path / "run"
    found = plan(make_settings(deep_teacher, out, to=["onnx", "elsewhere"], data=data))
    assert found["model"].endswith("BertForSequenceClassification")
    assert found["targets"]["onnx"] == {
        "engine": "onnxruntime",
        "precision": "fp32",
        "packages": "onnx, onnxscript, onnxruntime: installed",
    }
    assert found["targets"]["elsewhere"]["engine"] == "none here, it needs a telephone"
    assert found["score"] == "accuracy on 24 validation examples of sst2"
    assert not out.exists()
    target = type(load_target("onnx"))
    monkeypatch.setattr(target, "packages", ("no_such_package",))
    missing = plan(make_settings(deep_teacher, out))["targets"]["onnx"]["missing"]
    assert 'pip install "limbeck[onnx]"' in missing
    with pytest.raises(MissingExtraError, match="no_such_package"):
        export(deep_teacher, out)
    monkeypatch.setattr(target, "refuse", lambda self, graph: "it is too small")
    refused = plan(make_settings(deep_teacher, out))["targets"]["onnx"]["refused"]
    assert refused.endswith("can't be exported to onnx: it is too small")
    with pytest.raises(ExportError, match="it is too small"):
        export(deep_teacher, out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"to": "onxx"}, SettingsError, r"no 'onxx' among the targets; .*mean 'onnx'"),
        ({"to": ["onnx", "onnx"]}, SettingsError, "to names onnx twice"),
        ({"max_drop": 0.1}, SettingsError, r"max_drop = 0\.1 bounds a score.*data=FOLDER"),
        ({"max_drop": -1}, SettingsError, r"max_drop = -1"),
        ({"texts": "no-such.txt"}, DataError, r"no-such\.txt"),
        (
            {"keep_float": ["encoder.layers.9"]},
            SettingsError,
            r"keep_float names 'encoder\.layers\.9', and BertForSequenceClassification has no",
        ),
    ],
)
def test_what_cannot_be_exported(values, error, message, deep_teacher, tmp_path):
    with pytest.raises(error, match=message):
        export(deep_teacher, tmp_path / "run", **values)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_empty_is_left_alone(deep_teacher, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SettingsError, match="is not empty and holds no run"):
        export(deep_teacher, tmp_path)


def test_rows_without_labels_are_no_score(deep_teacher, tmp_path):
    unlabelled = write_data(tmp_path / "data", test_labelled=False)
    with pytest.raises(DataError, match=r"the test split of data = .* has no labels"):
        export(deep_teacher, tmp_path / "run", data=unlabelled, split="test")
