"""Compression: the smallest student that is enough, and what is written about it."""

import html
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from contextlib import suppress
from pathlib import Path
from statistics import median

import pytest
import torch
from huggingface_hub import ModelCard
from tiny_compress import FAST, make_settings
from tiny_task import make_rows, write_data, write_model

from limbeck.checkpoints import read_safetensors
from limbeck.errors import ContractError, DataError
from limbeck.models import AutoModelForSequenceClassification
from limbeck.recipes._tasks.folders import share_folder, unshare_folder
from limbeck.recipes.compress import CompressSettings, plan, run, summarise
from limbeck.recipes.finetune import FinetuneSettings
from limbeck.recipes.finetune import run as finetune
from limbeck.runs import CompressRecord, FinetuneRecord
from limbeck.train import SilentProgress


def test_the_smallest_that_is_enough_is_chosen(finished_compression):
    settings, result = finished_compression
    assert [model.name for model in result.models] == ["teacher", "2 layers", "1 layer"]
    own, *students = result.models
    for student in students:
        assert student.score == median(student.scores)
        assert student.retained == student.score / own.score
        assert student.reached == (student.score >= 0.8 * own.score)
        assert student.retained_interval[0] <= student.retained_interval[1]
        assert student.latency_ms > 0
    enough = [student for student in students if student.reached]
    smallest = min(enough, key=lambda student: student.num_parameters)
    assert result.reached is True
    assert result.chosen == smallest.name
    model = AutoModelForSequenceClassification.from_pretrained(result.model)
    assert model.config.num_hidden_layers == smallest.num_layers
    assert model.num_parameters == smallest.num_parameters < own.num_parameters
    theirs = read_safetensors(f"{smallest.folder}/model/model.safetensors")
    ours = read_safetensors(settings.out / "model/model.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert CompressRecord.read(settings.out) == result
    # Both students learned from one pass of the teacher.
    (shard,) = (settings.out / "teacher/cache").glob("*/*.safetensors")
    assert len(read_safetensors(shard)["shapes"]) == 64


def test_what_is_written_says_it_all(finished_compression):
    settings, result = finished_compression
    shown = summarise(result)
    assert result.headline in shown
    assert re.search(r"^2 layers +2 +[\d.]+ k +0\.\d\d MB +[\d.]+ +[\d.]+ % +yes ", shown, re.M)
    assert "On test (n = 16)" in shown
    chosen = next(model for model in result.models if model.name == result.chosen)
    low, high = (f"{100 * end:.1f}" for end in chosen.retained_interval)
    ends = f"95 % interval {low} to {high}"
    if chosen.retained_interval == (1, 1):
        ends = r"no example differs, and up to 12\.5 % of others may"  # 3 of 24
    for kind in ("md", "html"):
        text = (settings.out / f"compress.{kind}").read_text(encoding="utf-8")
        text = text.replace("\u00a0", " ")
        assert re.search(
            r"keeps 80 % of the teacher's accuracy on sst2 "
            rf"\(validation, n = {result.num_examples}\): it keeps [\d.]+ % "
            rf"\({ends}\), has [\d.]+ k parameters instead of [\d.]+ k",
            html.unescape(text),
        )
        assert "flatters the choice" in text
        assert all(model.name in text for model in result.models)
    assert "the leftmost is chosen" in text
    assert not re.search(r"(src|href)=.(?!#)", text)  # the page loads nothing
    drawing = (settings.out / "compress.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in drawing


def test_the_card_has_the_proof(finished_compression):
    settings, result = finished_compression
    card = ModelCard.load(settings.out / "model/README.md")
    chosen = next(model for model in result.models if model.name == result.chosen)
    found = {(r.dataset_split, r.metric_type): r.metric_value for r in card.data.eval_results}
    assert found["validation", "accuracy"] == round(max(chosen.scores), 6)
    assert f"| Retained on validation | {chosen.retained:.4f} |" in card.text
    assert "| Latency at batch 1 |" in card.text
    assert str(settings.out) not in card.content


def test_every_fine_tuned_model_has_a_card(finished_compression):
    result = finished_compression[1]
    student = Path(result.models[1].folder)
    for seed, score in enumerate(result.models[1].scores):
        card = ModelCard.load(student / f"seed-{seed}/model/README.md")
        first = card.data.eval_results[0]
        assert (first.metric_name, first.metric_value) == ("accuracy", round(score, 6))
        assert f"| Seed | {seed} |" in card.text
        assert "distilled from run" in card.text
        assert "| Layers kept | 2 (keep_layers = 2) |" in card.text
        assert "| Losses | soft_targets |" in card.text
    both = ModelCard.load(student / "model/README.md").text
    scores = result.models[1].scores
    assert f"| 2 | {median(scores):.4f} | {min(scores):.4f} to {max(scores):.4f} |" in both


def test_a_card_that_somebody_wrote_stays(finished_compression, tmp_path):
    source = Path(finished_compression[1].models[1].folder, "model")
    written = (source / "README.md").read_text()
    share_folder(source, tmp_path / "model")
    assert (tmp_path / "model/README.md").read_text() == written
    (tmp_path / "model/README.md").unlink()
    (tmp_path / "model/README.md").write_text("# My model\n")
    share_folder(source, tmp_path / "model")
    assert (tmp_path / "model/README.md").read_text() == "# My model\n"
    assert (source / "README.md").read_text() == written


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_somebody_put_beside_a_shared_model_stays(finished_compression, tmp_path):
    source = tmp_path / "seed"
    shutil.copytree(Path(finished_compression[1].models[1].folder, "model"), source)
    (source / ".model.safetensors.0a1b2c3d.tmp").write_text("of a killed process")
    target = tmp_path / "model"
    share_folder(source, target)
    assert names_in(target) == [name for name in names_in(source) if not name.startswith(".")]
    (target / "onnx").mkdir()
    (target / "onnx/model.onnx").write_text("mine")
    (target / "notes.txt").write_text("mine too")
    (target / "vocab.model").write_text("of a tokenizer that was there before")
    share_folder(source, target)
    assert (target / "onnx/model.onnx").read_text() == "mine"
    assert (target / "notes.txt").read_text() == "mine too"
    assert not (target / "vocab.model").exists()
    unshare_folder(target)
    assert names_in(target) == ["notes.txt", "onnx"]
    share_folder(source, tmp_path / "other")
    unshare_folder(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_chosen_model_remembers_its_task(finished_compression):
    settings, _ = finished_compression
    memory = json.loads((settings.out / "model/limbeck.json").read_text(encoding="utf-8"))
    assert memory == {
        "task": "sst2",
        "task_options": {},
        "max_length": settings.max_length,
        "label": "1 layer",
    }


def test_a_given_student_gets_a_new_head(deep_teacher, data, tmp_path):
    student = write_model(tmp_path / "general", num_hidden_layers=1)
    settings = make_settings(deep_teacher, data, tmp_path / "run", student=student, retain=0.3)
    described = plan(settings)
    assert described["students"] == {"general": "general with a new head, distilled on the task"}
    assert described["num_train_examples"] == 64
    assert not (tmp_path / "run").exists()
    with suppress(ContractError):  # in so few steps it hardly looks at its input
        run(settings, progress=SilentProgress())
    result = CompressRecord.read(tmp_path / "run")
    assert [model.name for model in result.models] == ["teacher", "general"]
    both = plan(settings.model_copy(update={"depths": (2,)}))
    assert list(both["students"]) == ["general", "2 layers"]


def test_numbers_are_compressed_too(tmp_path):
    (tmp_path / "data").mkdir()
    for seed, (split, count) in enumerate({"train": 64, "validation": 24}.items()):
        rows = [
            {"text": row["sentence"], "label": row["label"] + 0.1 * len(row["sentence"].split())}
            for row in make_rows(count, seed=seed)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"data/{split}.jsonl").write_text(lines)
    task = {"task": "text-regression", "data": str(tmp_path / "data"), "epochs": 6, **FAST}
    model = write_model(tmp_path / "encoder")
    finetune(FinetuneSettings(model=model, out=tmp_path / "run", **task), progress=SilentProgress())
    settings = CompressSettings(
        model=str(tmp_path / "run/model"), out=tmp_path / "smaller", retain=0.5, **task
    )
    result = run(settings, progress=SilentProgress())
    assert (result.chosen, result.metric) == ("1 layer", "pearson_spearman")
    assert result.on_test is None
    assert result.models[1].retained_interval is not None
    text = (tmp_path / "smaller/compress.md").read_text(encoding="utf-8")
    assert "Mean of Pearson and Spearman correlation, median" in text


def test_students_learn_from_unlabelled_text_too(deep_teacher, data, tmp_path):
    files = {split: f"{data}/{split}.jsonl" for split in ("train", "validation")}
    files["transfer"] = str(tmp_path / "more.jsonl")
    rows = [{"sentence": row["sentence"]} for row in make_rows(40, seed=5)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    Path(files["transfer"]).write_text(lines, encoding="utf-8")
    settings = make_settings(
        deep_teacher, files, tmp_path / "run", depths=(1,), epochs=1, retain=0.1
    )
    result = run(settings, progress=SilentProgress())
    student = FinetuneRecord.read(Path(result.models[1].folder))
    assert student.seeds[0].num_steps == (64 + 40) // 8


def test_a_teacher_that_says_always_the_same_is_refused(data, tmp_path):
    """Any student of it keeps all, by saying the same."""
    model = write_model(tmp_path / "stuck", head=["NEGATIVE", "POSITIVE"], initializer_range=1e-4)
    settings = make_settings(
        model, data, tmp_path / "run", depths=(1,), retain=0.5, learning_rate=1e-9, epochs=1
    )
    said = r"stuck predicts “\w+” for 24 of 24 examples on validation .*there is nothing to keep; "
    with pytest.raises(DataError, match=said + "accepted: a model that tells its examples apart"):
        run(settings, progress=SilentProgress())
    assert not (tmp_path / "run/students").exists()


def test_a_teacher_no_better_than_one_answer_is_refused(deep_teacher, tmp_path):
    """It tells its examples apart, wrongly."""
    data = write_data(tmp_path / "data", test=0)
    path = tmp_path / "data/validation.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps(row | {"label": i % 2}) + "\n" for i, row in enumerate(rows)]
    path.write_text("".join(lines), encoding="utf-8")
    settings = make_settings(
        deep_teacher,
        data,
        tmp_path / "run",
        depths=(1,),
        retain=0.5,
        task_options={"metric": "f1"},
    )
    with pytest.raises(
        DataError, match=r"has f1 0\.\d+ on validation, where the one answer “.*” has"
    ):
        run(settings, progress=SilentProgress())


def test_a_student_that_says_always_the_same_keeps_nothing(deep_teacher, data, tmp_path):
    settings = make_settings(
        deep_teacher,
        data,
        tmp_path / "run",
        depths=(1,),
        retain=0.5,
        epochs=0.1,
        learning_rate=1e-7,
    )
    with pytest.raises(ContractError, match=r"Always “NEGATIVE” scores .* for 24 of 24 examples"):
        run(settings, progress=SilentProgress())
    (_, student) = CompressRecord.read(tmp_path / "run").models
    assert student.score > 0.5
    assert (student.retained, student.reached) == (None, False)


def test_a_teacher_whose_score_may_be_0_is_named(deep_teacher, tmp_path):
    data = write_data(tmp_path / "data", test=0)
    path = tmp_path / "data/validation.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for same in [[row for row in rows if row["label"] == label] for label in (0, 1)]:
        for row in same[: len(same) * 2 // 5]:
            row["label"] = 1 - row["label"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = make_settings(
        deep_teacher,
        data,
        tmp_path / "run",
        depths=(1,),
        retain=0.01,
        task="cola",
        task_options={"labels": ["NEGATIVE", "POSITIVE"]},
    )
    with suppress(ContractError):
        run(settings, progress=SilentProgress())
    result = CompressRecord.read(tmp_path / "run")
    assert result.metric == "matthews_correlation"
    assert 0 < result.models[0].score < 0.3
    assert result.models[1].retained_interval is None
    text = (tmp_path / "run/compress.md").read_text(encoding="utf-8")
    assert "teacher is not shown to do better" in text.split("## ")[0]
    assert result.models[1].retained is None
