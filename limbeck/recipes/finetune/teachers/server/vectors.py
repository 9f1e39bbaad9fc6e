"""The routes of embedding servers: what they are asked, and the vectors they answer."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.errors import SettingsError, shorten
from limbeck.recipes.finetune.teachers._texts import Texts
from limbeck.recipes.finetune.teachers.server.client import AnswerError
from limbeck.recipes.finetune.teachers.server.routes import Route, Usage, is_finite


@dataclass(frozen=True)
class Embed(Route):
    """The routes `/embed` of text-embeddings-inference and `/embeddings` of OpenAI: vectors.

    Attributes:
        dimensions: Width of a vector.
        model: The model's name there, for OpenAI's route; None for the other.
        batch_size: Texts in one question.
    """

    dimensions: int
    model: str | None
    batch_size: int = 32

    def body(self, texts: Sequence[Texts]) -> dict[str, Any]:
        """Returns a batch of single texts."""
        written = [text for (text,) in texts]
        if self.model is None:
            return {"inputs": written, "truncate": True}
        return {"model": self.model, "input": written}

    def split(self, answer: Any, count: int) -> list[Any]:
        """Returns the vector of each text; of OpenAI's tokens each has its share."""
        vectors, num_read = answer, 0
        if self.model is not None:
            try:
                rows = sorted(answer["data"], key=lambda row: int(row["index"]))
                vectors = [row["embedding"] for row in rows]
                num_read = int((answer.get("usage") or {}).get("prompt_tokens") or 0)
            except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
                raise AnswerError(f"{shorten(answer)} where embeddings belong") from None
        if not isinstance(vectors, list) or len(vectors) != count:
            size = f"{len(vectors)} vectors" if isinstance(vectors, list) else shorten(vectors)
            raise AnswerError(f"an answer of {size} for {count} texts")
        shares = [num_read // count + (i < num_read % count) for i in range(count)]
        return [
            {"vector": _pack(vector), "num_read": share}
            for vector, share in zip(vectors, shares, strict=True)
        ]

    def read(self, kept: Any, place: str) -> Sequence[float]:
        """Returns the vector.

        Raises:
            SettingsError: If it is of another width.
        """
        vector = struct.unpack(f"<{len(kept['vector']) // 8}f", bytes.fromhex(kept["vector"]))
        if len(vector) != self.dimensions:
            raise SettingsError(
                f"{place}: the server's vectors have {len(vector)} numbers, but "
                f"teacher_options.dimensions = {self.dimensions}; give dimensions={len(vector)}. "
                "What it answered is kept"
            )
        return vector

    def usage(self, kept: Any) -> Usage:
        """Returns the tokens that the server has counted."""
        return Usage(kept["num_read"])


def _pack(vector: Any) -> str:
    """Returns a vector as it is kept: float32, as models give it, in half the space of digits.

    Raises:
        AnswerError: If it is no list of finite numbers.
    """
    if (
        not isinstance(vector, list)
        or not vector
        or not all(isinstance(one, int | float) and is_finite(one) for one in vector)
    ):
        raise AnswerError(f"{shorten(vector)} where a vector belongs")
    return struct.pack(f"<{len(vector)}f", *vector).hex()
