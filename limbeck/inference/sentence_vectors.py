"""Vectors of texts, many at a time: what sentence encoders are built on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from tokenizers import Encoding

from limbeck.errors import SettingsError, shorten
from limbeck.inference._base import FloatArray, OptionsT, Pipeline
from limbeck.inference._options import Options
from limbeck.inference._stream import OnError, Steps, check_on_error, run_stream
from limbeck.inference.engines import PROMPT, VECTORS, Engine, engine_name
from limbeck.models._kinds import ENCODER
from limbeck.sources import require_whole_characters
from limbeck.tokenizers import Tokenizer


class VectorPipeline(Pipeline[OptionsT]):
    """Base of the pipelines that take one vector a text.

    Texts of about the same length share a batch. What is longer than `max_length` tokens is cut.

    Args:
        engine: Runs a sentence model.
        tokenizer: Its tokenizer.
        batch_size: Most texts that go through the model at a time; see `Pipeline`.
        max_length: Longest input in tokens; by default what the model's folder says, or the
            longest that the model takes.
        options: Those of `options_type`.

    Attributes:
        sentence: What the model's folder says of its vectors.
    """

    kind = ENCODER
    reads_below = True
    reads_vectors = True

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        *,
        batch_size: int | None = None,
        max_length: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(engine, tokenizer, batch_size=batch_size, max_length=max_length, **options)
        sentence = engine.facts.sentence
        if sentence is None:
            raise SettingsError(
                "the engine gives no vectors of texts; accepted: one of load_engine(..., "
                "vectors=True), or a SentenceEngine"
            )
        self.sentence = sentence
        if max_length is None and sentence.max_seq_length is not None:
            # Some folders name more than the model takes.
            self._max_length = min(sentence.max_seq_length, self.most_tokens)

    @property
    def max_length(self) -> int:
        """Longest input in tokens."""
        return self._max_length

    @max_length.setter
    def max_length(self, given: int) -> None:
        self._max_length = self._choose_max_length(given)

    def tokenize(self, texts: Sequence[str]) -> list[Encoding]:
        """Returns texts as tokens, cut at `max_length`."""
        return self._tokenize([_check_text(i, text) for i, text in enumerate(texts)], prompt="")

    def _computing(
        self, prompt: str
    ) -> Callable[[object, Sequence[Encoding]], Iterator[FloatArray]]:
        """Returns what gives the vectors of rows that begin with a prompt."""
        left_out = self._count_prompt(prompt)
        return lambda _, rows: iter(self._compute(rows, left_out=left_out))

    def _tokenize(self, texts: Sequence[str], *, prompt: str) -> list[Encoding]:
        read = [self.sentence.as_read(prompt + text) for text in texts]
        rows = self.tokenizer.encode_rows(read, max_length=self._max_length)
        for text, row in zip(texts, rows, strict=True):
            if not len(row):
                raise SettingsError(
                    f"the model's tokenizer makes no tokens of {shorten(text)}; accepted: texts "
                    "with some"
                )
        return rows

    def _compute(self, rows: Sequence[Encoding], *, left_out: int) -> FloatArray:
        self._count_cut(rows)
        found = np.empty((len(rows), self.sentence.width), dtype=np.float32)
        for chosen in self._batches(rows):
            inputs = self._pad([rows[i] for i in chosen])
            outputs = self.engine.run({**inputs, PROMPT: left_out} if left_out else inputs)
            self._require_finite(outputs)
            found[chosen] = outputs[VECTORS]
        return found

    def _count_prompt(self, prompt: str) -> int:
        """Returns how many tokens a prompt has at the beginning of a text, if they don't count."""
        if not prompt or self.sentence.pooling.include_prompt:
            return 0
        if PROMPT not in self.engine.limits.inputs:
            raise SettingsError(
                f"prompt = {shorten(prompt)}: the model leaves a prompt's tokens out of a text's "
                "vector (include_prompt is false in its pooling), which an exported file can't, "
                f"and {engine_name(type(self.engine))} runs one; accepted: the folder that was "
                "exported, with engine='torch', or prompt='' for none"
            )
        (row,) = self._tokenize([prompt], prompt="")
        return len(row) - row.special_tokens_mask[-1]  # what ends a text ends the prompt's too


class SentenceVectorsPipeline(VectorPipeline[Options]):
    """Gives the vectors of texts in a stream: what `SentenceEncoder` is built on.

    Arguments are those of `VectorPipeline`.
    """

    task = "embeddings"

    def __call__(
        self,
        texts: Iterable[str],
        *,
        prompt: str = "",
        gathers: bool = False,
        on_error: OnError = "raise",
        advance: Callable[[float], None] = lambda _: None,
    ) -> Iterator[FloatArray | None]:
        """Yields the vectors of texts in their order.

        Memory does not grow with the number of texts, which are read as they are needed.

        Args:
            texts: The texts.
            prompt: What is put before each.
            gathers: Whether nobody looks at a vector before there are all.
            on_error: `skip` gives None in the place of a bad text's vector.
            advance: Is told how many texts are done.

        Raises:
            SettingsError: If one is no text.
        """
        return run_stream(
            texts,
            Steps(_check_text, partial(self._tokenize, prompt=prompt), self._computing(prompt)),
            batch_size=self._batch_size,
            gathers=gathers,
            on_error=check_on_error(on_error),
            advance=advance,
        )


def _check_text(index: int, text: object) -> str:
    if not isinstance(text, str):
        raise SettingsError(f"sentence {index} is {shorten(text)}; accepted: a text")
    require_whole_characters(text, f"sentence {index}")
    return text
