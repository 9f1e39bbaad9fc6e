"""Bounds of a search: what exceeds them, and by how much."""

from __future__ import annotations

from dataclasses import replace

import pytest

from limbeck.inference.footprint import Footprint
from limbeck.report.bounds import Bounds, Search
from limbeck.report.compression import Compression, choose_smallest, find_nearest, headline
from limbeck.report.compression_page import find_front
from limbeck.report.facts import ModelFacts, SeedScores


def make_model(label, score, megabytes, role="student"):
    return ModelFacts(
        label=label,
        role=role,
        model="m",
        folder="f",
        num_layers=2,
        num_parameters=1000,
        file_bytes=round(1e6 * megabytes),
        scores=SeedScores(
            seeds=(0,),
            values=(score,),
            mean=score,
            median=score,
            lowest=score,
            highest=score,
            standard_error=None,
        ),
    )


def make_compression(*models, memory, bounds):
    search = Search(
        bounds=bounds,
        prefer="smallest",
        footprints={
            label: Footprint(file_bytes=0, loaded_bytes=round(1e6 * mb))
            for label, mb in memory.items()
        },
    )
    found = Compression(
        task="sst2",
        metric="accuracy",
        split="validation",
        num_examples=100,
        retain=0.9,
        name="model",
        models=[make_model("teacher", 0.9, 100, role="teacher"), *models],
        how={},
        chosen=None,
        test=None,
        notes=[],
        conditions={},
        search=search,
    )
    return replace(found, chosen=choose_smallest(found))


def test_bounds_are_worded():
    assert str(Bounds(max_latency_ms=5, max_size_mb=20, max_memory_mb=60)) == (
        "20.0 MB and 5.00 ms and 60.0 MB of memory"
    )
    assert str(Bounds()) == ""


def test_the_smallest_file_that_keeps_everything_is_chosen():
    models = [make_model("a", 0.88, 30), make_model("b", 0.85, 20), make_model("c", 0.8, 10)]
    memory = {"a": 50, "b": 50, "c": 50}
    bounds = Bounds(max_size_mb=40, max_memory_mb=60)
    found = make_compression(*models, memory=memory, bounds=bounds)
    assert found.chosen == "b"
    assert "within 40.0 MB and 60.0 MB of memory" in headline(found)
    assert make_compression(*models, memory={**memory, "b": 61}, bounds=bounds).chosen == "a"
    # What was not measured can't be held to keep a bound.
    assert make_compression(*models, memory={"a": 50}, bounds=bounds).chosen == "a"


@pytest.mark.parametrize(
    ("models", "nearest", "said"),
    [
        (
            [("a", 0.80, 30), ("b", 0.5, 10)],
            "a",
            "scores 80.0 where 81.0 would do, 1.0 points short",
        ),
        ([("a", 0.85, 44), ("b", 0.5, 10)], "a", "has 44.0 MB of files where 40.0 MB would do"),
        ([("a", 0.85, 90), ("b", 0.8, 10)], "b", "scores 80.0 where 81.0 would do"),
    ],
)
def test_the_nearest_is_least_far_off_where_it_is_farthest(models, nearest, said):
    found = make_compression(
        *(make_model(*model) for model in models), memory={}, bounds=Bounds(max_size_mb=40)
    )
    assert found.chosen is None
    assert find_nearest(found).label == nearest
    assert f"The nearest, “{nearest}”: " in headline(found)
    assert said in headline(found)


def test_the_front_is_of_what_nothing_beats():
    points = [(3.0, 85.0), (1.0, 80.0), (2.0, 90.0), (2.0, 70.0), (4.0, 95.0)]
    front = find_front(points)
    assert front == [(1.0, 80.0), (2.0, 90.0), (4.0, 95.0)]
    beaten = [p for p in points if any(q != p and q[0] <= p[0] and q[1] >= p[1] for q in points)]
    assert sorted({*front, *beaten}) == sorted(points)
