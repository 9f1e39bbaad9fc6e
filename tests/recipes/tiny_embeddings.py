"""Tiny sentence encoders, texts and runs of `distill-embeddings`."""

import json
import random
from dataclasses import fields

import torch
from tiny_task import FILLER, WORDS, make_tokenizer, write_model

from limbeck.models import AutoModel, DenseConfig, NormalizeConfig, SentenceConfig, SentenceModel
from limbeck.recipes.distill_embeddings import SettingsType, run
from limbeck.train import SilentProgress

EVERY_WORD = [*FILLER, *WORDS[0], *WORDS[1]]


def draw_text(rng):
    return " ".join(rng.choices(EVERY_WORD, k=rng.randrange(2, 9)))


def write_rows(path, count, *, columns=("text",), seed=0, **values):
    """Writes different rows; `values` are further columns, each made of a random generator."""
    rng, seen, rows = random.Random(seed), set(), []
    while len(rows) < count:
        row = {column: draw_text(rng) for column in columns}
        if row[columns[0]] not in seen:
            seen.add(row[columns[0]])
            rows.append(row | {name: make(rng) for name, make in values.items()})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def write_pairs(path, count=30):
    return write_rows(
        path,
        count,
        columns=("sentence1", "sentence2"),
        seed=9,
        label=lambda rng: round(rng.uniform(0, 5), 2),
    )


_OF_SENTENCES = {f.name for f in fields(SentenceConfig)} - {"hidden_size", "layers"}


def write_sentence_model(folder, *, dense=None, unit=True, **changes):
    """Writes a folder of sentence-transformers: mean, a dense layer if asked for, norm."""
    given = {name: changes.pop(name) for name in _OF_SENTENCES & changes.keys()}
    write_model(folder, **{"num_hidden_layers": 4, "dropout": 0.0, **changes})
    encoder = AutoModel.from_pretrained(folder, add_pooling_layer=False)
    width = encoder.config.hidden_size
    layers = () if dense is None else (DenseConfig(in_features=width, out_features=dense),)
    layers += (NormalizeConfig(),) if unit else ()
    torch.manual_seed(3)
    model = SentenceModel(encoder, SentenceConfig(hidden_size=width, layers=layers, **given))
    model.save_pretrained(folder)
    make_tokenizer().for_model(encoder.config).save_pretrained(folder)
    return str(folder)


def make_settings(teacher, texts, out, **changes):
    values = {
        "teacher": teacher,
        "texts": texts,
        "out": str(out),
        "max_length": 16,
        "batch_size": 8,
        "learning_rate": 3e-3,
        "log_every": 1,
        "num_held_out": 10,
        **changes,
    }
    return SettingsType.from_values(values, where="test")


def distill(teacher, texts, out, *, progress=None, **changes):
    settings = make_settings(teacher, texts, out, **changes)
    return run(settings, progress=progress or SilentProgress())


def weights_of(out):
    return SentenceModel.from_pretrained(out / "model").state_dict()
