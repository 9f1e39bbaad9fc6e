"""Models of the shapes that are compared, with random weights: speed does not depend on these."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "distilbert-base": ("distilbert", {"n_layers": 6, "dim": 768, "hidden_dim": 3072}),
    "6x384": ("bert", {"num_hidden_layers": 6, "hidden_size": 384, "intermediate_size": 1536}),
    "3x384": ("bert", {"num_hidden_layers": 3, "hidden_size": 384, "intermediate_size": 1536}),
    "mpnet-base": ("mpnet", {"num_hidden_layers": 12, "hidden_size": 768}),
}
HEADS = {
    "classify": "AutoModelForSequenceClassification",
    "answer": "AutoModelForQuestionAnswering",
    "embed": "AutoModel",
}


def make_model(shape: str, use: str, *, tokenizer: str, folder: Path) -> Path:
    """Writes a model with a head, unless it is there; the tokenizer is a real one, uncased."""
    place = folder / f"{shape}-{use}"
    if (place / "config.json").exists():
        return place
    torch.manual_seed(0)
    words = transformers.AutoTokenizer.from_pretrained(tokenizer)
    words.model_max_length = 512
    family, sizes = SHAPES[shape]
    config = transformers.AutoConfig.for_model(family, vocab_size=len(words), num_labels=2, **sizes)
    config.position_embedding_type = "absolute"  # which ctranslate2 asks for
    if family == "mpnet":  # two positions are reserved; its tokenizer's class is its own
        config.max_position_embeddings = 514
    getattr(transformers, HEADS[use]).from_config(config).eval().save_pretrained(place)
    if family != "bert":
        words.model_input_names = ["input_ids", "attention_mask"]
    words.save_pretrained(place)
    return place
