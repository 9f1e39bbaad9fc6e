"""Reports over real tiny runs of every kind of task, and over models that were only evaluated."""

import json
import random

import pytest
from tiny_task import make_rows, make_settings, write_data, write_model

from limbeck.errors import DataError
from limbeck.recipes._tasks.speeds import measure_runs
from limbeck.recipes.evaluate import EvaluateSettings
from limbeck.recipes.evaluate import run as evaluate
from limbeck.recipes.finetune import FinetuneSettings, plan
from limbeck.recipes.finetune import run as finetune
from limbeck.report import write_report
from limbeck.report.notes import describe_conditions
from limbeck.report.runs import read_finetune_run
from limbeck.runs import FinetuneRecord
from limbeck.train import SilentProgress


def write_rows(folder, make_row, **sizes):
    folder.mkdir(parents=True)
    for seed, (split, count) in enumerate(sizes.items()):
        rng = random.Random(seed)
        rows = [make_row(row, rng) for row in make_rows(count, seed=seed)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return str(folder)


def similarity(row, rng):
    return {
        "sentence1": row["sentence"],
        "sentence2": "the film",
        "label": round(2 + 2 * row["label"] + rng.random(), 2),
    }


def question(row, rng):
    words = row["sentence"].split()
    answer = rng.choice(words)
    start = row["sentence"].index(answer)
    return {
        "id": str(row["idx"]),
        "question": "is the film good",
        "context": row["sentence"],
        "answers": {"text": [answer], "answer_start": [start]},
    }


def labels(row, rng):
    names = ["good" if row["label"] else "bad", *rng.sample(["long", "short"], rng.randrange(2))]
    return {"text": row["sentence"], "labels": names}


KINDS = {
    "stsb": (similarity, "pearson_spearman", {}),
    "squad": (question, "f1", {"max_question_tokens": 8, "stride": 4}),
    "multi-label-classification": (labels, "micro_f1", {}),
}


def finetune_two(tmp_path, data, task, options=None):
    """A teacher of two layers and a student of one."""
    encoder = write_model(tmp_path / "model")
    folders = []
    for role, changes in (("teacher", {}), ("student", {"keep_layers": 1})):
        settings = FinetuneSettings(
            model=encoder,
            data=data,
            out=tmp_path / role,
            task=task,
            task_options=options or {},
            label=role,
            role=role,
            epochs=4,
            learning_rate=5e-3,
            max_length=32,
            seeds=(0, 1),
            device="cpu",
            **changes,
        )
        finetune(settings, progress=SilentProgress())
        folders.append(tmp_path / role)
    return folders


@pytest.mark.parametrize("task", KINDS)
def test_every_kind_of_task_has_intervals_and_speed(tmp_path, task):
    make_row, metric, options = KINDS[task]
    data = write_rows(tmp_path / "data", make_row, train=48, validation=30)
    runs = finetune_two(tmp_path, data, task, options)
    report = write_report(runs, out=tmp_path / "report", measure=measure_runs)
    assert report.metric == metric
    teacher, student = report.models
    for model, folder in ((teacher, "teacher"), (student, "student")):
        result = FinetuneRecord.read(tmp_path / folder)
        assert list(model.scores.values) == [s.validation[metric] for s in result.seeds]
        assert model.scores.standard_error > 0
    assert teacher.scores.mean > 0
    share = student.retention
    is_shown = teacher.beats_constant and student.beats_constant
    assert (share is not None) == is_shown
    if share is not None:
        assert share.estimate == pytest.approx(student.scores.mean / teacher.scores.mean)
        assert share.low <= share.estimate <= share.high
    assert student.speed.num_texts == 30
    assert student.speed_up.latency.median > 0
    assert (student.agreement_with_teacher is None) is (task == "stsb")


def test_a_dry_run_tells_questions_from_their_windows(tmp_path):
    def long_question(row, rng):
        return question({**row, "sentence": f"{row['sentence']} rain" + " the men" * 20}, rng)

    settings = FinetuneSettings(
        model=write_model(tmp_path / "model"),
        data=write_rows(tmp_path / "data", long_question, train=8, validation=6),
        out=tmp_path / "run",
        task="squad",
        task_options=KINDS["squad"][2],
        max_length=24,
        batch_size=4,
        device="cpu",
    )
    planned = plan(settings)
    assert (planned["num_train_examples"], planned["num_validation_examples"]) == (8, 6)
    assert planned["num_train_windows"] > 8
    assert planned["steps_per_epoch"] == -(-planned["num_train_windows"] // 4)
    assert planned["labels"] == ()


def test_answers_that_no_row_holds_are_a_part_of_the_data_too(tmp_path):
    """A question's second answer decides scores, and stands in no encoded row."""
    data = write_rows(tmp_path / "data", question, train=8, validation=6)
    given = {"task": "squad", "task_options": KINDS["squad"][2], "max_length": 32}
    settings = make_settings(write_model(tmp_path / "model"), data, tmp_path / "run", **given)
    settings = settings.model_copy(update={"max_steps": 1})
    first = finetune(settings, progress=SilentProgress())
    path = tmp_path / "data/validation.jsonl"
    whole = path.read_text(encoding="utf-8")
    rows = [json.loads(line) for line in whole.splitlines()]
    for row in rows:
        row["answers"] = {name: 2 * values for name, values in row["answers"].items()}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match=r"'finetune' run, and data = .* has changed since it was"):
        finetune(settings, progress=SilentProgress())
    path.write_text(whole, encoding="utf-8")
    assert finetune(settings, progress=SilentProgress()) == first


def test_a_model_that_was_fine_tuned_elsewhere_can_be_the_teacher(tmp_path):
    data = write_data(tmp_path / "data", train=48, test=0)
    _, student = finetune_two(tmp_path, data, "sst2")
    settings = EvaluateSettings(
        model=str(tmp_path / "teacher/seed-1/model"),
        data=data,
        out=tmp_path / "evaluated",
        label="from elsewhere",
        role="teacher",
        max_length=32,
        device="cpu",
    )
    result = evaluate(settings, progress=SilentProgress())
    runs = [student, tmp_path / "evaluated"]
    report = write_report(runs, out=tmp_path / "report", measure=measure_runs)
    teacher = report.models[0]
    assert teacher.label == report.teacher == "from elsewhere"
    assert teacher.scores.values == (result.scores["accuracy"],)
    assert teacher.scores.seeds == (None,)
    assert teacher.speed.num_texts == 24
    markdown = report.files["md"].read_text()
    assert "| As given | Seed 0 | Seed 1 |" in markdown


def test_a_held_out_validation_is_in_the_record_and_on_the_page(tmp_path):
    data = write_data(tmp_path / "data", train=40, validation=0)
    model = write_model(tmp_path / "model")
    with pytest.raises(DataError, match=r"data\.validation=FILE, or hold a part of train out with"):
        finetune(make_settings(model, data, tmp_path / "refused"), progress=SilentProgress())
    options = {"validation_ratio": 0.25, "validation_seed": 3}
    chosen = make_settings(model, data, tmp_path / "run", task_options=options, max_steps=1)
    result = finetune(chosen, progress=SilentProgress())
    assert (result.num_held_out, result.seeds[0].validation["num_examples"]) == (10, 10)
    settings = EvaluateSettings.from_values(
        {"model": str(tmp_path / "run/model"), "data": data, "out": str(tmp_path / "scored")}
    )
    scored = evaluate(settings, progress=SilentProgress())
    assert (scored.num_examples, scored.num_held_out) == (10, 10)
    assert scored.scores["accuracy"] == result.seeds[0].validation["accuracy"]
    conditions = describe_conditions([read_finetune_run(tmp_path / "run")])
    assert conditions["Validation"].startswith("10 examples held out of the training split by the")
