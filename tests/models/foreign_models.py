"""Tiny models of `transformers` of families that Limbeck does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from limbeck.models import Kind

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

_SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
}
# One a way of being odd: without a mask, other widths, other positions, pooled or reversed rows.
FAMILIES: dict[str, dict[str, Any]] = {
    "ernie": {},
    "fnet": {},
    "funnel": {"d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 20, "block_sizes": [1, 1]},
    "megatron-bert": {},
    "nystromformer": {"num_landmarks": 4, "segment_means_seq_len": 4},
    "rembert": {"input_embedding_size": 12, "output_embedding_size": 14},
    "roberta-prelayernorm": {"pad_token_id": 1},
    "xlnet": {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 20},
}
_OWN_SHAPE = ("funnel", "xlnet")


def their_config(family: str, *, vocab_size: int = 50, **changes: Any) -> Any:
    shape = FAMILIES[family] if family in _OWN_SHAPE else {**_SHAPE, **FAMILIES[family]}
    if family == "fnet":  # it has none
        shape = {name: size for name, size in shape.items() if name != "num_attention_heads"}
    return transformers.AutoConfig.for_model(
        family, **{"vocab_size": vocab_size, **shape, **changes}
    )


def their_model(family: str, kind: Kind, *, std: float = 0.3, **changes: Any) -> Any:
    """A model with weights drawn wide, in evaluation mode."""
    torch.manual_seed(0)
    config = their_config(family, **changes)
    model = getattr(transformers, kind.auto_name).from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=std)
    return model.eval()


def save(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder
