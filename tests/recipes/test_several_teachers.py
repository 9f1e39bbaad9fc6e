"""Several teachers of one student: each fits as if alone, and their mean is learned."""

from __future__ import annotations

import json

import pytest
from tiny_task import (
    LABELS,
    assert_same_weights,
    finetune,
    make_settings,
    read_loss,
    write_model,
)

import limbeck
from limbeck.errors import DataError, MissingHeadError, SettingsError
from limbeck.recipes.finetune import plan
from limbeck.runs import RunRecord

RUN = {"epochs": 1, "label_weight": 0.0}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """Of two families, the labels of the second the other way round."""
    folder = tmp_path_factory.mktemp("teachers")
    write_model(folder / "bert", head=LABELS, dropout=0.0, initializer_range=0.5)
    write_model(
        folder / "distilbert",
        model_type="distilbert",
        head=LABELS[::-1],
        dropout=0.0,
        initializer_range=0.5,
    )
    return [str(folder / "bert"), str(folder / "distilbert")]


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("student") / "model", dropout=0.0)


def test_weights_decide_whose_word_counts(student, data, teachers, tmp_path):
    def learn(name, teacher, **changes):
        finetune(student, data, tmp_path / name, teacher=teacher, **RUN, **changes)
        return read_loss(tmp_path / name)

    together = learn("together", teachers)
    for number in (0, 1):
        alone = learn(f"alone-{number}", teachers[number])
        weights = [1e-7, 1e-7]
        weights[number] = 1.0
        assert learn(f"one-{number}", teachers, teacher_weights=weights) == pytest.approx(
            alone, rel=1e-4
        )
        assert together != pytest.approx(alone, rel=1e-3)


def test_cached_is_live_and_four_small_batches_are_a_large_one(student, data, teachers, tmp_path):
    cache = {"teacher_cache": str(tmp_path / "cache")}
    finetune(student, data, tmp_path / "live", teacher=teachers, **RUN)
    finetune(student, data, tmp_path / "cached", teacher=teachers, **cache, **RUN)
    finetune(student, data, tmp_path / "small", teacher=teachers, accumulate=4, **RUN)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    live = read_loss(tmp_path / "live")
    assert read_loss(tmp_path / "cached") == pytest.approx(live, rel=1e-5)
    assert read_loss(tmp_path / "small") == pytest.approx(live, rel=1e-5)


def test_a_run_says_who_taught_it_and_goes_on_with_moved_teachers(
    student, data, teachers, tmp_path
):
    weighted = {"teacher": teachers, "teacher_weights": [2, 1], **RUN}
    finetune(student, data, tmp_path / "run", **weighted)
    card = (tmp_path / "run/model/README.md").read_text()
    assert "distilled from bert (weight 2) and distilbert (weight 1)" in card
    assert set(RunRecord.read(tmp_path / "run").inputs) >= {"teacher.0", "teacher.1"}
    moved = tmp_path / "elsewhere"
    moved.symlink_to(teachers[1], target_is_directory=True)
    same = [teachers[0], str(moved)]
    settings = make_settings(student, data, tmp_path / "run", **weighted | {"teacher": same})
    assert "goes on" in plan(settings)["run"]
    finetune(student, data, tmp_path / "run", **weighted | {"teacher": same})
    with pytest.raises(SettingsError, match=r"teacher\.1 was .*elsewhere.*, now not set"):
        finetune(student, data, tmp_path / "run", teacher=teachers[0], **RUN)


def test_from_python(student, data, teachers, tmp_path):
    both = limbeck.finetune(
        student,
        train=f"{data}/train.jsonl",
        validation=f"{data}/validation.jsonl",
        teacher=[teachers[0], limbeck_model(teachers[1])],
        out=tmp_path / "run",
        progress=False,
        max_length=16,
        epochs=1,
    )
    assert both.settings["teacher"] == [teachers[0], str(tmp_path / "run/given/teacher-1")]


def limbeck_model(folder):
    return (
        limbeck.AutoModelForSequenceClassification.from_pretrained(folder),
        limbeck.AutoTokenizer.from_pretrained(folder),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"losses": {"hidden_mse": {}}},
            r"hidden_mse .*teacher = .*bert, .*distilbert is a list",
        ),
        ({"teacher_weights": [1.0]}, "teacher_weights has 1 for 2 teachers; accepted: one weight"),
        ({"teacher_weights": [1.0, 0.0]}, r"teacher_weights.* 0\.0"),
        ({"teacher_weights": [1e308, 1e308]}, r"teacher_weights.* 1e\+308.*<= 1000000000"),
        (
            {"teacher_options": {"missing": "label"}},
            r"teacher_options\.missing is for teachers",
        ),
        (
            {"intermediate": {}},
            "intermediate learns .* is a list of several, .*; leave .* or give one model",
        ),
    ],
)
def test_what_several_teachers_can_not(student, data, teachers, tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        finetune(student, data, tmp_path / "run", **{"teacher": teachers, **RUN, **changes})
    assert not (tmp_path / "run").exists()


def test_each_of_several_has_to_fit(student, data, teachers, tmp_path):
    def refuse(error_type, message, *given, **changes):
        with pytest.raises(error_type, match=message):
            finetune(student, data, tmp_path / "run", teacher=list(given), **RUN, **changes)
        assert not (tmp_path / "run").exists()

    refuse(SettingsError, "give each teacher once", teachers[0], teachers[0])
    refuse(SettingsError, "an empty list; give one teacher or several")
    refuse(MissingHeadError, "model", teachers[0], student)
    other = write_model(tmp_path / "other", head=["no", "yes"])
    refuse(DataError, f"the teacher {other}", teachers[0], other)
    said = tmp_path / "said.jsonl"
    said.write_text(json.dumps({"sentence": "good film", "label": "POSITIVE"}) + "\n")
    refuse(
        SettingsError,
        r"teacher\.1 = .*said\.jsonl is a file of predictions",
        teachers[0],
        str(said),
    )
    with pytest.raises(SettingsError, match="teacher_weights has 1 for 1 teacher; accepted"):
        make_settings(student, data, tmp_path / "run", teacher=teachers[0], teacher_weights=[1])


def test_one_in_a_list_is_one(student, data, teachers, tmp_path):
    finetune(student, data, tmp_path / "list", teacher=teachers[:1], **RUN)
    finetune(student, data, tmp_path / "name", teacher=teachers[0], **RUN)
    assert_same_weights(tmp_path / "list/model", tmp_path / "name/model")
