"""What a distillation changed, from its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from limbeck.errors import DataError
from limbeck.files import sha256_of
from limbeck.report import figures
from limbeck.report.facts import DistillationFacts
from limbeck.runs import DistillEmbeddingsRecord, DistillRecord
from limbeck.runs.result import read_recipe
from limbeck.train.metrics import METRICS_FILE, MetricLine, read_metrics

HELD_OUT = {
    "mlm_loss": "Masked-LM loss (nats per masked token)",
    "mlm_accuracy": "Masked-LM accuracy",
    "clm_loss": "Causal-LM loss (nats per next token)",
    "perplexity": "Perplexity (per token of this vocabulary)",
    "clm_accuracy": "Next-token accuracy",
    "kl_to_teacher": "KL to the teacher (nats)",
    "teacher_agreement": "Top-1 agreement with the teacher",
    "cosine": "Cosine with the teacher's hidden states",
    "held_out_cosine": "Cosine with the teacher's vectors",
    "held_out_distance": "Squared distance from the teacher's vectors",
    "held_out_similarity_spearman": "Spearman of both models' similarities",
    "held_out_score_spearman": "Spearman of both models' scores",
    "validation_spearman": "Spearman of cosines and numbers, on validation pairs",
}
"""Held-out figures in the order of the report."""

OF_TEACHER = {
    name: f"teacher_{name}"
    for name in (
        "mlm_loss",
        "mlm_accuracy",
        "clm_loss",
        "perplexity",
        "clm_accuracy",
        "validation_spearman",
    )
}
"""Figures that the teacher has too, on the same text and masks."""
SHARES = frozenset({"mlm_accuracy", "clm_accuracy", "teacher_agreement"})
"""Figures that are shown in percent."""

_PREDICTED = {"mlm_accuracy": "masked words", "clm_accuracy": "next tokens"}
"""What a student gets right, by the name of its accuracy."""

_ORDERED = {
    "held_out_similarity_spearman": "the student orders held-out texts as its teacher does",
    "held_out_score_spearman": "the student orders held-out pairs as its teacher does",
}
"""What a student of vectors does, by the name of its correlation."""

_LEAST_TEACHING = 0.15
"""Masked-LM accuracy below which a teacher's opinion on masked words is hardly one: the most
frequent word of English text alone gets about 5 %, a pretrained BERT over 50 %."""

_OF_LOSS = "_loss"
"""Ends the names of figures that are losses."""

_BOOKKEEPING = {
    "num_tokens",
    "elapsed_seconds",
    "tokens_per_second",
    "learning_rate",
    "grad_norm",
}


def name_held_out(found: Iterable[str]) -> dict[str, str]:
    """Returns what the figures of a run are called, in the order of the report."""
    return {**{n: f"Loss {words}" for n, words in name_own_losses(found).items()}, **HELD_OUT}


def name_own_losses(found: Iterable[str]) -> dict[str, str]:
    """Returns the losses that a run was measured by, where there is no head; and their names."""
    known = {*HELD_OUT, *OF_TEACHER.values()}
    return {
        name: name.removesuffix(_OF_LOSS)
        for name in found
        if name.endswith(_OF_LOSS) and name not in known
    }


def is_better_lower(name: str) -> bool:
    """Tells whether a figure falls as a student learns; the others rise."""
    return name in {"perplexity", "kl_to_teacher", "held_out_distance"} or name.endswith(_OF_LOSS)


def read_distillation(folder: Path) -> DistillationFacts:
    """Reads a distillation, finished or not: held-out figures at both ends, curves between.

    Raises:
        DataError: If there are no metrics in the folder, or its result can't be used.
    """
    lines = sorted(read_metrics(folder), key=lambda line: line.step)
    if not lines:
        raise DataError(
            f"{folder} has no metrics.jsonl with at least one line: it is not the folder of a "
            "distillation that has started"
        )
    evaluate, train = (_last_of_each_step(lines, kind) for kind in ("evaluate", "train"))
    result = _read_result(folder) if DistillRecord.exists(folder) else None
    if result is not None and result.metrics_sha256 not in (None, sha256_of(folder / METRICS_FILE)):
        raise DataError(
            f"{folder / METRICS_FILE} differs from its checksum in {result.FILE_NAME}: it was "
            "changed, or the folder mixes two runs; put it back, or distil again"
        )
    tokens_per_step = _tokens_per_step(evaluate, result)
    last_step = max([0, *(line.step for line in (*train, *evaluate))])
    num_steps, seconds = last_step, max(_numbers(train, "elapsed_seconds"), default=None)
    num_tokens = None if tokens_per_step is None else round(tokens_per_step * last_step)
    if result is not None:
        num_steps, seconds = result.num_steps, result.elapsed_seconds
    if isinstance(result, DistillRecord):
        num_tokens = result.num_tokens
    return DistillationFacts(
        folder=str(folder),
        is_complete=result is not None,
        num_steps=num_steps,
        num_tokens=num_tokens,
        elapsed_seconds=seconds,
        before=_figures(evaluate[0]) if evaluate else {},
        after=_figures(evaluate[-1]) if evaluate else {},
        before_step=evaluate[0].step if evaluate else 0,
        train=_curves(train, tokens_per_step=tokens_per_step),
        evaluate=_curves(evaluate, tokens_per_step=tokens_per_step),
    )


def is_of_vectors(found: DistillationFacts) -> bool:
    """Tells whether a student learned vectors of texts, and not to predict words."""
    return any(name in found.after for name in _ORDERED)


def describe_teaching(found: DistillationFacts) -> str | None:
    """Says that a teacher knows too little of masked words to teach by them; None if it does."""
    accuracy = found.after.get("teacher_mlm_accuracy")
    if accuracy is None or accuracy >= _LEAST_TEACHING:
        return None
    return (
        f"The teacher gets {figures.percent(accuracy)} of the masked words right, where a "
        "pretrained one gets more than half: its logits teach next to nothing. Fit it a masked-LM "
        "head first: limbeck pretrain model=TEACHER new_head=true freeze_body=true."
    )


def describe_distillation(found: DistillationFacts) -> str:
    """Returns what a distillation came to, in a sentence."""
    after = found.after
    state = "" if found.is_complete else ", not finished"
    head = f"After {figures.count(found.num_steps)} steps{state}"
    said = []
    for name, what in _PREDICTED.items():
        if name in after:
            teacher = after.get(OF_TEACHER[name])
            than = "" if teacher is None else f", its teacher {figures.percent(teacher)}"
            own = figures.percent(after[name])
            said.append(f"the student gets {own} of held-out {what} right{than}")
    for name, what in _ORDERED.items():
        if name in after:
            start = found.before.get(name)
            than = "" if start is None else f", before the first step {start:.3f}"
            said.append(f"{what} with a Spearman correlation of {after[name]:.3f}{than}")
    if "teacher_agreement" in after:
        who = "it" if said else "the student"
        said.append(
            f"{who} says what the teacher says for {figures.percent(after['teacher_agreement'])}"
        )
    if not said and "cosine" in after:
        said.append(f"the student's states have a cosine of {after['cosine']:.3f} to its teacher's")
    if not said:
        said += [
            f"its loss {words} on held-out text is {after[name]:.4g}, at first "
            f"{found.before[name]:.4g}"
            for name, words in name_own_losses(after).items()
            if name in found.before
        ]
    return f"{head}, {'; '.join(said)}." if said else f"{head}; nothing was held out to measure on."


def _read_result(folder: Path) -> DistillRecord | DistillEmbeddingsRecord:
    """Returns the result of a finished distillation, on running text or of vectors."""
    of_vectors = DistillEmbeddingsRecord.model_fields["recipe"].default
    if read_recipe(folder) == of_vectors:
        return DistillEmbeddingsRecord.read(folder)
    return DistillRecord.read(folder)


def _last_of_each_step(lines: Sequence[MetricLine], kind: str) -> list[MetricLine]:
    return list({line.step: line for line in lines if line.kind == kind}.values())


def _tokens_per_step(
    evaluate: Sequence[MetricLine], result: DistillRecord | DistillEmbeddingsRecord | None
) -> float | None:
    """Returns tokens per step, all steps of a distillation having as many."""
    for line in reversed(evaluate):
        tokens = line.values.get("num_tokens")
        if line.step > 0 and isinstance(tokens, int | float):
            return tokens / line.step
    if isinstance(result, DistillRecord) and result.num_steps > 0:
        return result.num_tokens / result.num_steps
    return None


def _numbers(lines: Sequence[MetricLine], name: str) -> list[float]:
    values = [line.values.get(name) for line in lines]
    return [value for value in values if isinstance(value, int | float)]


def _figures(line: MetricLine) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in line.values.items()
        if name not in _BOOKKEEPING and isinstance(value, int | float)
    }


def _curves(
    lines: Sequence[MetricLine], *, tokens_per_step: float | None
) -> dict[str, list[float]]:
    """Returns figures as columns, those that every line has, with `step` and `tokens`."""
    if not lines:
        return {}
    rows = [_figures(line) for line in lines]
    shared = [name for name in rows[0] if all(name in row for row in rows)]
    curves = {name: [row[name] for row in rows] for name in shared}
    steps = [float(line.step) for line in lines]
    if tokens_per_step is None:
        return {**curves, "step": steps}
    return {**curves, "step": steps, "tokens": [step * tokens_per_step for step in steps]}
