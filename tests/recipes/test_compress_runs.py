"""Runs of a compression: in processes, finished before, stopped, failed."""

import shutil

import pytest
from tiny_compress import make_settings
from tiny_task import Lines, write_data, write_model

from limbeck.checkpoints import read_safetensors, write_safetensors
from limbeck.errors import DataError, SettingsError, TrainingError
from limbeck.recipes.compress import run
from limbeck.train import SilentProgress


def test_a_finished_run_is_not_repeated(finished_compression):
    settings, result = finished_compression
    progress = Lines()
    assert run(settings, progress=progress) == result
    assert progress.lines[-1] == f"{settings.out} is already complete"


def test_it_goes_on_where_it_was_interrupted(deep_teacher, data, tmp_path, finished_compression):
    class Interrupted(SilentProgress):
        def log(self, message):
            if message.startswith("run 2 of 2"):
                raise KeyboardInterrupt

    settings = make_settings(
        deep_teacher, data, tmp_path / "run", retain=0.8, seeds=(0, 1), epochs=4
    )
    with pytest.raises(KeyboardInterrupt):
        run(settings, progress=Interrupted())
    assert not (tmp_path / "run/result.json").exists()
    progress = Lines()
    result = run(settings, progress=progress)
    assert progress.lines.count("seed 0: finished before") == 1
    expected = finished_compression[1]
    for name in ("score", "scores", "retained", "retained_interval"):
        assert [getattr(m, name) for m in result.models] == [
            getattr(m, name) for m in expected.models
        ]


def test_a_finished_run_does_not_answer_for_other_examples(deep_teacher, tmp_path):
    data = write_data(tmp_path / "data")
    settings = make_settings(deep_teacher, data, tmp_path / "run", depths=(1,), retain=0.1)
    result = run(settings, progress=SilentProgress())
    for split in ("train", "validation"):
        path = tmp_path / f"data/{split}.jsonl"
        whole = path.read_text(encoding="utf-8")
        path.write_text(whole.replace('"label": 1', '"label": 0', 1), encoding="utf-8")
        with pytest.raises(DataError, match=r"'compress' run, and data = \".*\" has changed since"):
            run(settings, progress=SilentProgress())
        path.write_text(whole, encoding="utf-8")
    assert run(settings, progress=SilentProgress()) == result


def test_a_finished_run_does_not_answer_for_another_model(deep_teacher, data, tmp_path):
    model, student = tmp_path / "model", tmp_path / "general"
    shutil.copytree(deep_teacher, model)
    write_model(student, num_hidden_layers=1)
    changes = {"depths": (1,), "student": str(student), "epochs": 4, "retain": 0.1}
    settings = make_settings(str(model), data, tmp_path / "run", **changes)
    result = run(settings, progress=SilentProgress())
    assert run(settings, progress=SilentProgress()) == result
    for folder, message in (
        (model, rf'run already holds a .compress. run, and model = "{model}" has changed since'),
        (student, rf'general already holds a .finetune. run, and model = "{student}" has changed'),
    ):
        whole = folder / "model.safetensors"
        tensors = read_safetensors(whole)
        write_safetensors(whole, {name: tensor / 2 for name, tensor in tensors.items()})
        with pytest.raises(DataError, match=message):
            run(settings, progress=SilentProgress())
        write_safetensors(whole, tensors)
    assert run(settings, progress=SilentProgress()) == result


def write_damaged(folder):
    """Writes a model whose configuration is whole and whose weights are not."""
    write_model(folder, num_hidden_layers=1)
    (folder / "model.safetensors").write_bytes(b"cut short")
    return str(folder)


def test_a_failed_student_costs_the_others_nothing(deep_teacher, data, tmp_path):
    damaged, out = write_damaged(tmp_path / "damaged"), tmp_path / "run"
    changes = {"depths": (1,), "student": damaged, "epochs": 2, "retain": 0.1}
    settings = make_settings(deep_teacher, data, out, **changes)
    with pytest.raises(TrainingError) as caught:
        run(settings, progress=SilentProgress())
    message = str(caught.value)
    assert message.startswith(f"1 of 2 students failed: damaged: {damaged}/model.safetensors (9 ")
    assert "“1 layer” is the smallest student that keeps 10 % of the teacher's" in message
    assert message.endswith(f"{out / 'compress.html'}; the same command tries again what failed")
    text = (out / "compress.md").read_text(encoding="utf-8")
    assert "Not among these, since they failed: damaged: " in text
    assert (out / "model/model.safetensors").exists()
    assert not (out / "result.json").exists()
    write_model(tmp_path / "damaged", num_hidden_layers=1)
    result = run(settings, progress=SilentProgress())
    assert [model.name for model in result.models] == ["teacher", "damaged", "1 layer"]


def test_no_student_at_all(deep_teacher, data, tmp_path):
    student = write_damaged(tmp_path / "damaged")
    settings = make_settings(deep_teacher, data, tmp_path / "run", student=student)
    with pytest.raises(TrainingError, match=r"no student could be made: damaged: .* is damaged"):
        run(settings, progress=SilentProgress())


def test_settings_that_fit_a_student_not_are_refused_before(deep_teacher, data, tmp_path):
    changes = {"depths": (2, 1), "losses": {"hidden_mse": {"teacher_layers": (7,)}}}
    settings = make_settings(deep_teacher, data, tmp_path / "run", **changes)
    with pytest.raises(SettingsError, match=r"the student '2 layers': .*teacher_layers.*7"):
        run(settings, progress=SilentProgress())
    assert not (tmp_path / "run").exists()


def test_processes_make_the_same_students(deep_teacher, data, tmp_path, finished_compression):
    settings, expected = finished_compression
    out, progress = tmp_path / "run", Lines()
    result = run(settings.model_copy(update={"out": out, "workers": 2}), progress=progress)
    assert any(line.startswith("[1 layer] seed 1, epoch 2: ") for line in progress.lines)
    for model, other in zip(result.models, expected.models, strict=True):
        assert (model.name, model.scores, model.retained) == (
            other.name,
            other.scores,
            other.retained,
        )
