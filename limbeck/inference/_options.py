"""Options of a pipeline: chosen when it is made, and anew with each call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

from limbeck.errors import SettingsError, did_you_mean, shorten


@dataclass(frozen=True)
class Options:
    """Base of a pipeline's options; each has a default and is checked when it is set."""

    rare: ClassVar[tuple[str, ...]] = ()
    """Options that the help of `limbeck predict` leaves out."""
    of_lists: ClassVar[tuple[str, ...]] = ()
    """Options about several texts together, which a row of a table does not have."""
    means_something: ClassVar[tuple[str, ...]] = ()
    """Options of which None is a choice of its own; of all others it is as if they were absent."""

    @classmethod
    def names(cls) -> list[str]:
        """Returns the names of all."""
        return [field.name for field in fields(cls)]

    @classmethod
    def is_done_anyway(cls, name: str, value: object) -> bool:
        """Tells whether an option of `transformers` asks for what is done here without it."""
        return name not in cls.names() and value in _DONE_ANYWAY.get(name, ())

    def override(self, given: Mapping[str, Any], *, task: str) -> Self:
        """Returns the options with what is given in their place; None gives nothing.

        Args:
            given: Values by name.
            task: The pipeline's name, for the message.

        Raises:
            SettingsError: If there is no such option, or a value is out of range.
        """
        chosen = {}
        for name, value in given.items():
            if self.is_done_anyway(name, value):
                continue
            if name not in self.names():
                raise unknown_option(name, self.names(), task=task)
            if value is not None or name in self.means_something:
                chosen[name] = value
        return replace(self, **chosen) if chosen else self


_DONE_ANYWAY: dict[str, tuple[Any, ...]] = {
    "truncation": (True, "longest_first", "only_first"),
    "padding": (True, False, "longest", "max_length"),
    "framework": ("pt",),
    "trust_remote_code": (False,),
    "use_fast": (True,),
    "return_all_scores": (False,),
}
_HABITS = {
    "torch_dtype": "give precision='fp16' or 'bf16' when the pipeline is made",
    "dtype": "give precision='fp16' or 'bf16' when the pipeline is made",
    "return_all_scores": "give top_k=None",
    "truncation": "what is longer than max_length is cut, or read in windows, anyway",
    "padding": "rows of about one length are padded together anyway",
    "tokenizer_kwargs": "what is longer than max_length is cut anyway; give max_length",
    "tokenize_kwargs": "what is longer than max_length is cut anyway; give max_length",
    "model_kwargs": "load the model and give it with tokenizer=",
    "documents": "they are texts here",
    "return_documents": "it is return_text here",
    "sequences": "give the texts first, without a name",
    "max_seq_len": "give max_length when the pipeline is made",
    "framework": "there is one only",
    "trust_remote_code": "no code of a model folder is ever run",
}
"""What those who know `transformers` may give, and what to do instead."""


def unknown_option(name: str, accepted: Sequence[str], *, task: str) -> SettingsError:
    """Returns the error that a pipeline has no such option."""
    if name in _HABITS:
        return SettingsError(
            f"the {task} pipeline has no option '{name}': {_HABITS[name]}; accepted: "
            f"{', '.join(accepted) or 'none'}"
        )
    return SettingsError(
        f"the {task} pipeline has no option '{name}'; accepted: {', '.join(accepted) or 'none'}."
        + did_you_mean(name, accepted)
    )


def require_positive(name: str, value: int) -> int:
    """Returns a whole number of at least 1.

    Raises:
        SettingsError: If it is none.
    """
    return require_at_least(1, name, value)


def require_at_least(least: int, name: str, value: Any) -> int:
    """Returns a whole number that is not below `least`.

    Raises:
        SettingsError: If it is below, or something else.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise SettingsError(
            f"{name} = {shorten(value)}: must be a whole number of at least {least}"
        )
    if value < least:
        raise SettingsError(f"{name} = {value}: must be at least {least}")
    return value
