"""The contract of a compression: kept or broken in plain words, and what cannot be one."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from tiny_compress import make_settings
from tiny_task import Lines, write_model

from limbeck.cli import main
from limbeck.errors import (
    CheckpointError,
    ContractError,
    DataError,
    MissingHeadError,
    SettingsError,
)
from limbeck.files.typed import seal
from limbeck.recipes.compress import plan, run
from limbeck.runs import CompressRecord
from limbeck.train import SilentProgress


def test_an_easier_contract_takes_the_students_there_are(deep_teacher, data, tmp_path):
    changes = {"depths": (1,), "epochs": 1.25}
    settings = make_settings(deep_teacher, data, tmp_path / "run", retain=1.0, **changes)
    with pytest.raises(ContractError) as raised:
        run(settings, progress=SilentProgress())
    result = raised.value.result
    own, student = result.models
    short = own.score - student.score
    where = "(validation, n = "
    assert f"does not keep 100 % of the teacher's accuracy on sst2 {where}" in str(raised.value)
    assert f"keeps {100 * student.retained:.1f} %" in str(raised.value)
    assert f"{100 * short:.1f} points short" in str(raised.value)
    assert "What would help: more epochs" in str(raised.value)
    assert result.model is None
    assert not (tmp_path / "run/model").exists()
    assert (tmp_path / "run/compress.html").exists()
    assert CompressRecord.read(tmp_path / "run") == result
    with pytest.raises(ContractError, match="does not keep 100 %"):  # without doing it all again
        run(settings, progress=SilentProgress())
    progress = Lines()
    easier = settings.model_copy(update={"retain": 0.9 * student.retained})
    found = run(easier, progress=progress)
    assert found.chosen == "1 layer"
    assert "seed 0: finished before" in progress.lines
    assert "the speed of all was measured before" in progress.lines
    for name in ("latency_ms", "speed_up"):
        assert [getattr(m, name) for m in found.models] == [getattr(m, name) for m in result.models]
    speeds = tmp_path / "run/speeds.json"
    measured = json.loads(speeds.read_text())
    elsewhere = measured | {"machine": measured["machine"] | {"cpu": "another"}}
    not_of_all = measured | {"speeds": {"teacher": measured["speeds"]["teacher"]}}
    for other, again in ((elsewhere, settings), (not_of_all, easier)):
        speeds.write_text(json.dumps(seal(other)))
        progress = Lines()
        with suppress(ContractError):
            run(again, progress=progress)
        assert "measuring the speed of all, side by side" in progress.lines
        assert json.loads(speeds.read_text())["machine"] == measured["machine"]
    with pytest.raises(ContractError, match="does not keep 100 %"):
        run(settings, progress=SilentProgress())
    assert not (tmp_path / "run/model").exists()


def test_what_cannot_work_is_refused(deep_teacher, data, tmp_path):
    def refuse(error, match, model=deep_teacher, data=data, **changes):
        with pytest.raises(error, match=match):
            plan(make_settings(model, data, tmp_path / "run", **changes))

    encoder = write_model(tmp_path / "encoder")
    refuse(
        MissingHeadError,
        r"encoder has no head, and nothing says for which task it is\. Fine-tune it first: ",
        model=encoder,
    )
    stars = write_model(tmp_path / "stars", head=["1 star", "2 stars", "3 stars"])
    refuse(DataError, r"labels \(1 star.*fine-tune the model on this task", model=stars)
    refuse(SettingsError, r"depths: 3 is not below the depth of .*, which has 3", depths=(3, 1))
    refuse(SettingsError, "give each depth once", depths=(1, 1))
    refuse(SettingsError, r"retain = 1\.2 is not accepted", retain=1.2)
    refuse(SettingsError, r"retain = 97: a share of 1, .*such as 0\.97", retain=97)
    refuse(
        SettingsError, "finetune: there is no setting 'patients'.*'patience'", **further(patients=2)
    )
    refuse(SettingsError, r"finetune\.epochs is not for you to set", **further(epochs=2))
    shallow = write_model(tmp_path / "shallow", num_hidden_layers=1, head=["NEGATIVE", "POSITIVE"])
    refuse(SettingsError, "shallow has 1 layer, so no student", model=shallow)
    only = {"validation": f"{data}/validation.jsonl"}
    refuse(DataError, r"no train split, which the students need.*validation", data=only)


@pytest.mark.parametrize("student", ["..", "."])
def test_a_student_without_a_name_is_refused(student, deep_teacher, data, tmp_path, monkeypatch):
    """Its run would else be the folder of all students, or the run's own."""
    monkeypatch.chdir(write_model(tmp_path / "student/model", num_hidden_layers=1))
    write_model(tmp_path / "student", num_hidden_layers=1)
    settings = make_settings(deep_teacher, data, tmp_path / "run", student=student)
    with pytest.raises(SettingsError, match=rf"student = '{student}': '.*' gives no name for a f"):
        run(settings, progress=SilentProgress())
    assert not (tmp_path / "run").exists()


def test_students_that_would_share_a_folder_are_refused(deep_teacher, data, tmp_path):
    student = write_model(tmp_path / "1-layer", num_hidden_layers=1)
    given = {"student": student, "depths": (1,)}
    settings = make_settings(deep_teacher, data, tmp_path / "run", **given)
    with pytest.raises(SettingsError, match=r"student: .*would share the folder '1-layer'"):
        plan(settings)


def further(**settings):
    return {"finetune": settings}


def test_a_student_that_is_none_is_refused_before_anything_is_trained(deep_teacher, data, tmp_path):
    absent = str(tmp_path / "absent")
    settings = make_settings(deep_teacher, data, tmp_path / "run", student=(deep_teacher, absent))
    for act in (plan, lambda given: run(given, progress=SilentProgress())):
        with pytest.raises(CheckpointError, match=f"student = '{absent}': there is no folder"):
            act(settings)
    assert not (tmp_path / "run").exists()


def test_a_teacher_without_a_score_is_refused(deep_teacher, data, tmp_path):
    lines = Path(data, "validation.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    wrong = [{**row, "label": 1 - row["label"]} for row in rows if "good" in row["sentence"]]
    path = tmp_path / "wrong.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in wrong))
    only = {"train": f"{data}/train.jsonl", "validation": str(path)}
    options = {"metric": "f1"}
    settings = make_settings(deep_teacher, only, tmp_path / "run", task_options=options)
    with pytest.raises(DataError, match=r"has f1 0\.0000 on validation: no share of that"):
        run(settings, progress=SilentProgress())


def test_from_the_command_line(deep_teacher, data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["compress", deep_teacher, "--task", "sst2", "--data", data, "--retain", "0.9"]
    command += ["--max-length", "16", "--depths", "2", "--out=run", "--device", "cpu"]
    assert main([*command, "--dry-run", "--json"]) == 0
    shown = capsys.readouterr()
    planned = json.loads(shown.out)
    assert "Timing two steps of each student: 1 students in" in shown.err
    assert planned["settings"]["retain"] == 0.9
    assert planned["plan"]["students"] == {
        "2 layers": "2 of the teacher's 3 layers, distilled on the task"
    }
    hopeless = [*command, "--learning-rate=1e-7", "--epochs", "0.1", "--json"]
    hopeless[hopeless.index("0.9")] = "1.0"
    code = main(hopeless)
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert code == 1
    assert answer["error"]["type"] == "ContractError"
    assert answer["result"]["reached"] is False
    assert answer["result"]["models"][1]["name"] == "2 layers"
    assert "model     layers" in err
    assert "limbeck: The one student does not keep 100 %" in err
    assert main(["compress", "--help"]) == 0
    assert "limbeck compress [MODEL] key=value ..." in capsys.readouterr().out
