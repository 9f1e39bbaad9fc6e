"""Rows of two vocabularies that have nothing in common are refused, by what they are called."""

import pytest

from limbeck.errors import DataError
from limbeck.objectives import Alignment
from limbeck.tasks import Spans, read_task
from limbeck.tasks._spans import NOWHERE, RowSpans


@pytest.fixture
def task(tmp_path):
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text('{"tokens": ["a", "b"], "ner_tags": ["O", "O"]}\n')
    return read_task("ner", str(tmp_path))


FINE = RowSpans([0, 1, 3, 4], [1, 2, 4, 5], [NOWHERE, 0, 1, NOWHERE])


@pytest.mark.parametrize(
    ("row", "count"),
    [
        (RowSpans([9, 10], [10, 11], [0, 1]), 2),  # nothing of the same characters
        (RowSpans([0, 1, 4], [1, 2, 5], [NOWHERE, 0, NOWHERE]), 3),  # no piece of the second word
    ],
)
def test_a_row_that_the_teacher_can_not_read_is_named(task, row, count):
    alignment = Alignment(task, Spans.of([FINE, FINE]), Spans.of([FINE, row]))
    with pytest.raises(
        DataError,
        match=rf"^example 7 of train: the student's 4 tokens and the teacher's {count} can't be "
        r"laid side by side, since .*remove the row, or choose another teacher",
    ):
        alignment.require_common(["example 3 of train", "example 7 of train"])
    Alignment(task, Spans.of([FINE]), Spans.of([FINE])).require_common(["example 3 of train"])
