from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.documents import SeenDigests, choose_split, digest_text, divide_text


@given(st.text(alphabet="ab \n", max_size=300), st.integers(1, 50))
def test_pieces_of_a_text_are_bounded_and_join_to_it(text, limit):
    pieces = list(divide_text(text, max_characters=limit))
    assert "".join(pieces) == text
    assert all(len(piece) <= limit for piece in pieces)
    assert all(pieces) or not text


def test_a_text_is_cut_at_a_blank_line_before_a_line_end_before_a_space():
    assert next(divide_text("aaaaaa\n\nb\nc ddd", max_characters=12)) == "aaaaaa"
    assert next(divide_text("aaaaaa bb\ncc dddd", max_characters=14)) == "aaaaaa bb"
    assert next(divide_text("aaaaaa bb cc", max_characters=10)) == "aaaaaa bb"
    assert next(divide_text("a" * 20, max_characters=10)) == "a" * 10


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=2000))
def test_seen_digests_is_a_set(digests):
    seen, expected = SeenDigests(), set()
    for digest in digests:
        # zero marks an empty slot and is stored as one
        digest = digest or 1
        assert seen.add(digest) == (digest not in expected)
        expected.add(digest)
    assert len(seen) == len(expected)


def test_seen_digests_grows_and_keeps_all():
    seen = SeenDigests()
    digests = [digest_text(str(i))[0] for i in range(20_000)]
    assert all(seen.add(digest) for digest in digests)
    assert not any(seen.add(digest) for digest in digests)


def test_share_of_heldout_documents_is_near_the_ratio():
    sides = [
        choose_split(digest_text(f"text {i}")[1], heldout_ratio=0.1) == "heldout"
        for i in range(20_000)
    ]
    assert abs(sum(sides) / len(sides) - 0.1) < 4 * (0.1 * 0.9 / len(sides)) ** 0.5
    assert choose_split(0, heldout_ratio=0.0) == "train"


def test_the_two_numbers_of_a_digest_differ():
    assert len({number for i in range(1000) for number in digest_text(str(i))}) == 2000
