"""Documents: what a build keeps of the records, and where each goes.

A document's digest decides whether it was seen before and on which side of the split it stands,
so neither depends on the order of the sources.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from typing import Final

TRAIN: Final = "train"
HELDOUT: Final = "heldout"
SPLITS: Final = (TRAIN, HELDOUT)


def digest_text(text: str) -> tuple[int, int]:
    """Returns two independent 64-bit numbers that depend on all of a text."""
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def choose_split(digest: int, *, heldout_ratio: float) -> str:
    """Returns the split of a document from 64 bits of its digest."""
    return HELDOUT if digest < heldout_ratio * 2.0**64 else TRAIN


def divide_text(text: str, *, max_characters: int) -> Iterator[str]:
    """Yields a text in pieces of bounded length, cut before white space where there is any.

    A blank line is preferred, then a line end, then a space; the pieces joined are the text. Half
    of the bound is the least a piece holds, so a cut doesn't fall near the piece's beginning.
    """
    start = 0
    while len(text) - start > max_characters:
        stop = start + max_characters
        earliest = start + max(1, max_characters // 2)
        for mark in ("\n\n", "\n", " "):
            cut = text.rfind(mark, earliest, stop)
            if cut > 0:
                stop = cut
                break
        yield text[start:stop]
        start = stop
    yield text[start:]


class SeenDigests:
    """A set of 64-bit digests in 12 to 23 bytes each.

    Open addressing in one flat array, doubled when 70 % full. Two different texts are taken for
    equal with a chance of n^2 / 2^65: 0.03 % for one such pair among 100 million documents.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, digest: int) -> bool:
        """Adds a digest; returns whether it is new."""
        digest = digest or 1  # zero marks an empty slot
        slots, mask = self._slots, len(self._slots) - 1
        place = digest & mask
        while slots[place]:
            if slots[place] == digest:
                return False
            place = (place + 1) & mask
        slots[place] = digest
        self._count += 1
        if self._count * 10 > len(slots) * 7:
            self._double()
        return True

    def _double(self) -> None:
        old = self._slots
        self._slots = array("Q", bytes(16 * len(old)))
        self._count = 0
        for digest in old:
            if digest:
                self.add(digest)
