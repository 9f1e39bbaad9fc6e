"""`limbeck distill` against the specification's formulas, written out on transformers' models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoModelForMaskedLM, DistilBertForMaskedLM

from limbeck.data import Corpus, MaskedBatches
from limbeck.recipes import distill
from limbeck.train import SilentProgress, read_metrics

STEPS = 8
RATE = 1e-2


def plain_loss(
    student: torch.nn.Module, teacher: torch.nn.Module, batch: object, positions: str
) -> torch.Tensor:
    """All logits at once, over all rows: 5 L_ce + 2 L_mlm + 1 L_cos at temperature 2."""
    ours = student(batch.input_ids, output_hidden_states=True)
    with torch.no_grad():
        theirs = teacher(batch.input_ids, output_hidden_states=True)
    masked = batch.labels != -100
    chosen = masked if positions == "masked" else torch.ones_like(masked)
    z_s, z_t = ours.logits[chosen], theirs.logits[chosen]
    t_probability = (z_t / 2).softmax(-1)
    row_kl = (t_probability * ((z_t / 2).log_softmax(-1) - (z_s / 2).log_softmax(-1))).sum(-1)
    l_ce = 4 * row_kl.mean()
    l_mlm = F.cross_entropy(ours.logits[masked], batch.labels[masked])
    h_s, h_t = ours.hidden_states[-1], theirs.hidden_states[-1]
    l_cos = (1 - (h_s * h_t).sum(-1) / (h_s.norm(dim=-1) * h_t.norm(dim=-1))).mean()
    return 5 * l_ce + 2 * l_mlm + l_cos


def make_batches(settings: distill.DistillSettings) -> MaskedBatches:
    corpus = Corpus.open(settings.corpus)
    return MaskedBatches(
        corpus.split("train"),
        tokenizer=corpus.tokenizer,
        token_counts=corpus.token_counts,
        masking=settings.masking,
        batch_size=settings.batch_size,
        sequence_length=settings.sequence_length,
        seed=settings.seed,
    )


def plain_run(settings: distill.DistillSettings, student: torch.nn.Module) -> list[float]:
    """AdamW with a linear warm-up and decay, by hand around torch's own optimiser."""
    batches = make_batches(settings)
    teacher = AutoModelForMaskedLM.from_pretrained(settings.teacher).eval()
    student.train()
    optimizer = torch.optim.AdamW(
        student.parameters(), lr=RATE, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.0
    )
    positions = settings.losses["soft_targets"].positions
    losses = []
    for step in range(STEPS):
        done = (step + 1) / (STEPS + 1)
        warm_up = settings.schedule.warmup_ratio
        factor = done / warm_up if done < warm_up else (1 - done) / (1 - warm_up)
        for group in optimizer.param_groups:
            group["lr"] = RATE * factor
        loss = plain_loss(student, teacher, batches.batch(step), positions)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("positions", ["masked", "real"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_same_loss_step_by_step(
    tmp_path: Path, corpus_folder: Path, sober_teacher_folder: Path, positions: str, accumulate: int
) -> None:
    settings = distill.DistillSettings(
        teacher=str(sober_teacher_folder),
        corpus=corpus_folder,
        out=tmp_path / "run",
        sequence_length=16,
        batch_size=12,
        accumulate=accumulate,
        max_steps=STEPS,
        learning_rate=RATE,
        chunk_rows=7,
        log_every=1,
        losses={
            "soft_targets": {"weight": 5, "positions": positions},
            "masked_lm": {"weight": 2},
            "cosine": {"weight": 1},
        },
    )
    # The student's start, before the run moves it, as transformers sees it.
    _, _, student = distill._prepare(settings)
    assert student.config.dropout == 0, "the teacher has no dropout, so neither has the student"
    student.save_pretrained(tmp_path / "start")
    distill.run(settings, progress=SilentProgress())
    ours = [line.values["loss"] for line in read_metrics(tmp_path / "run") if line.kind == "train"]

    plain_student = DistilBertForMaskedLM.from_pretrained(tmp_path / "start")
    expected = plain_run(settings, plain_student)
    assert len(ours) == STEPS
    assert ours == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert ours[-1] < ours[0]

    trained, info = DistilBertForMaskedLM.from_pretrained(
        tmp_path / "run/model", output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    for name, tensor in plain_student.state_dict().items():
        if name.endswith("k_lin.bias"):  # its true gradient is 0, so Adam follows rounding alone
            continue
        torch.testing.assert_close(trained.state_dict()[name], tensor, rtol=1e-3, atol=2e-4)


def test_layers_in_between_are_compared_too(
    tmp_path: Path, corpus_folder: Path, sober_teacher_folder: Path
) -> None:
    settings = distill.DistillSettings(
        teacher=str(sober_teacher_folder),
        corpus=corpus_folder,
        out=tmp_path / "run",
        sequence_length=16,
        batch_size=6,
        max_steps=1,
        log_every=1,
        losses={"hidden_mse": {"weight": 2}, "attention_mse": {}},
    )
    _, teacher, student = distill._prepare(settings)
    depths = student.config.num_hidden_layers, teacher.config.num_hidden_layers
    assert depths == (2, 4)
    batch = make_batches(settings).batch(0)
    both = {"hidden_states", "attention_scores"}
    with torch.no_grad():
        ours = student.encode(batch.input_ids, batch.attention_mask, collect=both)
        theirs = teacher.encode(batch.input_ids, batch.attention_mask, collect=both)
    hidden = sum(
        F.mse_loss(ours.hidden_states[a], theirs.hidden_states[b])
        for a, b in ((0, 0), (1, 2), (2, 4))
    )
    attention = sum(
        F.mse_loss(ours.attention_scores[a], theirs.attention_scores[b])
        for a, b in ((0, 1), (1, 3))
    )
    distill.run(settings, progress=SilentProgress())
    (line,) = [line for line in read_metrics(tmp_path / "run") if line.kind == "train"]
    assert line.values["loss"] == pytest.approx(2 * hidden.item() + attention.item(), rel=1e-5)
    assert attention > 0
