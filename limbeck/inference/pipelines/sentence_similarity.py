"""Sentence similarity: how near the vectors of sentences are to the vector of another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Encoding

from limbeck.errors import DataError, SettingsError, shorten
from limbeck.inference._base import FloatArray
from limbeck.inference._options import Options, require_positive
from limbeck.inference._stream import Steps
from limbeck.inference.pipelines._texts import check_text_of, check_texts_of
from limbeck.inference.sentence_vectors import VectorPipeline
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION, Kind

_FORM = '{"source_sentence": "...", "sentences": ["...", "..."]}'


class Comparison(NamedTuple):
    """A sentence, and those that are compared with it."""

    source_sentence: str
    sentences: list[str]


@dataclass(frozen=True)
class SentenceSimilarityOptions(Options):
    """What can be chosen, for the pipeline or anew with each call."""

    rare = ("prompt_name", "truncate_dim")

    prompt_name: str | None = None
    """Which of the folder's prompts is put before each sentence; by default the one that the
    folder says, if any."""
    truncate_dim: int | None = None
    """How many numbers of each vector are compared, from the first."""

    def __post_init__(self) -> None:
        if self.truncate_dim is not None:
            require_positive("truncate_dim", self.truncate_dim)


class SentenceSimilarityPipeline(VectorPipeline[SentenceSimilarityOptions]):
    """Compares a sentence with others, by their vectors.

    Inputs and results are those of the Hub's task of this name. How vectors are made and compared
    says the model's folder: by the cosine where it says nothing.

    Args:
        engine: Runs a sentence model.
        tokenizer: Its tokenizer.
        batch_size: Most sentences that go through the model at a time; see `Pipeline`.
        max_length: Longest input in tokens; by default what the folder says, or the longest that
            the model takes.
        options: See `SentenceSimilarityOptions`.

    Example:
        >>> compare = pipeline("sentence-similarity", "models/all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> compare(source_sentence="A cat.", sentences=["A kitten.", "Tax."])  # doctest: +SKIP
        [0.788, 0.138]
    """

    task = "sentence-similarity"
    is_usual = False
    options_type = SentenceSimilarityOptions
    found = "similarity"
    second, needs_second = "source_sentence", True
    second_about = "What each text is compared with."

    @classmethod
    def recognises(cls, folder: Path, kind: Kind | None) -> bool:
        """Tells whether a folder is a sentence model's; cross-encoders may look like one."""
        return kind != SEQUENCE_CLASSIFICATION and (folder / "modules.json").is_file()

    @classmethod
    def read_row(cls, text: str, second: Any) -> Any:
        """Returns the input that a row of a table makes."""
        return {"source_sentence": second, "sentences": [text]}

    @classmethod
    def list_results(cls, result: Any) -> list[dict[str, Any]]:
        """Returns the score of a row's text."""
        return [{"score": score} for score in result]

    def __call__(
        self,
        inputs: Mapping[str, Any] | Iterable[Mapping[str, Any]] | None = None,
        *,
        source_sentence: str | None = None,
        sentences: Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """Compares one sentence with others, or many with theirs.

        Args:
            inputs: `{"source_sentence": ..., "sentences": [...]}`, or a list, a generator or a data
                set of these.
            source_sentence: In their place a sentence.
            sentences: With `source_sentence` what it is compared with.
            options: See `SentenceSimilarityOptions`; `batch_size`, `max_length` and
                `on_error` too, which are as in `Pipeline`.

        Returns:
            A number for each of the sentences, in their order, greater where they are more alike; a
            list of such lists where a list is given.

        Raises:
            DataError: If an input is wrong; the message says which.
            SettingsError: If an option is wrong.
        """
        run, chosen, on_error = self._for_call(options)
        if inputs is None:
            inputs = {"source_sentence": source_sentence, "sentences": sentences}
        elif source_sentence is not None or sentences is not None:
            raise SettingsError(
                "source_sentence= and sentences= are given besides the inputs; accepted: either "
                f"these, or inputs such as {_FORM}"
            )
        prompt = run.sentence.choose_prompt(None, chosen.prompt_name)
        compute = run._computing(prompt)

        def encode(items: Sequence[Comparison]) -> list[Encoding]:
            return run._tokenize(_texts_of(items), prompt=prompt)

        def compare(items: Sequence[Comparison], rows: Sequence[Encoding]) -> Iterator[list[float]]:
            vectors = np.stack(list(compute(items, rows)))[:, : chosen.truncate_dim]
            places = {text: place for place, text in enumerate(_texts_of(items))}
            for item in items:
                source = vectors[places[item.source_sentence]]
                yield run._similarity(source, vectors[[places[text] for text in item.sentences]])

        return run._answer(inputs, Steps(_as_comparison, encode, compare), on_error=on_error)

    def _similarity(self, source: FloatArray, others: FloatArray) -> list[float]:
        import torch

        from limbeck.nn import similarity_matrix

        one, rest = torch.from_numpy(source)[None], torch.from_numpy(others)
        scores: list[float] = similarity_matrix(one, rest, self.sentence.similarity)[0].tolist()
        return scores


def _as_comparison(index: int, given: object) -> Comparison:
    if not isinstance(given, Mapping) or set(given) != set(Comparison._fields):
        raise DataError(f"input {index} is {shorten(given)}; accepted: {_FORM}, or a list of these")
    source = check_text_of(index, "source_sentence", given["source_sentence"])
    return Comparison(source, check_texts_of(index, "sentences", given["sentences"]))


def _texts_of(items: Sequence[Comparison]) -> list[str]:
    """Returns the sentences, each once however often it is compared."""
    sentences = (text for item in items for text in (item.source_sentence, *item.sentences))
    return list(dict.fromkeys(sentences))


PipelineType = SentenceSimilarityPipeline
