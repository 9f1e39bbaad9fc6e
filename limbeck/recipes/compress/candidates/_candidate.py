"""A model that may be small enough and good enough, and the run that makes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from limbeck.recipes._cut import CUT
from limbeck.recipes._jobs import Job
from limbeck.recipes._tasks.card import make_card
from limbeck.recipes._tasks.folders import folder_name
from limbeck.recipes.compress.settings import CompressSettings
from limbeck.recipes.compress.vocabulary import Vocabulary
from limbeck.recipes.finetune.forecast import within
from limbeck.recipes.finetune.settings import FinetuneSettings
from limbeck.recipes.finetune.student import make_student_settings
from limbeck.report.card import Card

NO_LAYERS = "is no model of a family that Limbeck has"
"""What is said of a teacher of whose layers no student can be made."""


@dataclass(frozen=True, kw_only=True)
class CutStart:
    """What a narrow student starts from: a part of the teacher that is written before.

    Attributes:
        folder: Where it is written.
        depth: Layers of the teacher that stay.
        width: Share of the heads and inner neurons of each that stays.
        vocabulary: Pieces that stay; None for all.
    """

    folder: Path
    depth: int
    width: float
    vocabulary: Vocabulary | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A student that is to be tried.

    Attributes:
        how: How it is made, in words.
        job: The run that makes and scores it, by the name that tables call it.
        card: From the task's data, one seed's record and all of them to that seed's model card.
        cut: What it starts from, if which units stay is measured first; its settings say meanwhile
            how many, which is all that sizes and speeds depend on.
        vocabulary: Pieces that it reads; None for all of its model's.
    """

    how: str
    job: Job
    card: partial[Card]
    cut: CutStart | None = None
    vocabulary: Vocabulary | None = None

    @property
    def settings(self) -> FinetuneSettings:
        """Of its fine-tuning."""
        assert isinstance(self.job.settings, FinetuneSettings)
        return self.job.settings

    def as_trained(self) -> Candidate:
        """Returns it as it is trained: from what was cut or trimmed for it, if that is so."""
        if self.cut is not None:
            return self._train({"model": str(self.cut.folder / CUT), "start": ()})
        if self.vocabulary is not None:
            return self._train({"model": str(self.vocabulary.kept)})
        return self

    def with_vocabulary(self, vocabulary: Vocabulary, *, out: Path) -> Candidate:
        """Returns the student that reads some of the pieces alone.

        Args:
            vocabulary: The pieces, of the model that it is made of.
            out: The run folder of the whole.
        """
        name = f"{self.name}, {vocabulary.label}"
        own = {"label": name, "out": out / "students" / folder_name(name)}
        cut = self.cut
        if cut is not None:
            cut = replace(cut, folder=out / "cuts" / folder_name(name), vocabulary=vocabulary)
        named = replace(
            self,
            how=f"{self.how}; {vocabulary.how}",
            job=replace(self.job, name=name),
            card=partial(make_card, self.settings.model_copy(update=own)),
            cut=cut,
            vocabulary=vocabulary,
        )
        return named._train({**own, "model": str(vocabulary.draft)})

    def _train(self, changes: dict[str, Any]) -> Candidate:
        """Returns it with other settings of its fine-tuning."""
        settings = self.settings.model_copy(update=changes)
        return replace(self, job=replace(self.job, settings=settings))

    def within(self, num_steps: int) -> Candidate:
        """Returns it with an end in steps in place of one in minutes."""
        settings = within(self.settings, num_steps)
        card = partial(make_card, within(self.card.args[0], num_steps))
        return replace(self, job=replace(self.job, settings=settings), card=card)

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.job.name

    @property
    def folder(self) -> Path:
        """Its run folder, as a report reads it."""
        return self.job.folder


def distil(
    settings: CompressSettings,
    name: str,
    how: str,
    changes: dict[str, Any],
    *,
    cut: CutStart | None = None,
) -> Candidate:
    """Returns a student that is fine-tuned with the model as its teacher.

    Args:
        settings: Of the run.
        name: What tables call the student.
        how: How it is made, in words.
        changes: Settings of `finetune` that make this student.
        cut: What is cut for it before, if anything.

    Raises:
        SettingsError: If a setting of the students is wrong.
    """
    made = make_student_settings(
        settings,
        {"label": name, "out": settings.out / "students" / folder_name(name), **changes},
        recipe="compress",
    )
    return Candidate(
        how=how,
        job=Job(name=name, recipe="finetune", settings=made),
        card=partial(make_card, made),
        cut=cut,
    )
