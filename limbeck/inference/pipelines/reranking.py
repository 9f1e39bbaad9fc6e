"""Reranking: texts in the order in which they answer a query, by a cross-encoder.

Source:
    Nogueira, Cho, "Passage Re-ranking with BERT", 2019: query and text are read together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Encoding

from limbeck.checkpoints import read_config, read_task_name
from limbeck.errors import DataError, SettingsError, shorten, shorten_names
from limbeck.inference._base import Pipeline
from limbeck.inference._options import Options, require_positive
from limbeck.inference._scores import sigmoid
from limbeck.inference._stream import Steps
from limbeck.inference.pipelines._texts import (
    check_text_of,
    check_texts_of,
    encode_pairs,
    logits_of_rows,
)
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION, Kind

_FORM = '{"query": "...", "texts": ["...", "..."]}'


class Search(NamedTuple):
    """A query and the texts that may answer it."""

    query: str
    texts: list[str]


@dataclass(frozen=True)
class RerankingOptions(Options):
    """What can be chosen, for the pipeline or anew with each call."""

    of_lists = ("top_k", "return_text")

    top_k: int | None = None
    """How many texts to give, the best first; by default all."""
    return_text: bool = False
    """Whether each comes with its text, not its index alone."""
    raw_scores: bool = False
    """Whether scores are the model's logits, not their sigmoids."""

    def __post_init__(self) -> None:
        if self.top_k is not None:
            require_positive("top_k", self.top_k)


class RerankingPipeline(Pipeline[RerankingOptions]):
    """Puts texts in the order in which they answer a query.

    Names and results are those of text-embeddings-inference's route `/rerank`; the order and, with
    `raw_scores`, the numbers are those of sentence-transformers' `CrossEncoder.rank`.

    Args:
        engine: Runs a model with a sequence classification head of one label.
        tokenizer: Its tokenizer.
        batch_size: Most pairs that go through the model at a time; see `Pipeline`.
        max_length: Longest pair in tokens; by default the longest that the engine takes.
        options: See `RerankingOptions`.

    Raises:
        SettingsError: If the model has another head, or more labels than one.

    Example:
        >>> rank = pipeline("reranking", model="runs/reranker/model")  # doctest: +SKIP
        >>> rank(query="Who wrote it?", texts=["Ada wrote it.", "It rains."])  # doctest: +SKIP
        [{'index': 0, 'score': 0.98}, {'index': 1, 'score': 0.01}]
    """

    task = "reranking"
    aliases = ("text-ranking",)
    kind = SEQUENCE_CLASSIFICATION
    is_usual = False
    options_type = RerankingOptions
    found = "relevance"
    second, needs_second = "query", True
    second_about = "What each text is to answer; each has a score by itself, in the given order."
    finetune_options = "task=reranking "

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        if self.facts.num_labels != 1:
            raise SettingsError(
                f"the {self.task} pipeline needs a model that gives a pair one number, and this "
                f"one has {self.facts.num_labels} labels: "
                f"{shorten_names(self.facts.id2label.values())}; accepted: a cross-encoder with "
                "one label. For the labels of a pair: text-classification"
            )

    @classmethod
    def recognises(cls, folder: Path, kind: Kind | None) -> bool:
        """Tells whether a folder is a cross-encoder of sentence-transformers, or of ours."""
        if kind != cls.kind:
            return False
        is_listed = (folder / "modules.json").is_file()
        is_theirs = is_listed or "sentence_transformers" in read_config(folder)
        return is_theirs or read_task_name(folder) == "reranking"

    @classmethod
    def read_row(cls, text: str, second: Any) -> Any:
        """Returns the input that a row of a table makes: each text has its score by itself."""
        return {"query": second, "texts": [text]}

    @classmethod
    def list_results(cls, result: Any) -> list[dict[str, Any]]:
        """Returns the score of a row's text."""
        return [{"score": one["score"]} for one in result]

    def __call__(
        self,
        inputs: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
        *,
        query: str | None = None,
        texts: Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """Ranks the texts of one query or many.

        Args:
            inputs: `{"query": ..., "texts": [...]}`, or a list, a generator or a data set of these.
            query: In their place a query.
            texts: With `query` the texts.
            options: See `RerankingOptions`; `batch_size`, `max_length` and
                `on_error` too, which are as in `Pipeline`.

        Returns:
            `[{"index", "score"}]`, with `return_text` the `text` too, the best first; a list of
            such lists where a list is given.

        Raises:
            DataError: If an input is wrong; the message says which.
            SettingsError: If an option is wrong.
        """
        run, chosen, on_error = self._for_call(options)
        if inputs is None:
            inputs = {"query": query, "texts": texts}
        elif query is not None or texts is not None:
            raise SettingsError(
                "query= and texts= are given besides the inputs; accepted: either these, or inputs "
                f"such as {_FORM}"
            )
        steps = Steps(_as_search, run._encode, partial(run._rank, options=chosen))
        return run._answer(inputs, steps, on_error=on_error)

    def _encode(self, items: Sequence[Search]) -> list[Encoding]:
        pairs = [(item.query, text) for item in items for text in item.texts]
        return encode_pairs(self.tokenizer, pairs, max_length=self._max_length)

    def _rank(
        self, items: Sequence[Search], rows: Sequence[Encoding], options: RerankingOptions
    ) -> Iterator[list[dict[str, Any]]]:
        self._count_cut(rows)
        logits = np.concatenate(self._run(rows, logits_of_rows))
        is_raw = options.raw_scores or self.facts.problem_type == "regression"
        scores = logits if is_raw else sigmoid(logits)
        bounds = pairwise(accumulate((len(item.texts) for item in items), initial=0))
        for item, (first, last) in zip(items, bounds, strict=True):
            # By logits, of which fewer are equal than of their sigmoids near 0 and 1.
            order = np.argsort(-logits[first:last], kind="stable")[: options.top_k]
            yield [
                {
                    "index": int(i),
                    "score": float(scores[first + i]),
                    **({"text": item.texts[i]} if options.return_text else {}),
                }
                for i in order
            ]


def _as_search(index: int, given: object) -> Search:
    if not isinstance(given, Mapping) or set(given) != set(Search._fields):
        raise DataError(f"input {index} is {shorten(given)}; accepted: {_FORM}, or a list of these")
    query = check_text_of(index, "query", given["query"])
    return Search(query, check_texts_of(index, "texts", given["texts"]))


PipelineType = RerankingPipeline
