"""Embeddings: one vector a text, as the model's folder says it is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from limbeck.errors import SettingsError, shorten
from limbeck.inference._base import FloatArray
from limbeck.inference._options import Options, require_positive
from limbeck.inference._stream import Steps
from limbeck.inference.pipelines._texts import check_text
from limbeck.inference.sentence_vectors import VectorPipeline


@dataclass(frozen=True)
class EmbeddingsOptions(Options):
    """What can be chosen, for the pipeline or anew with each call."""

    prompt_name: str | None = None
    """Which of the folder's prompts is put before each text; by default the one that the folder
    says, if any."""
    prompt: str | None = None
    """What is put before each text, in place of one of the folder's."""
    normalize_embeddings: bool = False
    """Whether each vector is made one long, whatever the folder says."""
    truncate_dim: int | None = None
    """How many numbers of each vector are kept, from the first."""

    def __post_init__(self) -> None:
        if self.truncate_dim is not None:
            require_positive("truncate_dim", self.truncate_dim)
        if self.prompt is not None and not isinstance(self.prompt, str):
            raise SettingsError(f"prompt = {shorten(self.prompt)}; accepted: a text")


class EmbeddingsPipeline(VectorPipeline[EmbeddingsOptions]):
    """Gives each text its vector: pooled, projected and cut as the model's folder says.

    A folder of sentence-transformers says it; of any other encoder the mean over the tokens is
    taken. `limbeck.SentenceEncoder` is the same with the habits of sentence-transformers.

    Args:
        engine: Runs a sentence model.
        tokenizer: Its tokenizer.
        batch_size: Most texts that go through the model at a time; see `Pipeline`.
        max_length: Longest input in tokens; by default what the folder says, or the longest that
            the model takes.
        options: See `EmbeddingsOptions`.

    Example:
        >>> embed = pipeline("embeddings", model="models/all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> embed(["A cat sleeps.", "A dog runs."]).shape  # doctest: +SKIP
        (2, 384)
    """

    task = "embeddings"
    is_usual = False
    options_type = EmbeddingsOptions

    def __call__(self, inputs: str | Iterable[str], **options: Any) -> Any:
        """Gives the vectors of one text or many.

        Args:
            inputs: A text, or a list, a generator or a data set of these.
            options: See `EmbeddingsOptions`; `batch_size`, `max_length` and
                `on_error` too, which are as in `Pipeline`.

        Returns:
            For a text its vector, for a list a matrix with a row for each: NumPy, float32. For a
            generator or a data set a generator of vectors; a list of them where bad texts are
            skipped.

        Raises:
            DataError: If an input is no text.
            SettingsError: If there is no such prompt, or an option is wrong.

        Shape:
            result: (width,) for a text, else (number of texts, width).
        """
        run, chosen, on_error = self._for_call(options)
        prompt = run.sentence.choose_prompt(chosen.prompt, chosen.prompt_name)
        compute = run._computing(prompt)
        steps = Steps(
            check_text,
            partial(run._tokenize, prompt=prompt),
            lambda _, rows: (_shape(vector, chosen) for vector in compute(_, rows)),
        )
        found = run._answer(inputs, steps, on_error=on_error)
        if not isinstance(found, list) or on_error == "skip":
            return found
        width = min(run.sentence.width, chosen.truncate_dim or run.sentence.width)
        return np.stack(found) if found else np.empty((0, width), dtype=np.float32)


def _shape(vector: FloatArray, options: EmbeddingsOptions) -> FloatArray:
    """Returns what is kept of a vector, as long as it shall be."""
    kept = vector[: options.truncate_dim].copy()
    if options.normalize_embeddings:
        kept /= max(float(np.linalg.norm(kept)), 1e-12)  # as torch does: nothing stays nothing
    return kept


PipelineType = EmbeddingsPipeline
