"""A report that measures: real tiny models in real run folders."""

import html
import json

import pytest
from report_runs import NAMES, make_labels, write_lines

from limbeck import DataError, DistilBertConfig, DistilBertForSequenceClassification
from limbeck.recipes._tasks.speeds import measure_runs
from limbeck.report import write_report
from limbeck.report.wording import speed_clause
from limbeck.tokenizers import train_wordpiece


@pytest.fixture
def measurable_runs(make_run, tmp_path):
    """Two runs whose models and data are where their folders say."""
    labels = make_labels(seed=1)
    rows = [{"sentence": f"sentence {i} is fine", "label": int(v)} for i, v in enumerate(labels)]
    (tmp_path / "data").mkdir()
    for split in ("train", "validation", "test"):
        write_lines(tmp_path / "data" / f"{split}.jsonl", rows)
    tokenizer = train_wordpiece([r["sentence"] for r in rows], vocab_size=90, min_frequency=1)
    settings = {"task": "sst2", "data": str(tmp_path / "data"), "max_length": 16}
    runs = []
    for label, role, num_layers in (("teacher", "teacher", 4), ("student", "student", 1)):
        run = make_run(label, role, num_layers=num_layers, seeds=[0], settings=settings)
        config = DistilBertConfig(
            vocab_size=tokenizer.vocab_size,
            dim=16,
            hidden_dim=32,
            n_heads=2,
            n_layers=num_layers,
            max_position_embeddings=16,
            id2label=dict(enumerate(NAMES)),
        )
        folder = run / "seed-0" / "model"
        DistilBertForSequenceClassification(config).save_pretrained(folder)
        tokenizer.without_token_types().save_pretrained(folder)
        runs.append(run)
    return runs


@pytest.mark.slow
def test_speed_is_measured_on_the_tasks_texts(measurable_runs, tmp_path):
    report = write_report(measurable_runs, out=tmp_path / "report", measure=measure_runs)
    teacher, student = report.models
    assert teacher.speed.num_texts == student.speed.num_texts == 64
    assert (teacher.speed.max_length, teacher.speed.device) == (16, "cpu")
    assert teacher.speed_up is None
    assert "a quarter of the layers" in report.headline
    assert speed_clause(student.speed_up.latency) in report.headline
    values = json.loads(report.files["json"].read_text())["models"][1]
    assert values["speed_up"]["latency"]["median"] == student.speed_up.latency.median
    assert 3 <= len(values["speed"]["rounds"]) <= 7
    markdown = report.files["md"].read_text()
    assert f"{student.speed_up.latency.median:.2f}× (" in markdown
    assert "measured on cpu" in markdown
    assert "lower quartile" in markdown
    page = html.unescape(report.files["html"].read_text()).replace("\u00a0", " ")
    ratio = student.speed_up.latency
    tile = page.split("the teacher's speed, batch 1", 1)[1].split("</div></div>", 1)[0]
    assert f"quartiles {ratio.lower:.2f} to {ratio.upper:.2f}; median latency " in tile
    assert page.count("median of the ratios") == 1
    assert "latency at batch 1 (ms)" in report.files["html"].read_text()


def test_missing_model_folder_is_named(measurable_runs, tmp_path):
    folder = measurable_runs[1] / "seed-0" / "model"
    folder.rename(folder.with_name("moved"))
    with pytest.raises(DataError, match=r"seed-0/model is missing: the speed of 'student'"):
        write_report(measurable_runs, out=tmp_path / "report", measure=measure_runs)
