"""What a report claims: its headline and findings hold the figures, and nothing more."""

import json
import re

from report_runs import edit_json, read, sign_predictions, write, write_lines

from limbeck.report.figures import points


def test_headline_names_layers_retention_interval_and_error(four_runs, tmp_path):
    report = write(four_runs, tmp_path)
    share = report.model("distilled").retention
    for said in (
        "half the layers",
        f"{points(share.estimate)} %",
        f"95 % interval {points(share.low)} to {points(share.high)}",
        "accuracy on sst2",
        "test, n = 400, standard error 1.9 points",
    ):
        assert said in report.headline


def test_headline_names_the_student_where_there_are_several(make_run, tmp_path):
    runs = [
        make_run("teacher", "teacher"),
        make_run("first", "student", num_layers=2),
        make_run("second", "student"),
    ]
    report = write(runs, tmp_path)
    assert "“first”" in report.headline
    assert "a third of the layers" in report.headline
    alone = write([runs[0], runs[2]], tmp_path / "alone")
    assert "“" not in alone.headline
    assert "as many layers as the teacher (6)" in alone.headline


def test_headline_claims_nothing_from_few_examples(make_run, tmp_path):
    runs = [
        make_run("teacher", "teacher", num_examples=16),
        make_run("s", "student", accuracy=0.5, num_examples=16, num_layers=3),
    ]
    headline = write(runs, tmp_path).headline
    assert "half the layers" in headline
    assert "too few examples to tell" in headline


def test_no_difference_is_claimed_that_the_interval_does_not_show(four_runs, tmp_path):
    report = write(four_runs, tmp_path)
    for comparison in report.comparisons:
        found = comparison.paired.difference
        contains_zero = found.low <= 0 <= found.high
        assert (comparison.verdict == "not distinguishable") is contains_zero
        assert ("not distinguishable" in comparison.text) is contains_zero
        assert (" ahead of " in comparison.text) is (not contains_zero and found.estimate > 0)
    verdicts = {c.reference: c.verdict for c in report.comparisons}
    assert verdicts["random layers"] == "ahead"
    assert verdicts["copied layers"] == "not distinguishable"
    assert "not distinguishable from “copied layers” on 400 examples" in read(report, "md")


def test_one_seed_is_named_as_such(make_run, tmp_path):
    runs = [
        make_run("teacher", "teacher", seeds=[0]),
        make_run("s", "student", seeds=[0], accuracy=0.6),
    ]
    report = write(runs, tmp_path)
    assert any("one seed" in note for note in report.notes)
    assert report.comparisons[0].verdict == "behind"
    assert "one seed" in report.comparisons[0].text
    assert "No baseline" in read(report, "md")


def test_what_is_behind_a_baseline_is_said_to_be(make_run, tmp_path):
    runs = [
        make_run("teacher", "teacher", accuracy=0.9),
        make_run("s", "student", accuracy=0.7),
        make_run("weaker", "baseline", accuracy=0.5),
        make_run("stronger", "baseline", accuracy=0.85),
    ]
    text = read(write(runs, tmp_path), "md")
    assert "Ahead of “weaker”; behind “stronger”." in text
    alone = read(write([runs[0], runs[1], runs[3]], tmp_path), "md")
    assert "\nBehind “stronger”." in alone


def test_a_teacher_that_says_always_the_same_is_named(make_run, tmp_path):
    """Any student of it keeps all, by saying the same."""
    runs = [make_run("teacher", "teacher"), make_run("s", "student")]
    said = "On sst2, the teacher predicts the same for every example"
    assert not any(said in note for note in write(runs, tmp_path / "before").notes)
    result = json.loads((runs[0] / "result.json").read_text())
    for seed in result["seeds"]:
        path = runs[0] / seed["folder"] / "predictions.jsonl"
        records = [json.loads(line) for line in path.read_text().splitlines()]
        write_lines(path, [record | {"prediction": "POSITIVE"} for record in records])
        for split in ("validation", "test"):
            labels = [record["label"] for record in records if record["split"] == split]
            seed[split]["accuracy"] = labels.count("POSITIVE") / len(labels)
    edit_json(runs[0] / "result.json", seeds=result["seeds"])
    sign_predictions(runs[0])
    report = write(runs, tmp_path)
    assert said in report.notes[0]
    assert said in read(report, "md")


def test_no_student_makes_a_plain_headline(make_run, tmp_path):
    report = write([make_run("teacher", "teacher")], tmp_path)
    assert re.match(r"“teacher” reaches [\d.]+ accuracy on sst2 \(test, n = 400", report.headline)
    assert "no student" in report.headline
    assert report.comparisons == ()


def test_metric_without_interval_claims_nothing(make_run, tmp_path):
    runs = [make_run("teacher", "teacher"), make_run("s", "student", accuracy=0.5)]
    for run in runs:
        result = json.loads((run / "result.json").read_text())
        for seed in result["seeds"]:
            seed["test"]["kappa"] = seed["test"]["accuracy"]
        edit_json(run / "result.json", metric="kappa", seeds=result["seeds"])
    report = write(runs, tmp_path)
    assert report.comparisons[0].verdict == "not compared"
    assert "no difference is claimed" in report.comparisons[0].text
    assert re.search(r"reaches [\d.]+ kappa against the teacher's [\d.]+", report.headline)
    assert "interval" not in report.headline


def test_an_accuracy_over_words_has_the_error_of_a_bootstrap_over_sentences(make_run, tmp_path):
    """Words of a sentence are no draws of their own, and a sentence is no right or wrong."""
    run = make_run("teacher", "teacher", seeds=[0])
    folder = run / "seed-0"
    lines = [
        {
            "split": split,
            "index": index,
            "label": ["B-PER", "I-PER", "O", "O", "O", "B-LOC", "O", "O"],
            "prediction": [
                "B-PER",
                "I-PER",
                "O",
                "O",
                "O",
                "B-LOC" if index % 4 else "O",
                "O",
                "O",
            ],
        }
        for split in ("validation", "test")
        for index in range(400)
    ]
    write_lines(folder / "predictions.jsonl", lines)
    seeds = json.loads((run / "result.json").read_text())["seeds"]
    for split in ("validation", "test"):
        seeds[0][split]["accuracy"] = 31 / 32
    edit_json(run / "result.json", seeds=seeds)
    sign_predictions(run)
    report = write([run], tmp_path)
    # A quarter of the sentences have one of eight words wrong: sqrt(3) / 4 / 8 / sqrt(400).
    found = report.models[0].scores.standard_error
    assert abs(found - 3**0.5 / 640) < 2e-4
    assert "test examples, by bootstrap over the examples." in read(report, "md")


def test_an_accuracy_over_classes_has_the_error_of_a_share(make_run, tmp_path):
    report = write([make_run("teacher", "teacher", seeds=[0])], tmp_path)
    scores = report.models[0].scores
    assert scores.standard_error == (scores.mean * (1 - scores.mean) / 400) ** 0.5
    assert "for accuracy the binomial one, sqrt(p (1 − p) / n)." in read(report, "md")
