"""Keep layers: a student that starts as its teacher with fewer layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field

from limbeck.errors import SettingsError
from limbeck.methods._method import MethodSettings
from limbeck.models import Model, ModelConfig, find_architecture, find_class
from limbeck.nn import Embeddings, Encoder

# teacher depth -> student depth -> teacher layers, 0-based. The row 12 -> 6 made the released
# DistilBERT weights.
# Source: `scripts/extract_distilbert.py` and `seq2seq-distillation/make_student.py` of the
# archived huggingface/transformers-research-projects.
_ORIGINAL_LAYERS: Mapping[int, Mapping[int, tuple[int, ...]]] = {
    6: {1: (0,), 2: (0, 5), 3: (0, 2, 5), 4: (0, 1, 3, 5)},
    12: {
        1: (0,),
        2: (0, 6),
        3: (0, 6, 11),
        4: (0, 4, 8, 11),
        6: (0, 2, 4, 7, 9, 11),
        9: (0, 1, 2, 4, 5, 7, 9, 10, 11),
    },
}
# What a student of another family takes over, by BERT's names.
_SHARED = (
    "vocab_size",
    "max_tokens",
    "initializer_range",
    "pad_token_id",
    "hidden_size",
    "num_attention_heads",
    "head_dim",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "layer_norm_eps",
    "embedding_rank",
    "id2label",
    "problem_type",
)
_SCHEMES = ("every_other", "original", "lower", "even")


class KeepLayersSettings(MethodSettings):
    """Settings of `keep_layers`."""

    method: Literal["keep_layers"] = "keep_layers"
    layers: int | str | tuple[int, ...] = "lower"
    """How many layers to keep (as `lower` spaces them), `every_other`, `original`, `lower`,
    `even`, or a list of them, 0-based."""
    num_student_layers: int | None = Field(default=None, ge=1)
    """Depth of the student; half the teacher's, rounded up, if not given."""
    model_type: str | None = None
    """Architecture of the student, of the teacher's width; None keeps the teacher's."""
    fold_token_types: bool = True
    """Where the student has no token types, add the teacher's row for type 0 to every position,
    which leaves the embeddings' output as it was."""
    copy_transform: bool = True
    """Copy the dense layer and LayerNorm before the decoder; else they keep their random start."""


SettingsType = KeepLayersSettings


def choose_layers(
    layers: int | str | Sequence[int],
    *,
    num_teacher_layers: int,
    num_student_layers: int | None = None,
) -> tuple[int, ...]:
    """Returns the teacher's layers, 0-based and ascending, that become the student's.

    Args:
        layers: `every_other` (0, 2, 4, ... as the DistilBERT article says), `original` (the
            tables of the original code), `lower` (the same spacing for any depth: it begins with
            the first layer and leaves out the last), `even` (evenly spaced, first and last
            included), how many, spaced as `lower` does, or the layers themselves.
        num_teacher_layers: Depth of the teacher.
        num_student_layers: Depth of the student; half the teacher's, rounded up, if not given.

    Raises:
        SettingsError: If the scheme is unknown or has no answer for these depths, or a listed
            layer does not exist or stands twice.

    Example:
        >>> choose_layers("every_other", num_teacher_layers=12)
        (0, 2, 4, 6, 8, 10)
        >>> choose_layers("lower", num_teacher_layers=12, num_student_layers=3)
        (0, 4, 8)
        >>> choose_layers("even", num_teacher_layers=12, num_student_layers=3)
        (0, 6, 11)
    """
    name = "num_student_layers"
    if isinstance(layers, int):
        name, num_student_layers, layers = "layers", layers, "lower"
    depth = (num_teacher_layers + 1) // 2 if num_student_layers is None else num_student_layers
    if not 1 <= depth <= num_teacher_layers:
        raise SettingsError(
            f"{name} = {depth}: the teacher has {num_teacher_layers} layers; "
            f"accepted: 1 to {num_teacher_layers}"
        )
    if not isinstance(layers, str):
        return _check_listed(tuple(layers), num_teacher_layers, num_student_layers)
    if layers == "every_other":
        chosen = tuple(range(0, num_teacher_layers, 2))
        if len(chosen) == depth:
            return chosen
        raise SettingsError(
            f"layers = 'every_other' gives {len(chosen)} of {num_teacher_layers} layers, not "
            f"{depth}; use 'lower' for another depth, or list the layers"
        )
    if layers == "lower":
        return tuple(i * num_teacher_layers // depth for i in range(depth))
    if layers == "even":
        if depth == 1:
            return (0,)
        last = num_teacher_layers - 1
        return tuple((2 * i * last + depth - 1) // (2 * (depth - 1)) for i in range(depth))
    if layers == "original":
        table = _ORIGINAL_LAYERS.get(num_teacher_layers, {})
        if depth in table:
            return table[depth]
        known = [f"{t} -> {s}" for t, rows in _ORIGINAL_LAYERS.items() for s in rows]
        raise SettingsError(
            f"layers = 'original' has no entry for {num_teacher_layers} -> {depth}; it has "
            f"{', '.join(known)}. Use 'lower', or list the layers"
        )
    raise SettingsError(
        f"layers = '{layers}'; accepted: {', '.join(_SCHEMES)}, or a list such as [0, 2, 4]"
    )


def _check_listed(
    layers: tuple[int, ...], num_teacher_layers: int, num_student_layers: int | None
) -> tuple[int, ...]:
    wrong = [i for i in layers if not 0 <= i < num_teacher_layers]
    if wrong or not layers:
        raise SettingsError(
            f"layers = {list(layers)}: the teacher's layers are 0 to {num_teacher_layers - 1}"
        )
    if list(layers) != sorted(set(layers)):
        raise SettingsError(f"layers = {list(layers)}: must ascend, each layer once")
    if num_student_layers not in (None, len(layers)):
        raise SettingsError(
            f"layers = {list(layers)} are {len(layers)}, but num_student_layers = "
            f"{num_student_layers}; leave one of them out"
        )
    return layers


@torch.no_grad()
def apply(model: Model, settings: KeepLayersSettings) -> Model:
    """Makes a student of some of a model's layers; the model is left as it is.

    Copied: word and position embeddings, the embedding LayerNorm, the layers, and whatever of the
    head both have, such as the tied decoder's bias. A student without token types drops the
    teacher's table. Where a family shares its layers, as ALBERT does, the student runs fewer times
    through those that are kept: it is faster, and has as many parameters.

    Args:
        model: Any model, the teacher; the student has the same kind of head.
        settings: Which layers, and what else is copied.

    Raises:
        SettingsError: If the model does not have the layers, its family can't share what is left
            as it was, or its encoder has what the student's family has no place for.

    Source:
        Sanh et al., "DistilBERT", 2019, section 2, "Student initialization".
    """
    layers = choose_layers(
        settings.layers,
        num_teacher_layers=model.config.num_hidden_layers,
        num_student_layers=settings.num_student_layers,
    )
    model_type = settings.model_type or model.config.model_type
    config = student_config(model.config, layers=layers, model_type=model_type)
    student = find_class(model_type, model.kind)(config).to(model.device)
    _require_places(model, student, first=layers[0])
    _copy_outside_layers(model, student, copy_transform=settings.copy_transform)
    for place, layer in enumerate(layers):
        kept = model.encoder.layer_at(layer).state_dict()
        student.encoder.layer_at(place).load_state_dict(kept)
    if settings.fold_token_types:
        _fold_token_types(model.encoder.embeddings, student.encoder.embeddings)
    return student


def student_config(teacher: ModelConfig, *, layers: Sequence[int], model_type: str) -> ModelConfig:
    """Returns a teacher's configuration with some of its layers, in the student's family."""
    own = find_architecture(model_type).config_type()
    if type(own) is type(teacher):
        return teacher.keep_layers(layers)
    shared = {
        name: _read(teacher, name) for name in _SHARED if _has(teacher, name) and _has(own, name)
    }
    return own.replace(
        num_hidden_layers=len(layers), layer_shapes=teacher.keep_shapes(layers), **shared
    )


def _has(config: ModelConfig, name: str) -> bool:
    """Tells whether a family has a setting that BERT calls so."""
    return hasattr(config, config.common_names.get(name, name))


def _read(config: ModelConfig, name: str) -> Any:
    """Returns a value by BERT's name: what a family's property gives, or else its field."""
    return getattr(config, name if hasattr(config, name) else config.common_names[name])


def can_hold(model_type: str, teacher: Model) -> bool:
    """Tells whether a family has a place for all of a teacher but its encoder's token types."""
    if teacher.kind not in find_architecture(model_type).kinds:
        return False
    config = student_config(teacher.config, layers=(0,), model_type=model_type)
    with torch.device("meta"):  # shapes alone: no weight is drawn
        student = find_class(model_type, teacher.kind)(config)
    return not _find_lost(teacher, student)


def _find_lost(teacher: Model, student: Model, *, first: int = 0) -> list[str]:
    """Returns what of the teacher's encoder has no place in the student's; token types may go.

    Of the layers that of the student's first place stands for all, whose own shapes follow those
    of the teacher's.
    """
    places = _shapes(student.encoder, 0)
    return [
        name
        for name, shape in _shapes(teacher.encoder, first).items()
        if places.get(name) != shape and not name.startswith("embeddings.token_type.")
    ]


def _require_places(teacher: Model, student: Model, *, first: int) -> None:
    """Refuses a family whose encoder can't hold all of the teacher's."""
    lost = _find_lost(teacher, student, first=first)
    if lost:
        given, wanted = student.config.model_type, teacher.config.model_type
        raise SettingsError(
            f"model_type = '{given}' has no place for the teacher's {', '.join(lost)}; accepted: "
            f"model_type = '{wanted}', the teacher's own, or another family with the same parts"
        )


def _shapes(encoder: Encoder, place: int) -> dict[str, torch.Size]:
    """Returns the shapes of what stands beside the layers, and of the parts of one place's."""
    beside = {n: p.shape for n, p in encoder.named_parameters() if not n.startswith("layers.")}
    inside = encoder.layer_at(place).named_parameters(prefix="layers.{i}")
    return beside | {name: parameter.shape for name, parameter in inside}


def _copy_outside_layers(teacher: Model, student: Model, *, copy_transform: bool) -> None:
    """Copies what both models have beside their layers: embeddings, pooler, head."""
    target = dict(student.named_parameters())
    depths = teacher.parameter_depths()
    ends = 0, max(depths.values())
    transform = () if copy_transform else ("head.transform.",)
    for name, parameter in teacher.named_parameters():
        if depths[name] in ends and name in target and not name.startswith(transform):
            target[name].copy_(parameter)


def _fold_token_types(teacher: Embeddings, student: Embeddings) -> None:
    """Adds the row of type 0 to the positions of a student that has no token types."""
    if teacher.token_type is None or student.token_type is not None:
        return
    if student.position is not None:
        student.position.weight += teacher.token_type.weight[0]
