"""Settings of a suite: from files, commands and presets, and what is refused in which words."""

import json
import re
from pathlib import Path

import pytest
from tiny_suite import make_settings

from limbeck.cli import main
from limbeck.config import dump_toml, read_settings
from limbeck.errors import CheckpointError, DataError, SettingsError
from limbeck.recipes.suite import SuiteSettings, plan, run
from limbeck.train import SilentProgress


def test_settings_survive_a_file(ground, tmp_path):
    settings = make_settings(ground, tmp_path / "run")
    path = tmp_path / "suite.toml"
    path.write_text(dump_toml(settings, recipe="suite"), encoding="utf-8")
    read = read_settings(
        SuiteSettings, path, ["models.half.finetune.keep_layers=2"], recipe="suite"
    )
    assert read.models["half"].finetune == {"keep_layers": 2}
    assert read.models["whole"] == settings.models["whole"]
    assert read.tasks == settings.tasks


@pytest.mark.parametrize("models", [["a/large", "a/small"], "a/large, a/small"])
def test_list_of_models_has_the_teacher_first(tmp_path, models):
    settings = SuiteSettings(models=models, out=tmp_path / "x")
    assert {k: (v.model, v.role) for k, v in settings.models.items()} == {
        "large": ("a/large", "teacher"),
        "small": ("a/small", "student"),
    }


def test_evaluate_takes_a_suite(ground, tmp_path, capsys):
    words = [f"models={ground / 'encoder'}", "--data", str(ground / "data"), "--only", '["sst2"]']
    words += ["--out", str(tmp_path / "run"), "finetune.max_length=16", "--dry-run", "--json"]
    assert main(["evaluate", "--suite", "glue", *words]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["recipe"] == "suite"
    in_evaluate = planned["settings"]
    (shown,) = planned["plan"]["runs"]["sst2"].values()
    assert shown.startswith("finetune, to run: 6 steps a seed, ")
    assert main(["suite", "glue", *words]) == 0  # the preset, with its own seeds
    planned = json.loads(capsys.readouterr().out)
    assert planned["plan"]["seeds"] == [0, 1, 2, 3, 4]
    assert planned["settings"] == in_evaluate
    assert main(["suite", str(ground / "encoder")]) == 2
    error = capsys.readouterr().err
    assert "encoder is a folder; limbeck suite takes RUN.toml or a preset there" in error
    assert "and folders as models=..." in error


def test_a_preset_counts_before_a_folder_of_its_name(ground, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "glue").symlink_to(ground / "data")
    words = [f"models={ground / 'encoder'}", "data=glue", "out=run", "finetune.max_length=16"]
    words += ["--dry-run", "--json"]
    for command in (["suite", "glue"], ["evaluate", "suite=glue"]):
        assert main([*command, *words]) == 0
        assert json.loads(capsys.readouterr().out)["plan"]["seeds"] == [0, 1, 2, 3, 4]
    assert main(["suite", "./glue", *words]) == 2
    assert "./glue is a folder" in capsys.readouterr().err
    (tmp_path / "distilbert-squad").symlink_to(ground / "encoder")
    assert main(["compress", "distilbert-squad", "task=sst2", "data=nowhere", "--dry-run"]) == 1
    assert "data = 'nowhere' is not there" in capsys.readouterr().err  # not a preset of compress


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": {"a": {"model": "m"}}}, r"exactly one .*role = 'teacher', but 0 have \(of a\)"),
        (
            {
                "models": {
                    "a": {"model": "m", "role": "teacher"},
                    "b": {"model": "m", "teacher": "c"},
                }
            },
            r"models\.b\.teacher = 'c' is not the label of a model.*Accepted: a, b",
        ),
        (
            {
                "models": {
                    "a": {"model": "m", "role": "teacher", "teacher": "b"},
                    "b": {"model": "m", "teacher": "a"},
                }
            },
            "teachers go in a circle: a, b, a",
        ),
        ({"only": ["sst3"]}, r"only: 'sst3' is no task of the suite.*Did you mean 'sst2'\?"),
        ({"finetune": {"seeds": [1]}}, r"'seeds' is for the suite to decide"),
        (
            {"tasks": {"a b": {}, "a-b": {}}},
            "tasks: 'a b' and 'a-b' would share the folder 'a-b'; acc",
        ),
        (
            {"tasks": {"..": {}}},
            r"'\.\.' gives no name for a folder; accepted: a name with letters",
        ),
        (
            {"models": {"a": {"model": "m", "role": "teacher"}, "b": {}}},
            r"models\.b says neither which model it is nor which teacher's layers it starts from",
        ),
        (
            {"models": {"a": {"model": "m", "role": "teacher"}, "b": {"starts_from": "c"}}},
            r"models\.b\.starts_from = 'c' is not the label of a model.*Accepted: a, b",
        ),
        (
            {
                "models": {
                    "a": {"model": "m", "role": "teacher"},
                    "b": {"starts_from": "a", "teacher": "a"},
                }
            },
            r"models\.b has both starts_from and teacher; leave one of them out",
        ),
        ({"tasks": {}}, "suite = 'custom' needs its tasks in the table tasks"),
        (
            {
                "models": {"a": {"model": "m", "role": "teacher"}},
                "tasks": {"sst2": {"finetune": {"label_weight": 0.5}}},
            },
            r"tasks\.sst2\.finetune\.label_weight is for models that learn from a teacher",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(ground, tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        make_settings(ground, tmp_path / "run", **changes)


def test_a_label_in_place_of_a_model_is_answered_with_the_way_to_start_from_it(ground, tmp_path):
    models = {
        "the whole": {"model": str(ground / "encoder"), "role": "teacher"},
        "half": {"model": "the whole", "finetune": {"keep_layers": 1}},
    }
    with pytest.raises(CheckpointError) as caught:
        plan(make_settings(ground, tmp_path / "x", models=models))
    assert str(caught.value).startswith("models.half: there is no folder 'the whole'")
    assert "leave model out and set teacher = 'the whole'" in str(caught.value)
    models["half"]["model"] = "no where"
    with pytest.raises(CheckpointError) as caught:
        plan(make_settings(ground, tmp_path / "x", models=models))
    assert "leave model out" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "name"), [("models.half", "keep_layers"), ("tasks.sst2", "epochs"), ("", "patience")]
)
def test_a_setting_of_finetune_one_level_too_high(ground, tmp_path, place, name):
    settings = tmp_path / "suite.toml"
    settings.write_text(dump_toml(make_settings(ground, tmp_path / "x"), recipe="suite"))
    override = f"{place}.{name}=1".removeprefix(".")
    with pytest.raises(SettingsError) as caught:
        read_settings(SuiteSettings, settings, [override], recipe="suite")
    assert f"no setting '{name}' here" in str(caught.value)
    assert f"write finetune.{name}" in str(caught.value)
    assert place in str(caught.value)


def test_the_documents_show_a_student_of_its_teachers_layers(tmp_path, capsys):
    readme = Path(__file__).resolve().parents[2] / "README.md"
    blocks = re.findall(r"```toml\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    settings = tmp_path / "suite.toml"
    settings.write_text(next(block for block in blocks if 'suite = "custom"' in block))
    read = read_settings(SuiteSettings, settings, recipe="suite")
    assert (len(read.tasks), len(read.models)) == (2, 3)
    assert main(["init", "suite"]) == 0
    about = re.sub(r"\n# ", " ", capsys.readouterr().out)
    shown = "\n".join(re.findall(r"`(models\.\w+ = .*?)`", about))
    settings.write_text(f'out = "x"\n{shown}\n')
    in_help = read_settings(SuiteSettings, settings)
    assert list(in_help.models) == ["large", "general", "half"]
    for half in (read.models["half"], in_help.models["half"]):
        assert (half.model, half.teacher) == (None, "large")
        assert half.finetune == {"keep_layers": 3}


def test_wrong_settings_of_a_run_name_model_and_task(ground, tmp_path):
    settings = make_settings(ground, tmp_path / "run", finetune={"epochz": 2})
    with pytest.raises(SettingsError, match=r"models\.whole on sst2: .*'epochz'.*'epochs'"):
        plan(settings)
    settings = make_settings(ground, tmp_path / "run", data=str(tmp_path / "absent"))
    with pytest.raises(SettingsError, match=r"data = '.*absent' is not a folder"):
        plan(settings)
    lost = {"whole": {"model": str(tmp_path / "lost"), "role": "teacher"}}
    settings = make_settings(ground, tmp_path / "run", models=lost)
    with pytest.raises(CheckpointError, match=r"models\.whole: there is no folder '.*lost'"):
        run(settings, progress=SilentProgress())
    assert not (tmp_path / "run").exists()
    settings = make_settings(ground, tmp_path / "run", tasks={"mine": {"task": "sst2"}})
    with pytest.raises(DataError, match=r"none of the suite's tasks.*'mine'.*tasks\.mine\.data"):
        run(settings, progress=SilentProgress())
