"""Distilling sentence encoders: what is learned, at which widths, from whom; resumed exactly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign_teacher import write_foreign
from scipy.stats import spearmanr
from tiny_embeddings import (
    distill,
    make_settings,
    weights_of,
    write_pairs,
    write_rows,
    write_sentence_model,
)
from tiny_task import Lines, read_lines, write_model

from limbeck.errors import CheckpointError, SettingsError
from limbeck.models import PoolingConfig, SentenceModel
from limbeck.recipes.distill_embeddings import plan, summarise
from limbeck.recipes.distill_embeddings.targets import Targets, fit_pca
from limbeck.report import write_distillation_report
from limbeck.runs import DistillEmbeddingsRecord
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import read_metrics

BETWEEN_TEXTS = {"similarity_matrix": {"group_size": 4, "weight": 3.0}, "pooled_mse": {}}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_sentence_model(tmp_path_factory.mktemp("models") / "teacher")


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A teacher of another width, whose vectors go through a dense layer."""
    folder = tmp_path_factory.mktemp("models") / "wide"
    return write_sentence_model(folder, hidden_size=24, dense=20)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("texts") / "texts.jsonl", 90)


def vectors_of(folder, texts):
    model, tokenizer = SentenceModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return torch.cat([model(torch.tensor([tokenizer(text)["input_ids"]])) for text in texts])


def means_of(out, term):
    """The mean of a term over the first five steps and over the last five."""
    found = [m.values[f"loss_{term}"] for m in read_metrics(out) if m.kind == "train"]
    return np.mean(found[:5]), np.mean(found[-5:])


def assert_same_weights(one, other, **close):
    one, other = weights_of(one), weights_of(other)
    assert one.keys() == other.keys()
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, msg=name, **close)


@pytest.mark.slow
def test_a_student_of_the_teachers_layers_learns_its_vectors(teacher, texts, tmp_path):
    result = distill(teacher, texts, tmp_path / "run", epochs=6)
    assert (result.num_layers, result.teacher_num_layers, result.width) == (2, 4, 16)
    assert (result.num_rows, result.num_held_out, result.num_steps) == (81, 9, 66)
    assert result.held_out_after["cosine"] > result.held_out_before["cosine"]
    assert result.held_out_after["distance"] < 0.5 * result.held_out_before["distance"]
    # By hand, with the folders that are on disk.
    lines = [row["text"] for row in read_lines(Path(texts))]
    order = np.random.default_rng(0).permutation(90)
    held_out = [lines[i] for i in sorted(order[:9])]
    ours, theirs = vectors_of(result.model, held_out), vectors_of(teacher, held_out)
    cosine = torch.nn.functional.cosine_similarity(ours, theirs).mean()
    assert result.held_out_after["cosine"] == pytest.approx(cosine.item(), abs=1e-5)
    pairs = np.triu_indices(9, k=1)
    expected = spearmanr((ours @ ours.T)[pairs], (theirs @ theirs.T)[pairs]).statistic
    assert result.held_out_after["similarity_spearman"] == pytest.approx(expected, abs=1e-6)


def test_sentence_transformers_gives_the_students_vectors(teacher, texts, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    result = distill(teacher, texts, tmp_path / "run", max_steps=2)
    sentences = ["the film is great", "a dull story about rain"]
    expected = library.SentenceTransformer(result.model, device="cpu").encode(sentences)
    np.testing.assert_allclose(vectors_of(result.model, sentences), expected, atol=1e-6)


@pytest.mark.parametrize(
    "losses", [{"pooled_mse": {}}, BETWEEN_TEXTS, {"similarity_kl": {"group_size": 2}}]
)
def test_a_divided_step_is_the_whole_step(losses, teacher, texts, tmp_path):
    for accumulate in (1, 2):
        distill(
            teacher,
            texts,
            tmp_path / str(accumulate),
            losses=losses,
            accumulate=accumulate,
            teacher_cache=tmp_path / "cache",
            learning_rate=1e-4,
            max_steps=4,
        )
    assert_same_weights(tmp_path / "1", tmp_path / "2", rtol=0, atol=1e-5)
    terms = [
        [line.values["loss"] for line in read_metrics(tmp_path / name) if line.kind == "train"]
        for name in ("1", "2")
    ]
    np.testing.assert_allclose(*terms, rtol=1e-5)


def test_a_stopped_run_ends_with_the_same_bits(wide, texts, tmp_path):
    """With a projection that is learned, and so has a state of its own, and validation's best."""
    student = write_sentence_model(tmp_path / "student", num_hidden_layers=1, dropout=0.1)
    values = {
        "student": student,
        "projection": "learned",
        "losses": BETWEEN_TEXTS,
        "validation": write_pairs(tmp_path / "pairs.jsonl"),
        "dropout": True,
        "max_steps": 14,
        "evaluations_per_epoch": 3,
        "save_every": 3,
    }
    whole = distill(wide, texts, tmp_path / "whole", **values)
    with pytest.raises(KeyboardInterrupt):
        distill(wide, texts, tmp_path / "run", progress=Lines("step 8: "), **values)
    lines = Lines()
    result = distill(wide, texts, tmp_path / "run", progress=lines, **values)
    assert any("going on after step" in line for line in lines.lines)
    assert_same_weights(tmp_path / "whole", tmp_path / "run", rtol=0, atol=0)
    assert result.validation_after == whole.validation_after
    assert result.best_step == whole.best_step


def test_a_finished_run_keeps_no_checkpoints(teacher, texts, tmp_path):
    """Those that a kill left beside the record go at the next start."""
    out, values = tmp_path / "run", {"max_steps": 4, "save_every": 2}
    with pytest.raises(KeyboardInterrupt):
        distill(teacher, texts, out, progress=Lines("step 4: "), **values)
    assert any((out / "checkpoints").iterdir())
    kept = shutil.copytree(out / "checkpoints", tmp_path / "kept")
    result = distill(teacher, texts, out, **values)
    assert not (out / "checkpoints").exists()
    shutil.copytree(kept, out / "checkpoints")
    assert distill(teacher, texts, out, **values) == result
    assert not (out / "checkpoints").exists()


def test_a_model_that_was_changed_is_distilled_again(teacher, texts, tmp_path):
    out = tmp_path / "run"
    first = distill(teacher, texts, out, max_steps=2)
    (out / "model/config.json").write_text("{}")
    with pytest.raises(
        CheckpointError, match=r"put it back, or remove .*result\.json, and the sam"
    ):
        distill(teacher, texts, out, max_steps=2)
    (out / "result.json").unlink()
    again = distill(teacher, texts, out, max_steps=2)
    assert again.model_files == first.model_files
    assert again.held_out_after == first.held_out_after
    steps = [line.step for line in read_metrics(out) if line.kind == "train"]
    assert steps == [1, 2]


def test_the_teacher_is_asked_once(teacher, texts, tmp_path):
    """A copy of it without weights teaches from the cache; a damaged shard needs it again."""
    first = distill(teacher, texts, tmp_path / "a", teacher_cache=tmp_path / "cache", max_steps=3)
    student = str(tmp_path / "a/model")
    (shard,) = tmp_path.glob("cache/*/vectors-*.safetensors")
    written = shard.stat().st_mtime_ns
    again = distill(teacher, texts, tmp_path / "b", teacher_cache=tmp_path / "cache", max_steps=3)
    assert shard.stat().st_mtime_ns == written
    assert again.held_out_after == first.held_out_after
    shard.write_bytes(shard.read_bytes()[:-4] + b"\0\0\0\0")
    lines = Lines()
    last = distill(
        teacher,
        texts,
        tmp_path / "c",
        teacher_cache=tmp_path / "cache",
        max_steps=3,
        progress=lines,
    )
    assert any("its vectors are computed again" in line for line in lines.lines)
    assert last.held_out_after == first.held_out_after
    assert student


def test_a_finished_run_is_not_made_again(teacher, texts, tmp_path):
    first = distill(teacher, texts, tmp_path / "run", max_steps=2)
    lines = Lines()
    assert distill(teacher, texts, tmp_path / "run", max_steps=2, progress=lines) == first
    assert "already complete" in lines.lines[-1]
    assert DistillEmbeddingsRecord.read(tmp_path / "run") == first


@pytest.mark.parametrize(
    ("projection", "width"), [(None, 16), ("pca", 16), ("dense", 20), ("learned", 16)]
)
def test_widths_that_differ(projection, width, wide, texts, tmp_path):
    """Another width, another family and fewer words in the vocabulary."""
    student = write_sentence_model(
        tmp_path / "student", model_type="distilbert", num_hidden_layers=1
    )
    result = distill(
        wide, texts, tmp_path / "run", student=student, projection=projection, epochs=4
    )
    assert result.projection == (projection or "pca")
    assert result.width == width
    assert vectors_of(result.model, ["the film"]).shape == (1, width)
    assert ("cosine" in result.held_out_after) == (projection != "learned")
    first, last = means_of(tmp_path / "run", "pooled_mse")
    assert last < 0.9 * first


def test_a_teacher_that_transformers_runs_teaches_a_student_of_ours(texts, tmp_path):
    pytest.importorskip("transformers")
    teacher = write_foreign(tmp_path / "teacher", auto="AutoModel", steps=0)
    given = {"student": write_sentence_model(tmp_path / "student", num_hidden_layers=1)}
    result = distill(teacher, texts, tmp_path / "run", epochs=4, normalize=True, **given)
    assert result.teacher_adapter.name == "transformers"
    assert result.held_out_after["cosine"] > result.held_out_before["cosine"]
    with pytest.raises(SettingsError, match=r"transformers alone can run.*give student=MODEL"):
        distill(teacher, texts, tmp_path / "other")
    with pytest.raises(SettingsError, match=r"student = .* can't be trained here; accepted: a mod"):
        distill(teacher, texts, tmp_path / "other", student=teacher)


def test_pca_keeps_the_products_of_vectors_best():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(50, 6, generator=generator) * torch.tensor([5.0, 4, 3, 1, 0.1, 0.1])
    turn = fit_pca(vectors, 3)
    torch.testing.assert_close(turn.T @ turn, torch.eye(3), atol=1e-5, rtol=0)
    # The best of rank 3, by the singular values that are left out.
    left_out = np.linalg.svd(vectors.double().numpy(), compute_uv=False)[3:]
    error = vectors - vectors @ turn @ turn.T
    assert error.double().norm().item() == pytest.approx(np.linalg.norm(left_out), rel=1e-5)


@pytest.mark.slow
def test_widths_to_cut_at_are_learned(teacher, texts, tmp_path):
    values = {"losses": {"similarity_matrix": {"group_size": 8}}, "epochs": 5}
    result = distill(
        teacher,
        texts,
        tmp_path / "run",
        matryoshka_dims=[16, 4],
        matryoshka_weights=[1, 0.5],
        **values,
    )
    first, last = means_of(tmp_path / "run", "similarity_matrix_4")
    assert last < first
    first = next(m for m in read_metrics(tmp_path / "run") if m.kind == "train")
    total = first.values["loss_similarity_matrix"] + 0.5 * first.values["loss_similarity_matrix_4"]
    assert first.values["loss"] == pytest.approx(total, rel=1e-6)
    assert result.width == 16


def test_words_before_a_text_and_cuts_are_the_teachers(texts, tmp_path):
    """The student reads and cuts as its teacher does, and says so in its folder."""
    habits = {"prompts": {"query": "the film "}, "default_prompt_name": "query", "truncate_dim": 8}
    teacher = write_sentence_model(tmp_path / "teacher", max_seq_length=8, **habits)
    given = {"layers": [0, 1, 2, 3], "max_length": 8, "max_steps": 1}
    result = distill(teacher, texts, tmp_path / "run", **given)
    assert (result.teacher_width, result.width, result.projection) == (8, 8, None)
    # All of its layers are the teacher itself.
    assert result.held_out_before["cosine"] == pytest.approx(1, abs=1e-6)
    config = SentenceModel.from_pretrained(result.model).config
    assert {name: getattr(config, name) for name in habits} == habits


def test_validation_reads_texts_as_the_student_does(texts, tmp_path):
    """Its prompt before both sentences, in small letters."""
    habits = {"prompts": {"it": "The FILM "}, "default_prompt_name": "it", "do_lower_case": True}
    teacher = write_sentence_model(tmp_path / "teacher", **habits)
    pairs = write_pairs(tmp_path / "pairs.jsonl")
    result = distill(teacher, texts, tmp_path / "run", max_steps=1, validation=pairs)
    rows = read_lines(Path(pairs))
    sides = [["the film " + row[f"sentence{n}"].lower() for row in rows] for n in (1, 2)]
    for model, found in (
        (result.model, result.validation_after),
        (teacher, result.validation_teacher),
    ):
        first, second = (vectors_of(model, side) for side in sides)
        cosines = torch.nn.functional.cosine_similarity(first, second)
        expected = spearmanr(cosines, [row["label"] for row in rows]).statistic
        assert found == {"spearman": pytest.approx(expected, abs=1e-6)}
    of_teacher = f"{result.validation_teacher['spearman']:.4f}"
    assert f"{result.validation_after['spearman']:>8.4f} {of_teacher:>8}" in summarise(result)
    assert of_teacher in (Path(result.model) / "README.md").read_text()
    _, files = write_distillation_report(tmp_path / "run", out=tmp_path / "report")
    shown = f"{result.validation_teacher['spearman']:.3f} | higher |"
    assert shown in files["md"].read_text()


def test_a_dense_layer_takes_the_whole_vector_of_a_student_that_was_cut(wide, texts, tmp_path):
    pooling = PoolingConfig(include_prompt=False)
    student = write_sentence_model(tmp_path / "student", truncate_dim=6, pooling=pooling)
    given = {"student": student, "projection": "dense", "max_steps": 1, "pooling": "max"}
    result = distill(wide, texts, tmp_path / "run", **given)
    config = SentenceModel.from_pretrained(result.model).config
    assert (config.truncate_dim, config.width) == (None, 20)
    assert config.pooling == PoolingConfig(modes=("max",), include_prompt=False)


@pytest.mark.parametrize("is_unit", [True, False])
def test_what_a_text_is_to_learn_does_not_hang_on_others_in_its_batch(is_unit):
    """Not even where one alone happens to be one long."""
    vectors = torch.tensor([[0.6, 0.8, 0.0], [3.0, 0.0, 4.0]])
    vectors = torch.nn.functional.normalize(vectors, dim=-1) if is_unit else vectors
    targets = Targets(
        vectors=None,
        places=np.zeros(0, dtype=np.int64),
        reduce=torch.eye(3)[:, :2],
        is_unit=is_unit,
        is_parallel=False,
        scores=None,
    )
    together = targets.narrow(vectors)
    torch.testing.assert_close(torch.cat([targets.narrow(one[None]) for one in vectors]), together)
    expected = [[0.6, 0.8], [1.0, 0.0]] if is_unit else [[0.6, 0.8], [3.0, 0.0]]
    torch.testing.assert_close(together, torch.tensor(expected))


def test_a_student_of_short_texts_still_reads_as_much_as_its_teacher(texts, tmp_path):
    # A student taught by sentences read passages to half of their length only.
    teacher = write_sentence_model(tmp_path / "teacher", max_seq_length=24)
    result = distill(teacher, texts, tmp_path / "run", max_length=16, max_steps=1)
    assert SentenceModel.from_pretrained(result.model).config.max_seq_length == 24


def test_translations_learn_the_vector_of_the_source(teacher, tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl", 60, columns=("source", "translation"))
    result = distill(teacher, rows, tmp_path / "run", rows="parallel", epochs=4)
    assert result.held_out_after["cosine"] > result.held_out_before["cosine"]
    index = json.loads(next((tmp_path / "run/teacher").glob("*/index.json")).read_text())
    assert index["num_rows"] == 60  # of 120 texts


@pytest.mark.parametrize(
    ("rows", "columns", "loss"),
    [
        ("pairs", ("sentence1", "sentence2"), "score_mse"),
        ("triples", ("query", "positive", "negative"), "margin_mse"),
    ],
)
def test_a_cross_encoder_teaches_scores(rows, columns, loss, tmp_path):
    teacher = write_model(tmp_path / "teacher", head=["score"], num_hidden_layers=1)
    student = write_sentence_model(tmp_path / "student", num_hidden_layers=1)
    texts = write_rows(tmp_path / "rows.jsonl", 60, columns=columns)
    result = distill(teacher, texts, tmp_path / "run", student=student, rows=rows, epochs=6)
    first, last = means_of(tmp_path / "run", loss)
    assert last < first
    assert (result.teacher_gives, result.teacher_width) == ("scores", None)
    assert "score_spearman" in result.held_out_after


def test_the_dry_run_says_what_is_done(teacher, texts, tmp_path):
    settings = make_settings(teacher, texts, tmp_path / "run", epochs=2)
    said = plan(settings)
    assert not (tmp_path / "run").exists()
    result = distill(teacher, texts, tmp_path / "run", epochs=2)
    assert said["max_steps"] == result.num_steps
    assert said["num_rows"] == result.num_rows
    assert said["student_num_parameters"] == result.num_parameters


def test_a_folder_that_was_moved_is_gone_on_with(teacher, texts, tmp_path):
    distill(teacher, texts, tmp_path / "run", max_steps=2)
    shutil.move(tmp_path / "run", tmp_path / "moved")
    result = distill(teacher, texts, tmp_path / "moved", max_steps=2)
    assert result.model == str(tmp_path / "moved/model")


def test_two_held_out_texts_have_no_order(tmp_path):
    teacher = write_sentence_model(tmp_path / "teacher")
    texts = write_rows(tmp_path / "texts.jsonl", 20)
    result = distill(teacher, texts, tmp_path / "run", max_steps=1)
    assert result.num_held_out == 2
    assert result.held_out_after.keys() == {"cosine", "distance"}


@pytest.mark.parametrize("dense", [None, 12])
def test_a_student_of_a_new_shape_is_narrower(dense, tmp_path):
    teacher = write_sentence_model(tmp_path / "teacher", dense=dense)
    texts = write_rows(tmp_path / "texts.jsonl", 30)
    shape = {"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2}
    start = [{"method": "new_shape", "intermediate_size": 16, **shape}]
    result = distill(teacher, texts, tmp_path / "run", start=start, max_steps=1)
    assert (result.width, result.projection, result.num_layers) == (8, "pca", 1)
    assert SentenceModel.from_pretrained(result.model).config.hidden_size == 8
