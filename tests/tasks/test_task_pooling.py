"""The pooling of `sts` is what the model's folder says, or what is asked for."""

import json

import numpy as np
import pytest
import torch

from limbeck.errors import CheckpointError
from limbeck.tasks import read_task
from limbeck.tasks._pooling import pool, read_pooling

ROWS = [{"sentence1": "a", "sentence2": "b", "label": 1.0}]


def write(folder, **values):
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling/config.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def test_each_pooling_is_that_of_numpy_and_does_not_see_padding():
    random = np.random.default_rng(0)
    hidden = random.standard_normal((3, 5, 4))
    lengths = [5, 3, 1]
    mask = torch.tensor([[1] * n + [0] * (5 - n) for n in lengths])
    for name, expected in {
        "mean": [row[:n].mean(axis=0) for row, n in zip(hidden, lengths, strict=True)],
        "max": [row[:n].max(axis=0) for row, n in zip(hidden, lengths, strict=True)],
        "cls": [row[0] for row in hidden],
    }.items():
        found = pool(torch.from_numpy(hidden), mask, name)
        assert np.allclose(found.numpy(), np.stack(expected), atol=1e-12)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_max_tokens": True}, "max"),
        ({"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": ["max"], "include_prompt": True}, "max"),
    ],
)
def test_the_folder_says_which(tmp_path, values, expected):
    assert read_pooling(tmp_path) == "mean"
    folder = write(tmp_path, **values)
    assert read_pooling(folder) == expected
    task = read_task("sts", {"validation": ROWS})
    assert task.for_folder(folder).pooling == expected
    chosen = read_task("sts", {"validation": ROWS}, options={"pooling": "max"})
    assert chosen.for_folder(folder).pooling == "max"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pooling_mode_lasttoken": True}, r"pooling by \['lasttoken'\], which is not done here"),
        ({"pooling_mode": ["cls", "mean"]}, r"pooling by \['cls', 'mean'\].*mean, cls, max alone"),
        ({}, r"pooling by \[\].* set task_options\.pooling=mean"),
    ],
)
def test_what_is_not_done_here_is_refused(tmp_path, values, message):
    with pytest.raises(CheckpointError, match=message):
        read_pooling(write(tmp_path, **values))


def test_a_layer_after_the_pooling_is_not_passed_over(tmp_path):
    folder = write(tmp_path, pooling_mode_cls_token=True)
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense/config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"a layer after the pooling \(2_Dense\)"):
        read_task("sts", {"validation": ROWS}).for_folder(folder)
    task = read_task("sts", {"validation": ROWS}, options={"pooling": "cls"})
    assert task.for_folder(folder).pooling == "cls"


def test_the_mean_of_a_long_text_does_not_overflow_in_half_precision():
    hidden = torch.full((1, 512, 2), 300.0, dtype=torch.float16)  # their sum is beyond 65504
    found = pool(hidden, torch.ones(1, 512, dtype=torch.long), "mean")
    assert found.dtype == torch.float16
    assert torch.equal(found, torch.full((1, 2), 300.0, dtype=torch.float16))
