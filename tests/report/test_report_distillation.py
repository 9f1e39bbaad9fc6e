"""The page of a distillation by itself."""

import json

import pytest
from report_runs import make_distill_run
from tiny_embeddings import distill, write_rows, write_sentence_model

from limbeck.cli import main
from limbeck.errors import DataError
from limbeck.report import write_distillation_report


def test_a_distillation_has_a_page_of_its_own(tmp_path):
    headline, files = write_distillation_report(
        make_distill_run(tmp_path / "run"), out=tmp_path / "report"
    )
    assert headline == (
        "After 600 steps, the student gets 47.5 % of held-out masked words right, its teacher "
        "56.0 %; it says what the teacher says for 65.3 %."
    )
    page = files["md"].read_text()
    assert "| Figure | Step 0 | End | Teacher | Better is |" in page
    assert "| Masked-LM accuracy | 18.0 % | 47.5 % | 56.0 % | higher |" in page
    assert "| KL to the teacher (nats) | 2.700 | 0.638 | – | lower |" in page
    assert "teach next to nothing" not in page
    assert files["html"].read_text().count("<svg") >= 3
    values = json.loads(files["json"].read_text())
    assert (values["headline"], values["num_steps"]) == (headline, 600)


def test_a_teacher_that_knows_no_words_is_told(tmp_path):
    run = make_distill_run(tmp_path / "run", finished=False)
    path = run / "metrics.jsonl"
    text = path.read_text().replace('"teacher_mlm_accuracy": 0.56', '"teacher_mlm_accuracy": 0.08')
    path.write_text(text)
    headline, files = write_distillation_report(run, out=tmp_path / "report")
    assert headline.startswith("After 600 steps, not finished, ")
    said = "The teacher gets 8.0 % of the masked words right"
    assert said in files["md"].read_text()
    assert "limbeck pretrain model=TEACHER new_head=true freeze_body=true" in (
        files["html"].read_text()
    )


def test_the_command_needs_no_other_run(tmp_path, capsys):
    run, out = make_distill_run(tmp_path / "run"), tmp_path / "report"
    assert main(["report", "--distill-run", str(run), "--out", str(out), "--title", "Mine"]) == 0
    assert "After 600 steps" in capsys.readouterr().err
    assert (out / "report.md").read_text().startswith("# Mine\n")
    assert main(["report", "--out", str(out)]) == 2
    assert "or --distill-run with that of a distillation" in capsys.readouterr().err


def test_a_folder_without_metrics_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(DataError, match=r"run has no metrics\.jsonl with at least one line"):
        write_distillation_report(tmp_path / "run", out=tmp_path / "report")


def test_a_distillation_of_vectors_has_one_too(tmp_path):
    teacher = write_sentence_model(tmp_path / "teacher")
    texts = write_rows(tmp_path / "texts.jsonl", 60)
    result = distill(teacher, texts, tmp_path / "run", epochs=2, evaluations_per_epoch=2)
    after = result.held_out_after
    headline, files = write_distillation_report(tmp_path / "run", out=tmp_path / "report")
    assert headline.startswith("After 14 steps, the student orders held-out texts as its")
    assert f"Spearman correlation of {after['similarity_spearman']:.3f}, before" in headline
    page = files["md"].read_text()
    assert f"| {after['cosine']:.3f} | – | higher |" in page
    assert f"| {after['distance']:.3f} | – | lower |" in page
    assert "The distillation of vectors" in page
    assert "limbeck evaluate, with task=sts" in page
    assert files["html"].read_text().count("<svg") >= 2
