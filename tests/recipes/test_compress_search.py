"""A search for a model within bounds: what is tried, chosen, exported, and what can't be."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from narrow_targets import narrow_targets
from tiny_compress import make_settings
from tiny_task import Lines

import limbeck
from limbeck.checkpoints.exported import ExportInfo
from limbeck.cli import main
from limbeck.errors import CheckpointError, ContractError, ExportError, SettingsError
from limbeck.files.typed import seal
from limbeck.inference.footprint import count_bytes
from limbeck.inference.speed import compare_speed
from limbeck.recipes.compress import plan, run, summarise
from limbeck.recipes.evaluate import EvaluateSettings
from limbeck.recipes.evaluate import run as evaluate
from limbeck.runs import CompressRecord, SpeedsRecord
from limbeck.runs.costs import CostsRecord
from limbeck.train import SilentProgress

pytest.importorskip("onnxruntime")

SEARCH = {"depths": (1,), "epochs": 4, "targets": ("onnx", "onnx_int8"), "max_size_mb": 1.0}


def search_settings(model, data, out, **changes):
    return make_settings(model, data, out, **{**SEARCH, "retain": 0.8, **changes})


@pytest.fixture(scope="module")
def finished_search(deep_teacher, data, tmp_path_factory):
    """Settings and result of a search that was stopped once on its way."""
    out = tmp_path_factory.mktemp("search") / "run"
    settings = search_settings(deep_teacher, data, out)
    stopped = Lines(stop_at="exporting 1 layer, onnx")
    with pytest.raises(KeyboardInterrupt):
        run(settings, progress=stopped)
    assert not (out / "model").exists()
    assert not (out / "result.json").exists()
    assert (out / "exports/all-3-layers/onnx/model/export.json").exists()
    assert not list(out.glob("exports/1-layer/**/export.json"))
    progress = Lines()
    result = run(settings, progress=progress)
    assert "timing a few models, to tell what all would take" not in progress.lines
    assert "seed 0: finished before" in progress.lines
    assert not any(line.startswith("exporting all 3 layers") for line in progress.lines)
    return settings, result


@pytest.mark.slow
def test_the_smallest_within_the_bounds_is_chosen_and_exported(finished_search):
    settings, result = finished_search
    names = [model.name for model in result.models]
    assert names[0] == "teacher"
    assert set(names[1:]) == {
        f"{source}, {target}"
        for source in ("all 3 layers", "1 layer")
        for target in ("onnx", "onnx-int8")
    }
    enough = [model for model in result.models if model.reached]
    smallest = min(enough, key=lambda model: model.file_bytes)
    assert (result.chosen, result.reached) == (smallest.name, True)
    assert result.bounds == {"max_size_mb": 1.0}
    folder = Path(result.model)
    assert count_bytes(folder) == smallest.file_bytes < 1e6
    # What stands there is what was scored.
    info = ExportInfo.read(folder)
    assert info.changed_file(folder) is None
    again = evaluate(
        EvaluateSettings(
            model=str(folder), data=settings.data, out=settings.out.parent / "again", max_length=16
        ),
        progress=SilentProgress(),
    )
    assert again.scores["accuracy"] == smallest.score
    (answer,) = limbeck.pipeline("text-classification", str(folder))(["a good film"])
    assert answer["label"] in ("NEGATIVE", "POSITIVE")
    for model in result.models:
        assert model.latency_ms > 0
        assert model.loaded_bytes is None or model.loaded_bytes > 0


def test_sizes_are_told_before(finished_search):
    _, result = finished_search
    for model in result.models[1:]:
        told = float(model.expected.split(" MB")[0])
        assert told == pytest.approx(model.file_bytes / 1e6, abs=0.0051)  # two decimals


def test_page_card_and_terminal_say_it(finished_search):
    settings, result = finished_search
    assert f"“{result.chosen}” is the smallest that keeps 80 % of the teacher's" in result.headline
    assert "within 1.00 MB" in result.headline
    assert "On test (n = 16)" in result.on_test
    shown = summarise(result)
    assert result.headline in shown
    assert shown.splitlines()[1].split()[-1] == "memory"
    text = (settings.out / "compress.md").read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "Memory, loaded" in text
    assert "Before any training 2 models were timed in each format" in text
    assert "differ from those measured by" in text
    page = (settings.out / "compress.html").read_text(encoding="utf-8")
    assert "size of the files (MB)" in page
    assert "at most 1.00 MB" in page
    card = ModelCard.load(settings.out / "model/README.md")
    assert "| Asked to be within | 1.00 MB |" in card.text
    assert "Beside the teacher" in card.text
    assert 'limbeck.pipeline("text-classification"' in card.text
    assert str(settings.out) not in card.content


def test_it_is_not_made_again_and_damage_is_named(finished_search, tmp_path):
    settings, result = finished_search
    progress = Lines()
    assert run(settings, progress=progress) == result
    assert progress.lines[-1] == f"{settings.out} is already complete"
    out = tmp_path / "run"
    shutil.copytree(settings.out, out)
    (file,) = ExportInfo.read(out / "model").files
    (out / "model" / file).unlink()
    (out / "model" / file).write_bytes(b"another")
    with pytest.raises(CheckpointError, match=rf"{file} is not the file that the run wrote; rem"):
        run(settings.model_copy(update={"out": out}), progress=SilentProgress())


@pytest.mark.slow
def test_another_machine_is_told_of(finished_search, tmp_path):
    settings, result = finished_search
    out = tmp_path / "run"
    shutil.copytree(settings.out, out)
    moved = settings.model_copy(update={"out": out})
    for name in ("costs.json", "result.json"):
        values = json.loads((out / name).read_text())
        values["machine"]["cpu"] = "Abacus"
        (out / name).write_text(json.dumps(seal(values)))
    progress = Lines()
    assert run(moved, progress=progress).chosen == result.chosen
    said = [line for line in progress.lines if "measured on another machine (Abacus" in line]
    assert said
    assert "the same command measures on this one" in said[0]
    (out / "result.json").unlink()
    progress = Lines()
    assert run(moved, progress=progress).reached
    assert any("measured on another machine (Abacus" in line for line in progress.lines)
    assert "timing a few models, to tell what all would take" in progress.lines

    def again(**changes):
        values = json.loads((out / "costs.json").read_text())
        (out / "costs.json").write_text(json.dumps(seal(values | changes)))
        (out / "result.json").unlink()
        progress = Lines()
        run(moved, progress=progress)
        return "\n".join(progress.lines)

    said = again(versions={"torch": "0.1", "onnxruntime": "0.2"})
    assert re.search(r"was measured with other versions \(onnxruntime 0\.2, now \d", said)
    machine = json.loads((out / "costs.json").read_text())["machine"]
    said = again(machine={**machine, "num_threads": 77})
    assert "was measured with 77 threads, and these are" in said
    probes = json.loads((out / "costs.json").read_text())["probes"]
    said = again(probes=[{**probe, "noise": 0.99} for probe in probes], load=3.0)
    assert "latencies may be off by 99.0 % (load 3.0 of each core): timing once more" in said
    assert max(probe.noise for probe in CostsRecord.read(out).probes) < 0.99


@pytest.mark.slow
def test_a_contract_that_is_not_met_says_how_near_it_came(finished_search, tmp_path):
    settings, result = finished_search
    out = tmp_path / "run"
    shutil.copytree(settings.out, out)
    costs = json.loads((out / "costs.json").read_text())
    for probe in costs["probes"]:  # so that nothing is refused by what is expected of it
        probe["latencies_ms"] = {n: ms / 10 for n, ms in probe["latencies_ms"].items()}
        probe["noise"] = 0.01
    (out / "costs.json").write_text(json.dumps(seal(costs)))
    fastest = min(result.models[1:], key=lambda model: model.latency_ms).latency_ms
    harder = settings.model_copy(update={"out": out, "max_latency_ms": fastest / 3})
    with pytest.raises(ContractError) as raised:
        run(harder, progress=SilentProgress())
    found = raised.value.result
    assert (found.reached, found.chosen, found.model) == (False, None, None)
    assert found.nearest in [model.name for model in found.models[1:]]
    assert "None of 4 models keeps 80 % of the teacher's accuracy on sst2" in found.headline
    assert f"The nearest, “{found.nearest}”: " in found.headline
    assert re.search(r"takes [\d.]+ ms where [\d.]+ ms would do", found.headline)
    assert not (out / "model").exists()
    assert found.looser
    assert all(
        re.match(r"(retain|max_\w+) = [\d.]+, which “.*” (keeps|takes)", w) for w in found.looser
    )
    assert "It would do to ask for max_latency_ms = " in str(raised.value)
    text = (out / "compress.md").read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "ms would do" in text


@pytest.mark.slow
def test_what_has_learned_nothing_keeps_no_share(deep_teacher, data, tmp_path, capsys):
    words = ["compress", deep_teacher, "--task", "sst2", "--data", data, "--retain", "1.0"]
    words += ["--max-length", "16", "--depths", "1", "--epochs", "0.1", "--learning-rate", "1e-7"]
    words += ["--engine", "torch", "--max-memory-mb", "5000", "--out", str(tmp_path / "run")]
    assert main([*words, "--device", "cpu", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    result = answer["result"]
    assert (result["reached"], result["nearest"]) == (False, "1 layer, torch")
    assert result["bounds"] == {"max_memory_mb": 5000}
    assert result["models"][1]["expected"].endswith(" of memory")
    assert "The one model does not keep 100 % of the teacher's accuracy" in result["headline"]
    assert "What would help: wider bounds" in answer["error"]["message"]
    assert not (tmp_path / "run/model").exists()
    assert CompressRecord.read(tmp_path / "run").nearest == "1 layer, torch"


@pytest.mark.slow
def test_a_winner_in_another_format_leaves_nothing_of_the_first(finished_search, tmp_path):
    settings, _ = finished_search
    out = tmp_path / "run"
    shutil.copytree(settings.out, out)
    (out / "model/notes.txt").write_text("mine")
    before = SpeedsRecord.read(out)
    other = settings.model_copy(update={"out": out, "targets": ("torch",), "max_size_mb": 2.0})
    result = run(other, progress=SilentProgress())
    assert result.chosen == "1 layer, torch"
    assert not (out / "model/onnx").exists()
    assert not (out / "model/export.json").exists()
    assert (out / "model/model.safetensors").exists()
    assert (out / "model/notes.txt").read_text() == "mine"
    # What was measured before is not measured again, and what is new is held against the teacher
    # as it was in the same rounds.
    after = SpeedsRecord.read(out)
    assert after.speeds.items() > before.speeds.items()
    teacher, student = result.models[0], result.models[1]
    assert after.references[student.name] != after.speeds["teacher"]
    faster = compare_speed(
        after.speeds[student.name], reference=after.references[student.name]
    ).latency.median
    assert student.speed_up == faster
    assert teacher.latency_ms == after.speeds["teacher"].latency_ms.median


@pytest.mark.slow
def test_what_contradicts_itself_is_refused_before_a_folder_is_begun(deep_teacher, data, tmp_path):
    def refuse(match, **changes):
        settings = search_settings(deep_teacher, data, tmp_path / "run", **changes)
        for act in (plan, lambda given: run(given, progress=SilentProgress())):
            with pytest.raises(SettingsError, match=match):
                act(settings)
            assert not (tmp_path / "run").exists()

    torch_alone = {"targets": ("torch",)}
    least = r"max_size_mb = 0\.001, and the least that is expected is 0\.\d\d MB, of “1 layer, torc"
    refuse(least, **torch_alone, max_size_mb=0.001)
    refuse(
        r"budget_hours = 1e-06 is too little for one student: “1 layer”.*less than a minute",
        **torch_alone,
        budget_hours=1e-6,
    )
    refuse(r"targets: nothing here runs coreml", targets=("coreml",))
    refuse(
        r"targets: onnx is run by onnxruntime, and engine = 'torch'; accepted: torch",
        targets=("onnx",),
        engine="torch",
    )
    refuse(r"there is no 'onnxruntim' among the engines.*onnxruntime", engine="onnxruntim")
    refuse(r"there is no 'onix' among the targets", targets=("onix",))


def test_settings_of_a_search_want_one(deep_teacher, data, tmp_path):
    def refuse(match, **changes):
        with pytest.raises(SettingsError, match=match):
            make_settings(deep_teacher, data, tmp_path / "run", **changes)

    refuse(r"budget_hours = 2\.0 is of a search, .*give max_latency_ms", budget_hours=2)
    refuse(r"prefer = fastest is of a search", prefer="fastest")
    refuse("give at least one format, and each once", targets=("onnx-int8", "onnx_int8"))
    refuse(r"max_size_mb = 0", max_size_mb=0)
    refuse(r"max_latency_ms = -1", max_latency_ms=-1)


@pytest.mark.slow
def test_a_dry_run_tells_what_would_be_tried(deep_teacher, data, tmp_path, capsys):
    words = ["compress", deep_teacher, "--task", "sst2", "--data", data, "--retain", "0.9"]
    words += ["--max-length", "16", "--depths", "2,1", "--engine", "torch", "--device", "cpu"]
    words += ["--budget-hours", "1", "--max-size-mb", "5", "--out", str(tmp_path / "run")]
    assert main([*words, "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["plan"]
    one, two = planned["candidates"]
    assert (one["model"], two["model"]) == ("1 layer", "2 layers")
    assert one["format"] == "torch"
    assert 0 < one["size_mb"] < two["size_mb"] < 5
    assert {"latency_ms", "likely_ms", "training_hours"} < one.keys()
    assert planned["bounds"] == "5.00 MB"
    assert planned["not_tried"] == []
    assert main([*words, "--dry-run"]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    head = shown.index(["model", "format", "size_mb", "latency_ms", "likely_ms", "training_hours"])
    assert shown[head - 1] == ["candidates:"]
    assert shown[head + 1][:4] == ["1", "layer", "torch", f"{one['size_mb']:g}"]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_cannot_be_small_enough_is_not_trained(deep_teacher, data, tmp_path):
    shared = {"depths": (2, 1), "targets": "torch"}
    told = plan(search_settings(deep_teacher, data, tmp_path / "run", **shared))["candidates"]
    one, two = (line["size_mb"] for line in told)
    settings = search_settings(
        deep_teacher,
        data,
        tmp_path / "run",
        **shared,
        max_size_mb=(one + two) / 2,
        retain=0.1,
        epochs=1,
    )
    with suppress(ContractError):
        run(settings, progress=SilentProgress())
    result = CompressRecord.read(tmp_path / "run")
    assert [model.name for model in result.models] == ["teacher", "1 layer, torch"]
    assert "max_size_mb = " in result.not_tried["2 layers, torch"]
    assert not (tmp_path / "run/students/2-layers").exists()


@pytest.mark.slow
def test_it_ends_where_nothing_cheaper_is_left(deep_teacher, data, tmp_path):
    settings = search_settings(
        deep_teacher, data, tmp_path / "run", depths=(2, 1), targets="torch", retain=0.2
    )
    result = run(settings, progress=SilentProgress())
    assert result.chosen == "1 layer, torch"
    assert result.not_tried == {
        "2 layers, torch": "not cheaper than “1 layer, torch”, which is enough"
    }
    assert not (tmp_path / "run/students/2-layers").exists()


@pytest.mark.slow
def test_layers_may_be_narrowed_too(deep_teacher, data, tmp_path):
    shared = {"depths": (), "widths": 0.5, "targets": "onnx", "retain": 0.2}
    settings = search_settings(deep_teacher, data, tmp_path / "run", **shared)
    result = run(settings, progress=SilentProgress())
    assert result.chosen == "3 layers, 0.5 wide, onnx"
    whole, narrow = result.models[1:]
    assert narrow.num_parameters < whole.num_parameters
    assert narrow.file_bytes / 1e6 == pytest.approx(float(narrow.expected.split()[0]), abs=0.0051)
    both = plan(search_settings(deep_teacher, data, tmp_path / "other", widths=(0.5,)))
    assert list(both["students"]) == ["1 layer", "3 layers, 0.5 wide", "1 layer, 0.5 wide"]


def test_widths_are_shares(deep_teacher, data, tmp_path):
    for wrong in (1.0, 0, (0.5, 0.5), 2):
        with pytest.raises(SettingsError, match="give each share once, above 0 and below 1, such"):
            make_settings(deep_teacher, data, tmp_path / "run", widths=wrong)


@pytest.mark.slow
def test_a_format_that_fails_is_told_and_the_others_are_tried(deep_teacher, data, tmp_path):
    settings = search_settings(
        deep_teacher,
        data,
        tmp_path / "run",
        targets=("torch", "broken", "moody"),
        retain=0.2,
    )
    with narrow_targets(tmp_path / "targets"):
        result = run(settings, progress=SilentProgress())
        assert result.chosen == "1 layer, torch"
        why = "broken: what converts the model has failed: KeyError: 'the graph has a loop"
        assert result.not_tried["broken"].startswith(why)
        assert result.not_tried["1 layer, moody"] == (
            "failed: moody: what converts the model has failed: RuntimeError: weights are too large"
        )
        page = (settings.out / "compress.md").read_text(encoding="utf-8")
        assert "weights are too large" in page
        alone = settings.model_copy(update={"targets": ("broken",), "out": tmp_path / "other"})
        with pytest.raises(ExportError, match=r"^broken: what converts the model has failed"):
            run(alone, progress=SilentProgress())
        assert not alone.out.exists()


@pytest.mark.slow
def test_from_python(deep_teacher, data, tmp_path):
    found = limbeck.compress(
        deep_teacher,
        data=data,
        retain=0.2,
        depths=1,
        epochs=4,
        max_length=16,
        batch_size=8,
        learning_rate=3e-3,
        device="cpu",
        targets="torch",
        out=tmp_path / "run",
        progress=False,
    )
    assert found.record.chosen == "1 layer, torch"
    assert found.split == "test"
    assert found.scores["accuracy"] > 0.5
    assert found.pipeline()(["a good film"])[0]["label"] in ("NEGATIVE", "POSITIVE")
