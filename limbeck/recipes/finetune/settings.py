"""The settings of `finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from limbeck.config import Settings, Shown
from limbeck.errors import SettingsError
from limbeck.methods import MethodSettings, Start
from limbeck.methods.keep_layers import KeepLayersSettings
from limbeck.recipes._secrets import without_secret
from limbeck.recipes._settings import LearningSettings, TrainingSettings
from limbeck.recipes._tasks.settings import TaskRunSettings
from limbeck.recipes.finetune.augmentation import AugmentSettings
from limbeck.runs import Role
from limbeck.sparsity import Sparsify
from limbeck.train import Schedule

Weight = Annotated[float, Field(ge=1e-9, le=1e9)]
"""Of one teacher among several: within what keeps every share of the sum above 0."""


class IntermediateSettings(Settings):
    """A phase of its own, in which a student learns its teacher's layers alone.

    Each field means what the run's of the same name means, for this phase. No label is looked at
    and nothing is validated, since the head is untrained; the last weights count.

    Source:
        Jiao et al., "TinyBERT", 2020, section 4.2: intermediate layer distillation comes first,
        prediction layer distillation after it.
    """

    losses: dict[str, dict[str, Any]] = Field(default_factory=dict, validate_default=True)
    """What is learned of the teacher's layers, and nothing else; by default `hidden_mse` and
    `attention_mse`, which TinyBERT learns of them."""
    epochs: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """Passes over the training examples; TinyBERT makes 10 on large tasks, 20 on small ones, 50 on
    CoLA."""
    learning_rate: float = Field(default=5e-5, gt=0, allow_inf_nan=False)
    """Peak of the schedule; by default TinyBERT's."""
    schedule: Schedule = Schedule(warmup_ratio=0.1)
    """Warm-up and decay of the learning rate. TinyBERT's code has neither in this phase, as the
    preset `tinybert-task` has it."""
    max_steps: int | None = Field(default=None, gt=0)
    """End of the phase in optimiser steps, if that comes first; the run's own limits of steps and
    time are for what follows."""

    # No default of the field, to which `intermediate.losses.relations.weight=1` would be added.
    @field_validator("losses")
    @classmethod
    def _learn_as_tinybert(cls, losses: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return losses or {"hidden_mse": {}, "attention_mse": {}}


class ReplacingSettings(Settings):
    """A phase of its own, in which a student's layers stand in for groups of its model's layers.

    In each step each group is replaced by chance. Only the student's layers are trained, by the
    labels alone; what follows trains the student by itself.

    Source:
        Xu et al., "BERT-of-Theseus", EMNLP 2020, sections 3.1 to 3.3.
    """

    rate: float = Field(default=0.5, ge=0.01, le=1)
    """Chance that a group is replaced; by default the article's. A step in which none would be is
    drawn again, which takes the longer the lower the chance is."""
    rise_ratio: float = Field(default=0.5, ge=0, le=1)
    """Share of the phase at its end in which the chance rises in a line to 1: 1 for the article's
    linear curriculum, 0 for a constant chance."""
    epochs: float = Field(default=3.0, gt=0, allow_inf_nan=False)
    """Passes over the training examples."""
    learning_rate: float = Field(default=5e-5, gt=0, allow_inf_nan=False)
    """Peak of the schedule."""
    max_steps: int | None = Field(default=None, gt=0)
    """End of the phase in optimiser steps, if that comes first."""


TrainedBits: TypeAlias = Literal[8, 4, 2]
"""Those of the targets that have `trained_bits`."""


class GridSettings(Settings):
    """Weights that are trained as a file of few bits holds them.

    Source:
        Zhang et al., "TernaryBERT: Distillation-aware Ultra-low Bit BERT", EMNLP 2020.
    """

    weights: TrainedBits
    """Bits of a weight: 8 as `onnx-int8` has them, 4 as `onnx-int4`, 2 for the three values of
    `onnx-int2` (TernaryBERT). `limbeck export` to that target writes the trained weights as they
    are."""
    activations: Literal[8, 32] = 8
    """Bits of what weights are multiplied by: 8 as the file's runtime brings them to bytes at each
    call, 32 for floats."""

    @property
    def narrows_inputs(self) -> bool:
        """Whether what weights are multiplied by is narrowed too."""
        return self.activations == 8


class FinetuneSettings(TrainingSettings, LearningSettings, TaskRunSettings):
    """One model, one task, one or more seeds."""

    initialise: Literal["pretrained", "random"] = "pretrained"
    """`pretrained` starts from the model's weights, `random` from new ones of its architecture."""
    new_head: bool = True
    """Start with a new head; false goes on with the head of an already fine-tuned model."""
    keep_layers: Shown[int | str | tuple[int, ...] | None] = None
    """Start from some of the model's layers: how many (as `lower` spaces them), `every_other`,
    `original`, `lower`, `even`, or a list such as [0, 2, 4]; None starts from all."""
    start: Start = ()
    """Methods that are applied to the model before training, one after the other, in place of
    `keep_layers`: `[{ method = "keep_layers", layers = 3 }]`; `limbeck list methods` shows them."""
    teacher: Shown[str | tuple[str, ...] | None] = None
    """What is learned from, also on unlabelled text (a file `transfer.jsonl` beside the others, or
    `data.transfer=FILE`): folder or Hub id of a model that is fine-tuned on this task, or a file of
    predictions (`.jsonl`, `.csv`, `.parquet`), whose further texts are learned from too, or a
    server that is asked: `openai://MODEL`, `http(s)://HOST/predict`. Of a list of models, such as
    `["runs/a/model", "runs/b/model"]`, the mean of their probabilities, or numbers, is learned."""
    teacher_weights: tuple[Weight, ...] | None = None
    """How much each of several teachers counts; by default all alike."""
    teacher_cache: Path | None = None
    """Folder to keep teachers' logits in, for all epochs, seeds and students that learn from the
    same rows; None runs the teacher beside the student."""
    intermediate: IntermediateSettings | None = None
    """First learn the teacher's layers alone, then labels and `losses`: `intermediate.epochs=10`,
    or `intermediate={}` for the phase as it is by default. With a `teacher_cache` the teacher
    itself runs in this phase only."""
    replacing: ReplacingSettings | None = None
    """First let the layers of `keep_layers` stand in for groups of the model's, at random
    (BERT-of-Theseus): `replacing.epochs=3`, or `replacing={}`. The model is one that was fine-tuned
    on the task, with `new_head=false`."""
    sparsify: Shown[Sparsify | None] = None
    """Prune single weights meanwhile: `sparsify.method=movement sparsify.density=0.15` keeps 15 %
    of those of the encoder's layers; `limbeck list sparsity` shows the methods, `limbeck init
    movement` their settings. Of epochs after the last weight has gone the best is kept. The model
    has zeros, and is as large and fast as before; `limbeck export --to sparse` makes it small."""
    quantise: GridSettings | None = None
    """Train the weights as a file of few bits holds them: `quantise.weights=4`, 8 or 2. The model
    is as large and fast as before; `limbeck export` to the target of those bits writes the small
    file. With a `teacher` in full precision, best the model itself, less is lost."""
    augment: AugmentSettings | None = None
    """Makes further training texts that the teacher labels, by a masked LM: `augment.model=MODEL`
    and how."""

    epochs: Shown[float] = Field(default=3.0, gt=0, allow_inf_nan=False)
    """Passes over the training examples, those of `transfer` and `augment` included. A finished run
    that is asked for more ends as if it had been asked at once: with `schedule.decay=constant` and
    `schedule.warmup_ratio=0` it goes on, elsewhere its steps are made again."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Each layer learns at this many times the rate of the layer above it."""
    evaluations_per_epoch: int = Field(default=1, ge=1)
    """Validations in each epoch; the weights of the best one are kept."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after this many validations in a row without a better score; None never does."""

    def default_names(self) -> tuple[str, Role]:
        """Returns the label and the role of a model that the settings give none.

        The label is not the name of the model that the run starts from, which may be the teacher.
        """
        return self.out.resolve().name, "other" if self.teacher is None else "student"

    def named_models(self) -> dict[str, str]:
        """Returns the models that the settings name, by setting."""
        named = super().named_models()
        if isinstance(self.teacher, str):
            named["teacher"] = self.teacher
        else:
            named |= {f"teacher.{i}": name for i, name in enumerate(self.teachers)}
        if self.augment is not None:
            named["augment.model"] = self.augment.model
        return named

    @property
    def fits_any_length(self) -> bool:
        """Whether a step is the same however long the run is."""
        return self.schedule.fits_any_length and self.sparsify is None

    @property
    def teachers(self) -> tuple[str, ...]:
        """What is learned from: none, one, or several."""
        if self.teacher is None:
            return ()
        return (self.teacher,) if isinstance(self.teacher, str) else self.teacher

    @property
    def methods(self) -> tuple[MethodSettings, ...]:
        """What is applied to the model before training."""
        if self.keep_layers is None:
            return self.start
        return (KeepLayersSettings(layers=self.keep_layers),)

    def of_intermediate(self) -> FinetuneSettings | None:
        """Returns the settings of the phase before labels and logits as those of a training."""
        if self.intermediate is None:
            return None
        alone = {"intermediate": None, "teacher_cache": None, "max_minutes": None}
        return self.model_copy(update={**alone, **dict(self.intermediate)})

    def of_replacing(self) -> FinetuneSettings | None:
        """Returns the settings of the phase in which layers are replaced as those of a training."""
        if self.replacing is None:
            return None
        given = self.replacing
        return self.model_copy(
            update={
                "max_minutes": None,
                "epochs": given.epochs,
                "learning_rate": given.learning_rate,
                "max_steps": given.max_steps,
            }
        )

    @field_validator("teacher")
    @classmethod
    def _check_teachers(cls, given: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        names = (given,) if isinstance(given, str) else given or ()
        for name in names:
            without_secret(name, setting="teacher")
        if given is not None and not names:
            raise ValueError("an empty list; give one teacher or several, or leave it out")
        if len(set(names)) < len(names):
            raise ValueError("give each teacher once; teacher_weights says what it counts")
        return names[0] if len(names) == 1 else given

    @model_validator(mode="after")
    def _require_weight_of_each(self) -> Self:
        weights, number = self.teacher_weights, len(self.teachers)
        if weights is not None and (number < 2 or len(weights) != number):
            raise SettingsError(
                f"teacher_weights has {len(weights)} for {number} teacher{'s' * (number != 1)}; "
                "accepted: one weight for each of several"
            )
        return self

    @model_validator(mode="after")
    def _require_something_to_replace(self) -> Self:
        if self.replacing is None:
            return self
        if self.teacher is not None:
            raise SettingsError(
                "replacing learns from the labels alone, but there is a teacher; leave one of them "
                "out"
            )
        if self.new_head or self.initialise == "random":
            raise SettingsError(
                "replacing goes on from a model that was fine-tuned on the task; give new_head = "
                "false, and leave initialise at 'pretrained'"
            )
        if not self.methods:
            raise SettingsError(
                "replacing puts a student's layers in the places of the model's, but there is no "
                "student; give keep_layers, such as half of the model's layers"
            )
        return self

    @model_validator(mode="after")
    def _require_time_to_prune(self) -> Self:
        if self.sparsify is None:
            return self
        first = next(
            (n for n in ("intermediate", "replacing") if getattr(self, n) is not None), None
        )
        if first is not None:
            raise SettingsError(
                f"sparsify prunes while the task is learned, and {first} trains all weights before "
                f"that; run finetune with {first} first, then with sparsify on the model that it "
                "made, with new_head = false"
            )
        if self.max_minutes is not None:
            raise SettingsError(
                f"sparsify prunes by the number of steps, and max_minutes = {self.max_minutes:g} "
                "could end the run before the last weight has gone; accepted: epochs or max_steps"
            )
        return self

    @model_validator(mode="after")
    def _require_one_form(self) -> Self:
        if self.quantise is None:
            return self
        if self.sparsify is not None:
            raise SettingsError(
                f"quantise.weights = {self.quantise.weights} and sparsify.method = "
                f"'{self.sparsify.method}' are both given, and a model's weights are held to one "
                "form; leave one of them out: no file has both"
            )
        if self.replacing is not None:
            raise SettingsError(
                f"quantise.weights = {self.quantise.weights} narrows all layers, and replacing "
                "lets a student's stand among its model's, which are not; run finetune with "
                "replacing first, then with quantise on the model that it made, with new_head = "
                "false"
            )
        return self

    @model_validator(mode="after")
    def _require_one_start(self) -> Self:
        if self.start and self.keep_layers is not None:
            raise SettingsError("start and keep_layers are both given; leave one of them out")
        return self
