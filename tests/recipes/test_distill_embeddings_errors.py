"""What `distill-embeddings` refuses, each before a folder is begun, and what it says."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_embeddings import distill, write_pairs, write_rows, write_sentence_model
from tiny_task import write_model

from limbeck.checkpoints import read_safetensors, write_safetensors
from limbeck.errors import CheckpointError, DataError, SettingsError
from limbeck.models import PoolingConfig

MATRIX = {"similarity_matrix": {"group_size": 4}}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_sentence_model(tmp_path_factory.mktemp("models") / "teacher")


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    return write_sentence_model(tmp_path_factory.mktemp("models") / "wide", hidden_size=24)


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "cross", head=["score"])


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("texts") / "texts.jsonl", 40)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"losses": {"soft_targets": {}}},
            r"losses\.soft_targets compares logits.*accepted: pooled_mse, pooled_cosine",
        ),
        (
            {"losses": {"score_mse": {}}},
            r"losses\.score_mse.*2 texts a row, but rows = 'texts' has 1; .*'pairs' or 'triples'",
        ),
        (
            {"losses": {"margin_mse": {}}, "rows": "pairs"},
            r"margin_mse.*3 texts a row, but rows = 'pairs' has 2; accepted: rows = 'triples'",
        ),
        (
            {"losses": {"score_mse": {}}, "rows": "parallel"},
            r"score_mse compares scores, but .*'parallel' has translations.*'pairs' or 'triples'",
        ),
        (
            {"losses": {"margin_mse": {}}, "rows": "parallel", "columns": ["a", "b", "c"]},
            r"margin_mse compares scores, but .*translations.*rows = 'triples'",
        ),
        ({"columns": ["text", "text"]}, r"columns.*give each column once"),
        (
            {"losses": MATRIX, "matryoshka_dims": [8], "matryoshka_weights": [float("inf")]},
            r"matryoshka_weights\[0\] = inf.*a finite number",
        ),
        (
            {"losses": MATRIX, "accumulate": 3},
            r"accumulate = 3 .*batch_size = 8 rows.*groups of 4, .*accepted: accumulate = 1 to 2",
        ),
        (
            {"losses": {"similarity_kl": {}}},
            r"batch_size = 8, but losses\.similarity_kl compares groups of 32 rows; .*= 32 or more",
        ),
        ({"projection": "pca"}, r"projection = 'pca', but both models' vectors have 16 numbers"),
        (
            {"projection": "dense", "losses": MATRIX},
            r"projection = 'dense' .*similarity_matrix compare none with the teacher's; leave it",
        ),
        (
            {"matryoshka_dims": [32, 8], "losses": MATRIX},
            r"matryoshka_dims = \[32, 8\]: the student's vectors have 16 .*accepted: 1 to 16",
        ),
        (
            {"matryoshka_dims": [8]},
            r"matryoshka_dims = \[8\], but pooled_mse compare.*losses\.similarity_matrix\.weight=1",
        ),
        ({"matryoshka_dims": [8, 8]}, r"matryoshka_dims.*each width once"),
        (
            {"matryoshka_dims": [8, 4], "matryoshka_weights": [1]},
            r"matryoshka_weights are 1, but matryoshka_dims = \[8, 4\] are 2; give one for each",
        ),
        (
            {"rows": "triples", "columns": ["a", "b"]},
            r"columns = \['a', 'b'\] are 2, but rows = 'triples' has 3 or more texts a row",
        ),
        (
            {"start": [{"method": "keep_layers", "layers": 1}], "num_student_layers": 1},
            r"start and num_student_layers are both given",
        ),
        ({"max_length": 64}, r"max_length = 64, but the teacher .* has 32 positions; .*8 to 32"),
        ({"num_student_layers": 9}, r"num_student_layers = 9: the teacher has 4 layers"),
    ],
)
def test_settings_that_do_not_fit(changes, message, teacher, texts, tmp_path):
    with pytest.raises(SettingsError, match=message):
        distill(teacher, texts, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_wider_student_has_no_pca(teacher, wide, texts, tmp_path):
    with pytest.raises(
        SettingsError, match=r"pca.*the teacher's 16 .*student has 24; accepted: dense, learned"
    ):
        distill(teacher, texts, tmp_path / "run", student=wide, projection="pca")


def test_classifiers_that_score_no_pairs(cross_encoder, teacher, tmp_path):
    pairs = write_pairs(tmp_path / "pairs.jsonl")
    two = write_model(tmp_path / "two", head=["no", "yes"])
    with pytest.raises(SettingsError, match=r"classifier of 2 labels; accepted: .*text_regression"):
        distill(two, pairs, tmp_path / "run", rows="pairs")
    with pytest.raises(SettingsError, match=r"scores pairs, but rows = 'parallel'; .*'pairs'"):
        distill(cross_encoder, pairs, tmp_path / "run", rows="parallel")
    with pytest.raises(SettingsError, match=r"is a cross-encoder.*give student=MODEL"):
        distill(cross_encoder, pairs, tmp_path / "run", rows="pairs")
    given = {"rows": "pairs", "student": teacher}
    with pytest.raises(
        SettingsError, match=r"losses\.pooled_cosine.*scores of pairs only; accepted: score_mse"
    ):
        distill(cross_encoder, pairs, tmp_path / "run", losses={"pooled_cosine": {}}, **given)
    with pytest.raises(SettingsError, match=r"projection = 'dense'.*score_mse compare none"):
        distill(cross_encoder, pairs, tmp_path / "run", projection="dense", **given)
    assert not (tmp_path / "run").exists()
    with pytest.raises(SettingsError, match=r"score_range.*a lower and a higher number"):
        distill(cross_encoder, pairs, tmp_path / "run", score_range=(5.0, 0.0), **given)
    with pytest.raises(SettingsError, match=r"score_range\[1\] = inf.*a finite number"):
        distill(cross_encoder, pairs, tmp_path / "run", score_range=(0.0, float("inf")), **given)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("rows", "values", "message"),
    [
        ([{"text": "one"}] * 30, {}, r"have 1 different rows; .*at least 20 are needed"),
        ([{"txt": "one"}], {}, r"no column 'text'; it has 'txt' \(set columns\).*'text'|'txt'"),
        ([{"text": 3}], {}, r"line 1: column 'text' holds 3, not text"),
        ([{"a": "x"}], {"columns": ["b", "c"]}, r"line 1 has no column 'b' or 'c'; it has: a"),
        (
            [{"sentence1": "x", "sentence2": " "}],
            {"rows": "pairs"},
            r"line 1: column 'sentence2' is empty; a row of rows = 'pairs' needs all",
        ),
    ],
)
def test_rows_that_can_not_be_used(rows, values, message, teacher, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=message):
        distill(teacher, str(path), tmp_path / "run", **values)
    assert not (tmp_path / "run").exists()


def test_validation_that_is_none(teacher, texts, tmp_path):
    with pytest.raises(
        DataError, match=r"no column 'label'.*Set validation_options\.label_column to the"
    ):
        distill(teacher, texts, tmp_path / "run", validation=texts)
    (tmp_path / "data").mkdir()
    write_pairs(tmp_path / "data/test.jsonl")
    with pytest.raises(DataError, match=r"has no validation split \(it has: test\); name the file"):
        distill(teacher, texts, tmp_path / "run", validation=str(tmp_path / "data"))
    assert not (tmp_path / "run").exists()


def test_a_prompt_that_is_left_out_of_vectors(texts, tmp_path):
    teacher = write_sentence_model(
        tmp_path / "teacher",
        pooling=PoolingConfig(include_prompt=False),
        prompts={"query": "the "},
        default_prompt_name="query",
    )
    with pytest.raises(SettingsError, match=r"the teacher .*prompt 'query'.*include_prompt = fal"):
        distill(teacher, texts, tmp_path / "run")


def test_a_teacher_whose_vectors_are_not_finite(texts, tmp_path):
    teacher = write_sentence_model(tmp_path / "teacher")
    weights = read_safetensors(tmp_path / "teacher/model.safetensors")
    huge = {name: torch.full_like(w, 1e38) for name, w in weights.items() if "Norm.weight" in name}
    write_safetensors(tmp_path / "teacher/model.safetensors", {**weights, **huge})
    with pytest.raises(CheckpointError, match=r"gives vectors that are not finite.*'fp32' is too"):
        distill(teacher, texts, tmp_path / "run")


def test_a_dense_layer_of_the_teacher_that_is_damaged(teacher, texts, tmp_path):
    dense = write_sentence_model(tmp_path / "dense", dense=16)
    (tmp_path / "dense/2_Dense/model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"2_Dense/model\.safetensors \(0 bytes\) is damaged"):
        distill(dense, texts, tmp_path / "run", student=teacher)
    assert not (tmp_path / "run").exists()


def test_a_cross_encoder_that_tells_nothing_apart(teacher, tmp_path):
    folder = write_model(tmp_path / "cross", head=["score"])
    weights = read_safetensors(tmp_path / "cross/model.safetensors")
    none = {name: torch.zeros_like(w) for name, w in weights.items() if "classifier" in name}
    write_safetensors(tmp_path / "cross/model.safetensors", {**weights, **none})
    pairs = write_pairs(tmp_path / "pairs.jsonl")
    with pytest.raises(SettingsError, match=r"cross gives every pair the score 0.*score_range=LOW"):
        distill(folder, pairs, tmp_path / "run", rows="pairs", student=teacher)


def test_texts_that_name_nothing(teacher, tmp_path):
    with pytest.raises(DataError, match=r"the source '' names nothing; accepted: files, folders"):
        distill(teacher, "", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_cache_that_is_a_file(teacher, texts, tmp_path):
    with pytest.raises(SettingsError, match=r"teacher_cache = '.*' is a file; accepted: a folder"):
        distill(teacher, texts, tmp_path / "run", teacher_cache=texts)


def test_validation_that_has_changed_is_told(teacher, texts, tmp_path):
    pairs = write_pairs(tmp_path / "pairs.jsonl")
    distill(teacher, texts, tmp_path / "run", max_steps=1, validation=pairs)
    write_pairs(tmp_path / "pairs.jsonl", 31)
    with pytest.raises(DataError, match=r"validation = .*pairs\.jsonl.* has changed since it was"):
        distill(teacher, texts, tmp_path / "run", max_steps=1, validation=pairs)


def test_a_run_with_other_texts_is_another_run(teacher, texts, tmp_path):
    distill(teacher, texts, tmp_path / "run", max_steps=1)
    other = write_rows(tmp_path / "other.jsonl", 40, seed=1)
    with pytest.raises(SettingsError, match=r"texts was .*texts\.jsonl.*, now .*other\.jsonl"):
        distill(teacher, other, tmp_path / "run", max_steps=1)
