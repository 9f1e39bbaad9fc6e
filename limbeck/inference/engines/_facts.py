"""What has to be known of a model to ask it and to read its answers, whatever runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck import checkpoints
from limbeck.checkpoints.exported import ExportInfo
from limbeck.errors import CheckpointError, SettingsError, shorten
from limbeck.models import KINDS, Kind, SentenceConfig, find_kind, read_sentence_config
from limbeck.models._config import PROBLEM_TYPES, complete_labels
from limbeck.models._kinds import ENCODER
from limbeck.models._positions import read_lengths

if TYPE_CHECKING:
    from limbeck.models import AnyModel, EarlyExitModel, SentenceModel


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What pipelines know of a model.

    Attributes:
        class_name: What it is called, such as `BertForSequenceClassification`.
        kind: Which head it has, and so which outputs.
        vocab_size: How many pieces it embeds.
        max_tokens: Longest input in tokens; None where any length is taken.
        trained_tokens: Longest input that models of its shape are trained with.
        id2label: Names of its labels.
        problem_type: What its scores are, as `config.json` says it; None where it does not.
        sentence: How its hidden states make the vector of a text, for models that give vectors.
    """

    class_name: str
    kind: Kind
    vocab_size: int
    max_tokens: int | None
    trained_tokens: int
    id2label: Mapping[int, str]
    problem_type: str | None = None
    sentence: SentenceConfig | None = None

    @property
    def num_labels(self) -> int:
        """How many labels it has."""
        return len(self.id2label)

    def class_name_of(self, kind: Kind) -> str:
        """Returns what the family's class of another kind is called."""
        return self.class_name.removesuffix(self.kind.suffix) + kind.suffix

    @classmethod
    def of(
        cls, model: AnyModel | EarlyExitModel, *, sentence: SentenceConfig | None = None
    ) -> ModelFacts:
        """Returns those of a model that is loaded."""
        config = model.config
        return cls(
            class_name=getattr(model, "class_name", type(model).__name__),
            kind=model.kind,
            vocab_size=config.vocab_size,
            max_tokens=config.max_tokens,
            trained_tokens=config.max_position_embeddings - (config.reserved_positions or 0),
            id2label=config.id2label,
            problem_type=config.problem_type,
            sentence=sentence,
        )

    @classmethod
    def of_sentence_model(cls, model: SentenceModel) -> ModelFacts:
        """Returns those of a sentence model that is loaded."""
        return cls.of(model.encoder, sentence=model.config)


def read_facts(
    folder: Path, info: ExportInfo | None = None, *, is_below: bool = False
) -> ModelFacts:
    """Reads them from a model folder, of which no weights are looked at.

    Args:
        folder: The folder.
        info: What the folder says of an export, if it is one of ours.
        is_below: Whether they are those of the encoder below whatever head the folder names.

    Raises:
        CheckpointError: If a file is damaged, or does not say what is needed.
    """
    config, path = checkpoints.read_config(folder), folder / checkpoints.CONFIG_NAME
    class_name = _read_class(config)
    if is_below:
        kind, named = ENCODER, find_kind(class_name)
        class_name = class_name.removesuffix(named.suffix if named else "") + kind.suffix
    else:
        kind = find_folder_kind(folder, info)
    max_tokens, trained = _read_lengths(folder, config, info)
    try:
        labels, _ = complete_labels(0, config.get("id2label"), config.get("label2id"))
        problem = config.get("problem_type")
        if problem not in (None, *PROBLEM_TYPES):
            raise SettingsError(
                f"problem_type is {shorten(problem)}; accepted: {', '.join(PROBLEM_TYPES)}, or null"
            )
    except SettingsError as error:
        raise CheckpointError(f"{path}: {error}") from None
    sentence = None
    if not kind.has_head:
        sentence = read_sentence_config(folder, hidden_size=_read_size(path, config, _WIDTHS))
    return ModelFacts(
        class_name=class_name,
        kind=kind,
        vocab_size=_read_size(path, config, ("vocab_size",)),
        max_tokens=max_tokens,
        trained_tokens=trained,
        id2label=labels,
        problem_type=problem,
        sentence=sentence,
    )


def find_folder_kind(folder: Path, info: ExportInfo | None = None) -> Kind:
    """Returns which head the model of a folder has.

    Raises:
        CheckpointError: If the folder does not say it.
    """
    class_name = _read_class(checkpoints.read_config(folder))
    kind = find_kind(class_name)
    if info is not None:
        kind = next((kind for kind in KINDS if kind.name == info.kind), None)
        if kind is None:
            raise CheckpointError(
                f"{folder / info.FILE_NAME} has kind = {shorten(info.kind)}; accepted: "
                f"{', '.join(kind.name for kind in KINDS)}. {info.REMEDY.capitalize()}"
            )
    if kind is None:
        raise CheckpointError(
            f"{folder / checkpoints.CONFIG_NAME} names the architecture {class_name!r}, which does "
            "not say what head the model has; accepted: a name such as "
            "BertForSequenceClassification"
        )
    return kind


def names_head(folder: Path) -> bool:
    """Tells whether a folder says that its model has a head."""
    kind = find_kind(_read_class(checkpoints.read_config(folder)))
    return kind is not None and kind.has_head


def _read_class(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else ""


_WIDTHS = ("hidden_size", "dim", "n_embd", "d_model")
_POSITIONS = ("max_position_embeddings", "n_positions")


def _read_lengths(
    folder: Path, config: Mapping[str, Any], info: ExportInfo | None
) -> tuple[int | None, int]:
    """Returns the longest input, and the longest that the model was trained with."""
    if info is None:
        lengths = read_lengths(config)
        if lengths is not None:
            return lengths
        from limbeck.models import AutoConfig  # which needs torch

        own = AutoConfig.from_pretrained(folder)
        positions, reserved = own.max_position_embeddings, own.reserved_positions
        return own.max_tokens, positions - (reserved or 0)
    if info.max_tokens is not None:
        return info.max_tokens, info.max_tokens
    return None, _read_size(folder / checkpoints.CONFIG_NAME, config, _POSITIONS)


def _read_size(path: Path, config: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """Returns a size under the first of the names that families give it."""
    value = next((config[name] for name in names if name in config), None)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(
            f"{path}: {names[0]} is {shorten(value)}; accepted: a whole number from 1"
        )
    return value
