"""Further training texts for a teacher to label: words replaced as a masked LM would fill them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch

from limbeck.checkpoints import resolve_folder
from limbeck.data.by_length import batches_by_length
from limbeck.errors import DataError, MissingHeadError, SettingsError
from limbeck.files import read_json_lines, sha256_of, write_json_lines
from limbeck.files.typed import TypedFile
from limbeck.models import AutoModelForMaskedLM, find_class
from limbeck.recipes._language_model import describe_missing_lm_head
from limbeck.recipes._tasks.data import TaskData, read_inputs
from limbeck.recipes._tasks.heads import find_head
from limbeck.recipes._tasks.models import require_same_inputs
from limbeck.recipes.finetune.augmentation.masked_lm import MaskedLM
from limbeck.recipes.finetune.augmentation.rows import Draw, Ids, Made, fill_again
from limbeck.recipes.finetune.augmentation.settings import AugmentSettings
from limbeck.recipes.finetune.augmentation.tokens import TokenDraw
from limbeck.recipes.finetune.augmentation.words import WordDraw
from limbeck.recipes.finetune.teacher_cache import hash_rows
from limbeck.tasks import EncodedExample, EncodedExamples, collate
from limbeck.tokenizers import Tokenizer
from limbeck.train import Progress, autocast, choose_device

__all__ = ["AugmentSettings", "AugmentedRecord", "Augmenter", "Made", "fill_again"]


class AugmentedRecord(TypedFile):
    """What was made: of which rows, and the checksum of the file that it is in."""

    FILE_NAME: ClassVar[str] = "augmented.json"
    REMEDY: ClassVar[str] = "remove it to make the augmented rows again"

    num_rows: int
    """Rows that were made."""
    sha256: str
    """Of `augmented.jsonl`."""
    made_of: str
    """SHA-256 over the token ids of the training rows."""


@dataclass(frozen=True, kw_only=True)
class Augmenter:
    """A masked LM that fits the student's rows, not loaded yet.

    It runs in batches of many rows; TinyBERT's own code runs its model once for every word.

    Source:
        The idea: Jiao et al., "TinyBERT", 2020, section 4.2 and algorithm 1.
    """

    settings: AugmentSettings
    folder: Path
    tokenizer: Tokenizer

    @classmethod
    def prepare(cls, settings: AugmentSettings, data: TaskData) -> Self:
        """Checks that the masked LM and the task's rows fit.

        Raises:
            SettingsError: If they do not.
            MissingHeadError: If the model has another head.
        """
        first = data.examples["train"][0].input_ids
        if len(first) and isinstance(first[0], Sequence):
            raise SettingsError(
                f"augment is for tasks over one row of tokens an example, but {data.task.name} has "
                f"{len(first)} for each; leave it out"
            )
        folder = resolve_folder(settings.model)
        config, tokenizer = read_inputs(folder)
        if settings.unit == "word":
            _require_words(data, tokenizer)
        require_same_inputs(data, config, tokenizer, name=f"the masked LM {settings.model}")
        try:
            find_class(config.model_type, AutoModelForMaskedLM.kind)
        except SettingsError as error:
            raise SettingsError(f"augment.model = {settings.model}: {error}") from None
        if find_head(folder) not in (None, AutoModelForMaskedLM.kind):
            raise MissingHeadError(
                f"augment.model = {settings.model} has no masked-LM head. "
                + describe_missing_lm_head(settings.model, setting="augment.model")
            )
        return cls(settings=settings, folder=folder, tokenizer=tokenizer)

    def make(self, path: Path, data: TaskData, *, progress: Progress) -> Made:
        """Makes the rows and writes them to `path`, or reads what an earlier start wrote there.

        Args:
            path: JSON Lines, one object a row: `index`, `input_ids`, and the `text` for people.
            data: The student's.
            progress: Where it reports.

        Raises:
            DataError: If the file was damaged, or made of other rows.
        """
        rows = data.encode_again("train", self.tokenizer)
        made_of = hash_rows(rows)
        if AugmentedRecord.exists(path.parent):
            return self._read(path, AugmentedRecord.read(path.parent), made_of)
        made = self._draw_all(data, rows, progress)
        decode = partial(data.tokenizer.decode, skip_special_tokens=True)
        written = (
            {"index": index, "input_ids": ids.tolist(), "text": decode(ids)} for index, ids in made
        )
        write_json_lines(path, written, error=DataError)
        AugmentedRecord(num_rows=len(made), sha256=sha256_of(path), made_of=made_of).write(
            path.parent
        )
        progress.log(f"{len(made):,} augmented rows are in {path}")
        return made

    def _read(self, path: Path, record: AugmentedRecord, made_of: str) -> Made:
        remedy = (
            f"give another out=..., or remove {path.with_name(record.FILE_NAME)} to make it again"
        )
        if record.made_of != made_of:
            raise DataError(f"{path} was made of other training rows than those of now; {remedy}")
        if not path.exists() or sha256_of(path) != record.sha256:
            raise DataError(f"{path} is missing or not what was made of the rows; {remedy}")
        lines = read_json_lines(path, error=DataError)
        return [(line["index"], np.array(line["input_ids"], dtype=np.int32)) for line in lines]

    @torch.inference_mode()
    def _draw_all(self, data: TaskData, rows: EncodedExamples, progress: Progress) -> Made:
        model = AutoModelForMaskedLM.from_pretrained(self.folder).eval()
        model.to(choose_device(data.settings.device))
        size = data.settings.evaluation_batch_size
        draw = self._choose_draw(MaskedLM(model=model, tokenizer=self.tokenizer), size)
        copies: list[dict[int, Ids]] = [{} for _ in range(self.settings.copies)]
        with progress.stage("augmenting", total=len(copies) * len(rows), unit="rows") as stage:
            for chosen in batches_by_length(rows.lengths.tolist(), size):
                pad_token_id = data.tokenizer.pad_token_id
                batch = collate(data.task, rows, chosen, pad_token_id=pad_token_id)
                given = [np.array(rows[i].input_ids, dtype=np.int32) for i in chosen]
                with autocast(model.device, data.settings.precision):
                    made = draw(batch.to(model.device).inputs(), given, chosen)
                for copy, drawn in zip(copies, made, strict=True):
                    copy.update(zip(chosen, drawn, strict=True))
                stage.advance(len(copies) * len(chosen))
        return [(i, copy[i]) for copy in copies for i in range(len(rows))]

    def _choose_draw(self, masked_lm: MaskedLM, batch_size: int) -> Draw:
        if self.settings.unit == "token":
            return TokenDraw(masked_lm=masked_lm, settings=self.settings)
        return WordDraw(masked_lm=masked_lm, settings=self.settings, batch_size=batch_size)


def _require_words(data: TaskData, tokenizer: Tokenizer) -> None:
    """Refuses rows of which no word can be replaced by one of another length."""
    if type(data.examples["train"][0]) is not EncodedExample:
        raise SettingsError(
            f"augment.unit = 'word' makes rows of other lengths, but those of {data.task.name} say "
            "something of each of their tokens; accepted: 'token'"
        )
    if not tokenizer.continuation_mask.any():
        raise SettingsError(
            "augment.unit = 'word' needs a vocabulary that marks where words begin or go on, as "
            "with '##', 'Ġ' or '▁'; this tokenizer's does not. Accepted: 'token'"
        )
