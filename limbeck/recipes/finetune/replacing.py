"""The phase in which a student's layers take the places of groups of the model's own.

Source:
    Xu et al., "BERT-of-Theseus: Compressing BERT by Progressive Module Replacing", EMNLP 2020,
    sections 3.1 to 3.3.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Self

from limbeck.data.philox import REPLACEMENTS, raw_words, to_uniforms
from limbeck.errors import SettingsError, with_article
from limbeck.models import Model, ModelConfig
from limbeck.nn import Encoder
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes._tasks.training import make_budget
from limbeck.recipes.finetune.phase import make_phase
from limbeck.recipes.finetune.settings import FinetuneSettings, ReplacingSettings
from limbeck.recipes.finetune.training import FinetuneStep, Training
from limbeck.train import Progress, TrainState, choose_device

_WORDS_A_BLOCK = 4


def require_groups(settings: FinetuneSettings, model: ModelConfig, student: ModelConfig) -> None:
    """Refuses a student whose layers can't take the places of groups of a model's.

    Raises:
        SettingsError: If its depth does not divide the model's, or it is of another family.
    """
    where, (ours, theirs) = "replacing", (student.num_places, model.num_places)
    if student.model_type != model.model_type or student.hidden_size != model.hidden_size:
        raise SettingsError(
            f"{where}: the student is {with_article(student.model_type)} of width "
            f"{student.hidden_size}, and {settings.model} {with_article(model.model_type)} of "
            f"{model.hidden_size}: its layers can't run between the others; accepted: a student of "
            "the same family and width"
        )
    if ours >= theirs or theirs % ours:
        fitting = [str(depth) for depth in range(1, theirs) if theirs % depth == 0]
        raise SettingsError(
            f"{where}: each of the student's {ours} layers takes the place of as many of the "
            f"{theirs} layers of {settings.model}, which do not divide so; accepted: "
            f"keep_layers = {', '.join(fitting) or 'none, since there is one layer'}"
        )


def find_rate(replacing: ReplacingSettings, step: int, num_steps: int) -> float:
    """Returns the chance that a group is replaced in a step, counted from 0.

    Example:
        >>> half = ReplacingSettings(rate=0.5, rise_ratio=0.5)
        >>> [find_rate(half, step, 8) for step in (0, 3, 4, 5, 7)]
        [0.5, 0.5, 0.625, 0.75, 1.0]
    """
    rising = replacing.rise_ratio * num_steps
    begun = step + 1 - (num_steps - rising)
    if begun <= 0:
        return replacing.rate
    return min(1.0, replacing.rate + (1 - replacing.rate) * begun / rising)


def draw_replaced(num_groups: int, *, rate: float, seed: int, step: int) -> list[bool]:
    """Draws which groups are replaced in a step: a function of seed and step, whatever ran before.

    A draw in which none is replaced would train nothing, and is made again.
    """
    blocks = -(-num_groups // _WORDS_A_BLOCK)
    for attempt in count():
        words = raw_words(
            num_groups,
            seed=seed,
            purpose=REPLACEMENTS,
            epoch=step,
            first_block=attempt * blocks,
        )
        found: list[bool] = (to_uniforms(words) < rate).tolist()
        if any(found):
            return found
    raise AssertionError("not reached")


@dataclass(frozen=True)
class MixedModel:
    """A model some of whose groups of layers a student's stand in for.

    Its embeddings, its head and its own layers are as they were fine-tuned, and stay so; the
    student's layers are the student's own modules.

    Attributes:
        model: Of the model's parts and both models' layers.
        own: The place of each of the model's layers, and how far it sees.
        others: The same of the student's.
    """

    model: Model
    own: Sequence[tuple[int, object]]
    others: Sequence[tuple[int, object]]

    @classmethod
    def of(cls, model: Model, student: Model) -> Self:
        """Puts a student's layers beside those of the model, which takes them in."""
        model.requires_grad_(requires_grad=False)
        encoder = model.encoder
        first = len(encoder.layers)
        own = _list_places(encoder)
        others = [(first + index, reach) for index, reach in _list_places(student.encoder)]
        encoder.layers.extend(student.encoder.layers)
        mixed = cls(model=model, own=own, others=others)
        mixed.replace([True] * len(others))  # so that each layer's depth is that in the student
        return mixed

    def replace(self, is_replaced: Sequence[bool]) -> None:
        """Has the student's layers run in the places of some groups, the model's in the others."""
        size = len(self.own) // len(self.others)
        chosen: list[tuple[int, object]] = []
        for number, theirs in enumerate(self.others):
            group = self.own[number * size : (number + 1) * size]
            chosen += [theirs] if is_replaced[number] else group
        encoder = self.model.encoder
        encoder.order = tuple(index for index, _ in chosen)
        encoder.reaches = tuple(reach for _, reach in chosen)  # type: ignore[misc]


def learn_places(
    student: Model, settings: FinetuneSettings, data: TaskData, *, seed: int, progress: Progress
) -> Generator[FinetuneStep, None, TrainState]:
    """Makes the steps of the phase that are left, or restores what came of them.

    Args:
        student: Its layers are trained, in place.
        settings: Of the phase, as `FinetuneSettings.of_replacing` gives them.
        data: The task's.
        seed: Decides the order of the examples, and what is replaced in each step.
        progress: Where it reports.
    """
    replacing = settings.replacing
    assert replacing is not None
    model = data.task.load_model(data.folder, new_head=False)
    mixed = MixedModel.of(model.to(choose_device(settings.device)), student)
    training = Training.of(mixed.model, settings, data, teacher=None, label_weight=1.0, seed=seed)
    budget = make_budget(settings, steps_per_epoch=training.batches.steps_per_epoch)
    assert budget.max_steps is not None
    num_steps = budget.max_steps

    def draw(step: int) -> None:
        rate = find_rate(replacing, min(step, num_steps - 1), num_steps)
        mixed.replace(draw_replaced(len(mixed.others), rate=rate, seed=seed, step=step))

    return (
        yield from make_phase(
            training,
            settings,
            data,
            phase="replacing",
            done="layers replaced",
            modules={"layers": student.encoder.layers},
            seed=seed,
            progress=progress,
            before_step=draw,
        )
    )


def _list_places(encoder: Encoder) -> list[tuple[int, object]]:
    return list(zip(encoder.order, encoder.reaches, strict=True))
