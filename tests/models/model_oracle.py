"""What the model tests share: tiny configurations, wide random weights, `transformers` beside."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import torch
import transformers

import limbeck
from limbeck.models import KINDS, Kind, Model, find_class

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

BERT = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 16,
    "type_vocab_size": 3,
    "layer_norm_eps": 1e-3,  # nobody's default: a forgotten one shows
}
DISTILBERT = {
    "vocab_size": 50,
    "dim": 24,
    "n_layers": 3,
    "n_heads": 4,
    "hidden_dim": 40,
    "max_position_embeddings": 16,
}
TINY = {"bert": BERT, "distilbert": DISTILBERT}
FAMILIES = sorted(TINY)
CASES = list(itertools.product(FAMILIES, KINDS))
CASE_IDS = [f"{family}-{kind.name}" for family, kind in CASES]


def num_labels(kind: Kind) -> int:
    return 2 if kind.name == "question_answering" else 5


def our_class(family: str, kind: Kind) -> type[Model]:
    return find_class(family, kind)


def our_config(family: str, **changes: Any) -> Any:
    config_type = {"bert": limbeck.BertConfig, "distilbert": limbeck.DistilBertConfig}[family]
    return config_type(**{**TINY[family], **changes})


def their_model(family: str, kind: Kind, *, seed: int = 0, **changes: Any) -> Any:
    """A `transformers` model in float64 with weights, biases and LayerNorms drawn wide."""
    prefix = {"bert": "Bert", "distilbert": "DistilBert"}[family]
    config = getattr(transformers, f"{prefix}Config")(
        **{"num_labels": num_labels(kind), **TINY[family], **changes}
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


def make_inputs(family: str, kind: Kind) -> dict[str, torch.Tensor]:
    """A padded batch with segments other than 0, and positions that do not start at 0."""
    generator = torch.Generator().manual_seed(1)
    shape = (3, 2, 11) if kind.has_choices else (3, 11)
    lengths = torch.tensor([11, 4, 8])
    mask = (torch.arange(11) < lengths[:, None]).long()
    inputs = {
        "input_ids": torch.randint(1, 50, shape, generator=generator),
        "attention_mask": mask[:, None].expand(shape).contiguous() if kind.has_choices else mask,
        "position_ids": (torch.arange(11) + 3).expand(shape).contiguous(),
    }
    if kind.has_choices and family == "distilbert":
        # transformers' DistilBERT does not flatten them here; one row serves all
        inputs["position_ids"] = inputs["position_ids"][:1, 0]
    if family == "bert":
        inputs["token_type_ids"] = torch.randint(0, 3, shape, generator=generator)
    inputs["input_ids"] *= inputs["attention_mask"]  # 0 is the padding word
    return inputs


FIELDS = ("last_hidden_state", "pooler_output", "logits", "start_logits", "end_logits")


def tensors_of(output: Any) -> dict[str, torch.Tensor]:
    """Every tensor of an output under a name of its own."""
    found = {name: getattr(output, name, None) for name in FIELDS}
    for name in ("hidden_states", "attentions"):
        for index, tensor in enumerate(getattr(output, name, None) or ()):
            found[f"{name}.{index}"] = tensor
    return {name: tensor for name, tensor in found.items() if tensor is not None}
