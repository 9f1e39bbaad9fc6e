"""The special tokens that a tokenizer puts around a text, told by its own post-processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer
from tokenizers.models import WordLevel


@dataclass(frozen=True)
class Frame:
    """What stands before and after a single text; for a pair, let the tokenizer encode it.

    Attributes:
        before: Token ids before the text.
        after: Token ids after it.
        types_before: Their token types.
        types_after: Likewise.
        text_type: Token type of the text.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    types_before: tuple[int, ...]
    types_after: tuple[int, ...]
    text_type: int

    @property
    def num_tokens(self) -> int:
        """Special tokens in all."""
        return len(self.before) + len(self.after)

    def input_ids(self, ids: Sequence[int]) -> list[int]:
        """Returns the ids of a text with what stands around them."""
        return [*self.before, *ids, *self.after]

    def token_type_ids(self, ids: Sequence[int]) -> list[int]:
        """Returns the token types of what `input_ids` returns for the same text."""
        return [*self.types_before, *[self.text_type] * len(ids), *self.types_after]


def read_frame(backend: Tokenizer) -> Frame:
    """Asks a pipeline's post-processor for its frame, whatever kind it is.

    A post-processor holds its special tokens' ids itself, so that a text of one token over
    another vocabulary shows it, where not every real one has a text of just one token.

    Example:
        >>> from tokenizers import processors
        >>> backend = Tokenizer(WordLevel({}))
        >>> backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        >>> frame = read_frame(backend)
        >>> frame.before, frame.after, backend.num_special_tokens_to_add(is_pair=True)
        ((0,), (2,), 4)
    """
    shown = _frame(backend, pair=False)
    place = shown.sequence_ids.index(0)
    return Frame(
        before=tuple(shown.ids[:place]),
        after=tuple(shown.ids[place + 1 :]),
        types_before=tuple(shown.type_ids[:place]),
        types_after=tuple(shown.type_ids[place + 1 :]),
        text_type=shown.type_ids[place],
    )


def read_template(backend: Tokenizer, *, pair: bool) -> list[tuple[int | None, int]]:
    """Returns what a pipeline makes of a text, or of two: ids and token types in order.

    In the place of each text stands one entry whose id is None.

    Example:
        >>> from tokenizers import processors
        >>> backend = Tokenizer(WordLevel({}))
        >>> backend.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
        >>> read_template(backend, pair=True)
        [(1, 0), (None, 0), (2, 0), (None, 1), (2, 1)]
    """
    shown = _frame(backend, pair=pair)
    columns = zip(shown.ids, shown.type_ids, shown.sequence_ids, strict=True)
    return [(index if text is None else None, kind) for index, kind, text in columns]


def _frame(backend: Tokenizer, *, pair: bool) -> Encoding:
    """Returns a text of one token, or two of them, within the special tokens of a pipeline."""
    probe = Tokenizer(WordLevel({"x": 0}))
    if backend.post_processor is not None:
        probe.post_processor = backend.post_processor
    shown: Encoding = probe.encode("x", "x" if pair else None)
    return shown
