"""Retrieval without fine-tuning: the documents whose vectors are nearest to a query's.

Source:
    Thakur et al., "BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information
    Retrieval Models", NeurIPS 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from limbeck.metrics import Rankings
from limbeck.sources import Data
from limbeck.tasks._collection import Documents, read_collection
from limbeck.tasks._definition import TaskDefinition
from limbeck.tasks._encoded import EncodedExamples
from limbeck.tasks._examples import EncodedExample, Record, Split
from limbeck.tasks._main_metric import RankingMetric
from limbeck.tasks._search import search
from limbeck.tasks._texts import TextExample
from limbeck.tasks._vectors import SearchSettings, VectorTask
from limbeck.tokenizers import Tokenizer


class RetrievalSettings(SearchSettings):
    """How texts become vectors, how these are compared, and how much is kept."""

    top_k: int = Field(default=100, ge=100)
    """How many documents are kept of each query, for scores and in `predictions.jsonl`."""
    ignore_identical_ids: bool = False
    """Leave a document out that has the query's own id, where queries are documents themselves, as
    in ArguAna and Quora."""
    metric: RankingMetric = "ndcg_at_10"
    """Main metric."""


@dataclass(frozen=True, kw_only=True)
class RetrievalTask(VectorTask):
    """Queries, and documents of which each query seeks some.

    Attributes:
        documents: What is searched.
        options: How.
    """

    predictions = Rankings

    documents: Documents
    options: RetrievalSettings

    def for_folder(self, folder: Path) -> Self:
        """Returns the task with the prompts and the similarity that a model's folder says."""
        task = super().for_folder(folder)
        return replace(task, options=self.options.complete(task.sentence))

    def encode(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> EncodedExamples:
        """Turns queries into rows, and after them all documents."""
        queries = [f"{self.options.query_prompt or ''}{query.text}" for query in split.examples]
        prompt = self.options.document_prompt or ""
        documents = [f"{prompt}{text}" for text in self.documents.texts]
        rows = [TextExample(text, None, None) for text in chain(queries, documents)]
        return self.encode_texts(rows, tokenizer, max_length=max_length)

    def predict(
        self, split: Split, encoded: Sequence[EncodedExample], logits: Sequence[Tensor]
    ) -> list[Record]:
        """Returns per query what was judged, and the nearest documents with their scores."""
        count = len(split.examples)
        places = {name: place for place, name in enumerate(self.documents.ids)}
        same = [places.get(query.id) for query in split.examples]
        found = search(
            torch.stack(list(logits[:count])),
            torch.stack(list(logits[count:])),
            top_k=self.options.top_k,
            similarity=self.options.similarity or "cosine",
            left_out=same if self.options.ignore_identical_ids else None,
        )
        names = self.documents.ids
        return [
            {
                "index": index,
                "label": None
                if query.label is None
                else {names[place]: relevance for place, relevance in query.label.items()},
                "prediction": [names[place] for place in order],
                "scores": [round(score, 9) for score in scores],
            }
            for index, (query, (order, scores)) in enumerate(
                zip(split.examples, found, strict=True)
            )
        ]


def read(
    name: str,
    data: Data,
    *,
    settings: RetrievalSettings,
    labels: Sequence[str] | None = None,  # noqa: ARG001 - of a classifier
) -> RetrievalTask:
    """Reads a corpus, queries and judgements.

    Raises:
        DataError: If rows, columns or ids are wrong; the message names file and line.
    """
    collection = read_collection(data)
    return RetrievalTask(
        name=name,
        metric=settings.metric,
        splits={split: Split(split, queries) for split, queries in collection.splits.items()},
        documents=collection.documents,
        options=settings,
        pooling=settings.pooling,
    )


TASK = TaskDefinition(settings=RetrievalSettings, read=read, folder_cuts=True)
