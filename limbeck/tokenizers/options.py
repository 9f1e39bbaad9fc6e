"""Truncation and padding as users ask for them, checked and turned into settings.

What is checked here the library takes in silence (a `max_length` of 0 cuts nothing), answers with a
panic (a stride as long as the window) or, for a text that happens to be long, with a bare
`Exception` that names no argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from tokenizers import Tokenizer

from limbeck.errors import SettingsError, did_you_mean
from limbeck.tokenizers.config import UNLIMITED_LENGTH, TokenizerConfig

TruncationName = Literal["longest_first", "only_first", "only_second", "do_not_truncate"]
PaddingName = Literal["longest", "max_length", "do_not_pad"]
TRUNCATIONS = ("longest_first", "only_first", "only_second")
PADDINGS = ("longest", "max_length")


@dataclass(frozen=True)
class Truncation:
    """How inputs are cut, in the library's words; `max_length` counts special tokens too."""

    max_length: int
    stride: int
    strategy: str
    direction: str


@dataclass(frozen=True)
class Padding:
    """How inputs are filled up, in the library's words; `length` None means to the longest."""

    length: int | None
    pad_to_multiple_of: int | None
    direction: str
    pad_id: int
    pad_token: str
    pad_type_id: int


@dataclass(frozen=True)
class Options:
    """The truncation and padding of one call."""

    truncation: Truncation | None = None
    padding: Padding | None = None

    def apply(self, backend: Tokenizer) -> Tokenizer:
        """Sets a pipeline, which nobody else may be using, to these options and returns it."""
        if self.truncation is not None:
            backend.enable_truncation(**asdict(self.truncation))
        if self.padding is not None:
            backend.enable_padding(**asdict(self.padding))
        return backend


@dataclass(frozen=True)
class Request:
    """The arguments of a call that concern length, as given."""

    truncation: bool | str | None = False
    padding: bool | str | None = False
    max_length: int | None = None
    stride: int = 0
    pad_to_multiple_of: int | None = None
    overflow: bool = False


def resolve_options(
    request: Request,
    config: TokenizerConfig,
    *,
    pad_token_id: int | None,
    num_special: int,
    framed: int,
    pair: bool,
) -> Options:
    """Checks a request and resolves it against the tokenizer's own settings.

    Args:
        request: The arguments as given.
        config: The tokenizer's settings.
        pad_token_id: Id of the padding token, if there is one.
        num_special: Number of special tokens that the call adds to each input.
        framed: Number of special tokens around a single text, where they are added.
        pair: Whether the call has pairs of texts.

    Raises:
        SettingsError: If a name is unknown, a number is out of range or an argument has no effect.
    """
    for name in ("max_length", "pad_to_multiple_of"):
        check_count(getattr(request, name), name, least=1)
    check_count(request.stride, "stride", least=0)
    strategy = _name("truncation", request.truncation, accepted=TRUNCATIONS)
    filling = _name("padding", request.padding, accepted=PADDINGS)
    _check_effect(request, strategy, filling, pair=pair)
    truncation = padding = None
    if strategy is not None:
        length = _length(request, config, asked_by=f"truncation={strategy!r}")
        truncation = Truncation(length, request.stride, strategy, config.truncation_side)
        _check_room(truncation, num_special=num_special)
        _check_windows(request, truncation, num_special=num_special, framed=framed, pair=pair)
    if filling is not None:
        asked_by = "padding='max_length'"
        if pad_token_id is None or config.pad_token is None:
            raise SettingsError(describe_lack("pad_token", config.special_tokens))
        padding = Padding(
            length=_length(request, config, asked_by=asked_by) if filling == "max_length" else None,
            pad_to_multiple_of=request.pad_to_multiple_of,
            direction=config.padding_side,
            pad_id=pad_token_id,
            pad_token=config.pad_token,
            pad_type_id=config.pad_token_type_id,
        )
        _check_multiple(truncation, padding)
    return Options(truncation, padding)


def describe_lack(role: str, special_tokens: Mapping[str, str]) -> str:
    """Says that a tokenizer has no special token of a role, and how it gets one."""
    known = ", ".join(f"{name} {content!r}" for name, content in special_tokens.items())
    return (
        f"the tokenizer has no {role}; it has: {known or 'no special tokens'}. If its vocabulary "
        f"has a token for that, name it as {role} in the folder's tokenizer_config.json."
    )


def check_count(value: object, name: str, *, least: int) -> None:
    """Refuses what is no whole number from `least` on, nor left out.

    Raises:
        SettingsError: Names the argument and what it was given.
    """
    if value is None and name != "stride":
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(f"{name} is {value!r}; accepted: a whole number of at least {least}.")


def _name(argument: str, value: object, *, accepted: tuple[str, ...]) -> str | None:
    if value is True:
        return accepted[0]
    off = {"truncation": "do_not_truncate", "padding": "do_not_pad"}[argument]
    if value is None or value is False or value == off:
        return None
    if isinstance(value, str) and value in accepted:
        return value
    names = ", ".join(repr(name) for name in accepted)
    raise SettingsError(
        f"{argument} is {value!r}; accepted: False, True (which means {accepted[0]!r}), {names}."
        + did_you_mean(str(value), accepted)
    )


def _check_effect(
    request: Request, strategy: str | None, filling: str | None, *, pair: bool
) -> None:
    if strategy == "only_second" and not pair:
        raise SettingsError(
            "truncation='only_second' needs text_pair, and this call has single texts; use "
            "truncation='longest_first' or 'only_first'."
        )
    if request.max_length is not None and strategy is None and filling != "max_length":
        raise SettingsError(
            f"max_length={request.max_length} has no effect without truncation=True or "
            "padding='max_length'; give one of them, or leave max_length out."
        )
    if request.stride and (strategy is None or not request.overflow):
        raise SettingsError(
            f"stride={request.stride} has no effect without truncation=True and "
            "return_overflowing_tokens=True, which make the windows; give both, or leave it out."
        )
    if request.pad_to_multiple_of is not None and filling is None:
        raise SettingsError(
            f"pad_to_multiple_of={request.pad_to_multiple_of} has no effect without padding; give "
            "padding='longest' or padding='max_length', or leave it out."
        )


def _length(request: Request, config: TokenizerConfig, *, asked_by: str) -> int:
    length = config.model_max_length if request.max_length is None else request.max_length
    # Other tools write other huge numbers for "not set"; no length in use is near any of them.
    if length >= min(UNLIMITED_LENGTH, 2**31):
        raise SettingsError(
            f"{asked_by} needs a length: max_length is {request.max_length} and the tokenizer's "
            "model_max_length is not set. Give max_length, such as max_length=512."
        )
    return length


def _check_room(truncation: Truncation, *, num_special: int) -> None:
    if truncation.max_length - num_special < 1:
        raise SettingsError(
            f"max_length={truncation.max_length} leaves no room for text beside the {num_special} "
            f"special tokens; it must be at least {num_special + 1}."
        )


def _check_windows(
    request: Request, truncation: Truncation, *, num_special: int, framed: int, pair: bool
) -> None:
    """Refuses windows that the library answers with a panic, or makes longer than they may be."""
    length, stride = truncation.max_length, truncation.stride
    room = length - num_special
    if room < 2 and pair and request.overflow and truncation.strategy == "longest_first":
        # What is left of a text that is cut to nothing becomes one window, however long.
        raise SettingsError(
            f"max_length={length} has room for one token of text, and the windows of a pair need "
            f"one of each text; it must be at least {num_special + 2}."
        )
    if stride >= room:
        raise SettingsError(
            f"stride={stride} must be smaller than the {room} tokens of text in a "
            f"window (max_length={length} less {num_special} special tokens); use "
            f"a stride of at most {room - 1}."
        )
    if stride and stride >= length - framed:
        raise SettingsError(
            f"stride={stride} is too long for max_length={length}: the tokenizers library takes "
            f"{framed} special tokens off it even where none are added; use a max_length of at "
            f"least {stride + framed + 1}, or a shorter stride."
        )


def _check_multiple(truncation: Truncation | None, padding: Padding) -> None:
    multiple = padding.pad_to_multiple_of
    if truncation and multiple and truncation.max_length % multiple:
        below = truncation.max_length // multiple * multiple
        raise SettingsError(
            f"max_length={truncation.max_length} is not a multiple of pad_to_multiple_of="
            f"{multiple}, so padding would exceed it; use max_length={below or multiple} or "
            "another multiple."
        )
