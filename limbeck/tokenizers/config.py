"""What `tokenizer_config.json` says beyond the pipeline itself: special tokens, lengths, inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from limbeck.errors import CheckpointError
from limbeck.tokenizers.classes import BERT_TOKENS, ROLES, find_class
from limbeck.tokenizers.files import read_optional_json

T = TypeVar("T")

UNLIMITED_LENGTH = int(1e30)
"""`model_max_length` where the files name none; the value that `transformers` uses."""

INPUT_NAMES = ("input_ids", "token_type_ids", "attention_mask")


@dataclass(frozen=True)
class TokenizerConfig:
    """Everything about a tokenizer that is not in its pipeline.

    Attributes:
        tokenizer_class: Name of the class that `transformers` should make of the saved folder.
        model_input_names: The keys that a call returns, in this order.
        model_max_length: Longest input of the model in tokens, or `UNLIMITED_LENGTH`.
        special_tokens: Spelling of the token of each of the `ROLES` that has one.
        padding_side: `right` or `left`.
        truncation_side: The side that truncation cuts, `right` or `left`.
        pad_token_type_id: Token type of padding.
        clean_up_tokenization_spaces: Whether `decode` also joins punctuation across tokens.
        split_special_tokens: Whether special tokens spelt out in a text are split like words.
    """

    tokenizer_class: str = "BertTokenizer"
    model_input_names: tuple[str, ...] = INPUT_NAMES
    model_max_length: int = UNLIMITED_LENGTH
    special_tokens: Mapping[str, str] = field(default_factory=lambda: dict(BERT_TOKENS))
    padding_side: str = "right"
    truncation_side: str = "right"
    pad_token_type_id: int = 0
    clean_up_tokenization_spaces: bool = False
    split_special_tokens: bool = False

    @property
    def is_bert(self) -> bool:
        """Whether `transformers` applies the normaliser settings of `tokenizer_config.json`."""
        known = find_class(self.tokenizer_class)
        return known is not None and known.is_bert

    @property
    def pad_token(self) -> str | None:
        """What rows are filled up with: as usual the token that ends texts, where none is named."""
        return self.special_tokens.get("pad_token", self.special_tokens.get("eos_token"))

    def to_dict(self) -> dict[str, Any]:
        """Returns the keys of `tokenizer_config.json` that this object stands for."""
        return {
            **self.special_tokens,
            "clean_up_tokenization_spaces": self.clean_up_tokenization_spaces,
            "model_input_names": list(self.model_input_names),
            "model_max_length": self.model_max_length,
            "pad_token_type_id": self.pad_token_type_id,
            "padding_side": self.padding_side,
            "split_special_tokens": self.split_special_tokens,
            "tokenizer_class": self.tokenizer_class,
            "truncation_side": self.truncation_side,
        }


def read_values(folder: Path) -> dict[str, Any]:
    """Reads `tokenizer_config.json` with what older folders keep in `special_tokens_map.json`.

    Raises:
        CheckpointError: If a file is malformed, or asks for code of its own.
    """
    path = folder / "tokenizer_config.json"
    values = read_optional_json(path)
    if values.get("auto_map"):
        raise CheckpointError(
            f"{path} asks for tokenizer code of its own (auto_map: {values['auto_map']}). Limbeck "
            "never runs code from a model folder. If tokenizer.json alone gives the right ids, "
            "remove the key auto_map from a copy of the folder."
        )
    if "added_tokens_decoder" not in values:
        values |= read_optional_json(folder / "special_tokens_map.json")
    return values


def named_class(
    values: Mapping[str, Any], model_config: Mapping[str, Any], *, where: str
) -> str | None:
    """Returns the class that the files name, if they do.

    Raises:
        CheckpointError: If that is no name.
    """
    given = values.get("tokenizer_class") or model_config.get("tokenizer_class")
    return _expect(str, given, key="tokenizer_class", where=where) if given else None


def parse_config(
    values: Mapping[str, Any],
    *,
    model_config: Mapping[str, Any],
    class_name: str,
    usual_tokens: Mapping[str, str],
    where: str,
) -> TokenizerConfig:
    """Validates the values of `tokenizer_config.json`.

    Args:
        values: What `read_values` returned.
        model_config: The model's `config.json`, or an empty mapping.
        class_name: The tokenizer's class.
        usual_tokens: Its special tokens where the values don't name them.
        where: Name of the file, for messages.

    Raises:
        CheckpointError: If a value has the wrong type or is out of range.
    """
    return TokenizerConfig(
        tokenizer_class=class_name,
        model_input_names=_input_names(values, model_config, class_name=class_name, where=where),
        model_max_length=_max_length(values, where=where),
        special_tokens=_special_tokens(values, usual=usual_tokens, where=where),
        padding_side=_side(values, "padding_side", where=where),
        truncation_side=_side(values, "truncation_side", where=where),
        pad_token_type_id=_expect(
            int, values.get("pad_token_type_id", 0), key="pad_token_type_id", where=where
        ),
        clean_up_tokenization_spaces=read_flag(
            values, "clean_up_tokenization_spaces", default=False, where=where
        ),
        split_special_tokens=read_flag(values, "split_special_tokens", default=False, where=where),
    )


def read_flag(values: Mapping[str, Any], key: str, *, default: bool, where: str) -> bool:
    """Returns a true/false setting; null counts as absent."""
    value = values.get(key)
    return default if value is None else _expect(bool, value, key=key, where=where)


def token_content(value: object, *, key: str, where: str) -> str:
    """Returns the spelling of a special token given as text or as `{"content": text, ...}`."""
    if isinstance(value, Mapping):
        value = value.get("content")
    return _expect(str, value, key=key, where=where)


def _expect(kind: type[T], value: object, *, key: str, where: str) -> T:
    if not isinstance(value, kind):
        raise CheckpointError(
            f"{where}: {key} is {value!r}, and a value of type {kind.__name__} is expected."
        )
    return value


def _side(values: Mapping[str, Any], key: str, *, where: str) -> str:
    side = values.get(key) or "right"
    if side not in ("right", "left"):
        raise CheckpointError(f"{where}: {key} is {side!r}; accepted: 'right', 'left'.")
    return str(side)


def _max_length(values: Mapping[str, Any], *, where: str) -> int:
    length = values.get("model_max_length")
    if length is None:
        return UNLIMITED_LENGTH
    if isinstance(length, bool) or not isinstance(length, (int, float)) or not length >= 1:
        raise CheckpointError(
            f"{where}: model_max_length is {length!r}, and a number of tokens is expected."
        )
    return int(min(length, UNLIMITED_LENGTH))


def _input_names(
    values: Mapping[str, Any], model_config: Mapping[str, Any], *, class_name: str, where: str
) -> tuple[str, ...]:
    names = values.get("model_input_names")
    # The tokenizer of a family without token types gives none, whatever it was made for: folders of
    # DistilBERT often come with the tokenizer of a BERT.
    own = find_class(str(model_config.get("model_type", "")))
    known = find_class(class_name)
    if names is None:
        has_types = known is not None and known.has_token_types
        names = [name for name in INPUT_NAMES if has_types or name != "token_type_ids"]
    elif not isinstance(names, list) or "input_ids" not in names or set(names) - set(INPUT_NAMES):
        raise CheckpointError(
            f"{where}: model_input_names is {names!r}; accepted: a list with 'input_ids' and any "
            "of 'token_type_ids', 'attention_mask'."
        )
    if own is not None and not own.has_token_types:
        names = [name for name in names if name != "token_type_ids"]
    return tuple(names)


def _special_tokens(
    values: Mapping[str, Any], *, usual: Mapping[str, str], where: str
) -> dict[str, str]:
    """Returns the special tokens that there are; null in the file means that there is none."""
    given = {role: values.get(role, usual.get(role)) for role in ROLES}
    return {
        role: token_content(value, key=role, where=where)
        for role, value in given.items()
        if value is not None
    }
