"""Errors a user can meet; all are `LimbeckError`, and every message names its fix."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
import reprlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_LONGEST_NAME: Final = 200


class LimbeckError(Exception):
    """Base of every error that Limbeck raises on purpose.

    Attributes:
        input_number: Which of many inputs it is about, counted from 0, if it is about one.
    """

    input_number: int | None = None


class SettingsError(LimbeckError, ValueError):
    """A setting, argument or option is wrong."""


class CheckpointError(LimbeckError):
    """A model folder or a training checkpoint can't be read or written."""


class MissingHeadError(CheckpointError):
    """A model folder holds a whole encoder, but not the head that was asked for."""


class DataError(LimbeckError):
    """A text, corpus or data set can't be used as it is."""


class FolderInUseError(LimbeckError):
    """Somebody else works in a folder that was to be written: another process or thread."""


class TrainingError(LimbeckError):
    """A training run had to stop, such as on a loss that is not finite."""


class ContractError(LimbeckError):
    """A run did all that was asked, but what was to be shown by it did not come true.

    Attributes:
        result: What the run found: the record that stands in its `result.json`.
    """

    def __init__(self, message: str, *, result: Any) -> None:
        super().__init__(message)
        self.result = result


class ExportError(LimbeckError):
    """A model can't be written in another format, or the result differs from the model."""


class MachineError(LimbeckError, OSError):
    """The machine refuses: no space or right to write, too few files at once, too little memory."""


class MissingExtraError(LimbeckError, ImportError):
    """A feature needs a package that an optional extra installs."""


def did_you_mean(given: str, accepted: Iterable[str]) -> str:
    """Returns ` Did you mean 'x'?` for the nearest accepted name, or an empty string.

    Example:
        >>> did_you_mean("tempreture", ["temperature", "epochs"])
        " Did you mean 'temperature'?"
        >>> did_you_mean("zzz", ["temperature"])
        ''
        >>> did_you_mean("epochs", ["temperature", "epochs"])
        ''
    """
    # Compared is what can be a name: with a whole novel it would take minutes.
    others = [name for name in accepted if name != given]  # what was given is no advice
    nearest = difflib.get_close_matches(given[:_LONGEST_NAME], others, n=1)
    return f" Did you mean '{nearest[0][:_LONGEST_NAME]}'?" if nearest else ""


def shorten(value: object, *, length: int = 60, quoted: bool = True) -> str:
    r"""Returns a value as a message shows it: on one line, and not whole where it is long.

    Args:
        value: What was given.
        length: Longest text in characters.
        quoted: Whether text stands in quotation marks.

    Example:
        >>> shorten("a fine film"), shorten("a fine film", length=7), shorten(["a"] * 99, length=9)
        ("'a fine film'", "'a fi...'", "['a',...]")
        >>> print(shorten("two\nlines", quoted=False))
        two\nlines
    """
    if isinstance(value, str) and len(value) > length:  # not all of a novel is quoted
        value = value[: length - 3] + "..."
    if isinstance(value, str):
        return repr(value) if quoted else repr(value)[1:-1]
    short = reprlib.Repr()  # does not look at all of a long list
    short.maxstring = short.maxother = short.maxlong = length
    text = " ".join(short.repr(value).split("\n"))  # a data frame's own has many lines
    if len(text) <= length:
        return text
    return f"{text[: length - 4]}...{text[-1]}"


_SPELT = re.compile("[A-Z]{2}|(mp|xl)", re.ASCII)
"""Beginnings that are read letter by letter, as those of MPNet and XLM are."""
_SAID_WITH_VOWEL = "AEFHILMNORSX"


def with_article(name: str) -> str:
    """Returns a name, such as that of a class, after `a` or `an`: by its sound, not its letter.

    Example:
        >>> [with_article(name) for name in ("albert", "MPNetModel", "RobertaModel", "Unigram")]
        ['an albert', 'an MPNetModel', 'a RobertaModel', 'a Unigram']
    """
    if _SPELT.match(name):
        has_vowel = name[0].upper() in _SAID_WITH_VOWEL
    else:
        has_vowel = name[:1].lower() in "aeiou" and not name.lower().startswith("uni")
    return f"{'an' if has_vowel else 'a'} {name}"


def shorten_names(names: Iterable[object], *, count: int = 20) -> str:
    """Returns names with commas between them, of very many the first only, and how many there are.

    Example:
        >>> shorten_names(["text", "label"]), shorten_names([])
        ('text, label', 'none')
        >>> shorten_names([f"x{i}" for i in range(3000)], count=2)
        'x0, x1, ... (3,000 in all)'
    """
    every = list(names)
    shown = ", ".join(shorten(str(name), quoted=False) for name in every[:count])
    return (f"{shown}, ... ({len(every):,} in all)" if len(every) > count else shown) or "none"


def find_extra(package: str, *, extra: str, purpose: str) -> Path:
    """Returns the folder of an installed package without running any of its code.

    Args:
        package: Name of the package, as it is imported.
        extra: Name of the extra in `pip install "limbeck[extra]"`.
        purpose: What needs it, for the message.

    Raises:
        MissingExtraError: If the package is not installed.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise _missing(package, extra=extra, purpose=purpose)
    return Path(found.origin).parent


def require_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Imports a module that an optional extra installs.

    Args:
        module: Dotted name of the module to import.
        extra: Name of the extra in `pip install "limbeck[extra]"`.
        purpose: What needs it, for the message.

    Raises:
        MissingExtraError: If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise _missing(module.partition(".")[0], extra=extra, purpose=purpose) from error


def _missing(package: str, *, extra: str, purpose: str) -> MissingExtraError:
    return MissingExtraError(
        f"{purpose} needs the package '{package}', which is not installed. "
        f'Install it with: pip install "limbeck[{extra}]"'
    )
