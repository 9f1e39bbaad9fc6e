"""`AutoModel...`: the class that fits a folder, found by the `model_type` of its `config.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, cast

from limbeck import checkpoints, listing
from limbeck.errors import CheckpointError, SettingsError, did_you_mean
from limbeck.models import _kinds as kinds
from limbeck.models._architecture import Architecture
from limbeck.models._config import ModelConfig
from limbeck.models._foreign.library import PIP_LINE
from limbeck.models._model import Model
from limbeck.models._pretrained import parse_config

_ROOM = "limbeck.models"
_HUB_ARGUMENTS = ("revision", "token", "cache_dir", "offline")


def find_architecture(model_type: str) -> Architecture:
    """Returns the architecture of this name.

    Raises:
        SettingsError: If there is none; the message lists those there are.
    """
    return cast(Architecture, listing.load(_ROOM, model_type).ARCHITECTURE)


def find_class(model_type: str, kind: kinds.Kind) -> type[Model]:
    """Returns an architecture's class of one kind, such as `BertForMaskedLM`.

    Raises:
        SettingsError: If there is no such architecture, or it has no models of this kind; the
            message lists those there are.
    """
    module = listing.load(_ROOM, model_type)
    architecture: Architecture = module.ARCHITECTURE
    if kind not in architecture.kinds:
        raise SettingsError(
            f"{architecture.model_type} has no {architecture.class_name(kind)}; accepted: "
            f"{', '.join(architecture.class_names)}"
        )
    return cast(type[Model], getattr(module, architecture.class_name(kind)))


def find_own_kind(model_type: str, class_name: str) -> kinds.Kind | None:
    """Returns the kind of a model that a family's folder names; None if the family has none such.

    Example:
        >>> find_own_kind("bert", "BertForPreTraining").name
        'masked_lm'

    Raises:
        SettingsError: If there is no such family; the message lists those there are.
    """
    kind, own = kinds.find_kind(class_name), find_architecture(model_type).kinds
    if kind is kinds.REPLACED_TOKENS and kind not in own:
        # What BERT and its relatives call so has another head beside the masked LM's.
        kind = kinds.MASKED_LM
    return kind if kind in own else None


def known_families() -> list[str]:
    """Returns the names of our families."""
    return listing.list_names(_ROOM)


def _read_model_type(folder: Path, values: dict[str, Any]) -> str:
    given = values.get("model_type")
    known = known_families()
    if not isinstance(given, str) or given.replace("-", "_") not in known:
        raise CheckpointError(
            f"{folder / checkpoints.CONFIG_NAME} has the model_type {given!r}; accepted: "
            f"{', '.join(known)}.{did_you_mean(str(given), known)} Other encoders of transformers "
            f"can be teachers, and be scored, with: {PIP_LINE}"
        )
    return given


class AutoConfig:
    """Reads the configuration of any model that Limbeck knows."""

    @staticmethod
    def from_pretrained(name_or_path: str | Path, **hub: Any) -> ModelConfig:
        """Reads it from a folder or the Hub; `hub`: revision, token, cache_dir, offline.

        Raises:
            CheckpointError: If there is no such model, its type is unknown or a value is wrong.
        """
        folder = checkpoints.resolve_folder(name_or_path, weights=False, **hub)
        values = checkpoints.read_config(folder)
        architecture = find_architecture(_read_model_type(folder, values))
        return parse_config(architecture.config_type, values, folder=folder)


class AutoModel:
    """The bare encoder of any architecture."""

    kind: ClassVar[kinds.Kind] = kinds.ENCODER

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **arguments: Any) -> Model:
        """Loads a model; the arguments are those of `Model.from_pretrained`.

        Raises:
            CheckpointError: As `Model.from_pretrained`, and if the folder's `model_type` is none
                that Limbeck knows; the message lists those.
            SettingsError: If the arguments contradict each other, or the family has no models of
                this kind.
        """
        hub = {name: arguments[name] for name in _HUB_ARGUMENTS if name in arguments}
        folder = checkpoints.resolve_folder(name_or_path, **hub)
        model_type = _read_model_type(folder, checkpoints.read_config(folder))
        return find_class(model_type, cls.kind).from_pretrained(folder, **arguments)

    @classmethod
    def from_config(cls, config: ModelConfig, **arguments: Any) -> Model:
        """Returns a newly initialised model; arguments and errors are those of `Model`."""
        return find_class(config.model_type, cls.kind)(config, **arguments)


class AutoModelForMaskedLM(AutoModel):
    """The masked-LM model of any architecture."""

    kind = kinds.MASKED_LM


class AutoModelForCausalLM(AutoModel):
    """The causal language model of any architecture that has one."""

    kind = kinds.CAUSAL_LM


class AutoModelForPreTraining(AutoModel):
    """The model that finds replaced tokens, of any architecture that has one."""

    kind = kinds.REPLACED_TOKENS


class AutoModelForSequenceClassification(AutoModel):
    """The sequence classifier of any architecture."""

    kind = kinds.SEQUENCE_CLASSIFICATION


class AutoModelForQuestionAnswering(AutoModel):
    """The question-answering model of any architecture."""

    kind = kinds.QUESTION_ANSWERING


class AutoModelForTokenClassification(AutoModel):
    """The token classifier of any architecture."""

    kind = kinds.TOKEN_CLASSIFICATION


class AutoModelForMultipleChoice(AutoModel):
    """The multiple-choice model of any architecture."""

    kind = kinds.MULTIPLE_CHOICE
