"""What stands on the encoder of a sentence model, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, get_args

from limbeck.errors import SettingsError, did_you_mean, shorten
from limbeck.nn.constants import POOLING_MODES, PoolingMode, Similarity

DENSE_ACTIVATIONS: Final = (
    *("CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh"),
    *("Identity", "LeakyReLU", "LogSigmoid", "Mish", "ReLU", "ReLU6", "SELU", "SiLU"),
    *("Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink"),
)
"""Those of `torch.nn` that look at each number by itself, and have neither weights nor chance."""
QUERY_PROMPTS: Final = ("query",)
"""Names of the prompt before a question, as `encode_query` of sentence-transformers looks it up."""
DOCUMENT_PROMPTS: Final = ("document", "passage", "corpus")
"""Names of the prompt before what is searched, as `encode_document` does, the first one first."""


@dataclass(frozen=True, kw_only=True)
class PoolingConfig:
    """How hidden states become one vector.

    Attributes:
        modes: One, or several whose vectors are joined.
        include_prompt: Whether the tokens of a prompt count too.

    Raises:
        SettingsError: If there is no mode, or one that does not exist.
    """

    modes: tuple[PoolingMode, ...] = ("mean",)
    include_prompt: bool = True

    def __post_init__(self) -> None:
        wrong = [mode for mode in self.modes if mode not in POOLING_MODES]
        if wrong or not self.modes:
            given = f"pooling by {shorten(wrong[0])}" if wrong else "no pooling at all"
            near = did_you_mean(str(wrong[0]), POOLING_MODES) if wrong else ""
            raise SettingsError(f"{given}; accepted: {', '.join(POOLING_MODES)}, or several.{near}")


@dataclass(frozen=True, kw_only=True)
class DenseConfig:
    """A projection of the vector.

    Attributes:
        in_features: Width that comes.
        out_features: Width that goes.
        bias: Whether the map has one.
        activation: A class of `torch.nn`, such as `Tanh`; `Identity` for none.
        use_residual: Whether the vector is added to what comes out.

    Raises:
        SettingsError: If a width is no positive number, or there is no such activation.
    """

    in_features: int
    out_features: int
    bias: bool = True
    activation: str = "Tanh"
    use_residual: bool = False

    def __post_init__(self) -> None:
        for name in ("in_features", "out_features"):
            _require_positive(name, getattr(self, name))
        if self.activation not in DENSE_ACTIVATIONS:
            raise SettingsError(
                f"activation is {shorten(self.activation)}; accepted: "
                f"{', '.join(DENSE_ACTIVATIONS)}."
                + did_you_mean(str(self.activation), DENSE_ACTIVATIONS)
            )


@dataclass(frozen=True, kw_only=True)
class NormalizeConfig:
    """The vector made one long."""


@dataclass(frozen=True, kw_only=True)
class SentenceConfig:
    """How a text becomes a vector, and how vectors are used.

    Attributes:
        hidden_size: Width of the encoder's hidden states.
        pooling: How they become one vector.
        layers: What is done with the vector then, in order.
        truncate_dim: How many of its numbers are kept, from the first; None for all.
        max_seq_length: Where texts are cut, in tokens; None for what the tokenizer and the encoder
            take.
        do_lower_case: Whether texts are made small letters, whatever the tokenizer does.
        prompts: Words that are put before a text, by name.
        default_prompt_name: Which of them is, where none is asked for.
        similarity: How two vectors are compared.

    Raises:
        SettingsError: If widths do not fit each other, or a value is none that is accepted.
    """

    hidden_size: int
    pooling: PoolingConfig = PoolingConfig()
    layers: tuple[DenseConfig | NormalizeConfig, ...] = ()
    truncate_dim: int | None = None
    max_seq_length: int | None = None
    do_lower_case: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    similarity: Similarity = "cosine"

    def __post_init__(self) -> None:
        for name in ("hidden_size", "truncate_dim", "max_seq_length"):
            if getattr(self, name) is not None:
                _require_positive(name, getattr(self, name))
        width = self._pooled_width
        for place, layer in enumerate(self.layers):
            if isinstance(layer, DenseConfig):
                if layer.in_features != width:
                    raise SettingsError(
                        f"layers[{place}] takes vectors of {layer.in_features} numbers "
                        f"(in_features), but what comes has {width}; accepted: {width}"
                    )
                width = layer.out_features
        for name, text in self.prompts.items():
            if not isinstance(name, str) or not isinstance(text, str):
                raise SettingsError(
                    f"prompts[{shorten(name)}] is {shorten(text)}; accepted: texts by name"
                )
        default = self.default_prompt_name
        if default is not None and not (isinstance(default, str) and default in self.prompts):
            raise SettingsError(
                f"default_prompt_name is {shorten(default)}; accepted: null, or a "
                f"name in prompts: {', '.join(self.prompts) or 'there are none'}"
            )
        if self.similarity not in get_args(Similarity):
            raise SettingsError(
                f"similarity is {shorten(self.similarity)}; accepted: "
                f"{', '.join(get_args(Similarity))}."
                + did_you_mean(str(self.similarity), get_args(Similarity))
            )

    def choose_prompt(self, prompt: str | None, name: str | None) -> str:
        """Returns the words that are put before a text: given, or by name, or the folder's own.

        Raises:
            SettingsError: If both are given, the words are no text, or there is no such name.
        """
        if prompt is not None and name is not None:
            raise SettingsError(
                f"prompt = {shorten(prompt)} and prompt_name = {shorten(name)} are both given; "
                "accepted: one of them"
            )
        if prompt is not None:
            if not isinstance(prompt, str):
                raise SettingsError(f"prompt = {shorten(prompt)}; accepted: a text")
            return prompt
        name = self.default_prompt_name if name is None else name
        if name is None:
            return ""
        if not isinstance(name, str) or name not in self.prompts:
            raise SettingsError(
                f"there is no prompt {shorten(name)}; accepted: "
                f"{', '.join(self.prompts) or 'none, as the model has none'}."
                + did_you_mean(str(name), self.prompts)
            )
        return self.prompts[name]

    def on_width(self, hidden_size: int) -> SentenceConfig:
        """Returns the same on an encoder of another width, without Dense layers, which fit none."""
        if hidden_size == self.hidden_size:
            return self
        kept = tuple(layer for layer in self.layers if isinstance(layer, NormalizeConfig))
        return replace(self, hidden_size=hidden_size, layers=kept)

    @property
    def width(self) -> int:
        """How many numbers a text's vector has."""
        return min(self.whole_width, self.truncate_dim or self.whole_width)

    @property
    def whole_width(self) -> int:
        """The same before `truncate_dim`."""
        dense = [layer for layer in self.layers if isinstance(layer, DenseConfig)]
        return dense[-1].out_features if dense else self._pooled_width

    @property
    def is_unit(self) -> bool:
        """Whether every vector is one long: what is cut of one that was is shorter."""
        return (
            bool(self.layers)
            and isinstance(self.layers[-1], NormalizeConfig)
            and self.width == self.whole_width
        )

    @property
    def default_prompt(self) -> str:
        """What is put before a text where no prompt is asked for."""
        name = self.default_prompt_name
        return "" if name is None else self.prompts[name]

    def as_read(self, text: str) -> str:
        """Returns a text, its prompt before it, as the tokenizer is given it."""
        return text.lower() if self.do_lower_case else text

    @property
    def _pooled_width(self) -> int:
        return self.hidden_size * len(self.pooling.modes)


def find_prompt(prompts: Mapping[str, str], names: Sequence[str]) -> str:
    """Returns the first prompt of some names, and none where there is none.

    The default prompt is for texts of which nobody says what they are, as sentence-transformers
    has it.
    """
    return next((prompts[name] for name in names if name in prompts), "")


def _require_positive(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingsError(f"{name} is {shorten(value)}; accepted: a whole number from 1")
