"""Runs that can't be reported on, or not together: each is named, with what would help."""

import json

import pytest
from report_runs import edit_json, make_distill_run, sign_predictions, write, write_lines

from limbeck.errors import DataError, SettingsError
from limbeck.recipes._tasks.speeds import measure_runs


def test_run_that_has_not_finished(four_runs, tmp_path):
    (four_runs[1] / "result.json").unlink()
    expected = rf"{four_runs[1].name} has no result.json: it has not finished"
    with pytest.raises(DataError, match=expected):
        write(four_runs, tmp_path)


def test_folder_that_is_no_run(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty has no result\.json: it is not a run folder"):
        write([tmp_path / "empty"], tmp_path)
    with pytest.raises(DataError, match=r"there is no run folder .*absent"):
        write([tmp_path / "absent"], tmp_path)


def test_run_of_another_recipe(four_runs, tmp_path):
    distill = make_distill_run(tmp_path / "distill")
    with pytest.raises(DataError, match="a run of 'distill', not of 'finetune' or 'evaluate'"):
        write([*four_runs, distill], tmp_path)


def test_result_that_lacks_a_field(make_run, tmp_path):
    run = make_run("teacher", "teacher")
    result = json.loads((run / "result.json").read_text())
    del result["num_layers"]
    (run / "result.json").write_text(json.dumps(result))
    with pytest.raises(
        DataError,
        match=r"result\.json is damaged: it lacks num_layers",
    ):
        write([run], tmp_path)


def test_damaged_result(make_run, tmp_path):
    run = make_run("teacher", "teacher")
    (run / "result.json").write_text("{")
    with pytest.raises(DataError, match=r"result\.json is not JSON"):
        write([run], tmp_path)


def test_runs_of_different_tasks(make_run, tmp_path):
    runs = [make_run("teacher", "teacher"), make_run("s", "student", task="snli")]
    with pytest.raises(DataError, match=r"differ in their task: sst2 \(.*\), snli \("):
        write(runs, tmp_path)


def test_no_teacher(make_run, tmp_path):
    with pytest.raises(SettingsError, match=r"role teacher \(there are: a\).*--teacher LABEL"):
        write([make_run("a", "student")], tmp_path)


def test_two_teachers(make_run, tmp_path):
    runs = [make_run("a", "teacher"), make_run("b", "teacher")]
    with pytest.raises(SettingsError, match=r"several runs are teachers \(a, b\)"):
        write(runs, tmp_path)


def test_unknown_teacher(make_run, tmp_path):
    with pytest.raises(SettingsError, match=r"teacher = 'larg'.*Did you mean 'large'\?"):
        write([make_run("large", "other")], tmp_path, teacher="larg")


def test_no_runs(tmp_path):
    with pytest.raises(SettingsError, match="at least one fine-tuning run folder, got none"):
        write([], tmp_path)


def test_one_label_twice(make_run, tmp_path):
    runs = [make_run("teacher", "teacher"), make_run("b", "student")]
    edit_json(runs[1] / "result.json", label="teacher")
    with pytest.raises(DataError, match="several runs are labelled 'teacher'"):
        write(runs, tmp_path)


def test_predictions_of_differing_length(make_run, tmp_path):
    runs = [make_run("teacher", "teacher"), make_run("s", "student", num_examples=300)]
    with pytest.raises(DataError, match="300 predictions against 400"):
        write(runs, tmp_path)


def test_seeds_of_differing_length(make_run, tmp_path):
    run = make_run("teacher", "teacher")
    path = run / "seed-1" / "predictions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    sign_predictions(run)
    with pytest.raises(DataError, match=r"seed-1 and .*seed-0 .*399 predictions against 400"):
        write([run], tmp_path)


def test_other_labels(make_run, tmp_path):
    runs = [make_run("teacher", "teacher"), make_run("s", "student")]
    for path in runs[1].glob("seed-*/predictions.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line["index"] == 17:
                line["label"] = "OTHER"
        write_lines(path, lines)
    sign_predictions(runs[1])
    with pytest.raises(DataError, match="example 17 has label OTHER against"):
        write(runs, tmp_path)


def test_missing_and_damaged_predictions(make_run, tmp_path):
    run = make_run("teacher", "teacher")
    path = run / "seed-2" / "predictions.jsonl"
    path.write_text(path.read_text() + "{half\n")
    with pytest.raises(DataError, match=r"predictions\.jsonl differs from its checksum"):
        write([run], tmp_path)
    sign_predictions(run)
    with pytest.raises(DataError, match=r"predictions\.jsonl, line 801: not a JSON object"):
        write([run], tmp_path)
    path.write_text("")
    sign_predictions(run)
    with pytest.raises(DataError, match="no labelled prediction of the split 'test'"):
        write([run], tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"predictions\.jsonl is missing"):
        write([run], tmp_path)


def test_predictions_of_another_run(make_run, tmp_path):
    run = make_run("teacher", "teacher")
    seeds = json.loads((run / "result.json").read_text())["seeds"]
    seeds[0]["test"]["accuracy"] = 0.123
    edit_json(run / "result.json", seeds=seeds)
    with pytest.raises(DataError, match=r"result\.json says 0\.123000: the folder mixes two"):
        write([run], tmp_path)


def test_distillation_without_metrics(four_runs, tmp_path):
    (tmp_path / "distill").mkdir()
    with pytest.raises(DataError, match=r"distill has no metrics\.jsonl"):
        write(four_runs, tmp_path, distill_run=tmp_path / "distill")


def test_no_shared_split(make_run, tmp_path):
    runs = [make_run("teacher", "teacher"), make_run("s", "student", splits=["test"])]
    seeds = json.loads((runs[0] / "result.json").read_text())["seeds"]
    edit_json(runs[0] / "result.json", seeds=[{**seed, "test": None} for seed in seeds])
    with pytest.raises(DataError, match="share no scored split: s has no validation score"):
        write(runs, tmp_path)


def test_measuring_without_data(four_runs, tmp_path):
    with pytest.raises(DataError, match=r"run\.json does not say which data.*--no-measure"):
        write(four_runs, tmp_path, measure=measure_runs)
