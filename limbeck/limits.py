"""How much is taken of what comes from outside: each limit holds before anything is built of it.

A folder or file from anywhere can ask, in a few bytes, for more memory, disk or time than there is.
The limits lie far above what is in use. Each can be set in the environment, for all commands and
from Python alike: `LIMBECK_MAX_LAYERS=5000`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from limbeck.errors import SettingsError, shorten


@dataclass(frozen=True)
class Limit:
    """A limit and its name in the environment.

    Example:
        >>> LAYERS.describe()
        'at most 1,000 (LIMBECK_MAX_LAYERS=NUMBER in the environment allows more)'
    """

    name: str
    """The variable that sets it."""
    default: int
    """Where the variable is not set."""
    about: str
    """What it bounds, with its unit."""

    @property
    def value(self) -> int:
        """The limit that counts now.

        Raises:
            SettingsError: If the variable holds no whole number from 1.
        """
        given = os.environ.get(self.name)
        if given is None:
            return self.default
        if not (given.isascii() and given.isdigit() and len(given) < 20 and int(given)):
            raise SettingsError(
                f"{self.name} is {shorten(given)} in the environment; accepted: a whole number "
                f"from 1, the default is {self.default}"
            )
        return int(given)

    def describe(self) -> str:
        """Returns what is accepted, for messages."""
        return f"at most {self.value:,} ({self.name}=NUMBER in the environment allows more)"


LAYERS: Final = Limit("LIMBECK_MAX_LAYERS", 1_000, "layers of a model")
LABELS: Final = Limit("LIMBECK_MAX_LABELS", 100_000, "labels of a model")
PARAMETERS: Final = Limit(
    "LIMBECK_MAX_PARAMETERS", 10**10, "parameters of a model, counted from its sizes"
)
FILE_BYTES: Final = Limit(
    "LIMBECK_MAX_FILE_BYTES",
    64 * 2**20,
    "bytes of a JSON or TOML file, vocabulary or model card",
)
DEPTH: Final = Limit("LIMBECK_MAX_DEPTH", 100, "brackets within brackets in JSON")
LINE_BYTES: Final = Limit(
    "LIMBECK_MAX_LINE_BYTES", 64 * 2**20, "bytes of a row of data, that is a line, unpacked"
)
DOCUMENT_BYTES: Final = Limit(
    "LIMBECK_MAX_DOCUMENT_BYTES", 256 * 2**20, "bytes of a .json file of data, unpacked"
)
UNPACKED_BYTES: Final = Limit(
    "LIMBECK_MAX_UNPACKED_BYTES",
    16 * 2**30,
    "bytes of a compressed Parquet file on the temporary disk, unpacked",
)
GROWTH: Final = Limit(
    "LIMBECK_MAX_GROWTH", 100, "characters that a tokenizer's replacements make of one"
)
TEXT_CHARACTERS: Final = Limit(
    "LIMBECK_MAX_TEXT_CHARACTERS",
    10**7,
    "characters of a text that is tokenized whole, as for windows and answers; some 1.5 GB",
)
ANSWER_BYTES: Final = Limit(
    "LIMBECK_MAX_ANSWER_BYTES", 16 * 2**20, "bytes of an answer of a server, unpacked"
)

LIMITS: Final = (
    LAYERS,
    LABELS,
    PARAMETERS,
    FILE_BYTES,
    DEPTH,
    LINE_BYTES,
    DOCUMENT_BYTES,
    UNPACKED_BYTES,
    GROWTH,
    TEXT_CHARACTERS,
    ANSWER_BYTES,
)
"""All of them."""
