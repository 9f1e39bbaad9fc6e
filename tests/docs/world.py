"""Makes, in the working folder, what the documents' commands work on: tiny models, text, data.

Run by a document's comment `<!-- test: setup: world -->`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from limbeck import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel
from limbeck.tokenizers import train_wordpiece

WORDS = [
    "the",
    "a",
    "still",
    "turns",
    "grain",
    "into",
    "spirit",
    "water",
    "slowly",
    "fire",
    "copper",
    "heat",
    "good",
    "bad",
    "film",
    "plot",
    "dull",
    "fine",
]


OPINIONS = (["bad", "dull"], ["good", "fine"])


def main() -> None:
    """Makes everything; the same each time."""
    random.seed(0)
    make_model_and_text()
    make_causal_model()
    for split, size in (("train", 64), ("validation", 32), ("test", 32)):
        write_rows(f"reviews/{split}.jsonl", (review(i) for i in range(size)))
    for split in ("train", "validation"):
        write_rows(f"glue/rte/{split}.jsonl", (pair(i) for i in range(32)))
        write_rows(f"entities/{split}.jsonl", [SENTENCE_WITH_ENTITIES] * 8)
        write_rows(f"questions/{split}.jsonl", (question(i) for i in range(8)))
    write_rows("similar/validation.jsonl", (pair(i) | {"label": i % 6} for i in range(32)))


def make_model_and_text() -> None:
    """Writes `text/` and the masked LM `my-bert`, whose vocabulary is of that text."""
    lines = [" ".join(random.choices(WORDS, k=30)) for _ in range(300)]
    Path("text").mkdir()
    Path("text/one.txt").write_text("\n\n".join(lines), encoding="utf-8")
    tokenizer = train_wordpiece(lines, vocab_size=120)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertForMaskedLM(config).save_pretrained("my-bert")
    tokenizer.save_pretrained("my-bert")


def make_causal_model() -> None:
    """Writes the causal LM `my-gpt2`, with a byte-level vocabulary of the same text."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    end = "<|endoftext|>"
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=[end], initial_alphabet=alphabet, show_progress=False
    )
    backend.train(["text/one.txt"], trainer)
    torch.manual_seed(0)
    sizes = {"n_embd": 16, "n_layer": 4, "n_head": 2, "n_positions": 64}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    config = GPT2Config(vocab_size=backend.get_vocab_size(), **sizes, **ends)
    GPT2LMHeadModel(config).save_pretrained("my-gpt2")
    backend.save("my-gpt2/tokenizer.json")
    roles = dict.fromkeys(("bos_token", "eos_token", "unk_token"), end)
    settings = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 64, **roles}
    Path("my-gpt2/tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def review(number: int) -> dict[str, Any]:
    """Returns a sentence with a label, which some of its words say."""
    label = number % 2
    said = random.choices(OPINIONS[label], k=4)
    words = [*random.choices(WORDS[:12], k=4), *said]
    return {"sentence": " ".join(random.sample(words, k=8)), "label": label}


def pair(number: int) -> dict[str, Any]:
    """Returns two sentences with a label."""
    first, second = random.choice(WORDS), random.choice(WORDS)
    return {"sentence1": first, "sentence2": second, "label": number % 2}


SENTENCE_WITH_ENTITIES = {
    "tokens": ["the", "still", "turns", "grain"],
    "ner_tags": ["O", "B-TOOL", "O", "B-STUFF"],
}


def question(number: int) -> dict[str, Any]:
    """Returns a question with its text and answer."""
    return {
        "id": str(number),
        "question": "what turns grain",
        "context": "the still turns grain",
        "answers": [{"text": "the still", "answer_start": 0}],
    }


def write_rows(path: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes JSON Lines."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
