"""What the model tests share: tiny configurations, wide random weights, `transformers` beside."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
import transformers

from limbeck import listing
from limbeck.models import Kind, Model, find_architecture, find_class

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

# By BERT's names, as every family reads them.
SIZES = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
}
MAX_TOKENS = 16
# Nobody's defaults, for families that have such a field: a forgotten one shows.
ODD = {"type_vocab_size": 3, "layer_norm_eps": 1e-3}
FAMILIES = listing.list_names("limbeck.models")
CASES = [(family, kind) for family in FAMILIES for kind in find_architecture(family).kinds]
CASE_IDS = [f"{family}-{kind.name}" for family, kind in CASES]


def num_labels(kind: Kind) -> int:
    return 2 if kind.name == "question_answering" else 5


def our_class(family: str, kind: Kind) -> type[Model]:
    return find_class(family, kind)


def tiny(family: str) -> dict[str, Any]:
    """The fields of a tiny model, by the family's own names."""
    config_type = find_architecture(family).config_type
    positions = {"max_position_embeddings": MAX_TOKENS + (config_type.reserved_positions or 0)}
    fields = {field.name for field in dataclasses.fields(config_type)}
    odd = {name: value for name, value in ODD.items() if name in fields}
    sizes = {config_type.common_names.get(name, name): size for name, size in SIZES.items()}
    return {**sizes, **positions, **odd}


def our_config(family: str, **changes: Any) -> Any:
    return find_architecture(family).config_type(**{**tiny(family), **changes})


def their_model(family: str, kind: Kind, *, seed: int = 0, **changes: Any) -> Any:
    """A `transformers` model in float64 with weights, biases and LayerNorms drawn wide."""
    prefix = find_architecture(family).class_prefix
    config = getattr(transformers, f"{prefix}Config")(
        **{"num_labels": num_labels(kind), **tiny(family), **changes}
    )
    model = getattr(transformers, f"{prefix}{kind.suffix}")(config).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model.eval()


def ours_from(theirs: Any, folder: Path, kind: Kind) -> Model:
    """The same model as Limbeck loads it from what `transformers` saved."""
    theirs.save_pretrained(folder)
    family = theirs.config.model_type
    return our_class(family, kind).from_pretrained(folder, dtype=torch.float64)


def make_inputs(family: str, kind: Kind, *, padded: bool = True) -> dict[str, torch.Tensor]:
    """A padded batch with segments other than 0, and positions that do not start at 0."""
    generator = torch.Generator().manual_seed(1)
    shape = (3, 2, 11) if kind.has_choices else (3, 11)
    lengths = torch.tensor([11, 4, 8] if padded else [11, 11, 11])
    mask = (torch.arange(11) < lengths[:, None]).long()
    inputs = {
        "input_ids": torch.randint(2, 50, shape, generator=generator),
        "attention_mask": mask[:, None].expand(shape).contiguous() if kind.has_choices else mask,
        "position_ids": (torch.arange(11) + 3).expand(shape).contiguous(),
    }
    if kind.has_choices and family == "distilbert":
        # transformers' DistilBERT does not flatten them here; one row serves all
        inputs["position_ids"] = inputs["position_ids"][:1, 0]
    if "type_vocab_size" in tiny(family):
        inputs["token_type_ids"] = torch.randint(0, 3, shape, generator=generator)
    padding = our_config(family).pad_token_id
    inputs["input_ids"].masked_fill_(inputs["attention_mask"] == 0, padding)
    return inputs


def their_inputs(family: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """The same inputs as `transformers` counts positions: with those where no token stands."""
    reserved = find_architecture(family).config_type.reserved_positions or 0
    positions = inputs.get("position_ids")
    return inputs if positions is None else {**inputs, "position_ids": positions + reserved}


FIELDS = ("last_hidden_state", "pooler_output", "logits", "start_logits", "end_logits")


def tensors_of(output: Any) -> dict[str, torch.Tensor]:
    """Every tensor of an output under a name of its own."""
    found = {name: getattr(output, name, None) for name in FIELDS}
    for name in ("hidden_states", "attentions"):
        for index, tensor in enumerate(getattr(output, name, None) or ()):
            found[f"{name}.{index}"] = tensor
    return {name: tensor for name, tensor in found.items() if tensor is not None}
