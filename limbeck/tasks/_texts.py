"""Tasks over one or two texts: their settings, their rows, and what is too long for a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from limbeck.errors import DataError, SettingsError, did_you_mean, shorten, shorten_names
from limbeck.sources import Data, Row, SplitRows, require_whole_characters
from limbeck.tasks._encoded import EncodedExamples, naming_examples, texts_at_a_time
from limbeck.tasks._examples import EncodedExample, Example, Split
from limbeck.tasks._held_out import DataSettings, read_rows
from limbeck.tasks._spans import RowSpans, Spans
from limbeck.tokenizers import BatchEncoding, Tokenizer

_USUAL_TEXTS = ("text", "sentence")  # what `predict` looks for too
LongTexts = Literal["truncate", "head_tail", "windows"]

# Of 510 tokens the first 128 and the last 382, the best way of Sun et al. 2019, section 5.3.1.
_HEAD_RATIO = 128 / 510


class TextSettings(DataSettings):
    """Which columns hold what, and what becomes of long texts."""

    text_column: str = "text"
    """Column with the sentence, or the first of two."""
    text_pair_column: str | None = None
    """Column with the second sentence, for tasks over pairs."""
    label_column: str = "label"
    """Column with the label; empty, absent or -1 where it is not public."""
    skip_unlabelled: bool = False
    """Leave out the rows without a label, where others of their split have one; by default they are
    refused."""
    html_breaks: bool = False
    """Read `<br />` as a blank: it would become three tokens that say nothing."""
    long_texts: LongTexts = "truncate"
    """What of a single text over `max_length` is read: `truncate` its beginning, `head_tail` a
    quarter of the room from its beginning and the rest from its end, `windows` all of it, piece by
    piece, the pieces' logits averaged."""
    stride: int = Field(default=32, ge=0)
    """Tokens that neighbouring windows share."""


@dataclass(frozen=True, slots=True)
class TextExample:
    """One or two texts and what is said of them.

    Attributes:
        text: The text, or the first of two.
        text_pair: The second text, or None.
        label: As the task's loss takes it, or None where it is not public.
    """

    text: str
    text_pair: str | None
    label: Any

    def shown(self) -> dict[str, Any]:
        """Returns the texts."""
        pair = {} if self.text_pair is None else {"text_pair": self.text_pair}
        return {"text": self.text, **pair}


@dataclass(frozen=True)
class TextEncoding:
    """How texts become token ids.

    Attributes:
        long_texts: See `TextSettings`.
        stride: See `TextSettings`.
    """

    long_texts: LongTexts = "truncate"
    stride: int = 0

    def encode(
        self, examples: Sequence[TextExample], tokenizer: Tokenizer, *, max_length: int
    ) -> EncodedExamples:
        """Turns texts into rows of token ids, at least one an example.

        Raises:
            SettingsError: If long pairs are asked for in another way than `truncate`, or the stride
                leaves no room.
        """
        if self.long_texts == "truncate":
            return EncodedExamples.of(_cut(examples, tokenizer, max_length=max_length))
        if examples[0].text_pair is not None:
            raise SettingsError(
                f"task_options.long_texts = '{self.long_texts}' is for single texts, but "
                "task_options.text_pair_column is set; accepted for pairs: truncate, which cuts "
                "the longer of the two first"
            )
        room = max_length - tokenizer.frame.num_tokens
        if self.long_texts == "windows" and self.stride >= room:
            raise SettingsError(
                f"task_options.stride = {self.stride}, but with max_length = {max_length} a window "
                f"holds {room} tokens; accepted: 0 to {room - 1}"
            )
        return EncodedExamples.of(self._rows(examples, tokenizer, room=room))

    def spans(
        self, examples: Sequence[TextExample], tokenizer: Tokenizer, *, max_length: int
    ) -> Spans:
        """Returns where each token of the rows of `encode` stands.

        Raises:
            SettingsError: If long texts are not simply cut.
        """
        if self.long_texts != "truncate":
            raise SettingsError(
                f"task_options.long_texts = '{self.long_texts}' reads other pieces of a text in "
                "another vocabulary, so that tokens can't be laid side by side; accepted: truncate"
            )
        return Spans.of(_place(examples, tokenizer, max_length=max_length))

    def _rows(
        self, examples: Sequence[TextExample], tokenizer: Tokenizer, *, room: int
    ) -> Iterator[EncodedExample]:
        frame, has_types = tokenizer.frame, "token_type_ids" in tokenizer.model_input_names
        for start, part in texts_at_a_time(examples, num_characters=_num_characters):
            with naming_examples(start):
                found = tokenizer.encode_batch_ids(
                    [example.text for example in part],
                    add_special_tokens=False,
                    num_at_ends=room if self.long_texts == "head_tail" else None,
                )
            for index, (example, array) in enumerate(zip(part, found, strict=True), start):
                for piece in self._pieces(array.tolist(), room=room):
                    yield EncodedExample(
                        index=index,
                        input_ids=frame.input_ids(piece),
                        token_type_ids=frame.token_type_ids(piece) if has_types else None,
                        label=example.label,
                    )

    def _pieces(self, ids: list[int], *, room: int) -> list[list[int]]:
        if len(ids) <= room:
            return [ids]
        if self.long_texts == "head_tail":
            head = round(room * _HEAD_RATIO)
            return [ids[:head] + ids[head - room :]]
        step = room - self.stride
        return [ids[start : start + room] for start in range(0, len(ids) - self.stride, step)]


def _cut(
    examples: Sequence[TextExample], tokenizer: Tokenizer, *, max_length: int
) -> Iterator[EncodedExample]:
    for start, part, encoded in _encode_cut(examples, tokenizer, max_length=max_length):
        segments = encoded.get("token_type_ids") or [None] * len(part)
        rows = zip(part, encoded["input_ids"], segments, strict=True)
        for index, (example, ids, types) in enumerate(rows, start):
            yield EncodedExample(
                index=index, input_ids=ids, token_type_ids=types, label=example.label
            )


def _place(
    examples: Sequence[TextExample], tokenizer: Tokenizer, *, max_length: int
) -> Iterator[RowSpans]:
    for _, part, encoded in _encode_cut(examples, tokenizer, max_length=max_length):
        for example, row in zip(part, encoded.encodings, strict=True):
            texts = [example.text, *([] if example.text_pair is None else [example.text_pair])]
            yield RowSpans.of(row, [len(text) for text in texts], by_word=False)


def _encode_cut(
    examples: Sequence[TextExample], tokenizer: Tokenizer, *, max_length: int
) -> Iterator[tuple[int, Sequence[TextExample], BatchEncoding]]:
    """Yields where a part of the examples begins, the part, and its texts cut at the end."""
    for start, part in texts_at_a_time(examples, num_characters=_num_characters):
        pairs = [example.text_pair for example in part if example.text_pair is not None]
        with naming_examples(start):
            encoded = tokenizer(
                [example.text for example in part],
                pairs or None,
                truncation="longest_first",
                max_length=max_length,
            )
        yield start, part, encoded


def _num_characters(example: TextExample) -> int:
    return len(example.text) + len(example.text_pair or "")


def pool_windows(encoded: Sequence[EncodedExample], logits: Sequence[Tensor]) -> Tensor:
    """Returns the mean of each example's rows of logits, (examples, width) in float64."""
    stacked = torch.stack(list(logits)).double()
    owner = torch.tensor([row.index for row in encoded])
    sums = stacked.new_zeros((int(owner.max()) + 1, stacked.shape[1])).index_add(0, owner, stacked)
    return sums / owner.bincount()[:, None]


def read_texts(
    splits: Mapping[str, SplitRows],
    settings: TextSettings,
    *,
    read_label: Callable[[str, Row], Any],
) -> dict[str, Split]:
    """Makes examples of rows.

    Args:
        splits: The rows.
        settings: Which columns hold what.
        read_label: Returns the label of a split's row, or None where it has none.

    Raises:
        DataError: If a column is missing, holds something else than text, or a label is missing
            where there must be one.
    """
    return {
        name: Split(name, _examples(name, rows, settings, read_label))
        for name, rows in splits.items()
    }


def read_label_rows(
    data: Data, settings: TextSettings, *, split_suffix: str = ""
) -> dict[str, SplitRows]:
    """Reads a data set's rows, and checks that all labelled splits have the label's column.

    Args:
        data: The data set.
        settings: Which column holds the label.
        split_suffix: What the names of its splits may end in.
    """
    splits = read_rows(
        data,
        settings,
        document=lambda row: row.values.get(settings.text_column),
        suffix=split_suffix,
    )
    for name, rows in splits.items():
        if name not in UNLABELLED_SPLITS:
            require_column(rows.rows[0], settings.label_column, "label_column")
    return splits


UNLABELLED_SPLITS = ("test", "transfer")
"""Splits that may lack labels; those of `transfer` are never looked at."""


def _examples(
    split: str, rows: SplitRows, settings: TextSettings, read_label: Callable[[str, Row], Any]
) -> list[TextExample]:
    examples = []
    for row in rows.rows:
        text = read_text(row, settings.text_column, "text_column")
        if settings.html_breaks:
            text = text.replace("<br />", " ")
        pair = settings.text_pair_column
        text_pair = None if pair is None else read_text(row, pair, "text_pair_column")
        label = None if split == "transfer" else read_label(split, row)
        examples.append(TextExample(text, text_pair, label))
    if settings.skip_unlabelled and any(example.label is not None for example in examples):
        return [example for example in examples if example.label is not None]
    remedy = (
        "Leave such rows out with task_options.skip_unlabelled=true; where -1 is a label, list it "
        "in task_options.labels."
    )
    require_all_or_none(split, rows, examples, settings.label_column, remedy=remedy)
    return examples


def read_text(row: Row, column: str, option: str) -> str:
    """Returns a row's text.

    Raises:
        DataError: If there is no such column, or no text in it.
    """
    require_column(row, column, option)
    value = row.values[column]
    if not isinstance(value, str):
        raise DataError(
            f"{row.place}: column '{column}' holds {shorten(value)}, not text; correct or remove "
            "the row"
        )
    require_whole_characters(value, f"{row.place}: column '{column}'")
    return value


class MissingColumnError(DataError):
    """A row lacks a column.

    Attributes:
        option: The task's option that says which column it is.
    """

    def __init__(self, message: str, *, option: str) -> None:
        super().__init__(message)
        self.option = option


def require_column(row: Row, column: str, option: str) -> None:
    """Refuses a row without a column.

    Raises:
        MissingColumnError: Names the columns that it has.
    """
    if column not in row.values:
        usual = next((name for name in _USUAL_TEXTS if name in row.values), None)
        is_text = option == "text_column" and usual is not None
        remedy = (
            f"Read '{usual}' with task_options.{option}={usual}."
            if is_text
            else f"Set task_options.{option} to the right one."
        )
        raise MissingColumnError(
            f"{row.place}: there is no column '{column}'; it has: {shorten_names(row.values)}."
            f"{did_you_mean(column, row.values)} {remedy}",
            option=option.partition(" ")[0],
        )


def require_all_or_none(
    split: str,
    rows: SplitRows,
    examples: Sequence[Example],
    label_column: str,
    *,
    remedy: str = "Correct or remove the rows.",
) -> None:
    """Refuses a split in which labels are missing: only test and transfer may, and then all.

    Args:
        split: The split.
        rows: Its rows.
        examples: What they were read as.
        label_column: Column of the labels.
        remedy: What to do about it.

    Raises:
        DataError: Names the first row without a label.
    """
    missing = [i for i, example in enumerate(examples) if example.label is None]
    if not missing or (split in UNLABELLED_SPLITS and len(missing) == len(examples)):
        return
    raise DataError(
        f"{rows.rows[missing[0]].place}: column '{label_column}' has no label, and so have "
        f"{len(missing):,} of the {len(examples):,} rows of {split}. Only a test split may lack "
        f"labels, and then all of them. {remedy}"
    )
