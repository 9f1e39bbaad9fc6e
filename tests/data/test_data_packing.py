from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.packing import PackedRows
from limbeck.errors import DataError, SettingsError


@given(st.integers(3, 70))
def test_packing_conserves_the_stream(corpus, tokenizer, length):
    split = corpus.split("train")
    packed = PackedRows(split, tokenizer=tokenizer, sequence_length=length)
    rows = packed.read(np.arange(packed.num_rows))
    assert rows.shape == (packed.num_rows, length)
    assert set(rows[:, 0]) == {tokenizer.cls_token_id}
    assert set(rows[:, -1]) == {tokenizer.sep_token_id}
    content = rows[:, 1:-1].ravel()
    assert 0 <= split.num_tokens - len(content) < length - 2
    np.testing.assert_array_equal(content, split.read(0, len(content)))


@given(st.integers(3, 70), st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_documents_and_positions_are_those_of_a_plain_walk(corpus, tokenizer, length, picks):
    split = corpus.split("train")
    packed = PackedRows(split, tokenizer=tokenizer, sequence_length=length)
    rows = np.array([pick % packed.num_rows for pick in picks])
    documents, positions = packed.read_documents(rows)
    tokens = packed.read(rows)
    for row in range(len(rows)):
        document, position = 0, 0
        for place in range(length):
            assert documents[row, place] == document
            assert positions[row, place] == position
            position += 1
            # the separator closes its document; what is left may be the row's own last token
            inside = 0 < place < length - 2
            if inside and tokens[row, place] == tokenizer.sep_token_id:
                document, position = document + 1, 0


def test_lengths_that_do_not_fit_are_refused(corpus, tokenizer):
    split = corpus.split("heldout")
    longest = split.num_tokens + 2
    packed = PackedRows(split, tokenizer=tokenizer, sequence_length=longest)
    assert packed.num_rows == 1
    message = (
        rf"sequence_length={longest + 1} is longer than the split 'heldout' of {split.num_tokens} "
        rf"tokens; build the corpus anew with a larger heldout_ratio"
    )
    with pytest.raises(DataError, match=message):
        PackedRows(split, tokenizer=tokenizer, sequence_length=longest + 1)
    with pytest.raises(SettingsError, match=r"sequence_length=2 leaves no room .*at least 3"):
        PackedRows(split, tokenizer=tokenizer, sequence_length=2)
