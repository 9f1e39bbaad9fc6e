"""How far what an engine gives is from what torch gives of the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from limbeck.errors import ExportError
from limbeck.export._graph import Graph
from limbeck.inference import Engine

Floats = npt.NDArray[np.float64]

_OF_TOKENS = ("last_hidden_state", "token_embeddings", "start_logits", "end_logits")
_VECTORS = ("last_hidden_state", "token_embeddings", "sentence_embedding")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Outputs of two forms of a model, on the same rows.

    Attributes:
        largest: Largest difference of two numbers; padding does not count.
        relative: That of the output in which it is largest, over the standard deviation of all its
            numbers.
        agreement: Share of equal answers: the label that scores highest, of multi-label heads all
            that score above 0; None for vectors and numbers.
        cosine: Mean cosine of vectors; None for a model with a head.
        num_rows: Rows that were compared.
    """

    largest: float
    relative: float
    agreement: float | None
    cosine: float | None
    num_rows: int


def measure_difference(
    graph: Graph, engine: Engine, batches: Iterable[Mapping[str, Tensor]]
) -> Difference:
    """Runs rows through the model and through what it was exported to.

    Args:
        graph: The model.
        engine: Runs the export.
        batches: Inputs by name, the attention mask among them.

    Raises:
        ExportError: If the engine gives no output of the model, one of another shape, or a number
            that is not finite where the model's is.
    """
    found: dict[str, _Sums] = {}
    num_rows = 0
    for batch in batches:
        num_rows += len(batch["input_ids"])
        with torch.no_grad():
            outputs = graph(*(batch[name] for name in graph.input_names))
        given = engine.run({name: batch[name] for name in graph.input_names})
        for name, expected in zip(graph.output_names, outputs, strict=True):
            if name in given:
                sums = found.setdefault(name, _Sums(graph, name))
                sums.add(expected.numpy(), given[name], batch["attention_mask"].numpy() > 0)
    if not found:
        raise ExportError(
            f"the engine gives none of {', '.join(graph.output_names)}, so that there is nothing "
            "to compare"
        )
    values = list(found.values())
    return Difference(
        largest=max(sums.largest for sums in values),
        relative=max(sums.relative for sums in values),
        agreement=_mean([sums.agreement for sums in values]),
        cosine=_mean([sums.cosine for sums in values]),
        num_rows=num_rows,
    )


class _Sums:
    """What one output's figures follow from, batch by batch: outputs may be too large to keep."""

    def __init__(self, graph: Graph, name: str) -> None:
        kind, config = graph.kind, graph.config
        self._name = name
        self._is_of_tokens = name in _OF_TOKENS or (
            name == "logits" and not (kind.reads_sequence or kind.has_choices)
        )
        self._has_answers = name not in _VECTORS and not (
            kind.name == "sequence_classification" and config.num_labels == 1
        )
        self._is_span = name in ("start_logits", "end_logits")
        is_multi_label = getattr(config, "problem_type", None) == "multi_label_classification"
        self._is_yes_or_no = kind.finds_replaced or is_multi_label
        self.largest = 0.0
        self._sum = self._square = self._cosine = 0.0
        self._num_values = self._num_answers = self._num_equal = self._num_vectors = 0

    def add(
        self,
        expected: npt.NDArray[np.float32],
        given: npt.NDArray[np.float32],
        mask: npt.NDArray[np.bool_],
    ) -> None:
        """Adds a batch."""
        if expected.shape != given.shape:
            raise ExportError(
                f"{self._name} has the shape {given.shape} where the model's is {expected.shape}"
            )
        if not np.isfinite(given).all():
            raise ExportError(
                f"the export gives {self._name} that are not finite (NaN or infinite), where the "
                "model's are: the precision is too narrow for it"
            )
        if self._is_span:  # of a text its first place counts as the answer
            low = np.finfo(np.float32).min
            self._count_answers(np.where(mask, expected, low), np.where(mask, given, low))
        one, other = (x.astype(np.float64) for x in (expected, given))
        if self._is_of_tokens:
            one, other = one[mask], other[mask]
        self.largest = max(self.largest, float(np.abs(one - other).max()))
        self._sum += float(one.sum())
        self._square += float((one**2).sum())
        self._num_values += one.size
        if self._name in _VECTORS:
            norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
            cosines = (one * other).sum(axis=-1) / np.maximum(norms, np.finfo(np.float64).tiny)
            self._cosine += float(cosines.sum())
            self._num_vectors += cosines.size
        elif not self._is_span:
            self._count_answers(one, other)

    def _count_answers(
        self, one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]
    ) -> None:
        if self._is_yes_or_no:
            equal = (one > 0) == (other > 0)
        else:
            equal = one.argmax(axis=-1) == other.argmax(axis=-1)
        self._num_equal += int(equal.sum())
        self._num_answers += equal.size

    @property
    def relative(self) -> float:
        """The largest difference over the standard deviation."""
        mean = self._sum / self._num_values
        spread = max(self._square / self._num_values - mean**2, 0.0) ** 0.5
        return self.largest / spread if spread else float(self.largest > 0)

    @property
    def agreement(self) -> float | None:
        """The share of equal answers."""
        return self._num_equal / self._num_answers if self._has_answers else None

    @property
    def cosine(self) -> float | None:
        """The mean cosine."""
        return self._cosine / self._num_vectors if self._num_vectors else None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
