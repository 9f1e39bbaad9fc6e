"""A fine-tuned model remembers its task: `evaluate` and `compress` need not be told again."""

import json
import shutil

import pytest
from tiny_task import finetune, write_model

from limbeck.errors import CheckpointError, DataError
from limbeck.recipes import compress, evaluate
from limbeck.recipes._tasks import memory
from limbeck.recipes.finetune import FinetuneSettings
from limbeck.train import SilentProgress

TASK = {
    "task": "text-classification",
    "task_options": {"text_column": "sentence", "labels": ["0", "1"]},
    "max_length": 14,
}


class Lines(SilentProgress):
    def __init__(self):
        self.lines = []

    def log(self, message):
        self.lines.append(message)


@pytest.fixture(scope="module")
def tuned(data, tmp_path_factory):
    base = tmp_path_factory.mktemp("tuned")
    finetune(write_model(base / "encoder"), data, base / "run", **TASK)
    return base / "run"


def recorded(out):
    settings = json.loads((out / "run.json").read_text(encoding="utf-8"))["settings"]
    return {name: settings[name] for name in TASK}


def test_every_model_folder_says_what_it_is_for(tuned):
    for folder in (tuned / "seed-0/model", tuned / "model"):
        assert json.loads((folder / "limbeck.json").read_text(encoding="utf-8")) == TASK


def test_a_model_of_few_positions_reads_as_many_tokens(data, tmp_path):
    folder = write_model(tmp_path / "model", head=["0", "1"], max_position_embeddings=24)
    settings = evaluate.EvaluateSettings(model=folder, data=data, out=tmp_path / "e")
    progress = Lines()
    assert memory.recall_task(settings, progress).max_length == 24
    assert progress.lines == ["max_length 24: the most that the model takes"]
    given = settings.from_values({**settings.model_dump(exclude_unset=True), "max_length": 128})
    assert memory.recall_task(given, SilentProgress()).max_length == 128  # which is refused


def test_names_for_reports_are_remembered_too(tuned, data, tmp_path):
    named = {"task_label": "polarity", "label": "small one"}
    folder = tmp_path / "model"
    shutil.copytree(tuned / "model", folder)
    path = folder / "limbeck.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **named}))
    settings = evaluate.EvaluateSettings(model=str(folder), data=data, out=tmp_path / "e")
    result = evaluate.run(settings, progress=SilentProgress())
    assert (result.task, result.label) == ("polarity", "small one")
    smaller = compress.CompressSettings(model=str(folder), data=data, out=tmp_path / "c")
    assert compress.plan(smaller)["task"] == "polarity"
    other = settings.from_values({**settings.model_dump(exclude_unset=True), "label": "x"})
    assert memory.recall_task(other, SilentProgress()).label == "x"


def test_what_was_named_is_written_down(tuned, data, tmp_path):
    settings = FinetuneSettings(model="m", data=data, out=tmp_path, task_label="t", label="l")
    memory.write_memory(tmp_path, settings)
    found = memory.read_memory(tmp_path)
    assert (found.task_label, found.label) == ("t", "l")


def test_evaluate_takes_what_is_not_given(tuned, data, tmp_path):
    progress = Lines()
    settings = evaluate.EvaluateSettings(model=str(tuned / "model"), data=data, out=tmp_path / "e")
    result = evaluate.run(settings, progress=progress)
    best = json.loads((tuned / "result.json").read_text(encoding="utf-8"))["seeds"][0]
    assert result.scores == pytest.approx(best["validation"])
    assert recorded(tmp_path / "e") == TASK
    took = (
        'task text-classification, task_options {"labels": ["0", "1"], "text_column": "sentence"}, '
    )
    took += "max_length 14: as the model was fine-tuned"
    assert [line for line in progress.lines if "fine-tuned" in line] == [took]
    given = {"task": "text_classification", "max_length": 12}
    settings = settings.from_values(settings.model_dump(exclude_unset=True) | given)
    settings = settings.model_copy(update={"out": tmp_path / "given"})
    evaluate.run(settings, progress=progress)
    assert recorded(tmp_path / "given") == {**TASK, **given}


def test_options_count_for_their_task_only(tuned, data, tmp_path):
    settings = evaluate.EvaluateSettings(
        model=str(tuned / "model"), data=data, out=tmp_path / "e", task="text_regression"
    )
    with pytest.raises(DataError, match="no column 'text'"):
        evaluate.plan(settings)


def test_compress_takes_what_is_not_given(tuned, data, tmp_path):
    settings = compress.CompressSettings(model=str(tuned / "model"), data=data, out=tmp_path / "c")
    found = compress.plan(settings)
    assert found["task"] == "text-classification"
    assert found["num_train_examples"] == 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", r"limbeck\.json holds a JSON list"),
        ("{", r"limbeck\.json is not JSON"),
        ('{"task": "sst2"}', r"limbeck\.json does not say what (?s:.*)'task_options' is required"),
        (json.dumps(TASK | {"task": "sst3"}), r"limbeck\.json .*no 'sst3' among the tasks"),
        (json.dumps(TASK | {"max_length": "x"}), r"limbeck\.json .*max_length"),
        (json.dumps(TASK | {"task_options": {"txt": 1}}), r"limbeck\.json .*no setting 'txt'"),
        (json.dumps(TASK | {"more": 1}), r"limbeck\.json .*no setting 'more'"),
    ],
)
def test_a_damaged_file_is_refused_unless_it_is_not_needed(text, message, data, tmp_path):
    model = write_model(tmp_path / "model", head=["NEGATIVE", "POSITIVE"])
    (tmp_path / "model/limbeck.json").write_text(text, encoding="utf-8")
    settings = evaluate.EvaluateSettings(model=model, data=data, out=tmp_path / "e", max_length=16)
    with pytest.raises(CheckpointError, match=message):
        evaluate.run(settings, progress=SilentProgress())
    assert not (tmp_path / "e").exists()
    told = settings.model_copy(update={"task": "sst2", "task_options": {}})
    assert evaluate.plan(told)["num_validation_examples"] == 24
