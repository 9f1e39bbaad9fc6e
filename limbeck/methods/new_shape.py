"""New shape: a student of sizes of its own, with random weights."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from limbeck.errors import SettingsError
from limbeck.methods._method import MethodSettings
from limbeck.methods.keep_layers import student_config
from limbeck.models import Model, ModelConfig, find_class


class NewShapeSettings(MethodSettings):
    """Settings of `new_shape`; what is not given is as in the teacher.

    Layers are all alike: of a teacher that lacks heads or neurons in some, as they were before.
    """

    method: Literal["new_shape"] = "new_shape"
    num_hidden_layers: int | None = Field(default=None, ge=1)
    """Depth."""
    hidden_size: int | None = Field(default=None, ge=1)
    """Width of the hidden states."""
    num_attention_heads: int | None = Field(default=None, ge=1)
    """Attention heads, which divide the width. Losses that compare attention head by head need as
    many as the teacher has."""
    intermediate_size: int | None = Field(default=None, ge=1)
    """Inner width of the feed-forward layers."""
    model_type: str | None = None
    """Architecture of the student; None keeps the teacher's."""


SettingsType = NewShapeSettings
_SIZES = ("hidden_size", "num_attention_heads", "intermediate_size")


def apply(model: Model, settings: NewShapeSettings) -> Model:
    """Makes a model with the same vocabulary and kind of head, all of its weights new.

    They are drawn from torch's generator, as a recipe's seed has set it.

    Args:
        model: Any model, whose configuration is the start; its weights are not looked at.
        settings: The sizes.

    Raises:
        SettingsError: If the student's family can't have these sizes, or has no such head.

    Source:
        Jiao et al., "TinyBERT", 2020, section 5.2: 4 layers of 312 with 1,200 inside.
    """
    try:
        config = shape_config(model.config, settings)
    except SettingsError as error:
        raise SettingsError(f"new_shape: {error}") from error
    return find_class(config.model_type, model.kind)(config).to(model.device)


def shape_config(teacher: ModelConfig, settings: NewShapeSettings) -> ModelConfig:
    """Returns a teacher's configuration with other sizes, in the student's family.

    Raises:
        SettingsError: If the family can't have them.
    """
    depth = settings.num_hidden_layers or teacher.num_hidden_layers
    layers = range(min(depth, teacher.num_hidden_layers))
    model_type = settings.model_type or teacher.model_type
    config = student_config(teacher, layers=layers, model_type=model_type)
    sizes = {name: getattr(settings, name) for name in _SIZES}
    given = {name: size for name, size in sizes.items() if size is not None}
    if depth > len(layers):
        given["num_hidden_layers"] = depth
    return config.replace(layer_shapes=None, **({"head_dim": None} if given else {}), **given)
