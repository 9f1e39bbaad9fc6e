"""A finished fine-tuning that is asked for more epochs ends as one that was asked at once."""

import pytest
from tiny_task import Lines, assert_same_weights, finetune, make_settings, write_data

from limbeck.errors import DataError, SettingsError
from limbeck.recipes.finetune import plan, run
from limbeck.runs import FinetuneRecord, SeedRecord
from limbeck.train import read_metrics

CONSTANT = {"schedule": {"decay": "constant", "warmup_ratio": 0}}


def without_time(record):
    return [seed.model_copy(update={"elapsed_seconds": 0}) for seed in record.seeds]


def figures(folder):
    return [
        {k: v for k, v in line.to_dict().items() if k != "elapsed_seconds"}
        for line in read_metrics(folder)
    ]


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (CONSTANT, "seed 0: going on after step 8"),
        ({}, "seed 0: trained again, finished before with epochs=1. For 2 epochs the learning"),
    ],
)
def test_more_epochs_end_with_the_bits_of_all_at_once(encoder, data, tmp_path, schedule, said):
    expected = finetune(encoder, data, tmp_path / "whole", epochs=2, **schedule)
    finetune(encoder, data, tmp_path / "run", epochs=1, **schedule)
    progress = Lines()
    found = finetune(encoder, data, tmp_path / "run", epochs=2, progress=progress, **schedule)
    assert any(line.startswith(said) for line in progress.lines), progress.lines
    assert without_time(found) == without_time(expected)
    assert FinetuneRecord.read(tmp_path / "run") == found
    assert_same_weights(tmp_path / "whole/model", tmp_path / "run/model")
    assert figures(tmp_path / "whole/seed-0") == figures(tmp_path / "run/seed-0")
    again = Lines()
    assert finetune(encoder, data, tmp_path / "run", epochs=2, progress=again, **schedule) == found
    assert "seed 0: finished before" in again.lines


@pytest.mark.parametrize("schedule", [CONSTANT, {}])
def test_more_epochs_for_a_run_that_was_stopped(encoder, data, tmp_path, schedule):
    """Stopped in its second epoch of two, and asked for three."""
    settings = make_settings(encoder, data, tmp_path / "run", epochs=2, save_every=3, **schedule)
    with pytest.raises(KeyboardInterrupt):
        run(settings, progress=Lines(stop_at="epoch 1:"))
    changes = {"epochs": 3, "save_every": 3, **schedule}
    progress = Lines()
    finetune(encoder, data, tmp_path / "run", progress=progress, **changes)
    finetune(encoder, data, tmp_path / "whole", **changes)
    assert_same_weights(tmp_path / "whole/model", tmp_path / "run/model")
    made_again = "seed 0: its steps for 2 epochs are made again. For 3 epochs the learning rate is"
    assert any(line.startswith(made_again) for line in progress.lines) == (schedule == {})


def test_a_validation_that_a_longer_run_does_not_have_counts_nowhere(encoder, data, tmp_path):
    """The end of half an epoch was validated; it could be the best, and uses patience up."""
    expected = finetune(encoder, data, tmp_path / "whole", epochs=2, **CONSTANT)
    finetune(encoder, data, tmp_path / "run", epochs=0.5, **CONSTANT)
    progress = Lines()
    found = finetune(encoder, data, tmp_path / "run", epochs=2, progress=progress, **CONSTANT)
    said = (
        "seed 0: its steps for 0.5 epochs are made again. Its end was validated, after step 4, and "
        "2 epochs have no validation there; after whole epochs a run would go on"
    )
    assert said in progress.lines
    assert without_time(found) == without_time(expected)
    assert figures(tmp_path / "whole/seed-0") == figures(tmp_path / "run/seed-0")


def test_a_longer_run_that_is_stopped_goes_on_as_the_longer_one(encoder, data, tmp_path):
    finetune(encoder, data, tmp_path / "run", epochs=1)
    longer = make_settings(encoder, data, tmp_path / "run", epochs=2)
    with pytest.raises(KeyboardInterrupt):
        run(longer, progress=Lines(stop_at="epoch 1:"))
    progress = Lines()
    run(longer, progress=progress)
    assert "seed 0: going on after step 8" in progress.lines
    finetune(encoder, data, tmp_path / "whole", epochs=2)
    assert_same_weights(tmp_path / "whole/model", tmp_path / "run/model")


def test_only_a_schedule_of_any_length_keeps_its_checkpoint(encoder, data, tmp_path):
    for name, schedule in (("constant", CONSTANT), ("linear", {})):
        finetune(encoder, data, tmp_path / name, epochs=1, **schedule)
        assert (tmp_path / name / "seed-0/checkpoints").exists() == (name == "constant")


def test_epochs_that_change_no_step_train_nothing(encoder, data, tmp_path):
    first = finetune(encoder, data, tmp_path / "run", epochs=1, max_steps=2)
    progress = Lines()
    again = finetune(encoder, data, tmp_path / "run", epochs=3, max_steps=2, progress=progress)
    assert again == first
    assert "seed 0: finished before" in progress.lines


def test_fewer_epochs_and_other_settings_are_refused(encoder, data, tmp_path):
    finetune(encoder, data, tmp_path / "run", epochs=2, max_steps=2)
    with pytest.raises(SettingsError, match=r"epochs was 2\.0, now 1\.0\. To go on with it give"):
        finetune(encoder, data, tmp_path / "run", epochs=1, max_steps=2)
    with pytest.raises(SettingsError, match=r"other settings: learning_rate was 0\.003, now 0\.1"):
        finetune(encoder, data, tmp_path / "run", epochs=3, max_steps=2, learning_rate=0.1)


def test_other_examples_are_refused_with_more_epochs_too(encoder, tmp_path):
    data = write_data(tmp_path / "data")
    finetune(encoder, data, tmp_path / "run", epochs=1, max_steps=2)
    path = tmp_path / "data/train.jsonl"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"label": 1', '"label": 0', 1), encoding="utf-8")
    with pytest.raises(DataError, match=r"and data = .* has changed since it was begun"):
        finetune(encoder, data, tmp_path / "run", epochs=2, max_steps=2)


def test_a_seed_that_noted_no_epochs_is_not_taken_for_longer_than_it_is(encoder, data, tmp_path):
    finetune(encoder, data, tmp_path / "run", epochs=1, max_steps=2)
    folder = tmp_path / "run/seed-0"
    SeedRecord.read(folder).model_copy(update={"epochs_asked": None}).write(folder)
    message = (
        r"epochs was 1, now 2, but .*seed-0 was finished by a version of Limbeck that did not note "
        r"its epochs; give another out=\.\.\., or the same epochs=1"
    )
    with pytest.raises(SettingsError, match=message):
        finetune(encoder, data, tmp_path / "run", epochs=2, max_steps=2)
    finetune(encoder, data, tmp_path / "run", epochs=1, max_steps=2)


def test_a_dry_run_says_what_more_epochs_would_do(encoder, data, tmp_path):
    out = tmp_path / "run"
    assert plan(make_settings(encoder, data, out))["run"] == "a new run"
    finetune(encoder, data, out, epochs=1)
    again = plan(make_settings(encoder, data, out, epochs=1))["run"]
    assert again.startswith("goes on with the run that was begun there at 2")
    more = plan(make_settings(encoder, data, out, epochs=2))["run"]
    assert "its steps made again. For 2 epochs the learning rate is another" in more
    with pytest.raises(SettingsError, match=r"with other settings: batch_size was 8, now 4"):
        plan(make_settings(encoder, data, out, epochs=1, batch_size=4))
