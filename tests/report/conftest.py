"""Run folders for reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_runs import hash_of, make_finetune_run


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    def make(label: str, role: str, **options: Any) -> Path:
        return make_finetune_run(
            tmp_path / f"run-{hash_of(label)}", label=label, role=role, **options
        )

    return make


@pytest.fixture
def four_runs(make_run: Callable[..., Path]) -> list[Path]:
    """Teacher, student and the two baselines of the quickstart."""
    return [
        make_run("random layers", "baseline", accuracy=0.70, num_layers=3),
        make_run("distilled", "student", accuracy=0.83, num_layers=3),
        make_run("copied layers", "baseline", accuracy=0.825, num_layers=3),
        make_run("teacher", "teacher", accuracy=0.86),
    ]
