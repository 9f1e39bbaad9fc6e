"""How well a student does on held-out text, by itself and beside its teacher."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.data import MaskedBatch
from limbeck.models import AnyModel, Model
from limbeck.nn import at_least_float32, evaluation, to_device
from limbeck.objectives._text_rows import encode, find_positions, flatten_states
from limbeck.objectives.text import TextObjective

_MOST_NATS = 700.0  # whose exponential is still a number


@torch.inference_mode()
def evaluate_language_model(
    student: Model,
    batches: Iterable[MaskedBatch],
    *,
    teacher: AnyModel | None = None,
    device: torch.device,
    chunk_rows: int = 1024,
) -> dict[str, float]:
    """Measures a student on held-out text, both models in evaluation mode meanwhile.

    Returns:
        `mlm_loss` (nats per masked token), `mlm_accuracy`, and with a teacher
        `teacher_mlm_loss`, `teacher_mlm_accuracy`, `kl_to_teacher` (nats, temperature 1) and
        `teacher_agreement` (share of equal top-1 predictions) over masked positions, `cosine`
        over all real ones. For causal models `clm_loss` (nats per next token), `clm_accuracy` and
        `perplexity`, the exponential of that loss, in place of the first two, and likewise of the
        teacher.
    """
    name_of = "clm" if student.kind.predicts_next else "mlm"
    sums: defaultdict[str, float] = defaultdict(float)
    num_labels = num_real = 0
    with evaluation(student, *(() if teacher is None else (teacher,))):
        for batch in batches:
            # Looked up before the batch goes to a device, which would have to be waited for.
            rows, real = find_positions(batch, "masked"), find_positions(batch, "real")
            num_labels += len(rows)
            num_real += len(real)
            batch, rows, real = batch.to(device), to_device(rows, device), to_device(real, device)
            flat_labels = batch.labels.flatten()
            student_hidden = flatten_states(encode(student, batch))
            teacher_hidden = None if teacher is None else flatten_states(encode(teacher, batch))
            if teacher_hidden is not None and teacher_hidden.shape == student_hidden.shape:
                cosines = F.cosine_similarity(student_hidden, teacher_hidden, dim=-1)
                sums["cosine"] += float(cosines[real].sum())
            for chunk in torch.split(rows, chunk_rows):
                labels = flat_labels[chunk]
                logits = at_least_float32(student.score(student_hidden[chunk]))
                figures = _lm_sums(logits, labels, name=name_of)
                if teacher is not None and teacher_hidden is not None:
                    expected = at_least_float32(teacher.score(teacher_hidden[chunk]))
                    figures |= _lm_sums(expected, labels, name=f"teacher_{name_of}")
                    figures |= _agreement_sums(logits, expected)
                for name, value in figures.items():
                    sums[name] += value
    figures = {
        name: value / max(num_real if name == "cosine" else num_labels, 1)
        for name, value in sums.items()
    }
    return figures | {
        f"{who}perplexity": math.exp(min(figures[f"{who}clm_loss"], _MOST_NATS))
        for who in ("", "teacher_")
        if f"{who}clm_loss" in figures
    }


@torch.inference_mode()
def evaluate_encoder(
    objective: TextObjective,
    batches: Iterable[MaskedBatch],
    *,
    teacher: AnyModel | None = None,
    device: torch.device,
) -> dict[str, float]:
    """Measures a student without a head on held-out text, in evaluation mode meanwhile.

    Returns:
        `..._loss` of each loss that has rows there, unweighted; and `cosine` with the teacher's
        last hidden states over all real tokens, where these are as wide.
    """
    student, sums = objective.student, defaultdict[str, float](float)
    prepared = [objective.prepare(batch) for batch in batches]
    counts = {name: sum(each.counts[name] for each in prepared) for name in objective.settings}
    num_real = 0
    with evaluation(objective, *(() if teacher is None else (teacher,))):
        for each in prepared:
            real = find_positions(each.batch, "real")
            num_real += len(real)
            on_device, real = each.to(device), to_device(real, device)
            _, terms = objective(on_device, counts)
            for name, term in terms.items():
                sums[f"{name}_loss"] += float(term)
            if teacher is not None and teacher.config.hidden_size == student.config.hidden_size:
                ours, theirs = (
                    flatten_states(encode(model, on_device.batch))[real]
                    for model in (student, teacher)
                )
                sums["cosine"] += float(F.cosine_similarity(ours, theirs, dim=-1).sum())
    figures = {name: sums[f"{name}_loss"] for name, count in counts.items() if count}
    return {f"{name}_loss": value for name, value in figures.items()} | (
        {"cosine": sums["cosine"] / max(num_real, 1)} if "cosine" in sums else {}
    )


def _lm_sums(logits: Tensor, labels: Tensor, *, name: str) -> dict[str, float]:
    return {
        f"{name}_loss": float(F.cross_entropy(logits, labels, reduction="sum")),
        f"{name}_accuracy": float((logits.argmax(-1) == labels).sum()),
    }


def _agreement_sums(student: Tensor, teacher: Tensor) -> dict[str, float]:
    log_student, log_teacher = student.log_softmax(-1), teacher.log_softmax(-1)
    divergence = F.kl_div(log_student, log_teacher, reduction="sum", log_target=True)
    return {
        "kl_to_teacher": float(divergence),
        "teacher_agreement": float((student.argmax(-1) == teacher.argmax(-1)).sum()),
    }
