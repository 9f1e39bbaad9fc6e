"""Reranking: puts candidates in order, by a cross-encoder or by the vectors of a sentence model.

A cross-encoder reads query and document together and gives one number; it is what is fine-tuned.

Source:
    Nogueira, Cho, "Passage Re-ranking with BERT", 2019, section 3: the loss is the binary
    cross-entropy of each pair; learning from a larger model's numbers by their squared difference:
    Hofstätter et al., "Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge
    Distillation", 2020, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.checkpoints import read_config
from limbeck.errors import SettingsError
from limbeck.metrics import Rankings
from limbeck.models import AutoModelForSequenceClassification
from limbeck.nn import similarity_matrix
from limbeck.sources import Data
from limbeck.tasks._average import average_yes_and_no, sum_weighted
from limbeck.tasks._base import Task
from limbeck.tasks._candidates import Candidates, CandidateSettings, read_candidates
from limbeck.tasks._definition import TaskDefinition
from limbeck.tasks._encoded import EncodedExamples
from limbeck.tasks._examples import EncodedExample, Record, Split, TaskBatch
from limbeck.tasks._main_metric import RankingMetric
from limbeck.tasks._spans import Spans
from limbeck.tasks._texts import TextEncoding, TextExample
from limbeck.tasks._vectors import SearchSettings, VectorTask
from limbeck.tokenizers import Tokenizer


class RerankingSettings(CandidateSettings, SearchSettings):
    """Which columns hold what, and what puts the documents in order."""

    scorer: Literal["cross_encoder", "bi_encoder"] | None = None
    """What gives a document its number: a head on query and document together, or the vectors of
    both; None takes what the model's folder holds. Only a cross-encoder is fine-tuned."""
    metric: RankingMetric = "mean_average_precision"
    """Main metric, by which the best epoch is chosen."""


@dataclass(frozen=True, kw_only=True)
class RerankingTask(Task):
    """Queries with documents to put in order, of which each is relevant or not.

    Attributes:
        options: Which columns and which scorer.
    """

    predictions = Rankings
    auto_model = AutoModelForSequenceClassification
    pipeline_tag = "text-ranking"

    options: RerankingSettings

    def head(self) -> dict[str, Any]:
        """Returns that there is one number."""
        return {"num_labels": 1, "id2label": {0: "LABEL_0"}, "label2id": {"LABEL_0": 0}}

    def for_folder(self, folder: Path) -> Task:
        """Returns the task that takes vectors, if the folder is a sentence model's."""
        scorer = self.options.scorer
        if scorer is None and (folder / "modules.json").is_file():
            named = read_config(folder).get("architectures") or [""]
            is_classifier = str(named[0]).endswith("ForSequenceClassification")
            scorer = "cross_encoder" if is_classifier else "bi_encoder"
        return self.by_vectors().for_folder(folder) if scorer == "bi_encoder" else self

    def by_vectors(self) -> VectorRerankingTask:
        """Returns the task for a sentence model."""
        shared = {field.name: getattr(self, field.name) for field in fields(Task)}
        return VectorRerankingTask(**shared, options=self.options, pooling=self.options.pooling)

    def encode(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> EncodedExamples:
        """Turns each query with each of its documents into a row; the longer is cut first."""
        rows = TextEncoding().encode(_pairs(split.examples), tokenizer, max_length=max_length)
        owners = chain.from_iterable(
            [index] * len(example.documents) for index, example in enumerate(split.examples)
        )
        return EncodedExamples.of(
            replace(row, index=owner) for row, owner in zip(rows, owners, strict=True)
        )

    def spans(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> Spans:
        """Returns where each token stands."""
        return TextEncoding().spans(_pairs(split.examples), tokenizer, max_length=max_length)

    def distributions(self, logits: Tensor, counted: Tensor | None) -> Tensor:
        """Returns each document's yes or no as two logits, (batch, 2)."""
        return F.pad(logits, (0, 1))

    def average(self, logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """Returns logits whose probability of a yes is the mean of several models'."""
        return average_yes_and_no(logits, weights)

    def loss_sum(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Returns the binary cross-entropies added up over the batch."""
        assert batch.labels is not None
        wanted = batch.labels.to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits[:, 0], wanted, reduction="sum")

    def predict(
        self, split: Split, encoded: Sequence[EncodedExample], logits: Sequence[Tensor]
    ) -> list[Record]:
        """Returns per query what is relevant, its documents in order, and their numbers."""
        flat = iter(logits)
        return [
            _order(index, example, [float(next(flat)[0]) for _ in example.documents])
            for index, example in enumerate(split.examples)
        ]


@dataclass(frozen=True, kw_only=True)
class NumberedRerankingTask(RerankingTask):
    """The same where documents have numbers of any size, which are learned as they are."""

    targets = "real"

    def distributions(self, logits: Tensor, counted: Tensor | None) -> Tensor:
        """Returns the numbers."""
        return logits

    def average(self, logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """Returns the mean of several models' numbers."""
        return sum_weighted(logits, weights)

    def loss_sum(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Returns the squared errors added up over the batch."""
        assert batch.labels is not None
        return F.mse_loss(logits[:, 0], batch.labels.to(logits.dtype), reduction="sum")


@dataclass(frozen=True, kw_only=True)
class VectorRerankingTask(VectorTask):
    """The same documents put in order by how near their vectors are to the query's.

    Attributes:
        options: How vectors are made and compared.
    """

    predictions = Rankings

    options: RerankingSettings

    def for_folder(self, folder: Path) -> Self:
        """Returns the task with the prompts and the similarity that a model's folder says."""
        task = super().for_folder(folder)
        return replace(task, options=self.options.complete(task.sentence))

    def encode(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> EncodedExamples:
        """Turns queries into rows, and after them every document, each text once."""
        queries = [f"{self.options.query_prompt or ''}{e.query}" for e in split.examples]
        prompt = self.options.document_prompt or ""
        documents = [f"{prompt}{text}" for text in _number_texts(split.examples)]
        rows = [TextExample(text, None, None) for text in chain(queries, documents)]
        return self.encode_texts(rows, tokenizer, max_length=max_length)

    def predict(
        self, split: Split, encoded: Sequence[EncodedExample], logits: Sequence[Tensor]
    ) -> list[Record]:
        """Returns per query what is relevant, its documents in order, and how near they are."""
        places, count = _number_texts(split.examples), len(split.examples)
        similarity = self.options.similarity or "cosine"
        records = []
        for index, example in enumerate(split.examples):
            chosen = [logits[count + places[text]] for text in example.documents]
            scores = similarity_matrix(logits[index][None], torch.stack(chosen), similarity)[0]
            records.append(_order(index, example, scores.tolist()))
        return records


def _pairs(examples: Sequence[Candidates]) -> list[TextExample]:
    """Returns each query with each of its documents."""

    def pairs() -> Iterator[TextExample]:
        for example in examples:
            targets = example.targets or [None] * len(example.documents)
            for document, target in zip(example.documents, targets, strict=True):
                yield TextExample(example.query, document, target)

    return list(pairs())


def _number_texts(examples: Sequence[Candidates]) -> Mapping[str, int]:
    """Returns the place of each document's text among all, in the order in which they come."""
    places: dict[str, int] = {}
    for text in chain.from_iterable(example.documents for example in examples):
        places.setdefault(text, len(places))
    return places


def _order(index: int, example: Candidates, scores: Sequence[float]) -> Record:
    """Returns the record of a query; equal scores stand by their names, the last first."""
    order = sorted(zip(scores, example.names, strict=True), reverse=True)
    return {
        "index": index,
        "label": None if example.label is None else dict(example.label),
        "prediction": [name for _, name in order],
        "scores": [round(score, 9) for score, _ in order],
    }


def read(
    name: str,
    data: Data,
    *,
    settings: RerankingSettings,
    labels: Sequence[str] | None = None,  # noqa: ARG001 - of a classifier
) -> Task:
    """Reads queries and their candidates.

    Raises:
        DataError: If rows, columns, numbers or ids are wrong; the message names file and line.
        SettingsError: If a setting of vectors is given for a cross-encoder.
    """
    splits, num_held_out = read_candidates(data, settings)
    if settings.scorer == "cross_encoder":
        given = SearchSettings.model_fields.keys() & settings.model_fields_set
        if given:
            raise SettingsError(
                f"task_options.{min(given)} is for vectors, but task_options.scorer is "
                "'cross_encoder'; leave one of the two out"
            )
    targets = [
        target
        for split in splits.values()
        for example in split.examples
        for target in example.targets or ()
    ]
    kind = RerankingTask if all(0 <= t <= 1 for t in targets) else NumberedRerankingTask
    task = kind(
        name=name,
        metric=settings.metric,
        splits=splits,
        num_held_out=num_held_out,
        options=settings,
    )
    return task.by_vectors() if settings.scorer == "bi_encoder" else task


TASK = TaskDefinition(settings=RerankingSettings, read=read, folder_cuts=True)
