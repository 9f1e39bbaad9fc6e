"""What teaches: an encoder of sentences, which gives vectors, or a cross-encoder, which scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from limbeck.checkpoints import hash_model, require_weights, resolve_folder
from limbeck.data.by_length import batches_by_length
from limbeck.errors import CheckpointError, SettingsError
from limbeck.files import sha256_of_texts
from limbeck.losses import Loss
from limbeck.models import (
    AnyModel,
    AutoModel,
    AutoModelForSequenceClassification,
    Kind,
    ModelConfig,
    SentenceConfig,
    SentenceModel,
    find_foreign_family,
    load_foreign,
    read_any_config,
    read_sentence_config,
    read_sentence_head,
)
from limbeck.nn import evaluation
from limbeck.objectives import PaddedTexts
from limbeck.recipes._tasks.heads import find_head
from limbeck.recipes.distill_embeddings.reading import (
    embed,
    encode_texts,
    require_counted_prompt,
    require_positions,
)
from limbeck.recipes.distill_embeddings.rows import Numbers, TextRows
from limbeck.recipes.distill_embeddings.settings import DistillEmbeddingsSettings
from limbeck.recipes.finetune.teacher_cache import TeacherCache
from limbeck.tasks import EncodedExamples, TextEncoding, TextExample
from limbeck.tokenizers import AutoTokenizer, Tokenizer
from limbeck.train import Progress, autocast, choose_device

_ROWS_AT_A_TIME = 1024  # of texts that are sorted by length together, between two signs of progress


@dataclass(frozen=True, kw_only=True)
class Teacher(ABC):
    """A model that is not loaded yet.

    Attributes:
        settings: Of the run.
        folder: Its folder.
        config: Its encoder's configuration.
        tokenizer: Its own.
    """

    gives: ClassVar[str]
    kind: ClassVar[Kind]

    settings: DistillEmbeddingsSettings
    folder: Path
    config: ModelConfig
    tokenizer: Tokenizer

    @property
    def width(self) -> int | None:
        """Width of its vectors; None of one that gives none."""
        return None

    @property
    @abstractmethod
    def default_loss(self) -> str:
        """What is learned from it where the settings don't say."""

    @abstractmethod
    def require_losses(self, losses: dict[str, Loss]) -> None:
        """Refuses losses on what it does not give.

        Raises:
            SettingsError: Names the loss, and those that would do.
        """

    @abstractmethod
    def teach(self, rows: TextRows, progress: Progress) -> TeacherCache:
        """Returns what it says, computed once and kept.

        Of the texts in the order of `taught_texts`, or of the pairs of each row, one row after the
        other.
        """


@dataclass(frozen=True, kw_only=True)
class VectorTeacher(Teacher):
    """An encoder of sentences.

    Attributes:
        sentence: How it makes a vector of a text.
    """

    gives: ClassVar[str] = "vectors"
    kind: ClassVar[Kind] = AutoModel.kind

    sentence: SentenceConfig

    @property
    def width(self) -> int:
        """Width of its vectors."""
        return self.sentence.width

    @property
    def default_loss(self) -> str:
        """The distance from its vectors."""
        return "pooled_mse"

    def require_losses(self, losses: dict[str, Loss]) -> None:
        """Refuses losses that compare something else than whole texts, or scores without pairs."""
        for name, loss in losses.items():
            if not loss.needs <= {"pooled", "scores"} or not loss.uses_teacher:
                raise SettingsError(
                    f"losses.{name} compares {', '.join(sorted(loss.needs))}, but what is learned "
                    "here is one vector a text; accepted: pooled_mse, pooled_cosine, "
                    "similarity_matrix, similarity_kl, and for pairs score_mse and margin_mse"
                )
            _require_pairs(name, self.settings)

    def load_model(self) -> SentenceModel:
        """Loads the model, to the run's device."""
        return SentenceModel.from_pretrained(self.folder).to(choose_device(self.settings.device))

    def teach(self, rows: TextRows, progress: Progress) -> TeacherCache:
        """Returns the vectors of all texts that are taught, in the order of `taught_texts`."""
        texts = [rows.texts[number] for number in taught_texts(self.settings, rows)]
        return self.read(texts, progress)

    def read(self, texts: Sequence[str], progress: Progress) -> TeacherCache:
        """Returns the vectors of texts, computed once and kept."""
        settings = self.settings
        max_length = min(settings.max_length, self.sentence.max_seq_length or settings.max_length)
        cache = _open_cache(
            settings,
            fingerprint=hash_model(self.folder),
            texts=(f"{text}\0" for text in texts),
            num_rows=len(texts),
            what="vectors",
        )
        model: SentenceModel | None = None

        def compute(start: int, end: int) -> Iterator[list[Tensor]]:
            nonlocal model
            if model is None:  # a cache that is complete needs no teacher
                model = self.load_model()
            for first in range(start, end, _ROWS_AT_A_TIME):
                encoded = encode_texts(
                    texts[first : min(first + _ROWS_AT_A_TIME, end)],
                    self.tokenizer,
                    self.sentence,
                    max_length=max_length,
                )
                pad = self.tokenizer.pad_token_id
                vectors = embed(model, encoded, settings, pad_token_id=pad)
                yield _require_finite(vectors, settings, what="vectors")

        cache.fill(compute, progress=progress)
        return cache


@dataclass(frozen=True, kw_only=True)
class PairTeacher(Teacher):
    """A cross-encoder: a classifier with one output, which reads both texts of a pair at once."""

    gives: ClassVar[str] = "scores"
    kind: ClassVar[Kind] = AutoModelForSequenceClassification.kind

    @property
    def default_loss(self) -> str:
        """The scores of pairs, or the margins of triples."""
        return "margin_mse" if self.settings.rows == "triples" else "score_mse"

    def require_losses(self, losses: dict[str, Loss]) -> None:
        """Refuses losses on vectors, which it does not give."""
        for name, loss in losses.items():
            if loss.needs != {"scores"}:
                raise SettingsError(
                    f"losses.{name} compares vectors of texts, but the teacher "
                    f"{self.settings.teacher} is a cross-encoder, which gives scores of pairs "
                    "only; accepted: score_mse, margin_mse"
                )
            _require_pairs(name, self.settings)

    def teach(self, rows: TextRows, progress: Progress) -> TeacherCache:
        """Returns the scores of each row's first text with each of the others."""
        settings = self.settings
        pairs = [(rows.texts[row[0]], rows.texts[other]) for row in rows.rows for other in row[1:]]
        cache = _open_cache(
            settings,
            fingerprint=hash_model(self.folder),
            texts=(f"{first}\0{second}\0" for first, second in pairs),
            num_rows=len(pairs),
            what="scores",
        )
        model: AnyModel | None = None

        def compute(start: int, end: int) -> Iterator[list[Tensor]]:
            nonlocal model
            if model is None:
                model = self._load_model()
            for first in range(start, end, _ROWS_AT_A_TIME):
                part = pairs[first : min(first + _ROWS_AT_A_TIME, end)]
                examples = [TextExample(*pair, None) for pair in part]
                encoded = TextEncoding().encode(
                    examples, self.tokenizer, max_length=settings.max_length
                )
                yield _require_finite(self._score(model, encoded), settings, what="scores")

        cache.fill(compute, progress=progress)
        return cache

    def _load_model(self) -> AnyModel:
        model: AnyModel
        if find_foreign_family(self.folder) is None:
            model = AutoModelForSequenceClassification.from_pretrained(self.folder)
        else:
            model = load_foreign(self.folder, self.kind)
        return model.to(choose_device(self.settings.device))

    @torch.no_grad()
    def _score(self, model: AnyModel, pairs: EncodedExamples) -> Tensor:
        found = torch.empty(len(pairs), 1)
        settings = self.settings
        with evaluation(model):
            for chosen in batches_by_length(pairs.lengths.tolist(), settings.evaluation_batch_size):
                batch = PaddedTexts.of(pairs, chosen, pad_token_id=self.tokenizer.pad_token_id)
                with autocast(model.device, settings.precision):
                    logits = model(**batch.to(model.device).inputs()).logits
                assert logits is not None
                found[chosen] = logits.float().cpu()
        return found


def find_teacher(settings: DistillEmbeddingsSettings) -> Teacher:
    """Returns the teacher that the settings name, by what its folder says; loads nothing.

    Raises:
        CheckpointError: If there is no such model.
        SettingsError: If it can't read the texts, or scores more than one thing of a pair.
    """
    folder = resolve_folder(settings.teacher)
    require_weights(folder)
    config, tokenizer = read_any_config(folder), AutoTokenizer.from_pretrained(folder)
    require_positions(settings, config, name=f"the teacher {settings.teacher}")
    is_classifier = find_head(folder) == AutoModelForSequenceClassification.kind
    if not is_classifier or (folder / "modules.json").is_file():
        sentence = read_sentence_config(folder, hidden_size=config.hidden_size)
        require_counted_prompt(sentence, name=f"the teacher {settings.teacher}")
        read_sentence_head(folder, sentence)  # what is damaged is said now, not in the run
        return VectorTeacher(
            settings=settings,
            folder=folder,
            config=config,
            tokenizer=tokenizer,
            sentence=sentence,
        )
    if len(config.id2label) != 1:
        raise SettingsError(
            f"the teacher {settings.teacher} is a classifier of {len(config.id2label)} labels; "
            "accepted: an encoder of sentences, or a cross-encoder with one output, as `limbeck "
            "finetune task=text_regression` or `task=stsb` makes one"
        )
    if settings.rows not in ("pairs", "triples"):
        raise SettingsError(
            f"the teacher {settings.teacher} is a cross-encoder, which scores pairs, but rows = "
            f"'{settings.rows}'; accepted: rows = 'pairs' or 'triples', or an encoder of sentences"
        )
    return PairTeacher(settings=settings, folder=folder, config=config, tokenizer=tokenizer)


def taught_texts(settings: DistillEmbeddingsSettings, rows: TextRows) -> Numbers:
    """Returns the numbers of the texts that a teacher of vectors reads: of translations none."""
    return np.unique(rows.rows[:, :1] if settings.rows == "parallel" else rows.rows)


def _require_finite(
    found: Tensor, settings: DistillEmbeddingsSettings, *, what: str
) -> list[Tensor]:
    """Returns rows of what a teacher said, of which a student can learn.

    Raises:
        CheckpointError: If a number is NaN or infinite.
    """
    if not found.isfinite().all():
        raise CheckpointError(
            f"the teacher {settings.teacher} gives {what} that are not finite (NaN or infinite): "
            f"its weights are damaged, or precision = '{settings.precision}' is too narrow for it"
        )
    return list(found)


def _require_pairs(name: str, settings: DistillEmbeddingsSettings) -> None:
    num_texts = 1 if settings.rows == "texts" else len(settings.text_columns)
    fewest = {"score_mse": 2, "margin_mse": 3}.get(name, 1)
    wanted = "'triples'" if fewest == 3 else "'pairs' or 'triples'"
    if fewest > 1 and settings.rows == "parallel":
        raise SettingsError(
            f"losses.{name} compares scores, but rows = 'parallel' has translations, which all "
            f"have the teacher's one vector and so the score 1; accepted: rows = {wanted}"
        )
    if num_texts < fewest:
        raise SettingsError(
            f"losses.{name} compares the scores of {fewest} texts a row, but rows = "
            f"'{settings.rows}' has {num_texts}; accepted: rows = {wanted}"
        )


def _open_cache(
    settings: DistillEmbeddingsSettings,
    *,
    fingerprint: str,
    texts: Iterator[str],
    num_rows: int,
    what: str,
) -> TeacherCache:
    folder = settings.teacher_cache
    return TeacherCache(
        settings.out / "teacher" if folder is None else folder,
        fingerprint={
            "teacher": fingerprint,
            "texts": sha256_of_texts(texts),
            "max_length": settings.max_length,
            "precision": settings.precision,
            "what": what,
        },
        num_rows=num_rows,
        what=what,
    )
