"""Fine-tuning from Python: rows in memory, steps, results, and what is refused."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from tiny_rows import FAST, NAMES, TEST, TRAIN, VALIDATION
from tiny_task import Lines, assert_same_weights, make_tokenizer

import limbeck
from limbeck.cli import main
from limbeck.recipes import finetune as recipe
from limbeck.runs import FinetuneRecord, RunRecord
from limbeck.train import SilentProgress


def test_a_result_has_all_of_the_run(teacher, tmp_path):
    assert FinetuneRecord.read(teacher.folder) == teacher.record
    assert teacher.split == "test"
    assert teacher.scores["accuracy"] == teacher.record.best.test["accuracy"]
    assert not [name for name in teacher.scores if name.endswith("standard_error")]
    assert teacher.model.config.id2label == dict(enumerate(NAMES))
    assert teacher.model is teacher.model
    (found,) = teacher.pipeline()(["a good great film"])
    assert found["label"] in NAMES
    again = limbeck.pipeline(model=str(teacher.save_pretrained(tmp_path / "kept")))
    assert again(["a good great film"]) == [found]
    assert (tmp_path / "kept" / "README.md").exists()


def test_the_run_is_an_ordinary_one(teacher, tmp_path):
    """The same settings over the files that were written give the same scores."""
    settings = RunRecord.read(teacher.folder).settings
    assert settings["data"] == str(teacher.folder / "data")
    lines = (teacher.folder / "data" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == TRAIN
    again = recipe.SettingsType.from_values({**settings, "out": str(tmp_path / "again")})
    record = recipe.run(again, progress=SilentProgress())
    assert record.best.test == teacher.record.best.test
    out, data = str(tmp_path / "evaluated"), str(teacher.folder / "data")
    assert main(["evaluate", str(teacher.model_folder), "--data", data, "--out", out]) == 0


def test_steps_are_the_callbacks(encoder, tmp_path):
    out = tmp_path / "run"
    steps = limbeck.finetune_steps(encoder, TRAIN, VALIDATION, epochs=2, out=out, **FAST)
    seen = list(steps)
    assert [step.number for step in seen] == list(range(1, 17))
    assert [step.number for step in seen if step.scores] == [8, 16]
    assert all(step.loss > 0 and step.seed == 0 for step in seen)
    assert seen[7].epoch == 1
    assert steps.result.record == FinetuneRecord.read(out)
    assert steps.result is steps.result


def test_the_last_step_is_validated_in_the_middle_of_an_epoch(encoder, tmp_path):
    steps = limbeck.finetune_steps(
        encoder, TRAIN, VALIDATION, max_steps=3, out=tmp_path / "run", **FAST
    )
    assert [bool(step.scores) for step in steps] == [False, False, True]


def test_steps_with_yield_from(encoder, tmp_path):
    def pass_on():
        return (
            yield from limbeck.finetune_steps(
                encoder, TRAIN, VALIDATION, max_steps=2, out=tmp_path / "run", **FAST
            )
        )

    generator = pass_on()
    assert [next(generator).number, next(generator).number] == [1, 2]
    with pytest.raises(StopIteration) as end:
        next(generator)
    assert end.value.value.record.best.num_steps == 2


def test_steps_that_are_left_early_go_on_from_the_last_one(encoder, tmp_path):
    given = {"max_steps": 4, "save_every": 100, **FAST}
    out = tmp_path / "run"
    steps = limbeck.finetune_steps(encoder, TRAIN, VALIDATION, out=out, **given)
    for step in steps:
        if step.number == 3:
            steps.close()
    with pytest.raises(limbeck.TrainingError, match=r"was left before its end.* out='.*run'"):
        _ = steps.result
    rest = limbeck.finetune_steps(encoder, TRAIN, VALIDATION, out=out, **given)
    assert [step.number for step in rest] == [4]
    whole = limbeck.finetune(encoder, TRAIN, VALIDATION, out=tmp_path / "whole", **given)
    assert rest.result.scores == whole.scores
    assert_same_weights(out / "model", tmp_path / "whole/model")


def test_steps_that_are_dropped_leave_a_checkpoint(encoder, tmp_path):
    given = {"max_steps": 3, "save_every": 100, "out": tmp_path / "run", **FAST}
    for step in limbeck.finetune_steps(encoder, TRAIN, VALIDATION, **given):
        assert isinstance(step, limbeck.FinetuneStep)
        if step.number == 2:
            break
    rest = limbeck.finetune_steps(encoder, TRAIN, VALIDATION, **given)
    assert [step.number for step in rest] == [3]


def test_a_run_stands_for_the_model_that_it_made(teacher, tmp_path):
    given = {"out": tmp_path / "run", "progress": False, "device": "cpu"}
    found = limbeck.evaluate(str(teacher.folder), VALIDATION, **given)
    assert found.scores["accuracy"] == teacher.record.best.validation["accuracy"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(limbeck.CheckpointError, match=r"empty"):
        limbeck.evaluate(str(tmp_path / "empty"), VALIDATION, out=tmp_path / "other")


def test_a_task_that_was_not_given_is_named_with_the_labels_it_does_not_know(encoder, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("sentence,label\nthe film is good,praise\nthe film is bad,blame\n")
    files = {"train": str(path), "validation": str(path)}
    message = r"(?s)praise.*no task was given, so that it is sst2; give task=.*text_classification"
    with pytest.raises(limbeck.DataError, match=message):
        limbeck.finetune(encoder, out=tmp_path / "run", **files, **FAST)
    with pytest.raises(limbeck.DataError) as told:
        limbeck.finetune(encoder, task="sst2", out=tmp_path / "run", **files, **FAST)
    assert "no task was given" not in str(told.value)


def test_steps_that_are_begun_again_go_on_after_those_that_were_left(encoder, tmp_path):
    given = {"max_steps": 4, "save_every": 100, "out": tmp_path / "run", **FAST}
    left = limbeck.finetune_steps(encoder, TRAIN, VALIDATION, **given)
    assert [next(left).number, next(left).number] == [1, 2]
    again = limbeck.finetune_steps(encoder, TRAIN, VALIDATION, **given)  # as in a cell run again
    assert [step.number for step in again] == [3, 4]
    assert list(left) == []
    whole = limbeck.finetune(encoder, TRAIN, VALIDATION, **{**given, "out": tmp_path / "whole"})
    assert again.result.scores == whole.scores


def test_ctrl_c_in_the_callers_turn_is_the_callers(encoder, tmp_path):
    given = {"max_steps": 3, "save_every": 100, **FAST}
    own = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    steps = limbeck.finetune_steps(encoder, TRAIN, VALIDATION, out=tmp_path / "run", **given)
    for _ in range(2):
        next(steps)
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == own
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    # Nothing was asked of the run, which goes on, and may be left in any thread.
    assert next(steps).number == 3
    with ThreadPoolExecutor(1) as other:
        other.submit(steps.close).result()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == own


def test_ctrl_c_while_a_step_is_made_saves_first(encoder, tmp_path):
    given = {"max_steps": 10, "save_every": 100, "out": tmp_path / "run", **FAST}
    stop = Lines(stop_at="epoch 1:")
    steps = limbeck.finetune_steps(encoder, TRAIN, VALIDATION, progress=stop, **given)
    own = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        list(steps)
    assert signal.getsignal(signal.SIGINT) is own
    rest = limbeck.finetune_steps(encoder, TRAIN, VALIDATION, **given)
    assert [step.number for step in rest] == [9, 10]
    limbeck.finetune(encoder, TRAIN, VALIDATION, **{**given, "out": tmp_path / "whole"})
    assert_same_weights(tmp_path / "run/model", tmp_path / "whole/model")


def test_the_same_call_goes_on_and_other_rows_are_refused(encoder, tmp_path):
    given = {"max_steps": 2, "out": tmp_path / "run", **FAST}
    first = limbeck.finetune(encoder, TRAIN, VALIDATION, **given)
    assert limbeck.finetune(encoder, TRAIN, VALIDATION, **given).record == first.record
    with pytest.raises(limbeck.DataError, match=r"run holds a run that was begun with another tr"):
        limbeck.finetune(encoder, TRAIN[1:], VALIDATION, **given)
    kept = (tmp_path / "run" / "data" / "train.jsonl").read_text()
    assert len(kept.splitlines()) == len(TRAIN)
    assert not list((tmp_path / "run" / "data").glob(".new*"))


def test_without_out_a_new_folder_in_runs(encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = limbeck.finetune(encoder, TRAIN, VALIDATION, max_steps=1, **FAST)
    second = limbeck.finetune(encoder, TRAIN, VALIDATION, max_steps=1, **FAST)
    assert first.folder.parent.name == "runs"
    assert first.folder.name.startswith("finetune-20")
    assert first.folder != second.folder


def test_a_model_in_memory(teacher, tmp_path):
    model = limbeck.BertModel(teacher.model.config)
    given = {"max_steps": 1, "out": tmp_path / "run", **FAST}
    with pytest.raises(limbeck.SettingsError, match=r"model = a BertModel in memory comes without"):
        limbeck.finetune(model, TRAIN, VALIDATION, **given)
    assert not (tmp_path / "run").exists()
    found = limbeck.finetune(model, TRAIN, VALIDATION, tokenizer=make_tokenizer(), **given)
    assert found.settings["model"] == str(tmp_path / "run" / "given" / "model")
    with pytest.raises(limbeck.SettingsError, match=r"tokenizer = ... goes with a model in memory"):
        limbeck.finetune(teacher, TRAIN, VALIDATION, tokenizer=make_tokenizer())


def test_a_result_is_a_teacher(teacher, encoder, tmp_path):
    student = limbeck.finetune(
        encoder,
        TRAIN,
        VALIDATION,
        transfer=[{"text": row["text"]} for row in TEST],
        teacher=teacher,
        keep_layers=1,
        max_steps=2,
        out=tmp_path / "run",
        **FAST,
    )
    assert student.settings["teacher"] == str(teacher.model_folder)
    assert student.record.role == "student"
    assert student.model.config.num_hidden_layers == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epoch": 1}, r"limbeck.finetune: there is no setting 'epoch' .*Did you mean 'epochs'"),
        ({"epochs": "many"}, r"limbeck.finetune: epochs = 'many' is not accepted"),
        ({"data": "folder"}, r"data and train are both given"),
        (
            {"validation": None},
            r"has no validation rows.*\(given: train\); give val",
        ),
        ({"test": 3}, r"test is int '3'; accepted: a file"),
        ({"test": []}, r"test has no rows"),
        ({"task": "sentiment"}, r"there is no 'sentiment' among the tasks"),
    ],
)
def test_what_is_wrong_is_said_before_a_run_begins(wrong, message, encoder, tmp_path):
    given = {"out": tmp_path / "run", **FAST, **wrong}
    with pytest.raises(limbeck.LimbeckError, match=message):
        limbeck.finetune(encoder, **{"train": TRAIN, "validation": VALIDATION, **given})
    assert not (tmp_path / "run" / "run.json").exists()
