"""Successive halving: which students begin, go on and are left; runs that are left meanwhile."""

from __future__ import annotations

import json
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_compress import FAST, make_settings
from tiny_task import Lines

from limbeck.checkpoints import resolve_folder
from limbeck.errors import ContractError
from limbeck.models import AutoConfig
from limbeck.recipes import finetune
from limbeck.recipes._jobs import Job, run_jobs
from limbeck.recipes.compress import halving, run
from limbeck.recipes.compress.halving import Goal, Trial
from limbeck.recipes.finetune import FinetuneSettings
from limbeck.runs import CompressRecord, FinetuneRecord, hash_model_files
from limbeck.runs.beginning import BeginningRecord
from limbeck.train import SilentProgress

SCORES = st.floats(0, 1)
TRIALS = st.lists(st.tuples(st.integers(1, 9), SCORES), min_size=1, max_size=9).map(
    lambda found: [
        Trial(name=str(i), cost=cost, scores={0.5: score}) for i, (cost, score) in enumerate(found)
    ]
)


@given(trials=TRIALS, enough=SCORES)
def test_the_better_half_goes_on_and_nothing_that_is_needless(trials, enough):
    half = halving.choose_half(trials, enough=enough)
    assert 1 <= len(half) <= math.ceil(len(trials) / 2)
    good = [trial for trial in trials if trial.score >= enough]
    if good:
        cheapest = min(trial.cost for trial in good)
        assert any(trial.cost == cheapest and trial.score >= enough for trial in half)
        assert all(trial.cost <= cheapest for trial in half)
    else:
        left = [trial for trial in trials if trial not in half]
        assert min(t.score for t in half) >= max((t.score for t in left), default=0)


@given(trials=TRIALS)
def test_what_begins_is_outdone_by_nothing_cheaper(trials):
    known = [Trial(name=t.name, cost=t.cost, scores={0.0: t.score}) for t in trials]
    begun = halving.drop_outdone(known)
    for trial in known:
        outdone = any(o.cost < trial.cost and o.score > trial.score for o in known)
        assert outdone or trial in begun or any(o.cost == trial.cost for o in begun)
    new_heads = [Trial(name=t.name, cost=t.cost, scores={}) for t in trials]
    assert len(halving.drop_outdone(new_heads)) == len(new_heads)


@given(
    begun=st.floats(0, 0.8), ended=st.floats(0, 1), score=st.floats(0, 0.8), slack=st.floats(0, 1)
)
def test_an_expectation_lies_between_the_score_and_the_teachers(begun, ended, score, slack):
    goal = Goal(teacher=0.9, enough=0.85)
    other = Trial(name="a", cost=2, scores={0.25: begun, 1.0: ended})
    trial = Trial(name="b", cost=1, scores={0.25: score})
    found = halving.expect(trial, [other], goal, slack=slack)
    assert score - 1e-9 <= found <= 0.9 + 1e-9
    assert halving.expect(trial, [other], goal) <= found + 1e-9
    # One that stands where the other stood ends where the other ended.
    same = halving.expect(Trial(name="c", cost=1, scores={0.25: begun}), [other], goal)
    assert same == pytest.approx(min(max(ended, begun), 0.9), abs=1e-9)


def test_what_nothing_is_known_of_is_not_given_up():
    goal = Goal(teacher=0.9, enough=0.85)
    trial = Trial(name="a", cost=1, scores={})
    ended = Trial(name="b", cost=2, scores={0.5: 0.8, 1.0: 0.8})
    assert halving.expect(trial, [ended], goal) is None
    assert halving.may_do(trial, [ended], goal)
    assert halving.may_do(Trial(name="c", cost=1, scores={0.25: 0.1}), [ended], goal)
    assert not halving.may_do(Trial(name="c", cost=1, scores={0.5: 0.1}), [ended], goal)
    assert halving.may_do(Trial(name="c", cost=1, scores={1.0: 0.1}), [ended], goal)


def test_the_cheapest_that_is_expected_to_do_comes_first():
    goal = Goal(teacher=0.9, enough=0.85)
    trials = [
        Trial(name=name, cost=cost, scores={0.5: score})
        for name, cost, score in (("a", 4, 0.9), ("b", 3, 0.86), ("c", 2, 0.8), ("d", 1, 0.84))
    ]
    ranked = sorted(trials, key=lambda trial: halving.rank(trial, [], goal))
    assert [trial.name for trial in ranked] == ["b", "a", "d", "c"]


def finetune_settings(model, data, out, **changes):
    values = {"model": model, "data": data, "out": out, "keep_layers": 1, "new_head": False}
    return FinetuneSettings(**values, **FAST, **{"epochs": 3, "seeds": (0, 1)} | changes)


@pytest.mark.slow
def test_a_run_that_was_left_ends_as_if_it_had_not_been(deep_teacher, data, tmp_path):
    whole = finetune_settings(deep_teacher, data, tmp_path / "whole")
    finetune.run(whole, progress=SilentProgress())
    parts = finetune_settings(deep_teacher, data, tmp_path / "parts")
    job = Job(name="parts", recipe="finetune", settings=parts)
    for share in (0.25, 0.25, 0.5, 1.0):
        part = Job(name="parts", recipe="finetune", settings=parts, share=share)
        assert not run_jobs([part], num_workers=1, progress=SilentProgress())
        assert job.is_begun
        assert job.is_finished == (share == 1)
    points = BeginningRecord.read(parts.out).points
    steps = 3 * 8
    assert [(point.share, point.step) for point in points] == [(0.25, 6), (0.5, 12)]
    assert points[-1].step < steps
    assert all(0 <= point.scores["accuracy"] <= 1 for point in points)
    first, second = (FinetuneRecord.read(out) for out in (whole.out, parts.out))
    for one, other in zip(first.seeds, second.seeds, strict=True):
        assert one.validation == other.validation
        assert one.best_step == other.best_step
    weights = [
        hash_model_files(out / "model")["model.safetensors"] for out in (whole.out, parts.out)
    ]
    assert weights[0] == weights[1]
    longer = finetune_settings(deep_teacher, data, parts.out, epochs=6)
    assert finetune.read_points(longer) == ()  # shares of another length tell nothing


@pytest.mark.slow
def test_all_begin_and_the_better_half_goes_on(deep_teacher, data, tmp_path):
    settings = make_settings(
        deep_teacher,
        data,
        tmp_path / "run",
        depths=(2, 1),
        targets="torch",
        max_size_mb=5.0,
        retain=1.0,
        epochs=2,
        learning_rate=1e-5,  # so that neither is enough on the way
    )
    progress = Lines()
    try:
        result = run(settings, progress=progress)
    except ContractError as error:
        result = error.result
    (said,) = [line for line in progress.lines if line.startswith("after 50.0 % of the steps: ")]
    assert "1 layer " in said
    assert "2 layers " in said
    going_on = said.partition("going on: ")[2]
    assert going_on in ("1 layer", "2 layers")
    begun = [BeginningRecord.read(path.parent) for path in settings.out.rglob("beginning.json")]
    scores = [[point.scores["accuracy"] for point in record.points] for record in begun]
    assert len(scores) == 2
    tried = {model.name for model in result.models}
    assert f"{going_on}, torch" in tried
    left = {"1 layer, torch", "2 layers, torch"} - tried
    for name in left:
        assert "after 50.0 % of the steps: as far as the others came" in result.not_tried[name]
    page = (settings.out / "compress.md").read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "as it begins" in page


@pytest.mark.slow
def test_what_was_decided_once_is_decided_so_again(deep_teacher, data, tmp_path):
    """A search that was stopped at its end looks at no score before it had it the first time."""
    settings = make_settings(
        deep_teacher,
        data,
        tmp_path / "run",
        depths=(2, 1),
        widths=0.5,
        targets="torch",
        max_size_mb=5.0,
        retain=1.0,
        epochs=2,
        learning_rate=1e-3,  # so that scores change on the way
    )
    first, again = Lines(), Lines()
    with suppress(ContractError):
        run(settings, progress=first)
    result = CompressRecord.read(settings.out)
    begun = [BeginningRecord.read(path.parent) for path in settings.out.rglob("beginning.json")]
    assert len(begun) > 2
    (settings.out / "result.json").unlink()
    with suppress(ContractError):
        run(settings, progress=again)
    decided = [line for line in first.lines if "of the steps: " in line]
    assert decided
    assert [line for line in again.lines if "of the steps: " in line] == decided
    repeated = CompressRecord.read(settings.out)
    assert repeated.not_tried == result.not_tried
    assert [model.name for model in repeated.models] == [model.name for model in result.models]


@pytest.mark.slow
def test_a_search_tries_half_of_each_layer_too(deep_teacher, data, tmp_path):
    """Those heads and neurons stay that the loss needs, as `prune` chooses them."""
    settings = make_settings(
        deep_teacher, data, tmp_path / "run", targets="torch", max_size_mb=5.0, retain=0.2, epochs=1
    )
    result = run(settings, progress=SilentProgress())
    names = ["3 layers, 0.5 wide", "2 layers, 0.5 wide", "1 layer, 0.5 wide"]
    tried = {*(model.name for model in result.models), *result.not_tried}
    assert {f"{name}, torch" for name in [*names, "2 layers", "1 layer"]} <= tried
    cut = settings.out / "cuts/3-layers-0.5-wide"
    config = AutoConfig.from_pretrained(resolve_folder(str(cut / "cut")))
    record = json.loads((cut / "cut.json").read_text())
    assert record["num_heads"] == [1, 1, 1]
    pruned = json.loads((cut / "cut/config.json").read_text())["layer_shapes"]
    assert len(pruned) == 3
    assert config.layer_shapes is not None
