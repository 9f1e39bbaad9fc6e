"""A teacher of a family that Limbeck does not have, fine-tuned on the tiny task."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from tiny_task import FILLER, LABELS, WORDS, make_rows, make_tokenizer
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, trainers

from limbeck.tokenizers import AutoTokenizer, Tokenizer, train_wordpiece

SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
    "initializer_range": 0.1,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
}


def make_letter_tokenizer() -> Tokenizer:
    """Other pieces than those of the tiny task: words fall apart into letters and pairs of them."""
    words = [word for words in WORDS.values() for word in words]
    return train_wordpiece([*FILLER, *words], vocab_size=64, min_frequency=1)


def write_foreign(
    folder: Path,
    *,
    family: str = "ernie",
    tokenizer: Tokenizer | None = None,
    auto: str = "AutoModelForSequenceClassification",
    steps: int = 40,
    **changes: object,
) -> str:
    """Writes a model of that family, fine-tuned on the tiny task in some steps."""
    transformers.logging.set_verbosity_error()
    torch.manual_seed(11)
    tokenizer = tokenizer or make_tokenizer()
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {n: i for i, n in enumerate(LABELS)}}
    shape = {} if "d_model" in changes else SHAPE  # a family with names of its own
    config = transformers.AutoConfig.for_model(
        family, vocab_size=tokenizer.vocab_size, **{**shape, **labels, **changes}
    )
    model = getattr(transformers, auto).from_config(config)
    rows = make_rows(160, seed=5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(steps):
        chosen = random.Random(step).sample(rows, 32)
        batch = tokenizer(
            [row["sentence"] for row in chosen], padding=True, truncation=True, max_length=32
        )
        logits = model(
            input_ids=torch.tensor(batch["input_ids"]),
            attention_mask=torch.tensor(batch["attention_mask"]),
        ).logits
        optimizer.zero_grad()
        F.cross_entropy(logits, torch.tensor([row["label"] for row in chosen])).backward()
        optimizer.step()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def make_bytes_tokenizer(folder: Path) -> Tokenizer:
    """RoBERTa's: byte-level BPE, in which a word's first piece has the blank before it."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([row["sentence"] for row in make_rows(80, seed=3)], trainer)
    model = json.loads(backend.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    transformers.RobertaTokenizer(vocab=model["vocab"], merges=merges).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)
