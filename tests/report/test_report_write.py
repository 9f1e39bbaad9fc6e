import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_runs import edit_json, make_distill_run, sign_predictions, write_lines

from limbeck.errors import DataError, SettingsError
from limbeck.recipes._tasks.speeds import measure_runs
from limbeck.report import write_report
from limbeck.report.figures import points


class Page(HTMLParser):
    """Collects what a page would load, its scripts and its text."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.tags, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "data", "action", "poster", "srcset"}:
                self.loads.append(value)
            if "url(" in (value or ""):
                self.loads += re.findall(r"url\(['\"]?([^)'\"]+)", value)

    def handle_data(self, data):
        self.text.append(data)


def write(runs, folder, **options):
    return write_report(runs, out=folder / "report", **options)


def read(report, kind):
    return report.files[kind].read_text(encoding="utf-8")


def markdown_table(text, title):
    section = re.split(r"\n##+ ", text.split(f"## {title}\n", 1)[1], maxsplit=1)[0]
    rows = [line.strip("| \n").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def test_models_come_in_the_order_of_their_roles(four_runs, tmp_path):
    report = write(four_runs, tmp_path)
    assert [m.label for m in report.models] == [
        "teacher",
        "distilled",
        "random layers",
        "copied layers",
    ]
    assert [(c.model, c.reference) for c in report.comparisons] == [
        ("distilled", "random layers"),
        ("distilled", "copied layers"),
        ("distilled", "teacher"),
    ]


def test_headline_names_layers_retention_interval_and_error(four_runs, tmp_path):
    report = write(four_runs, tmp_path)
    share = report.model("distilled").retention
    assert report.headline == (
        f"The student, with half the layers, keeps {points(share.estimate)} % "
        f"(95 % interval {points(share.low)} to {points(share.high)}) of the teacher's accuracy "
        "on sst2 (test, n = 400, standard error 1.9 points)."
    )


def test_headline_names_the_student_where_there_are_several(make_run, tmp_path):
    runs = [
        make_run("teacher", "teacher"),
        make_run("first", "student", num_layers=2),
        make_run("second", "student"),
    ]
    report = write(runs, tmp_path)
    assert report.headline.startswith("The student “first”, with a third of the layers, keeps ")
    alone = write([runs[0], runs[2]], tmp_path / "alone")
    assert alone.headline.startswith("The student, with as many layers as the teacher (6), keeps ")


def test_headline_claims_nothing_from_few_examples(make_run, tmp_path):
    runs = [
        make_run("teacher", "teacher", num_examples=16),
        make_run("s", "student", accuracy=0.5, num_examples=16, num_layers=3),
    ]
    assert write(runs, tmp_path).headline.startswith(
        "The student, with half the layers, was scored on too few examples to tell what it keeps: "
    )


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


def test_the_teacher_is_named_once(make_run, tmp_path):
    student = make_run("s", "student", accuracy=0.6)
    (comparison,) = write([make_run("teacher", "teacher"), student], tmp_path).comparisons
    assert "“s” is behind the teacher by " in comparison.text
    (comparison,) = write([make_run("large", "teacher"), student], tmp_path).comparisons
    assert "“s” is behind the teacher “large” by " in comparison.text


def test_markdown_figures_are_those_of_the_json(four_runs, tmp_path):
    report = write(four_runs, tmp_path, distill_run=make_distill_run(tmp_path / "distill"))
    values = json.loads(read(report, "json"))
    text = read(report, "md")
    quality = markdown_table(text, "What was kept")
    seeds = markdown_table(text, "Every seed")
    for model, row, by_seed in zip(values["models"], quality, seeds, strict=True):
        scores = model["scores"]
        assert row["Model"] == model["label"] == by_seed["Model"]
        assert row["Accuracy, mean"] == points(scores["mean"])
        assert row["Median"] == points(scores["median"])
        assert row["Standard error"] == points(scores["standard_error"])
        assert [by_seed[f"Seed {s}"] for s in scores["seeds"]] == list(
            map(points, scores["values"])
        )
        if model["retention"]:
            share = model["retention"]
            ends = f"({points(share['low'])} to {points(share['high'])})"
            assert row["Retention (95 % interval)"] == f"{points(share['estimate'])} % {ends}"
    differences = markdown_table(text, "Paired differences")
    for comparison, row in zip(values["comparisons"], differences, strict=True):
        estimate = comparison["paired"]["difference"]["estimate"]
        assert row["Points"] == points(estimate, signed=True)
        assert row["Finding"] == comparison["verdict"]
    rows = markdown_table(text, "Held-out text, before and after")
    by_figure = {row["Figure"]: row for row in rows}
    held_out = by_figure["Top-1 agreement with the teacher"]
    assert (
        held_out["Step 0"] == points(values["distillation"]["before"]["teacher_agreement"]) + " %"
    )
    assert held_out["End"] == points(values["distillation"]["after"]["teacher_agreement"]) + " %"
    assert by_figure["Masked-LM accuracy"]["Teacher"] == "56.0 %"


def test_page_loads_nothing_and_holds_its_plots(four_runs, tmp_path):
    report = write(four_runs, tmp_path, distill_run=make_distill_run(tmp_path / "distill"))
    text = read(report, "html")
    page = Page(text)
    assert page.loads
    assert all(target.startswith("#") for target in page.loads)
    identifiers = re.findall(r'\bid="([^"]+)"', text)
    assert len(identifiers) == len(set(identifiers))
    assert {target[1:] for target in page.loads} <= set(identifiers)
    assert "http" not in text
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert page.tags.count("figure") == 7
    assert report.headline in "".join(page.text).replace("\u00a0", " ")


def test_labels_are_escaped_everywhere(make_run, tmp_path):
    label = "<script>alert('a|b')</script> & $x$ \"q\""
    runs = [make_run("teacher", "teacher"), make_run(label, "student", num_layers=2)]
    report = write(runs, tmp_path, title="<b>title</b>")
    text = read(report, "html")
    assert "<script" not in text
    assert "<b>" not in text
    assert text.count("&lt;script&gt;") >= 4  # headings, tables and plots
    assert "script" not in Page(text).tags
    markdown = read(report, "md")
    assert "<script" not in markdown
    assert {len(row) for row in markdown_table(markdown, "What was kept")} == {9}


def test_a_report_is_the_same_each_time(four_runs, tmp_path):
    first = {kind: read(write(four_runs, tmp_path), kind) for kind in ("md", "html", "json")}
    second = write(list(reversed(four_runs)), tmp_path)
    assert {model.label for model in second.models} == {"teacher", "distilled", *(
        model.label for model in second.models if model.role == "baseline"
    )}  # fmt: skip
    again = write(four_runs, tmp_path)
    assert {kind: read(again, kind) for kind in first} == first


def test_validation_is_reported_where_a_run_has_no_test_score(make_run, tmp_path):
    runs = [make_run("teacher", "teacher"), make_run("s", "student", splits=["validation"])]
    report = write(runs, tmp_path)
    assert report.split == "validation"
    assert any("also chose the best epoch" in note for note in report.notes)


def test_one_seed_is_named_as_such(make_run, tmp_path):
    runs = [
        make_run("teacher", "teacher", seeds=[0]),
        make_run("s", "student", seeds=[0], accuracy=0.6),
    ]
    report = write(runs, tmp_path)
    assert any("Every model: one seed" in note for note in report.notes)
    assert report.comparisons[0].verdict == "behind"
    assert "one seed does not show how much another would move it" in report.comparisons[0].text
    assert "No baseline among these runs" in read(report, "md")


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
    said = "On sst2, the teacher predicts the same for every example: it has learned nothing there"
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


def test_teacher_can_be_named(make_run, tmp_path):
    runs = [make_run("large", "other"), make_run("small", "student", num_layers=4)]
    report = write(runs, tmp_path, teacher="large")
    assert report.teacher == "large"
    assert report.headline.startswith("The student, with 4 layers instead of 6, keeps ")


def test_teacher_can_be_given_by_its_folder_which_counts_before_a_label(
    make_run, tmp_path, monkeypatch
):
    runs = [make_run("large", "other"), make_run("small", "student", num_layers=4)]
    assert write(runs, tmp_path, teacher=str(runs[0])).teacher == "large"
    runs = [runs[0].rename(tmp_path / "small"), runs[1].rename(tmp_path / "large")]
    monkeypatch.chdir(tmp_path)
    assert write(runs, tmp_path, teacher="small/").teacher == "large"
    assert write(runs, tmp_path, teacher="large").teacher == "small"


def test_no_student_makes_a_plain_headline(make_run, tmp_path):
    report = write([make_run("teacher", "teacher")], tmp_path)
    assert re.fullmatch(
        r"“teacher” reaches [\d.]+ accuracy on sst2 \(test, n = 400, standard error [\d.]+ points\)"
        "; no student is among these runs.",
        report.headline,
    )
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
    assert re.fullmatch(
        r"The student, with as many layers as the teacher \(6\), reaches [\d.]+ kappa against the "
        r"teacher's [\d.]+ on sst2 \(test, n = 400\).",
        report.headline,
    )


def test_f1_counts_the_models_second_label(make_run, tmp_path):
    """The labels' alphabetical order is not the model's: label 1 is `equal`."""
    run = make_run("teacher", "teacher", seeds=[0], num_examples=4)
    lines = [
        {"split": "test", "index": i, "label": truth, "prediction": predicted}
        for i, (truth, predicted) in enumerate(
            [("equal", "equal"), ("equal", "other"), ("other", "other"), ("other", "other")]
        )
    ]
    write_lines(run / "seed-0" / "predictions.jsonl", lines)
    (seed,) = json.loads((run / "result.json").read_text())["seeds"]
    seeds = [seed | {"test": {"f1": 2 / 3}, "validation": {"f1": 1.0}}]
    edit_json(run / "result.json", metric="f1", labels=["other", "equal"], seeds=seeds)
    sign_predictions(run)
    assert write([run], tmp_path).models[0].scores.values == (2 / 3,)


def test_distillation_that_has_not_finished_is_named_as_such(four_runs, tmp_path):
    distill = make_distill_run(tmp_path / "distill", finished=False)
    report = write(four_runs, tmp_path, distill_run=distill)
    assert not report.distillation.is_complete
    assert report.distillation.num_tokens == 600 * 4096
    assert "The run has not finished." in read(report, "html")


class TestErrors:
    def test_run_that_has_not_finished(self, four_runs, tmp_path):
        (four_runs[1] / "result.json").unlink()
        expected = rf"{four_runs[1].name} has no result.json: it has not finished"
        with pytest.raises(DataError, match=expected):
            write(four_runs, tmp_path)

    def test_folder_that_is_no_run(self, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match=r"empty has no result\.json: it is not a run folder"):
            write([tmp_path / "empty"], tmp_path)
        with pytest.raises(DataError, match=r"there is no run folder .*absent"):
            write([tmp_path / "absent"], tmp_path)

    def test_run_of_another_recipe(self, four_runs, tmp_path):
        distill = make_distill_run(tmp_path / "distill")
        with pytest.raises(DataError, match="a run of 'distill', not of 'finetune' or 'evaluate'"):
            write([*four_runs, distill], tmp_path)

    def test_result_that_lacks_a_field(self, make_run, tmp_path):
        run = make_run("teacher", "teacher")
        result = json.loads((run / "result.json").read_text())
        del result["num_layers"]
        (run / "result.json").write_text(json.dumps(result))
        with pytest.raises(
            DataError,
            match=r"result\.json is damaged: it lacks num_layers",
        ):
            write([run], tmp_path)

    def test_damaged_result(self, make_run, tmp_path):
        run = make_run("teacher", "teacher")
        (run / "result.json").write_text("{")
        with pytest.raises(DataError, match=r"result\.json is not JSON"):
            write([run], tmp_path)

    def test_runs_of_different_tasks(self, make_run, tmp_path):
        runs = [make_run("teacher", "teacher"), make_run("s", "student", task="snli")]
        with pytest.raises(DataError, match=r"differ in their task: sst2 \(.*\), snli \("):
            write(runs, tmp_path)

    def test_no_teacher(self, make_run, tmp_path):
        with pytest.raises(SettingsError, match=r"role teacher \(there are: a\).*--teacher LABEL"):
            write([make_run("a", "student")], tmp_path)

    def test_two_teachers(self, make_run, tmp_path):
        runs = [make_run("a", "teacher"), make_run("b", "teacher")]
        with pytest.raises(SettingsError, match=r"several runs are teachers \(a, b\)"):
            write(runs, tmp_path)

    def test_unknown_teacher(self, make_run, tmp_path):
        with pytest.raises(SettingsError, match=r"teacher = 'larg'.*Did you mean 'large'\?"):
            write([make_run("large", "other")], tmp_path, teacher="larg")

    def test_no_runs(self, tmp_path):
        with pytest.raises(SettingsError, match="at least one fine-tuning run folder, got none"):
            write([], tmp_path)

    def test_one_label_twice(self, make_run, tmp_path):
        runs = [make_run("teacher", "teacher"), make_run("b", "student")]
        edit_json(runs[1] / "result.json", label="teacher")
        with pytest.raises(DataError, match="several runs are labelled 'teacher'"):
            write(runs, tmp_path)

    def test_predictions_of_differing_length(self, make_run, tmp_path):
        runs = [make_run("teacher", "teacher"), make_run("s", "student", num_examples=300)]
        with pytest.raises(DataError, match="300 predictions against 400"):
            write(runs, tmp_path)

    def test_seeds_of_differing_length(self, make_run, tmp_path):
        run = make_run("teacher", "teacher")
        path = run / "seed-1" / "predictions.jsonl"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
        sign_predictions(run)
        with pytest.raises(DataError, match=r"seed-1 and .*seed-0 .*399 predictions against 400"):
            write([run], tmp_path)

    def test_other_labels(self, make_run, tmp_path):
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

    def test_missing_and_damaged_predictions(self, make_run, tmp_path):
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

    def test_predictions_of_another_run(self, make_run, tmp_path):
        run = make_run("teacher", "teacher")
        seeds = json.loads((run / "result.json").read_text())["seeds"]
        seeds[0]["test"]["accuracy"] = 0.123
        edit_json(run / "result.json", seeds=seeds)
        with pytest.raises(DataError, match=r"result\.json says 0\.123000: the folder mixes two"):
            write([run], tmp_path)

    def test_distillation_without_metrics(self, four_runs, tmp_path):
        (tmp_path / "distill").mkdir()
        with pytest.raises(DataError, match=r"distill has no metrics\.jsonl"):
            write(four_runs, tmp_path, distill_run=tmp_path / "distill")

    def test_no_shared_split(self, make_run, tmp_path):
        runs = [make_run("teacher", "teacher"), make_run("s", "student", splits=["test"])]
        seeds = json.loads((runs[0] / "result.json").read_text())["seeds"]
        edit_json(runs[0] / "result.json", seeds=[{**seed, "test": None} for seed in seeds])
        with pytest.raises(DataError, match="share no scored split: s has no validation score"):
            write(runs, tmp_path)

    def test_measuring_without_data(self, four_runs, tmp_path):
        with pytest.raises(DataError, match=r"run\.json does not say which data.*--no-measure"):
            write(four_runs, tmp_path, measure=measure_runs)


def test_paths_may_be_text(four_runs, tmp_path):
    report = write_report([Path(str(run)) for run in four_runs], out=tmp_path / "new" / "folder")
    assert sorted(path.name for path in report.files["md"].parent.iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]
