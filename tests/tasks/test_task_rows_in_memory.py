"""Every task reads rows that are in memory as it reads a file's, with the same checks."""

import json

import pytest
from task_examples import EXAMPLES

from limbeck import listing
from limbeck.errors import DataError
from limbeck.tasks import read_task

ALONE = [name for name in listing.list_names("limbeck.tasks") if not EXAMPLES[name].beside]
"""Tasks whose splits are all of their data; a collection has a test of its own."""


@pytest.mark.parametrize("name", ALONE)
def test_rows_in_memory_give_the_examples_of_files(name, tmp_path):
    data = EXAMPLES[name]
    for split in ("train", "validation"):
        lines = [json.dumps(row) + "\n" for row in data.rows]
        (tmp_path / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    filed = read_task(name, str(tmp_path), options=data.options)
    kept = read_task(name, {"train": data.rows, "validation": data.rows}, options=data.options)
    assert kept.splits == filed.splits


def test_what_is_wrong_with_a_row_in_memory_names_the_split_and_the_row():
    rows = [{"sentence": "fine", "label": 1}] * 20
    with pytest.raises(DataError, match=r"^train, row 17: unknown label 'maybe' in column 'label'"):
        read_task("sst2", {"train": [*rows[:17], {"sentence": "so so", "label": "maybe"}]})
    with pytest.raises(
        DataError,
        match=r"^validation, row 0: there is no column 'sentence'; .*"
        r"Read 'text' with task_options\.text_column=text\.",
    ):
        read_task("sst2", {"validation": [{"text": "a", "label": 1}]})
    with pytest.raises(DataError, match=r"^train, row 1: column 'sentence' holds None, not text"):
        read_task("sst2", {"train": [*rows[:1], {"sentence": None, "label": 0}]})
