"""What a report claims: its headline and findings hold the figures, and nothing more."""

import json
import re

from report_runs import edit_json, read, sign_predictions, write, write_lines

from limbeck.report.figures import interval, points
from limbeck.report.statistics import Interval


def test_headline_names_layers_retention_interval_and_error(four_runs, tmp_path):
    report = write(four_runs, tmp_path)
    share = report.model("distilled").retention
    for said in (
        "half the layers",
        f"{points(share.estimate)} %",
        f"95 % interval {points(share.low)} to {points(share.high)}",
        "accuracy on sst2",
        "(test, n = 400).",
    ):
        assert said in report.headline
    assert "standard error 1.9, teacher" in read(report, "html")


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
    labels = [True] * 10 + [False] * 90
    runs = [
        make_binary_run(make_run("teacher", "teacher"), labels, labels),
        make_binary_run(
            make_run("s", "student", num_layers=3),
            labels,
            [*[False] * 4, *labels[4:95], *[True] * 5],
        ),
    ]
    headline = write(runs, tmp_path).headline
    assert "half the layers" in headline
    assert "too few examples to tell" in headline


def test_nothing_is_sure_where_no_example_differs(make_run, tmp_path):
    labels = [True] * 20 + [False] * 28
    given = [False, *labels[1:]]
    runs = [
        make_binary_run(make_run("teacher", "teacher"), labels, given),
        make_binary_run(make_run("s", "student", num_layers=3), labels, given),
    ]
    report = write(runs, tmp_path)
    words = "no example differs, and up to 6.2 % of others may"
    assert f"keeps 100.0 % ({words}) of the teacher's F1 on irony" in report.headline
    (comparison,) = report.comparisons
    assert (
        comparison.text == f"“s” is not distinguishable from the teacher on 48 examples: {words}."
    )
    page = read(report, "md")
    assert "100.0 % (no example differs)" in page
    assert "| no example differs | not distinguishable |" in page
    assert "100.0 to 100.0" not in page + read(report, "html")
    assert "Differences to the student" not in read(report, "html")


def test_models_that_differ_on_every_example_are_told_apart():
    whole = Interval(estimate=1, low=1, high=1)
    assert interval(whole, signed=True) == "+100.0 to +100.0"
    assert interval(whole) == "no example differs"


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


def test_a_model_that_says_always_the_same_keeps_nothing(make_run, tmp_path):
    """A skewed set: 188 of 300 are ironic, and of F1 that one answer has 77.0."""
    labels = [True] * 188 + [False] * 112
    teacher = [*[True] * 150, *[False] * 38, *[True] * 50, *[False] * 62]
    student = [*[False] * 2, *[True] * 298]
    runs = [
        make_binary_run(make_run("teacher", "teacher"), labels, teacher),
        make_binary_run(make_run("s", "student", num_layers=3), labels, student),
        make_binary_run(make_run("b", "baseline"), labels, [True] * 300),
    ]
    report = write(runs, tmp_path)
    found = report.model("s")
    assert found.scores.mean / report.models[0].scores.mean > 0.98
    assert found.retention is None
    assert "keeps" not in report.headline
    assert report.headline.endswith(
        "reaches 76.5 F1 against the teacher's 77.3 on irony (test, n = 300). Always “ironic” "
        "scores 77.0: the teacher is not shown to do better, and the student predicts “ironic” for "
        "298 of 300 examples."
    )
    assert "“b” predicts “ironic” for 300 of 300 examples." in report.remarks
    page = read(report, "md")
    assert "| Always “ironic” | 77.0 | – |" in page
    assert "|  –  |" not in page
    values = json.loads(read(report, "json"))
    assert values["constant"] == {"answer": "ironic", "score": 376 / 488}
    assert [m["beats_constant"] for m in values["models"]] == [False, False, False]


def test_what_beats_one_answer_for_all_keeps_a_share(make_run, tmp_path):
    labels = [True] * 188 + [False] * 112
    teacher = [*[True] * 180, *[False] * 8, *[True] * 20, *[False] * 92]
    student = [*[True] * 178, *[False] * 10, *[True] * 24, *[False] * 88]
    runs = [
        make_binary_run(make_run("teacher", "teacher"), labels, teacher),
        make_binary_run(make_run("s", "student"), labels, student),
    ]
    report = write(runs, tmp_path)
    assert "keeps 98.4 % (95 % interval " in report.headline
    assert "always" not in report.headline
    assert [m.beats_constant for m in report.models] == [True, True]


def make_binary_run(run, labels, predictions):
    """Gives a run one seed with these predictions, scored by F1 of "ironic"."""
    names = {False: "literal", True: "ironic"}
    hits = sum(a and b for a, b in zip(labels, predictions, strict=True))
    f1 = 2 * hits / (sum(labels) + sum(predictions))
    result = json.loads((run / "result.json").read_text())
    lines = [
        {"split": split, "index": i, "label": names[a], "prediction": names[b]}
        for split in ("validation", "test")
        for i, (a, b) in enumerate(zip(labels, predictions, strict=True))
    ]
    write_lines(run / "seed-0" / "predictions.jsonl", lines)
    seed = result["seeds"][0] | {"validation": {"f1": f1}, "test": {"f1": f1}}
    edit_json(
        run / "result.json", metric="f1", task="irony", labels=["literal", "ironic"], seeds=[seed]
    )
    sign_predictions(run)
    return run


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


def test_every_label_has_its_f1(make_run, tmp_path):
    labels = [True] * 40 + [False] * 60
    student = [*labels[:30], *[False] * 10, *labels[40:]]
    runs = [
        make_binary_run(make_run("teacher", "teacher"), labels, labels),
        make_binary_run(make_run("s", "student"), labels, student),
    ]
    report = write(runs, tmp_path)
    assert [(label.name, label.support) for label in report.labels] == [
        ("literal", 60),
        ("ironic", 40),
    ]
    assert report.labels[1].f1 == {"teacher": 1.0, "s": 60 / 70}
    assert "| ironic | 40 | 100.0 | 85.7 |" in read(report, "md")
    assert "F1 of each label, in figures" in read(report, "html")


def test_an_accuracy_over_classes_has_the_error_of_a_share(make_run, tmp_path):
    report = write([make_run("teacher", "teacher", seeds=[0])], tmp_path)
    scores = report.models[0].scores
    assert scores.standard_error == (scores.mean * (1 - scores.mean) / 400) ** 0.5
    assert "for accuracy the binomial one, sqrt(p (1 − p) / n)." in read(report, "md")
