"""A file of predictions: texts, and what somebody or something says of each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from limbeck.config import Settings
from limbeck.errors import DataError, SettingsError, shorten
from limbeck.losses import Loss
from limbeck.objectives import CachedTeacher, TeacherOutputs
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.finetune.augmentation import Made
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.teachers._answers import AnswerReader, Logits
from limbeck.recipes.finetune.teachers._labeller import Labeller
from limbeck.recipes.finetune.teachers._texts import (
    Texts,
    examples_of,
    read_example,
    taught_examples,
    text_settings,
    texts_of,
)
from limbeck.sources import Row, known_format, open_file
from limbeck.tasks import Split, TextExample
from limbeck.train import Progress

_SHOWN = 3
"""Rows without a prediction that a message names."""


class PredictionsOptions(Settings):
    """What becomes of training rows that the file says nothing of."""

    missing: Literal["refuse", "label"] = "refuse"
    """Training rows without a prediction are refused, or `label`: learned as if the teacher were
    certain of their label."""


def recognises(name: str) -> bool:
    """Tells whether that is the name of a file that rows are read from."""
    path = Path(name)
    return (
        "://" not in name and not path.is_dir() and known_format(path, reader="tasks") is not None
    )


@dataclass(frozen=True, kw_only=True)
class PredictionsFile(Labeller):
    """A file that says something of texts.

    Attributes:
        said: What it says, by text.
        reader: How that was read.
        options: Its own.
    """

    about: ClassVar[str] = "a file of predictions"
    options_type: ClassVar[type[Settings]] = PredictionsOptions
    brings_rows: ClassVar[bool] = True

    said: Mapping[Texts, Logits] = field(repr=False)
    reader: AnswerReader
    options: PredictionsOptions

    @classmethod
    def add_rows(cls, settings: FinetuneSettings, data: TaskData, progress: Progress) -> TaskData:
        """Returns the data with the file's texts that stand in no split as rows to learn from."""
        if "transfer" in data.task.splits:
            return data
        name = str(settings.teacher)
        columns = text_settings(settings, teacher=name)
        others = (e for split in data.task.splits.values() for e in split.examples)
        known = {texts_of(example) for example in others}
        found = {texts_of(e): e for row in _read_rows(name) for e in [read_example(row, columns)]}
        new = [example for texts, example in found.items() if texts not in known]
        if not new:
            return data
        split = Split("transfer", new)
        encoded = data.task.encode(split, data.tokenizer, max_length=data.settings.max_length)
        progress.log(f"{data.task.name}: {len(new):,} more texts of {name} are learned from too")
        return replace(
            data,
            task=replace(data.task, splits={**data.task.splits, "transfer": split}),
            examples={**data.examples, "transfer": encoded},
        )

    @classmethod
    def prepare(cls, settings: FinetuneSettings, data: TaskData) -> Self:
        """Reads the file, and checks that it says something of every row to learn from."""
        name = str(settings.teacher)
        options = cls.read_options(settings)
        assert isinstance(options, PredictionsOptions)
        columns = text_settings(settings, teacher=name)
        renamed = getattr(columns, "rename_labels", {})
        reader = AnswerReader.of(data.task, renamed=renamed, teacher=name)
        if settings.augment is not None:
            raise SettingsError(
                f"augment makes texts that teacher = {name} says nothing of; leave it out, or give "
                "a model as teacher"
            )
        said: dict[Texts, Logits] = {}
        places: dict[Texts, str] = {}
        for row in _read_rows(name):
            texts = texts_of(read_example(row, columns))
            logits = reader.read(row)
            if said.setdefault(texts, logits) != logits:
                raise DataError(
                    f"{row.place} says something else of {shorten(texts[0])} than {places[texts]}; "
                    "keep one of the two"
                )
            places.setdefault(texts, row.place)
        found = cls(settings=settings, said=said, reader=reader, options=options)
        found._require_all(data)
        return found

    def load(
        self,
        data: TaskData,
        made: Made,  # noqa: ARG002 - there are none
        *,
        losses: Mapping[str, Loss],  # noqa: ARG002
        progress: Progress,  # noqa: ARG002
    ) -> TeacherOutputs:
        """Returns what looks up what the file says."""
        rows = torch.tensor([self._answer(e) for _, _, e in taught_examples(data)])

        def look_up(positions: Sequence[int]) -> Sequence[Tensor]:
            return list(rows[list(positions)])

        return CachedTeacher(look_up)

    def predict(
        self,
        data: TaskData,
        split: str,
        progress: Progress,  # noqa: ARG002 - it is quick
    ) -> Sequence[Tensor]:
        """Returns what the file says of a split."""
        self.require_answers(data, [split])
        rows = examples_of(data, split)
        return [torch.tensor(self.said[texts_of(example)]) for _, _, example in rows]

    def require_answers(self, data: TaskData, splits: Sequence[str]) -> None:
        """Refuses splits of which the file does not say something of each row."""
        for split in splits:
            rows = examples_of(data, split)
            missing = [e for _, _, e in rows if texts_of(e) not in self.said]
            if missing:
                leave_out = ", leave the split out of the data" if split == "test" else ""
                raise DataError(
                    f"{self.settings.teacher} says nothing of {len(missing):,} of the "
                    f"{len(rows):,} texts of {split}, such as "
                    f"{shorten(missing[0].text, length=40)}, so that it has no score there of "
                    "which a student could keep a share; add them (nothing is learned from "
                    f"them){leave_out}, or try each student by itself: limbeck finetune STUDENT "
                    f"--teacher {self.settings.teacher}"
                )

    def _answer(self, example: TextExample) -> Logits:
        found = self.said.get(texts_of(example))
        return self.reader.certain(example.label) if found is None else found

    def _require_all(self, data: TaskData) -> None:
        """Refuses rows to learn from that the file says nothing of."""
        missing: dict[tuple[str, int], TextExample] = {
            (split, index): example
            for split, index, example in taught_examples(data)
            if texts_of(example) not in self.said
            and (self.options.missing == "refuse" or example.label is None)
        }
        if not missing:
            return
        total = sum(len(data.task.splits[s].examples) for s in {split for split, _ in missing})
        shown = ", ".join(
            f"{split} example {index} ({shorten(example.text, length=40)})"
            for (split, index), example in list(missing.items())[:_SHOWN]
        )
        labelled = all(example.label is not None for example in missing.values())
        helps = ", or learn their labels with teacher_options.missing=label" if labelled else ""
        raise DataError(
            f"teacher = {self.settings.teacher} says nothing of {len(missing):,} of the {total:,} "
            f"texts to learn from: {shown}{', ...' if len(missing) > _SHOWN else ''}. It has "
            f"{len(self.said):,} texts, which are matched but for white space; add the others, or "
            f"leave these rows out{helps}"
        )


def _read_rows(name: str) -> list[Row]:
    path = Path(name)
    if not path.is_file():
        raise SettingsError(
            f"teacher = {name}: there is no such file; accepted: a file of predictions, a model "
            "folder or a Hub id"
        )
    rows = list(open_file(path, reader="tasks").rows())
    for row in rows:
        if row.problem:
            raise DataError(row.problem)
    if not rows:
        raise DataError(f"{name} has no rows; give at least one prediction")
    return rows


TeacherType = PredictionsFile
