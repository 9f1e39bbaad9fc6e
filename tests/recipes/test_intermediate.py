"""The phase before labels and logits, in which a student learns its teacher's layers alone."""

import itertools

import pytest
import tiny_compress
import tiny_suite
import torch
import torch.nn.functional as F
import transformers
from tiny_task import (
    LABELS,
    assert_same_weights,
    finetune,
    make_settings,
    read_loss,
    read_weights,
    write_model,
)

from limbeck.config import read_settings
from limbeck.errors import SettingsError
from limbeck.models import AutoModelForMaskedLM
from limbeck.recipes import compress, suite
from limbeck.recipes._presets import list_presets
from limbeck.recipes.finetune import FinetuneSettings, iterate, plan
from limbeck.recipes.finetune.forecast import Pace, estimate_seconds
from limbeck.runs import SeedRecord
from limbeck.tasks import TrainBatches, read_task
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import SilentProgress, read_metrics

SCHEDULE = {"warmup_ratio": 0.0, "decay": "constant"}
PROJECTED = {"hidden_mse": {"projection": "per_layer"}}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "teacher"
    return write_model(folder, head=LABELS, dropout=0.0, num_hidden_layers=4)


@pytest.fixture(scope="module")
def wide_teacher(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "wide", head=LABELS, hidden_size=32)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "student", head=LABELS, dropout=0.0)


def hidden_distance(student, teacher, batch):
    """L_hidn + L_embd by hand, row by row, of a student of two layers and a teacher of four."""
    ours = student(**batch.inputs(), output_hidden_states=True)
    with torch.no_grad():
        theirs = teacher(**batch.inputs(), output_hidden_states=True)
    total, num_tokens = 0.0, int(batch.mask().sum())
    for row, length in enumerate(batch.mask().sum(1).tolist()):
        for a, b in zip((0, 1, 2), (0, 2, 4), strict=True):
            difference = ours.hidden_states[a][row] - theirs.hidden_states[b][row]
            total = total + difference[:length].square().mean(-1).sum() / num_tokens
    return total, ours.logits, theirs.logits


def plain_phases(student, teacher, data, *, steps):
    """Hidden states alone, then labels and logits, in plain PyTorch; the losses of each phase."""
    tokenizer = AutoTokenizer.from_pretrained(student)
    student, teacher = (
        transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
        for folder in (student, teacher)
    )
    task = read_task("sst2", data)
    rows = task.encode(task.splits["train"], tokenizer, max_length=16)
    batches = TrainBatches(
        task, rows, batch_size=8, accumulate=1, pad_token_id=tokenizer.pad_token_id, seed=0
    )
    phases = []
    for phase, count in enumerate(steps):
        # A new optimiser: nothing is carried over but the weights.
        rate = (1e-3, 3e-3)[phase]
        optimizer = torch.optim.AdamW(student.parameters(), lr=rate, weight_decay=0.0)
        losses = []
        for (batch,) in itertools.islice(batches.steps(), count):
            loss, logits, expected = hidden_distance(student, teacher, batch)
            if phase:
                loss = F.cross_entropy(logits, batch.labels)
                loss = loss + (logits - expected).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        phases.append(losses)
    return phases


def test_layers_come_first_and_alone(tmp_path, data, teacher, student):
    finetune(
        student,
        data,
        tmp_path / "run",
        teacher=teacher,
        losses={"logit_mse": {}},
        intermediate={
            "losses": {"hidden_mse": {}},
            "learning_rate": 1e-3,
            "schedule": SCHEDULE,
            "max_steps": 12,
        },
        new_head=False,
        schedule=SCHEDULE,
        max_grad_norm=None,
        max_steps=6,
    )
    layers, labels = plain_phases(student, teacher, data, steps=(12, 6))
    lines = read_metrics(tmp_path / "run/seed-0/intermediate")
    assert [line.kind for line in lines] == ["train"] * 12, "nothing is validated"
    assert [line.values["loss"] for line in lines] == pytest.approx(layers, abs=2e-5)
    assert read_loss(tmp_path / "run") == pytest.approx(labels, abs=2e-5)
    record = SeedRecord.read(tmp_path / "run/seed-0")
    assert (record.intermediate_steps, record.num_steps) == (12, 6)
    card = (tmp_path / "run/model/README.md").read_text(encoding="utf-8")
    assert "hidden_mse: 12 steps" in card


def test_the_phase_brings_layers_nearer_and_leaves_the_head(tmp_path, data, teacher, student):
    """The rates of what follows are too small to move a weight in float32."""
    finetune(
        student,
        data,
        tmp_path / "run",
        teacher=teacher,
        intermediate={"epochs": 6, "learning_rate": 3e-3},
        new_head=False,
        learning_rate=1e-30,
        max_steps=1,
    )
    made = tmp_path / "run/model"
    task = read_task("sst2", data)
    tokenizer = AutoTokenizer.from_pretrained(student)
    rows = task.encode(task.splits["validation"], tokenizer, max_length=16)
    (batch,) = next(
        TrainBatches(
            task, rows, batch_size=24, accumulate=1, pad_token_id=tokenizer.pad_token_id, seed=0
        ).steps()
    )
    before, after, expected = (
        transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
        for folder in (student, made, teacher)
    )
    with torch.no_grad():
        distances = [hidden_distance(model, expected, batch)[0] for model in (before, after)]
    assert distances[1] < 0.5 * distances[0]
    weights = [read_weights(folder) for folder in (student, made)]
    for name in ("classifier.weight", "bert.pooler.dense.weight"):
        assert torch.equal(weights[0][name], weights[1][name])


class StopAfterSteps(SilentProgress):
    """Ends a run as abruptly as an exception can, at a step of either phase."""

    def __init__(self, count):
        self._left = count

    def stage(self, description, *, total, unit):
        stage = super().stage(description, total=total, unit=unit)
        return stage if unit != "steps" else _Counting(stage, self)

    def count(self):
        self._left -= 1
        if not self._left:
            raise InterruptedError


class _Counting:
    def __init__(self, stage, progress):
        self._stage, self._progress = stage, progress

    def __enter__(self):
        self._stage.__enter__()
        return self

    def __exit__(self, *error):
        return self._stage.__exit__(*error)

    def advance(self, amount=1):
        pass

    def update(self, **fields):
        self._progress.count()


TWO_PHASES = {
    "losses": {"soft_targets": {}, **PROJECTED},
    "intermediate": {"losses": PROJECTED, "epochs": 1, "learning_rate": 3e-3},
    "save_every": 3,
    "epochs": 1,
}
"""Eight steps in each, with dropout, and projections in both."""


@pytest.fixture(scope="module")
def whole(data, encoder, wide_teacher, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    finetune(encoder, data, out, teacher=wide_teacher, **TWO_PHASES)
    return out


@pytest.mark.parametrize("after", [2, 5, 8, 9, 13])
def test_a_run_that_is_stopped_in_either_phase_ends_with_the_same_bits(
    tmp_path, data, encoder, wide_teacher, whole, after
):
    given = {"teacher": wide_teacher, **TWO_PHASES}
    with pytest.raises(InterruptedError):
        finetune(encoder, data, tmp_path / "run", progress=StopAfterSteps(after), **given)
    finetune(encoder, data, tmp_path / "run", **given)
    assert_same_weights(whole / "model", tmp_path / "run/model")
    for folder in ("seed-0", "seed-0/intermediate"):
        first, second = (
            [(line.kind, line.step, line.values["loss"]) for line in read_metrics(out / folder)]
            for out in (whole, tmp_path / "run")
        )
        assert first == second
    assert not any("losses" in name for name in read_weights(whole / "model"))
    assert not list((tmp_path / "run").glob("**/checkpoints"))


def test_a_run_whose_later_checkpoints_are_lost_goes_on_from_the_phase(
    tmp_path, data, encoder, wide_teacher, whole
):
    given = {"teacher": wide_teacher, **TWO_PHASES}
    with pytest.raises(InterruptedError):
        finetune(encoder, data, tmp_path / "run", progress=StopAfterSteps(13), **given)
    for path in (tmp_path / "run/seed-0/checkpoints").glob("*/state.safetensors"):
        path.write_bytes(b"damaged")
    finetune(encoder, data, tmp_path / "run", **given)
    assert_same_weights(whole / "model", tmp_path / "run/model")


def test_steps_of_both_phases_are_given_to_the_caller(tmp_path, data, encoder, wide_teacher, whole):
    """Who leaves in the first one goes on from there."""
    settings = make_settings(encoder, data, tmp_path / "run", teacher=wide_teacher, **TWO_PHASES)
    steps = iterate(settings, progress=SilentProgress())
    left = [next(steps) for _ in range(4)]
    steps.close()
    rest = list(iterate(settings, progress=SilentProgress()))
    made = [(step.phase, step.number, step.epoch) for step in (*left, *rest)]
    each = [(number, number / 8) for number in range(1, 9)]
    assert made == [(phase, *step) for phase in ("intermediate", "task") for step in each]
    assert all(step.scores is None for step in left)
    assert_same_weights(whole / "model", tmp_path / "run/model")


def test_a_cached_teacher_runs_in_the_phase_and_makes_no_difference(
    tmp_path, data, encoder, wide_teacher
):
    given = {"teacher": wide_teacher, "max_steps": 4}
    given["intermediate"] = {"losses": PROJECTED, "max_steps": 3}
    cached = {"teacher_cache": str(tmp_path / "cache")}
    finetune(encoder, data, tmp_path / "cached", **given, **cached)
    finetune(encoder, data, tmp_path / "live", **given)
    assert list((tmp_path / "cache").iterdir())
    losses = [read_loss(tmp_path / name) for name in ("cached", "live")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    phases = [read_weights(tmp_path / name / "model") for name in ("cached", "live")]
    for name, tensor in phases[0].items():
        assert torch.allclose(tensor, phases[1][name], atol=1e-6)


def test_more_epochs_do_not_repeat_the_phase(tmp_path, data, encoder, wide_teacher):
    given = {"teacher": wide_teacher, "intermediate": {"losses": PROJECTED, "max_steps": 3}}
    given |= {"schedule": SCHEDULE}
    finetune(encoder, data, tmp_path / "run", **given, epochs=1)
    settings = make_settings(encoder, data, tmp_path / "run", **given, epochs=2)
    steps = list(iterate(settings, progress=SilentProgress()))
    assert [(step.phase, step.number) for step in steps] == [("task", n) for n in range(9, 17)]
    finetune(encoder, data, tmp_path / "whole", **given, epochs=2)
    assert_same_weights(tmp_path / "whole/model", tmp_path / "run/model")


def test_a_dry_run_and_a_forecast_count_the_phase(tmp_path, data, encoder, teacher):
    given = {"teacher": teacher, "epochs": 1, "max_steps": 5, "seeds": (0, 1)}
    settings = make_settings(encoder, data, tmp_path / "run", **given, intermediate={"epochs": 2.5})
    planned = plan(settings)
    assert planned["intermediate"] == {"losses": ["hidden_mse", "attention_mse"], "max_steps": 20}
    assert planned["max_steps"] == 5
    pace = Pace(seconds_per_step=1.0, seconds_per_row=0.0, tokens_per_row=8.0)
    rows = {"train": 64, "validation": 24}

    def seconds(settings):
        return estimate_seconds(settings, pace, rows, teacher_seconds_per_row=0.5)

    assert seconds(settings) == 2 * (20 + 5) * (1 + 8 * 0.5)
    cached = settings.model_copy(update={"teacher_cache": tmp_path / "cache"})
    assert seconds(cached) == 2 * (20 * (1 + 8 * 0.5) + 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"intermediate": {"losses": {"cosine": {}}}},
            r"intermediate: losses.cosine .* is 32 and the student's 16; leave",
        ),
        (
            {"intermediate": {"losses": {"soft_targets": {}}}},
            r"intermediate: losses.soft_targets compares logits, .* give it as losses.soft_targets",
        ),
        (
            {"intermediate": {"losses": {"attention_mse": {"teacher_layers": [3, 1]}}}},
            r"intermediate: losses.attention_mse.teacher_layers = \[3, 1\]: 3 is no layer",
        ),
        (
            {"intermediate": {"losses": {"hidden_mes": {}}}},
            r"intermediate: .*hidden_mes.*hidden_mse",
        ),
        ({"intermediate": {"epochs": 0}}, r"intermediate.epochs"),
        ({"intermediate": {}, "teacher": None}, r"intermediate learns a teacher's layers, but the"),
    ],
)
def test_a_phase_that_can_not_be_is_refused(
    tmp_path, data, encoder, wide_teacher, changes, message
):
    with pytest.raises(SettingsError, match=message):
        finetune(encoder, data, tmp_path / "run", **{"teacher": wide_teacher, **changes})
    assert not (tmp_path / "run").exists()


def test_students_of_compress_and_suite_have_the_phase(tmp_path, deep_teacher, data, ground):
    """Whether they can is told before anything is begun; models without a teacher have none."""
    out = tmp_path / "run"
    for layers, message in (
        ([2], None),
        ([4], r"student '1 layer': intermediate: .*4 is no layer"),
    ):
        phase = {"losses": {"hidden_mse": {"teacher_layers": layers}}, "max_steps": 3}
        settings = tiny_compress.make_settings(
            deep_teacher, data, out, depths=1, finetune={"intermediate": phase}
        )
        _plan(compress, settings, message)
        finetune = {**tiny_suite.FINETUNE, "intermediate": phase}
        message = message and r"models.half on sst2: .*4 is no layer"
        _plan(suite, tiny_suite.make_settings(ground, out, finetune=finetune), message)
    assert not out.exists()


def _plan(recipe, settings, message):
    if message is None:
        assert recipe.plan(settings)["total_seconds"] >= 0
    else:
        with pytest.raises(SettingsError, match=message):
            recipe.plan(settings)


def test_tinyberts_task_stage_is_a_preset(tmp_path, data, encoder, wide_teacher):
    """Shrunk in size alone: words are replaced, layers learned, then what the teacher predicts."""
    masked_lm = AutoModelForMaskedLM.from_pretrained(wide_teacher, new_head=True)
    masked_lm.save_pretrained(tmp_path / "masked")
    AutoTokenizer.from_pretrained(wide_teacher).save_pretrained(tmp_path / "masked")
    overrides = [
        f"model={encoder}",
        f"teacher={wide_teacher}",
        f"data={data}",
        f"out={tmp_path / 'run'}",
        f"augment.model={tmp_path / 'masked'}",
        "augment.unit=word",
        "augment.copies=2",
        "max_length=16",
        "intermediate.max_steps=3",
        "max_steps=2",
        "log_every=1",
    ]
    path = list_presets()["tinybert-task"].path
    settings = read_settings(FinetuneSettings, path, overrides, recipe="finetune")
    assert (settings.intermediate.epochs, settings.epochs, settings.batch_size) == (20, 3, 32)
    assert plan(settings)["steps_per_epoch"] == 6, "of 64 rows and twice as many made of them"
    steps = list(iterate(settings, progress=SilentProgress()))
    assert [step.phase for step in steps] == ["intermediate"] * 3 + ["task"] * 2
    terms = [
        {name for name in read_metrics(tmp_path / "run" / folder)[0].values if "loss_" in name}
        for folder in ("seed-0/intermediate", "seed-0")
    ]
    # Labels have no weight, and are but looked at.
    assert terms == [
        {"loss_attention_mse", "loss_hidden_mse"},
        {"loss_soft_targets", "loss_task"},
    ]


def test_losses_of_the_command_line_are_the_only_ones():
    """Those of a file replace the default; a key of one more did not."""
    words = ["model=M", "out=O", "teacher=T", "intermediate.losses.attention_kl.weight=2"]
    phase = read_settings(FinetuneSettings, None, words).intermediate
    assert phase.losses == {"attention_kl": {"weight": 2}}
    phase = read_settings(
        FinetuneSettings, None, [*words[:3], "intermediate.epochs=2"]
    ).intermediate
    assert list(phase.losses) == ["hidden_mse", "attention_mse"]
