"""Further training texts for a teacher to label: words replaced as a masked LM would fill them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from limbeck.checkpoints import resolve_folder
from limbeck.config import Settings
from limbeck.data.by_length import batches_by_length
from limbeck.errors import DataError, MissingHeadError, SettingsError
from limbeck.files import read_json_lines, sha256_of, write_json_lines
from limbeck.files.typed import TypedFile
from limbeck.models import AutoModelForMaskedLM, Model, find_class
from limbeck.recipes._language_model import describe_missing_lm_head
from limbeck.recipes._settings import Seed
from limbeck.recipes._tasks.data import TaskData, read_inputs
from limbeck.recipes._tasks.heads import find_head
from limbeck.recipes._tasks.models import require_same_inputs
from limbeck.recipes.finetune.teacher_cache import hash_rows
from limbeck.tasks import EncodedExamples, collate
from limbeck.tokenizers import Tokenizer
from limbeck.train import Progress, autocast, choose_device

Made = list[tuple[int, npt.NDArray[np.int32]]]
"""Rows that were made: which training row each is made of, and its token ids."""


class AugmentSettings(Settings):
    """How further rows are made of the training rows."""

    model: str
    """Folder or Hub id of a masked LM with the student's vocabulary."""
    copies: int = Field(default=1, ge=1)
    """Rows made of each training row."""
    mask_ratio: float = Field(default=0.15, gt=0, le=1)
    """Share of a row's tokens that are drawn anew, at least one."""
    top_k: int = Field(default=15, ge=1)
    """A token is drawn among this many that the model finds likeliest there."""
    seed: Seed = 0
    """Decides which tokens are drawn anew, and what they become."""


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

    All of a row's chosen tokens are hidden and filled at once, in batches of many rows; TinyBERT's
    own code runs its model once for every word.

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
        model = AutoModelForMaskedLM.from_pretrained(self.folder)
        model.to(choose_device(data.settings.device))
        copies = self.settings.copies
        size = data.settings.evaluation_batch_size
        made: Made = [
            (i, np.array(row.input_ids, dtype=np.int32))
            for _ in range(copies)
            for i, row in enumerate(rows)
        ]
        with progress.stage("augmenting", total=copies * len(rows), unit="rows") as stage:
            for chosen in batches_by_length(rows.lengths.tolist(), size):
                batch = collate(
                    data.task, rows, chosen, pad_token_id=data.tokenizer.pad_token_id
                ).to(model.device)
                for copy in range(copies):
                    targets = [made[copy * len(rows) + i][1] for i in chosen]
                    keys = [(self.settings.seed, copy, i) for i in chosen]
                    with autocast(model.device, data.settings.precision):
                        self._draw(model, batch.inputs(), targets, keys)
                    stage.advance(len(chosen))
        return made

    def _draw(
        self,
        model: Model,
        inputs: dict[str, Tensor],
        targets: Sequence[npt.NDArray[np.int32]],
        keys: Sequence[tuple[int, int, int]],
    ) -> None:
        """Draws some tokens of each target row anew, in place; `keys` decide which and how."""
        special = self.tokenizer.all_special_ids
        picked = [
            _pick(ids, special, ratio=self.settings.mask_ratio, key=key)
            for ids, key in zip(targets, keys, strict=True)
        ]
        places = [(row, p) for row, (positions, _) in enumerate(picked) for p in positions]
        if not places:
            return
        row_numbers, columns = torch.tensor(places, device=model.device).unbind(1)
        hidden_ids = inputs["input_ids"].clone()
        hidden_ids[row_numbers, columns] = self.tokenizer.mask_token_id
        encoded = model.encode(
            hidden_ids, inputs.get("attention_mask"), inputs.get("token_type_ids")
        )
        logits = model.score(encoded.last_hidden_state[row_numbers, columns]).float()
        logits[:, special] = float("-inf")
        top = logits.topk(min(self.settings.top_k, logits.shape[1] - len(special)), dim=-1)
        cumulated = top.values.cpu().double().softmax(-1).cumsum(-1)
        draws = torch.tensor(np.concatenate([uniform for _, uniform in picked]))
        ranks = (cumulated < draws[:, None]).sum(-1).clamp_max(cumulated.shape[1] - 1)
        found = top.indices.cpu().gather(1, ranks[:, None])[:, 0].tolist()
        for (row, position), token in zip(places, found, strict=True):
            targets[row][position] = token


def fill_again(rows: EncodedExamples, made: Made) -> EncodedExamples:
    """Returns the rows that were made of some rows, without labels."""
    return EncodedExamples.of(
        replace(rows[i], input_ids=ids.tolist(), label=None) for i, ids in made
    )


def _pick(
    ids: npt.NDArray[np.int32], special: Sequence[int], *, ratio: float, key: tuple[int, int, int]
) -> tuple[list[int], np.ndarray[Any, np.dtype[np.float64]]]:
    """Returns which positions of a row are drawn anew, and a number in [0, 1) for each."""
    random = np.random.default_rng(key)
    eligible = np.flatnonzero(~np.isin(ids, special))
    count = min(len(eligible), max(1, round(ratio * len(eligible))))
    positions = random.choice(eligible, size=count, replace=False) if count else eligible
    return sorted(int(p) for p in positions), random.random(count)
