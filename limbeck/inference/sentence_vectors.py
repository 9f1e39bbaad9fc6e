"""Vectors of texts, many at a time: what sentence encoders are built on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
from tokenizers import Encoding

from limbeck.data.by_length import batches_by_length
from limbeck.errors import SettingsError, shorten
from limbeck.inference._base import FloatArray, Pipeline
from limbeck.inference._options import Options
from limbeck.inference.engines import PROMPT, VECTORS, Engine
from limbeck.models._kinds import ENCODER
from limbeck.tokenizers import Tokenizer

_CHUNK = 64  # batches that are read ahead, to be sorted by length


class SentenceVectorsPipeline(Pipeline[Options]):
    """Gives each text its vector.

    Texts of about the same length share a batch. What is longer than `max_length` tokens is cut.

    Args:
        engine: Runs a sentence model.
        tokenizer: Its tokenizer.
        batch_size: Texts that go through the model at a time; by default 32.
        max_length: Longest input in tokens; by default what the model's folder says, or the
            longest that the model takes.
    """

    task = "sentence-similarity"
    kind = ENCODER

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        *,
        batch_size: int | None = None,
        max_length: int | None = None,
    ) -> None:
        super().__init__(engine, tokenizer, batch_size=batch_size, max_length=max_length)
        sentence = engine.facts.sentence
        if sentence is None:
            raise SettingsError(
                "the engine gives no vectors of texts; accepted: one of load_engine(..., "
                "vectors=True), or a SentenceEngine"
            )
        self._sentence = sentence
        if max_length is None and sentence.max_seq_length is not None:
            # Some folders name more than the model takes.
            self._max_length = min(sentence.max_seq_length, self._longest)

    @property
    def max_length(self) -> int:
        """Longest input in tokens."""
        return self._max_length

    @max_length.setter
    def max_length(self, given: int) -> None:
        self._max_length = self._choose_max_length(given)

    def __call__(
        self,
        texts: Iterable[str],
        *,
        prompt: str = "",
        advance: Callable[[float], None] = lambda _: None,
    ) -> Iterator[FloatArray]:
        """Yields the vectors of texts in their order, some thousand at a time.

        Memory does not grow with the number of texts, which are read as they are needed.

        Args:
            texts: The texts.
            prompt: What is put before each.
            advance: Is told how many texts are done.

        Raises:
            SettingsError: If one is no text.
        """
        left_out = self._count_prompt(prompt)
        remaining, done = iter(texts), 0
        while chunk := list(islice(remaining, _CHUNK * self._batch_size)):
            rows = self._tokenize(chunk, prompt=prompt, first=done)
            done += len(chunk)
            yield self._compute(rows, left_out=left_out, advance=advance)

    def tokenize(self, texts: list[str]) -> list[Encoding]:
        """Returns texts as tokens, cut at `max_length`."""
        return self._tokenize(texts, prompt="", first=0)

    def _tokenize(self, texts: list[str], *, prompt: str, first: int) -> list[Encoding]:
        for place, text in enumerate(texts, start=first):
            if not isinstance(text, str):
                raise SettingsError(f"sentence {place} is {shorten(text)}; accepted: a text")
        read = [self._sentence.as_read(prompt + text) for text in texts]
        rows = self.tokenizer(read, truncation=True, max_length=self._max_length).encodings
        for place, row in enumerate(rows, start=first):
            if not len(row):
                raise SettingsError(
                    f"sentence {place} is {shorten(texts[place - first])}, of which the model's "
                    "tokenizer makes no tokens; accepted: texts with some"
                )
        return rows

    def _compute(
        self, rows: list[Encoding], *, left_out: int, advance: Callable[[float], None]
    ) -> FloatArray:
        found = np.empty((len(rows), self._sentence.width), dtype=np.float32)
        for chosen in batches_by_length([len(row) for row in rows], self._batch_size):
            inputs = self._pad([rows[i] for i in chosen])
            outputs = self.engine.run({**inputs, PROMPT: left_out} if left_out else inputs)
            self._require_finite(outputs)
            found[chosen] = outputs[VECTORS]
            advance(len(chosen))
        return found

    def _count_prompt(self, prompt: str) -> int:
        """Returns how many tokens a prompt has at the beginning of a text, if they don't count."""
        if not prompt or self._sentence.pooling.include_prompt:
            return 0
        if PROMPT not in self.engine.limits.inputs:
            raise SettingsError(
                "the model leaves a prompt's tokens out of a text's vector, which the engine "
                "can't; accepted: engine='torch' on the folder of its weights, or no prompt"
            )
        (row,) = self._tokenize([prompt], prompt="", first=0)
        return len(row) - row.special_tokens_mask[-1]  # what ends a text ends the prompt's too
