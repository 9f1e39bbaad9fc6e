"""The settings of `distill-embeddings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from limbeck.config import Shown
from limbeck.errors import SettingsError
from limbeck.losses import Loss, build_loss
from limbeck.methods import Start
from limbeck.nn import PoolingMode
from limbeck.objectives import ScoreBy
from limbeck.recipes._settings import Seed, TrainingSettings

Rows = Literal["texts", "parallel", "pairs", "triples"]

_Finite = Annotated[float, Field(allow_inf_nan=False)]

_COLUMNS: dict[Rows, tuple[str, ...]] = {
    "texts": ("text",),
    "parallel": ("source", "translation"),
    "pairs": ("sentence1", "sentence2"),
    "triples": ("query", "positive", "negative"),
}


def _build_losses(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {
        name: value if isinstance(value, Loss) else build_loss(name, value)
        for name, value in values.items()
    }


class DistillEmbeddingsSettings(TrainingSettings):
    """Settings of `limbeck distill-embeddings`."""

    teacher: Shown[str]
    """Model folder or Hub id: an encoder of sentences, as a folder of sentence-transformers says,
    else the mean of its hidden states; or a cross-encoder, which scores pairs."""
    student: Shown[str | None] = None
    """Model folder or Hub id to go on from, of any family, width and vocabulary; None makes the
    student of the teacher's layers."""
    layers: Shown[str | tuple[int, ...]] = "even"
    """The teacher's layers that the student starts from: `even`, `lower`, `every_other`,
    `original`, or a list of them, 0-based."""
    num_student_layers: Shown[int | None] = Field(default=None, ge=1)
    """Depth of the student; half the teacher's, rounded up, if not given."""
    start: Start = ()
    """The student's start as methods applied to the teacher one after the other, in place of the
    two settings above."""
    pooling: PoolingMode | None = None
    """How a text's hidden states become the student's vector; None for the student's own, or else
    the teacher's."""
    normalize: bool | None = None
    """Whether the student's vectors are made one long; None as the teacher has it."""

    texts: Shown[str | tuple[str, ...]]
    """What is learned from: files, folders, globs or `hf://NAME`; in `.txt` a line is a text."""
    rows: Shown[Rows] = "texts"
    """What a row of them is: `texts`, each column a text by itself; `parallel`, a text and its
    translations, all of which learn the teacher's vector of the first; `pairs` and `triples` (a
    query, a passage that fits, others that do not), for losses between texts."""
    columns: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Columns of the texts, in order; by default `text`; `source`, `translation`; `sentence1`,
    `sentence2`; `query`, `positive`, `negative`. Of several for `texts` a row may lack some."""
    max_rows: int | None = Field(default=None, ge=1)
    """Read no more rows than these."""
    num_held_out: int = Field(default=1000, ge=2)
    """Rows to measure with, not to learn from; at most a tenth of all."""
    validation: Shown[str | None] = None
    """Pairs with a number that says how alike they are (as the task `sts` reads them): a file, a
    folder with such a split, or `hf://NAME`. The weights that are best on them are kept."""
    validation_options: dict[str, Any] = Field(default_factory=dict)
    """Options of the task `sts`, such as `validation_options.text_column=premise`."""
    out: Shown[Path]
    """Run folder; the same command given again goes on where a run stopped."""
    teacher_cache: Path | None = None
    """Folder to keep the teacher's vectors in, for all students that learn from the same texts; by
    default in the run's own."""
    seed: Seed = 0
    """Decides new weights, dropout and the order of the texts."""

    losses: Annotated[dict[str, SerializeAsAny[Loss]], BeforeValidator(_build_losses)] = Field(
        default_factory=dict
    )
    """The losses by name, each with its settings; the total is their weighted sum. By default
    `pooled_mse`; of a cross-encoder `score_mse` for pairs and `margin_mse` for triples."""
    projection: Literal["pca", "dense", "learned"] | None = None
    """What makes widths equal where the student's is another than the teacher's: `pca` turns the
    teacher's vectors so that fewer numbers keep most; `dense` is a layer that stays in the student,
    whose vectors become as wide as the teacher's; `learned` a matrix that is thrown away. None
    takes `pca` for a narrower student, and else `dense`."""
    projection_texts: int = Field(default=10_000, ge=2)
    """Most texts that `pca` and the start of `dense` are fitted on."""
    matryoshka_dims: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Widths at which the student's vectors can be cut and still be compared, such as [384, 128]:
    losses between texts are taken at each."""
    matryoshka_weights: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = ()
    """A weight for each; 1 if not given."""
    score_by: ScoreBy = "cosine"
    """How the student scores a pair: `cosine` or `dot` product."""
    score_range: tuple[_Finite, _Finite] | None = None
    """Which scores of a cross-encoder are a similarity of 0 and of 1; by default the lowest and the
    highest of the pairs at hand."""

    max_length: Shown[int] = Field(default=128, ge=8)
    """Longest text in tokens, special tokens included; longer ones are cut, for both models. A
    teacher whose folder says less (`max_seq_length`) reads so much; a student whose start reads
    more goes on to do so."""
    batch_size: Shown[int] = Field(default=64, ge=1)
    """Rows in an optimiser step, over all micro-batches."""
    learning_rate: Shown[float] = Field(default=3e-4, gt=0, allow_inf_nan=False)
    """Peak of the schedule; by default what half of a MiniLM learned with."""
    epochs: Shown[float] = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Passes over the rows."""
    dropout: bool = False
    """Whether the student's dropout is on while it learns."""
    evaluations_per_epoch: int = Field(default=1, ge=1)
    """Measurements in each epoch."""
    evaluation_batch_size: int = Field(default=64, ge=1)
    """Texts read at a time when nothing is learned."""

    def named_models(self) -> dict[str, str]:
        """Returns the models that the settings name, by setting."""
        student = {} if self.student is None else {"student": self.student}
        return {"teacher": self.teacher, **student}

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns of the texts, in order."""
        return _COLUMNS[self.rows] if self.columns is None else self.columns

    @field_validator("matryoshka_dims")
    @classmethod
    def _require_distinct(cls, widths: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(widths)) < len(widths):
            raise ValueError("give each width once")
        return widths

    @field_validator("columns")
    @classmethod
    def _require_distinct_columns(cls, given: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if given is not None and len(set(given)) < len(given):
            raise ValueError("give each column once")
        return given

    @field_validator("score_range")
    @classmethod
    def _require_a_range(cls, given: tuple[float, float] | None) -> tuple[float, float] | None:
        if given is not None and not given[0] < given[1]:
            raise ValueError("give a lower and a higher number")
        return given

    @model_validator(mode="after")
    def _require_one_start(self) -> Self:
        fields = type(self).model_fields
        names = ("student", "layers", "num_student_layers")
        given = [name for name in names if getattr(self, name) != fields[name].default]
        if self.start and given:
            raise SettingsError(f"start and {given[0]} are both given; leave one of them out")
        return self

    @model_validator(mode="after")
    def _require_columns(self) -> Self:
        fewest = {"texts": 1, "parallel": 2, "pairs": 2, "triples": 3}[self.rows]
        most = 2 if self.rows == "pairs" else len(self.text_columns)
        if not fewest <= len(self.text_columns) <= most:
            raise SettingsError(
                f"columns = {list(self.text_columns)} are {len(self.text_columns)}, but rows = "
                f"'{self.rows}' has {fewest}{'' if most == fewest else ' or more'} texts a row"
            )
        return self

    @model_validator(mode="after")
    def _require_a_weight_each(self) -> Self:
        widths, weights = self.matryoshka_dims, self.matryoshka_weights
        if weights and len(weights) != len(widths):
            raise SettingsError(
                f"matryoshka_weights are {len(weights)}, but matryoshka_dims = {list(widths)} are "
                f"{len(widths)}; give one for each, or none"
            )
        return self
