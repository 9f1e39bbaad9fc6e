"""A BERT and a GPT-2 small enough to train in a test."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, trainers

from limbeck import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, Tokenizer


def make_teacher(
    vocab_size: int, *, dropout: float = 0.1, num_layers: int = 4, num_positions: int = 64
) -> BertForMaskedLM:
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=16,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=num_positions,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.3,
    )
    torch.manual_seed(7)
    return BertForMaskedLM(config)


def make_causal_teacher(
    vocab_size: int, *, dropout: float = 0.1, num_layers: int = 4, num_positions: int = 64
) -> GPT2LMHeadModel:
    config = GPT2Config(
        vocab_size=vocab_size,
        n_embd=16,
        n_layer=num_layers,
        n_head=4,
        n_positions=num_positions,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.manual_seed(7)
    return GPT2LMHeadModel(config)


def make_causal_tokenizer(text: Path, folder: Path) -> Tokenizer:
    """Returns a tokenizer as `transformers` saves GPT-2's, with a vocabulary of its own."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train([str(text)], trainer)
    backend.model.save(str(folder))
    files = {"vocab": str(folder / "vocab.json"), "merges": str(folder / "merges.txt")}
    transformers.GPT2Tokenizer(**files).save_pretrained(folder)
    return Tokenizer.from_pretrained(folder)
