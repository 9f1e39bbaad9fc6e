"""What the functions on finished models return, and how notebooks show it."""

import re

import pytest
from tiny_rows import FAST, TEST, TRAIN, VALIDATION
from tiny_task import write_model

import limbeck
from limbeck.api._results import _score
from limbeck.models import EarlyExitModel
from limbeck.report.facts import Report

SHORT = {"epochs": 1, "batch_size": 8, "learning_rate": 3e-3, "device": "cpu"}


@pytest.fixture(scope="module")
def student(teacher, tmp_path_factory):
    out = tmp_path_factory.mktemp("student") / "run"
    return limbeck.compress(teacher, retain=0.1, depths=1, out=out, **SHORT)


def test_compress_takes_a_results_task_and_data(teacher, student):
    assert student.settings["data"] == teacher.settings["data"]
    assert student.record.task == "text-classification"
    assert student.split == "test"
    assert 0 <= student.scores["accuracy"] <= 1
    assert student.model.config.num_hidden_layers == 1
    assert student.pipeline()("a good great film")


def test_no_student_that_keeps_enough(teacher, tmp_path):
    with pytest.raises(limbeck.ContractError, match="keep") as error:
        limbeck.compress(
            teacher, retain=1, depths=1, out=tmp_path / "run", **{**SHORT, "learning_rate": 1e-9}
        )
    assert error.value.result.chosen is None


def test_evaluate_rows_of_a_split(teacher, tmp_path):
    found = limbeck.evaluate(teacher, TEST, split="test", out=tmp_path / "run", device="cpu")
    assert found.split == "test"
    assert found.scores == pytest.approx(teacher.scores)
    assert found.model.config == teacher.model.config
    unlabelled = [{"text": row["text"], "label": None} for row in TEST]
    found = limbeck.evaluate(teacher, unlabelled, split="test", out=tmp_path / "other")
    assert found.scores == {}
    assert "predicted, without labels" in repr(found)


def test_evaluate_a_model_that_remembers_nothing(teacher, tmp_path):
    names = list(teacher.model.config.id2label.values())
    folder = write_model(tmp_path / "model", head=names)
    found = limbeck.evaluate(folder, VALIDATION, out=tmp_path / "run", max_length=16)
    assert found.record.task == "text-classification"
    assert 0 <= found.scores["accuracy"] <= 1


def test_a_report_over_several_runs(teacher, encoder, student, tmp_path):
    other = limbeck.finetune(
        encoder, data=teacher.settings["data"], task="text_classification", max_steps=1,
        label="<other>", out=tmp_path / "run", **FAST,
    )  # fmt: skip
    report = other.report(teacher, measure=False)
    assert isinstance(report, Report)
    assert (report.teacher, report.split) == (teacher.record.label, "test")
    assert report.files["html"] == tmp_path / "run" / "report" / "report.html"
    shown = report._repr_html_()
    assert "&lt;other&gt;" in shown
    assert "<other>" not in shown
    assert str(report.files["html"]) in shown
    alone = student.report(measure=False)
    assert [model.label for model in alone.models] == ["teacher", "1 layer"]
    assert other.report(teacher, teacher=other, measure=False).teacher == "<other>"


def test_results_are_shown_in_a_table(teacher, student):
    shown = teacher._repr_html_()
    # All 16 test examples are right, which is not sure: Wilson's interval is 16 / (16 + 1.96^2).
    assert re.search(r"<td[^>]*>accuracy</td>.*>1\.0000 \(95 % interval 0\.8064 to 1\.0000", shown)
    assert f'href="{teacher.model_folder}"' in shown
    assert "src=" not in shown
    assert "1 layer" in student._repr_html_()
    assert repr(teacher).startswith("<FinetuneResult '")
    assert len(repr(teacher)) < 200


def test_the_teacher_of_a_compression_stands_in_its_report_once(teacher, student):
    report = student.report(teacher, measure=False)
    assert [model.role for model in report.models] == ["teacher", "student"]
    assert repr(report) == f"<Report: {report.headline} {report.files['html']}>"


@pytest.mark.slow
def test_prune_takes_a_results_task_and_data(teacher, tmp_path):
    given = {**SHORT, "rounds": 1, "measure": False, "out": tmp_path / "run"}
    found = limbeck.prune(teacher, neurons=0.5, **given)
    assert found.settings["data"] == teacher.settings["data"]
    assert found.split == "test"
    assert found.model.config.intermediate_size == teacher.model.config.intermediate_size // 2
    assert found.pipeline()("a good great film")
    assert "neurons" in found._repr_html_()
    report = found.report(teacher, measure=False)
    assert [model.label for model in report.models] == ["full model", "pruned"]
    assert limbeck.prune(teacher, neurons=0.5, **given).record == found.record


@pytest.mark.slow
def test_early_exit_takes_a_results_task_and_data(teacher, tmp_path):
    given = {**SHORT, "measure": False, "bound": 0.999, "out": tmp_path / "run"}
    found = limbeck.early_exit(teacher, **given)
    assert found.settings["data"] == teacher.settings["data"]
    assert found.split == "test"
    assert found.scores["accuracy"] == pytest.approx(found.record.score)
    assert isinstance(found.pipeline(device="cpu").model, EarlyExitModel)
    assert found.model.config == teacher.model.config
    assert "layers run" in found._repr_html_()
    report = found.report(measure=False)
    assert [model.label for model in report.models] == ["full model", "early exit"]
    assert limbeck.early_exit(teacher, **given).record == found.record


def test_results_are_frozen(teacher):
    with pytest.raises(AttributeError):
        teacher.folder = "elsewhere"


def test_a_suite_of_results(teacher, encoder, tmp_path):
    found = limbeck.suite(
        {"large": encoder, "half": {"teacher": "large", "finetune": {"keep_layers": 1}}},
        suite="custom",
        tasks={
            "files": {"task": "text_classification", "data": teacher.settings["data"]},
            "reviews": {"data": {"train": TRAIN, "validation": VALIDATION}},
        },
        seeds=(0,),
        finetune={**FAST, "max_steps": 2},
        measure=False,
        out=tmp_path / "run",
    )
    assert set(found.scores["reviews"]) == {"large", "half"}
    assert found.scores["files"] == found.scores["reviews"]
    assert (tmp_path / "run" / "data" / "reviews" / "train.jsonl").exists()
    assert "reviews" in found._repr_html_()


def test_what_can_not_be_written(teacher, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(limbeck.DataError, match=r"can't write the model to .*file"):
        teacher.save_pretrained(tmp_path / "file")


def test_a_mean_that_is_no_share_of_examples_gets_two_standard_errors() -> None:
    answers = {"f1": 0.5, "f1_standard_error": 0.02, "num_examples": 400.0}
    assert _score(answers, "f1") == "0.5000 (95 % interval 0.4608 to 0.5392)"
