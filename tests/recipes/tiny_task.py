"""A task that a tiny model can learn: is there a good word or a bad one in the sentence?"""

import json
import random
import signal
from pathlib import Path

import torch

from limbeck.checkpoints import read_safetensors
from limbeck.models import AutoModel, AutoModelForSequenceClassification, find_architecture
from limbeck.recipes.finetune import FinetuneSettings, run
from limbeck.tokenizers import train_wordpiece
from limbeck.train import SilentProgress, read_metrics

LABELS = ["NEGATIVE", "POSITIVE"]
WORDS = {0: ["bad", "awful", "dull"], 1: ["good", "great", "bright"]}
FILLER = ["the", "film", "is", "a", "story", "about", "men", "and", "rain", "seen", "twice"]


def make_rows(count, *, seed, labelled=True):
    rng = random.Random(seed)
    rows = []
    for i in range(count):
        label = rng.randrange(2)
        words = rng.choices(FILLER, k=rng.randrange(1, 9)) + rng.choices(WORDS[label], k=3)
        rng.shuffle(words)
        rows.append({"sentence": " ".join(words), "label": label if labelled else -1, "idx": i})
    return rows


def write_data(folder, *, train=64, validation=24, test=16, test_labelled=True):
    folder.mkdir(parents=True)
    for seed, (name, count) in enumerate(
        {"train": train, "validation": validation, "test": test}.items()
    ):
        rows = make_rows(count, seed=seed, labelled=test_labelled or name != "test")
        if rows:
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return str(folder)


def make_tokenizer():
    words = [word for words in WORDS.values() for word in words]
    return train_wordpiece([*FILLER, *words], vocab_size=200, min_frequency=1)


def write_model(folder, *, model_type="bert", dropout=0.1, head=None, **changes):
    """Writes a model folder: a bare encoder, or a classifier with the labels in `head`."""
    torch.manual_seed(7)
    tokenizer = make_tokenizer()
    architecture = find_architecture(model_type)
    shape = {
        "vocab_size": tokenizer.vocab_size,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 32,
        "initializer_range": 0.1,
    }
    shape |= architecture.config_type.tiny_values
    shape |= {"pad_token_id": tokenizer.pad_token_id, **changes}
    config = architecture.config_type().replace(**shape)
    names = [n for n in vars(config) if "drop" in n and getattr(config, n) is not None]
    config = config.replace(**dict.fromkeys(names, dropout))
    if head is None:
        model = AutoModel.from_config(config)
    else:
        config = config.replace(num_labels=len(head), id2label=dict(enumerate(head)))
        model = AutoModelForSequenceClassification.from_config(config)
    model.save_pretrained(folder)
    if not model.has_token_types:
        tokenizer = tokenizer.without_token_types()
    tokenizer.save_pretrained(folder)
    return str(folder)


def make_settings(model, data, out, **changes):
    values = {"model": model, "data": data, "out": str(out), "max_length": 16, "batch_size": 8}
    values |= {"learning_rate": 3e-3, "epochs": 2, "log_every": 1, "device": "cpu"}
    return FinetuneSettings.from_values(values | changes)


def finetune(*arguments, progress=None, **changes):
    return run(make_settings(*arguments, **changes), progress=progress or SilentProgress())


def read_loss(out):
    return [line.values["loss"] for line in read_metrics(out / "seed-0") if line.kind == "train"]


def read_weights(folder):
    return read_safetensors(Path(folder) / "model.safetensors")


def assert_same_weights(first, second):
    first, second = read_weights(first), read_weights(second)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Lines(SilentProgress):
    """Keeps what is logged, and interrupts at a line that holds `stop_at`."""

    def __init__(self, stop_at=None):
        self.lines, self._stop_at = [], stop_at

    def log(self, message):
        self.lines.append(message)
        if self._stop_at is not None and self._stop_at in message:
            self._stop_at = None
            signal.raise_signal(signal.SIGINT)
