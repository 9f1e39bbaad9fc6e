"""How near a student is to its teacher on held-out rows, and to people on pairs with a number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from limbeck.errors import DataError, SettingsError
from limbeck.files import sha256_of_texts
from limbeck.metrics import Numbers as Scored
from limbeck.metrics import spearman
from limbeck.models import SentenceConfig, SentenceModel
from limbeck.objectives import score_pairs
from limbeck.recipes.distill_embeddings.reading import embed, encode_texts
from limbeck.recipes.distill_embeddings.rows import Numbers
from limbeck.recipes.distill_embeddings.settings import DistillEmbeddingsSettings
from limbeck.recipes.distill_embeddings.targets import Targets
from limbeck.tasks import EncodedExamples, Split, Task, read_task
from limbeck.tokenizers import Tokenizer

METRIC = "spearman"
_MOST_COMPARED = 500  # texts, each with each: 124,750 pairs


@dataclass(frozen=True)
class HeldOut:
    """Rows that are not learned from.

    Attributes:
        settings: Of the run.
        rows: Numbers of their texts.
        texts: All texts, as the student reads them.
        targets: What the teacher says.
        pad_token_id: The student's.
    """

    settings: DistillEmbeddingsSettings
    rows: Numbers
    texts: EncodedExamples
    targets: Targets
    pad_token_id: int

    def measure(self, student: SentenceModel) -> dict[str, float]:
        """Returns how alike student and teacher are.

        Of vectors: `cosine` and squared `distance` of the student's from the teacher's, where they
        are as wide, and `similarity_spearman`, how alike both order pairs of texts. Of scores:
        `score_spearman`.
        """
        numbers = np.unique(self.rows)
        chosen = EncodedExamples.of([self.texts[int(number)] for number in numbers])
        vectors = embed(student, chosen, self.settings, pad_token_id=self.pad_token_id)
        ours = vectors[np.searchsorted(numbers, self.rows)]
        narrow, whole, scores = self.targets.of(self.rows)
        if scores is not None:
            found = score_pairs(ours, by=self.settings.score_by)
            return {"score_spearman": _spearman(found.flatten(), scores.flatten())}
        assert narrow is not None
        assert whole is not None
        figures = {}
        if narrow.shape == ours.shape:
            figures["cosine"] = float(F.cosine_similarity(ours, narrow, dim=-1).mean())
            figures["distance"] = float((ours - narrow).square().sum(dim=-1).mean())
        products = [_similarities(v.flatten(0, 1)[:_MOST_COMPARED]) for v in (ours, whole)]
        if len(products[0]) > 1:  # two texts are one pair, which has no order
            figures["similarity_spearman"] = _spearman(*products)
        return figures


@dataclass(frozen=True)
class Pairs:
    """Pairs with a number, which say what weights are the best.

    Attributes:
        settings: Of the run.
        task: As `sts` reads them.
    """

    settings: DistillEmbeddingsSettings
    task: Task

    @classmethod
    def read(cls, settings: DistillEmbeddingsSettings) -> Pairs | None:
        """Reads the pairs; None where the settings name none.

        Raises:
            DataError: If there are none for validation, or they can't be used.
        """
        if settings.validation is None:
            return None
        given = settings.validation
        data: Any = {"validation": given} if Path(given).is_file() else given
        try:
            task = read_task("sts", data, options=settings.validation_options)
        except (DataError, SettingsError) as error:
            kind = DataError if isinstance(error, DataError) else SettingsError
            said, _, _ = str(error).partition(" That column is what task")
            said = said.replace("task_options.", "validation_options.")
            raise kind(f"validation: {said}") from error
        if "validation" not in task.splits:
            raise DataError(
                f"validation = '{given}' has no validation split (it has: "
                f"{', '.join(task.splits)}); name the file itself"
            )
        return cls(settings, task)

    @property
    def split(self) -> Split:
        """The pairs."""
        return self.task.splits["validation"]

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 over the texts and numbers."""
        return sha256_of_texts(repr((x.text, x.text_pair, x.label)) for x in self.split.examples)

    @property
    def texts(self) -> list[str]:
        """The first texts, then the second ones."""
        pairs = [(x.text, x.text_pair or "") for x in self.split.examples]
        return [text for side in zip(*pairs, strict=True) for text in side]

    def score(self, vectors: Tensor) -> dict[str, float]:
        """Returns `spearman` of the cosines of the texts' vectors against the numbers."""
        first, second = vectors.double().chunk(2)
        cosines = F.cosine_similarity(first, second, dim=-1)
        numbers = np.array([x.label for x in self.split.examples], dtype=np.float64)
        return {METRIC: _score(cosines.numpy(), numbers)}

    def for_student(self, config: SentenceConfig, tokenizer: Tokenizer) -> Validation:
        """Returns the pairs as a student reads them."""
        read = encode_texts(self.texts, tokenizer, config, max_length=self.settings.max_length)
        return Validation(self, read, tokenizer.pad_token_id)


@dataclass(frozen=True)
class Validation:
    """Pairs with a number, as a student reads them.

    Attributes:
        pairs: What they are.
        texts: The first texts, then the second ones.
        pad_token_id: The student's.
    """

    pairs: Pairs
    texts: EncodedExamples
    pad_token_id: int

    def measure(self, student: SentenceModel) -> dict[str, float]:
        """Returns `spearman` of the cosines against the numbers."""
        settings = self.pairs.settings
        vectors = embed(student, self.texts, settings, pad_token_id=self.pad_token_id)
        return self.pairs.score(vectors)


def _similarities(vectors: Tensor) -> Tensor:
    """Returns the cosine of each text with each later one."""
    unit = F.normalize(vectors, dim=-1)
    first, second = np.triu_indices(len(unit), k=1)
    return (unit @ unit.T)[first, second]


def _spearman(ours: Tensor, theirs: Tensor) -> float:
    return _score(ours.double().numpy(), theirs.double().numpy())


def _score(predictions: Any, labels: Any) -> float:
    return spearman.of_numbers(Scored(labels=labels, predictions=predictions))
