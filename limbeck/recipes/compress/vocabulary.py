"""The pieces of a model's vocabulary that a task's texts use, and the model with these alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np

from limbeck.checkpoints import resolve_folder
from limbeck.errors import DataError, SettingsError
from limbeck.files import replace_folder
from limbeck.methods import trim_vocabulary
from limbeck.models import AutoModel, Model, find_class
from limbeck.recipes._cut import CUT, Cut, keep_cut
from limbeck.recipes._tasks.card import show_model
from limbeck.recipes._tasks.data import TaskData, read_inputs
from limbeck.recipes._tasks.folders import folder_name
from limbeck.recipes._tasks.heads import find_head
from limbeck.report.figures import percent
from limbeck.runs import require_model_files
from limbeck.tasks import EncodedExamples
from limbeck.tokenizers import Tokenizer
from limbeck.tokenizers.trimming import Ids, keep_pieces

_TAUGHT = ("train", "transfer")


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Pieces that stay of a model's vocabulary.

    Attributes:
        model: The model, as the user names it.
        label: What it is called beside others: `trimmed`.
        min_count: How often the training texts have each piece at least.
        ids: Their numbers in the whole vocabulary, ascending.
        num_before: Pieces that the model embeds.
        lost: By split, the share of its texts' pieces that are none of these.
        tokenizer: Of these pieces.
        draft: Where the model of these pieces is written before a run is begun.
        place: Where the run keeps it.
    """

    model: str
    label: str
    min_count: int
    ids: Ids
    num_before: int
    lost: Mapping[str, float]
    tokenizer: Tokenizer
    draft: Path
    place: Path

    @classmethod
    def choose(
        cls, model: str, name: str, data: TaskData, *, min_count: int, drafts: Path, out: Path
    ) -> Self:
        """Counts the pieces of the training texts, and writes the model of those that stay.

        Args:
            model: A model folder or Hub id.
            name: What its folder is called.
            data: The task's, as any model reads them.
            min_count: A piece that occurs less often goes.
            drafts: Where the model is written.
            out: The run folder, to which nothing is written.

        Raises:
            SettingsError: If nothing would go, or the tokenizer can't be trimmed.
        """
        folder = resolve_folder(model)
        config, tokenizer = read_inputs(folder)
        size = tokenizer.vocab_size
        counts = {
            split: _count(data.encode_again(split, tokenizer), tokenizer) for split in data.examples
        }
        taught = sum((counts[split] for split in _TAUGHT if split in counts), np.zeros(size, int))
        ids = trim_vocabulary.choose_rows(config, tokenizer, taught, min_count=min_count)
        if len(ids) == config.vocab_size:
            raise SettingsError(
                f"the training texts have each of the {len(ids):,} pieces of {model}"
                f"{_at_least(min_count)}, so that none would go; accepted: vocabulary=whole, or a "
                "greater min_count"
            )
        label = "trimmed" if min_count == 1 else f"trimmed below {min_count}"
        key = folder_name(f"{name}, {label}")
        is_lost = np.ones(size, dtype=bool)
        is_lost[ids[ids < size]] = False
        found = cls(
            model=model,
            label=label,
            min_count=min_count,
            ids=ids,
            num_before=config.vocab_size,
            lost={
                split: float(counts[split][is_lost].sum() / max(counts[split].sum(), 1))
                for split in counts
                if split not in _TAUGHT
            },
            tokenizer=keep_pieces(tokenizer, ids.tolist()),
            draft=drafts / key / CUT,
            place=out / "trimmed" / key,
        )
        whole = find_class(config.model_type, find_head(folder) or AutoModel.kind)
        small = found.trim(whole.from_pretrained(folder))
        keep_cut(found.draft.parent, small, found.tokenizer, source=folder)
        return found

    def trim(self, model: Model) -> Model:
        """Returns a model of these pieces; the given one is left as it is."""
        return trim_vocabulary.keep_rows(model, self.ids.tolist())

    @property
    def kept(self) -> Path:
        """The folder of the model that the run keeps."""
        return self.place / CUT

    def keep(self) -> None:
        """Puts the model of these pieces into the run's folder, unless it is there.

        Raises:
            CheckpointError: If a file of one that was written before was changed.
            DataError: If that is of other pieces, or of another model.
        """
        if not Cut.exists(self.place):
            with replace_folder(self.place) as partial:
                shutil.copytree(self.draft.parent, partial, dirs_exist_ok=True)
            return
        before, now = Cut.read(self.place), Cut.read(self.draft.parent)
        remedy = f"remove {self.place}, and the same command trims it again"
        require_model_files(self.kept, before.model_files, remedy=remedy)
        if before != now:
            raise DataError(
                f"{self.place} was made of another {self.model}, or of other texts, than are there "
                f"now; {remedy}"
            )

    @property
    def how(self) -> str:
        """Which pieces stay, in words."""
        return (
            f"its vocabulary trimmed to the {self.size} pieces that the training texts have"
            f"{_at_least(self.min_count)}"
        )

    @property
    def size(self) -> str:
        """How many pieces stay, in words."""
        return f"{len(self.ids):,} of {self.num_before:,}"

    def describe(self) -> str:
        """Says what stayed, and what is lost of texts that were not counted."""
        lost = " and ".join(f"{percent(share)} of {split}" for split, share in self.lost.items())
        return (
            f"“{self.label}”: of the vocabulary of {show_model(self.model)} {self.size} pieces "
            f"stay, which the training texts have{_at_least(self.min_count)}. Of the pieces in "
            f"other texts are lost: {lost}; such words are read in smaller pieces, or as unknown."
        )


def _at_least(min_count: int) -> str:
    return "" if min_count == 1 else f" {min_count} times and more"


def _count(rows: EncodedExamples, tokenizer: Tokenizer) -> Ids:
    """Returns how often texts have each piece; special tokens are in no text.

    Shape: (vocab_size of the tokenizer,).
    """
    parts: Iterable[Any] = rows.input_ids
    if len(rows) and isinstance(rows.input_ids[0][0], list):
        parts = chain.from_iterable(parts)
    pieces = np.fromiter(chain.from_iterable(parts), dtype=np.int64)
    counts = np.bincount(pieces, minlength=tokenizer.vocab_size)
    counts[tokenizer.all_special_ids] = 0
    return counts
