"""What a contest compares, and how its page words what was measured."""

import shutil
from dataclasses import replace

import huggingface_hub
import pytest
from pipeline_models import TEXTS, write_model

from limbeck.inference.bench import (
    Contest,
    Contestant,
    Measured,
    name_contestants,
    run_contest,
)
from limbeck.inference.speed import Percentiles, Round, Speed
from limbeck.report.bench import headline, speed_rows


def make_speed(latencies):
    rounds = tuple(
        Round(latency_ms=v, model_latency_ms=v, texts_per_second=1000 / v, tokens_per_second=1.0)
        for v in latencies
    )
    return Speed(
        rounds=rounds,
        batch_size=8,
        max_length=64,
        num_texts=9,
        num_latency_texts=4,
        num_threads=1,
        device="cpu",
        percentiles_ms=Percentiles.of(latencies),
    )


def make_contest(**latencies):
    speeds = {8: {label: make_speed(values) for label, values in latencies.items()}}
    return Contest(
        contestants=dict.fromkeys(latencies, ("torch", "fp32")),
        measured=(Measured(num_threads=None, num_tokens=None, speeds=speeds),),
        footprints={},
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"big": [20.0, 22.0, 24.0], "small": [10.0, 11.0, 12.0]},
            (
                "One text at a time small is 2.00 times as fast as big; "
                "in batches of 8 small is 2.00 times as fast as big."
            ),
        ),
        (
            {"big": [20.0, 22.0, 24.0], "small": [21.0, 21.0, 25.0]},
            (
                "One text at a time none is clearly faster than big; "
                "in batches of 8 none is clearly faster than big."
            ),
        ),
        (
            {"small": [10.0, 11.0, 12.0], "big": [20.0, 22.0, 24.0]},
            "One text at a time small is the fastest; in batches of 8 small is the fastest.",
        ),
        ({"one": [10.0, 10.0]}, "one: 10.00 ms a text, 100 texts/s in batches of 8."),
    ],
)
def test_the_headline_claims_what_the_rounds_agree_on(given, expected):
    assert headline(make_contest(**given)) == expected


def test_the_longest_input_is_that_of_all_lengths():
    short = make_contest(one=[10.0]).measured[0]
    long = replace(short, speeds={8: {"one": replace(make_speed([10.0]), max_length=128)}})
    contest = replace(make_contest(one=[10.0]), measured=(short, long))
    assert contest.longest_input == 128


def test_rows_have_percentiles_and_ratios_within_rounds():
    contest = make_contest(big=[20.0, 40.0], small=[10.0, 10.0])
    head, big, small = speed_rows(contest, contest.measured[0])
    assert dict(zip(head, big, strict=True))["speed-up, one text"] == "1.00x"
    found = dict(zip(head, small, strict=True))
    assert found["p50 (ms)"] == "10.00"
    assert found["speed-up, one text"] == "3.00x"  # the median of 2 and 4


def test_contestants_are_told_apart():
    found = name_contestants(["a/model", "b/model"], ["torch", "openvino"], ["fp32", "int8"])
    assert len({contestant.label for contestant in found}) == 8
    assert found[0].label == "a torch fp32"


def test_a_model_of_the_hub_is_measured(tmp_path, monkeypatch):
    place = tmp_path / "models--some--model"
    shutil.copytree(write_model(tmp_path / "model"), place / "snapshots" / "abc")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    asked = [Contestant(label="one", model="some/model")]
    contest = run_contest(asked, TEXTS, repeats=2, device="cpu", with_memory=False)
    assert contest.contestants == {"one": ("torch", "fp32")}
    assert contest.measured[0].latencies["one"].num_texts > 0
