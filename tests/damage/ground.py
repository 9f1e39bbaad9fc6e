"""What all scenes are given: texts, rows, models; and short calls of every recipe on them."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from tiny_task import (
    FILLER,
    WORDS,
    Lines,
    make_rows,
    make_tokenizer,
    write_data,
    write_model,
)

from limbeck.data import CorpusSettings, build_corpus
from limbeck.errors import ContractError
from limbeck.models import AutoModelForMaskedLM
from limbeck.recipes import (
    chain,
    compress,
    distill,
    distill_embeddings,
    early_exit,
    evaluate,
    export,
    finetune,
    pretrain,
    prune,
    suite,
)
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import SilentProgress

_FAST = {"max_length": 16, "batch_size": 8, "learning_rate": 3e-3, "device": "cpu"}
_CORPUS = CorpusSettings(
    heldout_ratio=0.2, deduplicate=True, shard_tokens=512, save_every_seconds=0, documents="line"
)


class StopError(Exception):
    """Ends a run as abruptly as an exception can."""


class StopAt(SilentProgress):
    """Stops at a line that holds a text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def log(self, message: str) -> None:
        if self._text in message:
            raise StopError


class StopAfter(SilentProgress):
    """Stops after some advances of a stage."""

    def __init__(self, count: int) -> None:
        self._left = count

    @contextmanager
    def stage(self, description: str, *, total: float | None, unit: str) -> Iterator[Any]:
        yield self

    def advance(self, amount: float = 1) -> None:
        self._left -= 1
        if self._left == 0:
            raise StopError

    def update(self, **fields: Any) -> None:
        pass


class Ground:
    """A folder with inputs that nobody writes to, and calls of recipes on them.

    Args:
        folder: A new folder.

    Attributes:
        lines: What runs have said, where they were given no progress of their own.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._progress = Lines()
        self.lines: list[str] = self._progress.lines
        self.text = folder / "text.txt"
        source = random.Random(0)
        words = [*FILLER, *WORDS[0], *WORDS[1]]
        lines = (" ".join(source.choices(words, k=source.randint(5, 40))) for _ in range(160))
        self.text.write_text("\n".join(lines))
        self.data = write_data(folder / "data", train=24, validation=12, test=8)
        # What JSON lets stand in a text, and `str.splitlines` would cut at.
        validation = Path(self.data, "validation.jsonl")
        validation.write_text(validation.read_text().replace(" the ", r"\u2028the\u0085"))
        rows = [{"sentence": row["sentence"]} for row in make_rows(8, seed=9)]
        transfer = Path(self.data, "transfer.jsonl")
        transfer.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.pairs = folder / "pairs.jsonl"
        pairs = [
            {"sentence1": one, "sentence2": other, "label": number % 6}
            for number, (one, other) in enumerate(itertools.pairwise(self._sentences()))
        ]
        self.pairs.write_text("".join(json.dumps(row) + "\n" for row in pairs))
        self.encoder = write_model(folder / "encoder")
        self.finetune(folder / "taught", epochs=12)  # what says one and the same is no teacher
        self.teacher = str(folder / "taught/model")
        self.masked_lm = str(folder / "masked-lm")
        torch.manual_seed(3)
        model = AutoModelForMaskedLM.from_pretrained(self.encoder, new_head=True)
        model.save_pretrained(self.masked_lm)
        AutoTokenizer.from_pretrained(self.encoder).save_pretrained(self.masked_lm)
        self.corpus = folder / "corpus"
        self.build(self.corpus)

    def _sentences(self) -> list[str]:
        return [str(row["sentence"]) for row in make_rows(9, seed=8)]

    def build(self, out: Path, progress: Any = None) -> None:
        tokenizer = make_tokenizer()
        build_corpus([self.text], tokenizer=tokenizer, out=out, settings=_CORPUS, progress=progress)

    def pretrain(self, out: Path, progress: Any = None, **changes: Any) -> None:
        self._train_text(pretrain, out, progress, **{"model": self.masked_lm, **changes})

    def find_replaced(self, out: Path, progress: Any = None) -> None:
        shape = {
            "model_type": "electra",
            "embedding_size": 8,
            "hidden_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 8,
            "max_position_embeddings": 16,
        }
        self.pretrain(out, progress, model=None, objective="replaced_tokens", **shape)

    def distill(self, out: Path, progress: Any = None, **changes: Any) -> None:
        self._train_text(distill, out, progress, **{"teacher": self.masked_lm, **changes})

    def finetune(self, out: Path, progress: Any = None, **changes: Any) -> None:
        values = {"model": self.encoder, "data": self.data, "epochs": 2, "log_every": 1, **_FAST}
        self._run(finetune, progress, **{**values, "out": out, **changes})

    def teach(self, folder: Path, progress: Any = None) -> None:
        """Fine-tunes with a teacher, its cache and layers, unlabelled and augmented text."""
        self.finetune(
            folder / "run",
            progress,
            teacher=self.teacher,
            teacher_cache=folder / "cache",
            augment={"model": self.masked_lm},
            intermediate={"max_steps": 2},
            keep_layers=1,
            save_every=3,
        )

    def distill_embeddings(self, folder: Path, progress: Any = None) -> None:
        """Distils sentences with a cache of the teacher's vectors, and the best on pairs."""
        values = {
            "teacher": self.encoder,
            "texts": str(self.text),
            "num_student_layers": 1,
            "validation": str(self.pairs),
            "teacher_cache": folder / "cache",
            "max_steps": 12,
            "save_every": 3,
            "evaluations_per_epoch": 3,
            "log_every": 1,
        }
        self._run(distill_embeddings, progress, **{**values, **_FAST, "out": folder / "run"})

    def evaluate(self, model: str, out: Path, **changes: Any) -> None:
        values = {"model": model, "data": self.data, "max_length": 16, "device": "cpu", "out": out}
        self._run(evaluate, None, **{**values, **changes})

    def export(self, out: Path) -> None:
        values = {"model": self.teacher, "to": "onnx", "data": self.data, "num_rows": 8}
        self._run(export, None, **values, measure=False, out=out)

    def compress(self, out: Path, **changes: Any) -> None:
        values = {"model": self.teacher, "data": self.data, "out": out, "depths": [1], **_FAST}
        with suppress(ContractError):  # a share that is not kept is an outcome, too
            self._run(compress, None, **{**values, "epochs": 1, **changes})

    def prune(self, out: Path, progress: Any = None) -> None:
        """Cuts in two rounds."""
        values = {"model": self.teacher, "data": self.data, "neurons": 0.5, "measure": False}
        self._run(prune, progress, **{**values, **_FAST, "epochs": 1, "out": out})

    def early_exit(self, out: Path, progress: Any = None) -> None:
        values = {"model": self.teacher, "data": self.data, "measure": False}
        self._run(early_exit, progress, **{**values, **_FAST, "epochs": 1, "out": out})

    def suite(self, out: Path) -> None:
        models = {
            "whole": {"model": self.encoder, "role": "teacher"},
            "half": {"model": self.encoder, "teacher": "whole", "finetune": {"keep_layers": 1}},
        }
        values = {"suite": "custom", "tasks": {"sst2": {"data": self.data}}, "models": models}
        values |= {"finetune": {"epochs": 1, **_FAST}, "measure": False, "out": out, "seeds": [0]}
        self._run(suite, None, **values)

    def chain(self, out: Path) -> None:
        """Distils in two stages, the second the student of the first."""
        steps = {"sequence_length": 16, "batch_size": 8, "max_steps": 2, "evaluate_rows": 8}
        stage = {"recipe": "distill", "num_student_layers": 1, **steps}
        stages = {
            "first": {**stage, "teacher": self.masked_lm},
            "second": {**stage, "teacher": "first"},
        }
        self._run(chain, None, stages=stages, shared={"corpus": str(self.corpus)}, out=out)

    def _train_text(self, recipe: Any, out: Path, progress: Any, **changes: Any) -> None:
        values = {"corpus": self.corpus, "sequence_length": 16, "batch_size": 8, "max_steps": 6}
        values |= {"save_every": 2, "log_every": 1, "evaluate_every": 3, "evaluate_rows": 8}
        self._run(recipe, progress, **{**values, "out": out, **changes})

    def _run(self, recipe: Any, progress: Any, **settings: Any) -> None:
        made = recipe.SettingsType.from_values(settings)
        recipe.run(made, progress=progress or self._progress)
