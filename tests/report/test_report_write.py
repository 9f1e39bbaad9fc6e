"""Report files: the same figures in each, the same bytes each time, a page that loads nothing."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

from report_runs import edit_json, make_distill_run, read, sign_predictions, write, write_lines

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
    constant = quality.pop()
    assert constant["Model"] == f"Always “{values['constant']['answer']}”"
    assert constant["Accuracy, mean"] == points(values["constant"]["score"])
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


def test_teacher_can_be_named(make_run, tmp_path):
    runs = [make_run("large", "other"), make_run("small", "student", num_layers=4)]
    report = write(runs, tmp_path, teacher="large")
    assert report.teacher == "large"
    assert "4 layers instead of 6" in report.headline


def test_teacher_can_be_given_by_its_folder_which_counts_before_a_label(
    make_run, tmp_path, monkeypatch
):
    runs = [make_run("large", "other"), make_run("small", "student", num_layers=4)]
    assert write(runs, tmp_path, teacher=str(runs[0])).teacher == "large"
    runs = [runs[0].rename(tmp_path / "small"), runs[1].rename(tmp_path / "large")]
    monkeypatch.chdir(tmp_path)
    assert write(runs, tmp_path, teacher="small/").teacher == "large"
    assert write(runs, tmp_path, teacher="large").teacher == "small"


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


def test_paths_may_be_text(four_runs, tmp_path):
    report = write_report([Path(str(run)) for run in four_runs], out=tmp_path / "new" / "folder")
    assert sorted(path.name for path in report.files["md"].parent.iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]
