"""Models that were not trained alike are not compared, and the headline says so."""

import json
from dataclasses import replace

import pytest
from report_runs import edit_json, make_finetune_run

from limbeck.report import write_report
from limbeck.report.compression import Compression
from limbeck.report.compression_page import make_page
from limbeck.report.facts import ModelFacts, SeedScores, TrainingFacts
from limbeck.report.suite import write_suite_report
from limbeck.report.training import explain_inequality, find_inequality

TRAINING = TrainingFacts(
    seeds=(0, 1),
    num_steps=(30, 30),
    steps_asked=30,
    steps_per_epoch=10,
    batch_size=32,
    learning_rate=5e-5,
    max_length=128,
    patience=None,
    max_minutes=None,
    teacher=None,
    data={"data": "hf://a/b"},
    labels=("no", "yes"),
    tokenizer_sha256=("t",),
    examples_sha256=("0",),
)


def training(**changes):
    return replace(TRAINING, **changes)


def model(label, role, trained=TRAINING):
    scores = SeedScores(
        seeds=(0,),
        values=(0.5,),
        mean=0.5,
        median=0.5,
        lowest=0.5,
        highest=0.5,
        standard_error=None,
    )
    return ModelFacts(
        label=label,
        role=role,
        model="a/b",
        folder="runs",
        num_layers=2,
        num_parameters=10,
        file_bytes=40,
        scores=scores,
        retention=None,
        agreement_with_teacher=None,
        agreement_between_seeds=None,
        speed=None,
        speed_up=None,
        training=trained,
        training_seconds=None,
    )


@pytest.fixture
def make_runs(make_run):
    """Teacher, student and two baselines with the steps that each made."""

    def make(*num_steps, **options):
        roles = ("teacher", "student", "baseline", "baseline")
        labels = ("teacher", "distilled", "copied layers", "random weights")
        accuracies = (0.86, 0.83, 0.6, 0.55)
        return [
            make_run(label, role, accuracy=accuracy, num_steps=n, num_epochs=n / 10, **options)
            for label, role, accuracy, n in zip(labels, roles, accuracies, num_steps, strict=True)
        ]

    return make


def write(runs, folder):
    report = write_report(runs, out=folder / "report")
    return report, *(report.files[kind].read_text(encoding="utf-8") for kind in ("html", "md"))


def test_a_busy_machine_makes_no_claim(make_runs, tmp_path):
    """What a quickstart with limits in minutes gave on a machine that had other work to do."""
    runs = make_runs(45, 30, 11, 21, settings={"max_minutes": 0.5, "epochs": 1000})
    report, page, markdown = write(runs, tmp_path)
    reasons = ["30 steps against 11", "30 steps against 21", "30 steps against 45"]
    assert [c.verdict for c in report.comparisons] == ["not compared"] * 3
    assert [c.unequal for c in report.comparisons] == reasons
    for text in (report.remarks[0], markdown):
        assert all(reason in text for reason in reasons)
    assert "No difference is claimed" in report.remarks[0]
    assert "Not compared with any baseline" in markdown
    assert page.count('class="finding not-compared"') == 3
    for text in (page, markdown):
        assert "head of" not in text
        assert "behind" not in text.partition("</style>")[2]
    assert "Differences to the student" not in page  # nothing is left to draw
    rows = [line.split(" | ") for line in markdown.splitlines() if " | teacher |" in line]
    assert rows[0][-2] == "45"


def test_models_that_made_the_same_steps_are_compared(make_runs, tmp_path):
    runs = make_runs(30, 30, 30, 30, settings={"max_minutes": 0.5})
    report, page, _ = write(runs, tmp_path)
    assert [c.verdict for c in report.comparisons][:2] == ["ahead", "ahead"]
    assert 'class="finding ahead"' in page
    assert not report.remarks
    facts = json.loads(report.files["json"].read_text())["models"][1]["training"]
    assert facts["num_steps"] == [30, 30, 30]
    assert facts["seeds"] == [0, 1, 2]


def test_one_unequal_baseline_leaves_the_other_comparison(make_runs, tmp_path):
    report, _, markdown = write(make_runs(30, 30, 30, 21), tmp_path)
    assert [c.verdict for c in report.comparisons][:2] == ["ahead", "not compared"]
    assert "Ahead of “copied layers”; not compared" in markdown
    (remark,) = report.remarks
    assert "“random weights”, 30 steps against 21." in remark
    assert "“copied layers”" not in remark


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_steps": (30, 29)}, "30 steps against 29 to 30"),
        ({"num_steps": (1200, 1200)}, "30 steps against 1,200"),
        ({"batch_size": 16}, "batches of 32 examples against 16"),
        ({"max_length": 64}, "inputs of up to 128 tokens against 64"),
        ({"steps_per_epoch": 5}, "other training examples, 10 steps an epoch against 5"),
        ({"examples_sha256": ("1",)}, "other training examples"),  # a file that has changed
        (
            {"tokenizer_sha256": ("u",), "data": {}, "examples_sha256": ("1",)},
            "other training examples",
        ),
        ({"patience": 2, "num_steps": (9, 12), "steps_asked": 60}, "up to 30 steps against 60"),
        ({"patience": 2, "num_steps": (9, 9), "max_minutes": 1.0}, "30 steps against 9"),
        ({"patience": 2, "num_steps": (9, 12)}, None),  # it stopped early, on the same budget
        ({"patience": 2, "max_minutes": 1.0}, None),
        ({"tokenizer_sha256": ("u",), "examples_sha256": ("1",)}, None),  # the same data's ids
        ({"labels": ("yes", "no"), "examples_sha256": ("1",)}, None),
        ({"data": {}}, None),
        ({"seeds": (2, 3)}, None),
        ({"seeds": (0,), "num_steps": (30,)}, None),
        ({"learning_rate": 1e-4}, None),
    ],
)
def test_what_makes_trainings_unequal(changes, reason):
    assert find_inequality(TRAINING, training(**changes)) == reason
    swapped = find_inequality(training(**changes), TRAINING)
    assert (swapped is None) is (reason is None)


def test_seeds_that_made_each_others_steps_are_unequal():
    one, other = training(num_steps=(30, 29)), training(num_steps=(29, 30))
    assert find_inequality(one, other) == "29 to 30 steps against 29 to 30"


@pytest.mark.parametrize(
    ("student", "reference", "role", "reason"),
    [
        (TRAINING, training(num_steps=(9, 9)), "teacher", "30 steps against 9"),
        (TRAINING, None, "teacher", None),  # fine-tuned elsewhere
        (training(teacher="t"), training(num_steps=(9, 9)), "teacher", None),  # learned from it
        (None, TRAINING, "teacher", None),
        (training(teacher="t"), training(num_steps=(9, 9)), "baseline", "30 steps against 9"),
        (None, None, "baseline", None),  # both as they were given
        (TRAINING, None, "baseline", "how “b” was trained is not known"),
        (None, TRAINING, "baseline", "how “a” was trained is not known"),
    ],
)
def test_which_pairs_have_to_be_trained_alike(student, reference, role, reason):
    pair = model("a", "student", student), model("b", role, reference)
    assert explain_inequality(*pair) == reason


def test_steps_asked_are_those_of_the_settings(make_run, tmp_path):
    settings = {"epochs": 2.55, "max_steps": 100, "patience": 1}
    runs = [make_run("teacher", "teacher", num_steps=20, num_epochs=2.0, settings=settings)]
    asked = write(runs, tmp_path)[0].models[0].training
    assert (asked.steps_per_epoch, asked.steps_asked) == (10, 26)
    edit_json(runs[0] / "run.json", settings={**settings, "max_steps": 25})
    assert write(runs, tmp_path)[0].models[0].training.steps_asked == 25


def test_a_suite_names_the_tasks(tmp_path):
    folders = {}
    for task, steps in (("sst2", 30), ("rte", 21), ("cola", 12), ("wnli", 9)):
        for label, role, accuracy in (
            ("teacher", "teacher", 0.9),
            ("distilled", "student", 0.85),
            ("copied", "baseline", 0.6),
        ):
            run = make_finetune_run(
                tmp_path / task / label,
                label=label,
                role=role,
                accuracy=accuracy,
                task=task,
                num_steps=steps if role == "baseline" else 30,
                num_epochs=3 * (steps if role == "baseline" else 30) / 30,
            )
            folders.setdefault(task, []).append(run)

    def report_on(*tasks):
        return write_suite_report(
            {task: folders[task] for task in tasks},
            out=tmp_path / "report",
            suite="glue",
            split="validation",
            asked=tasks,
            num_tasks=9,
        )

    report = report_on("sst2", "rte")
    copied, teacher = report.comparisons
    assert (copied.verdict, copied.unequal) == ("not compared", "on rte, 30 steps against 21")
    assert teacher.verdict == "behind"
    assert [task.comparisons[0].verdict for task in report.tasks] == ["ahead", "not compared"]
    assert report.remarks[0].endswith("“copied”, on rte, 30 steps against 21.")
    assert "| rte: copied | " in report.files["md"].read_text()
    everything = report_on("sst2", "rte", "cola", "wnli").comparisons[0].unequal
    assert everything == (
        "on rte, 30 steps against 21; on cola, 30 steps against 12; and on 1 other task"
    )


@pytest.mark.parametrize("num_steps", [(30, 30), (11, 11)])
def test_students_of_a_search_that_were_not_trained_alike_are_named(num_steps):
    students = [model("4", "student"), model("2", "student", training(num_steps=num_steps))]
    found = Compression(
        task="sst2",
        metric="accuracy",
        split="validation",
        num_examples=10,
        retain=0.9,
        name="bert",
        models=[model("teacher", "teacher", None), *students],
        how={"teacher": "", "4": "", "2": ""},
        chosen="2",
        test=None,
        notes=["A note."],
        conditions={},
    )
    method = make_page(found).sections[-1].blocks[0].block.items
    *said, last = method
    assert last == "A note."
    found = ["“4” and “2”: 30 steps against 11" in note for note in said]
    assert found == ([True] if num_steps == (11, 11) else [])


def test_too_short_a_training_claims_nothing(tmp_path):
    roles = {"teacher": "teacher", "student": "student", "copied": "baseline"}
    runs = [
        make_finetune_run(tmp_path / label, label=label, role=role, accuracy=accuracy)
        for (label, role), accuracy in zip(roles.items(), (0.9, 0.85, 0.6), strict=True)
    ]
    shortage = "Every model made only 34 steps: too few to tell."
    long = write_report(runs, out=tmp_path / "long")
    short = write_report(runs, out=tmp_path / "short", shortage=shortage, notes=("Take longer.",))
    assert [c.verdict for c in long.comparisons][:1] == ["ahead"], "with steps enough, it is"
    assert short.headline == shortage
    assert short.notes[0] == "Take longer."
    assert {c.verdict for c in short.comparisons} == {"not compared"}
    assert all("after too few steps; no difference" in c.text for c in short.comparisons)
    assert all(model.retention is None for model in short.models)
    page = (tmp_path / "short/report.html").read_text(encoding="utf-8")
    assert shortage in page
    assert "Ahead" not in page
    assert "Ahead" in (tmp_path / "long/report.html").read_text(encoding="utf-8")
