"""Distil a language model, masked or causal, into a shallower one, on running text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from limbeck import listing
from limbeck.checkpoints import read_inherited, resolve_folder
from limbeck.config import Shown
from limbeck.data import Corpus
from limbeck.errors import MissingHeadError, SettingsError, with_article
from limbeck.losses import Loss, build_loss, require_fit
from limbeck.methods import Start, start_student
from limbeck.methods.keep_layers import KeepLayersSettings, can_hold
from limbeck.models import (
    AnyModel,
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    ForeignModel,
    Kind,
    Model,
    carry_sentence_files,
    find_class,
    find_foreign_family,
    load_foreign,
    read_sentence_config,
)
from limbeck.recipes._inputs import hash_inputs
from limbeck.recipes._language_model import (
    LanguageModelSettings,
    describe_missing_lm_head,
    find_language_model,
    open_corpus,
    plan_language_model,
    require_positions,
    require_whole_model,
    save_language_model,
    summarise_language_model,
    train_language_model,
)
from limbeck.recipes._tasks.card import show_model
from limbeck.recipes._tasks.models import describe_adapter
from limbeck.recipes.finetune.teachers import is_labeller
from limbeck.report.card import Card, name_class, write_card
from limbeck.report.distillation import name_held_out
from limbeck.runs import DistillRecord, describe_start, hash_model_files, start_run
from limbeck.runs.language_model import TrainingFigures
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import Progress
from limbeck.version import __version__


def _build_losses(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {
        name: value if isinstance(value, Loss) else build_loss(name, value)
        for name, value in values.items()
    }


# What the student's start is told where `start` is not given.
_KEPT = ("layers", "num_student_layers", "model_type", "fold_token_types", "copy_transform")
_SMALLER = "distilbert"  # BERT without token types and pooler
_LOSSES: dict[str, Any] = {
    "soft_targets": {"weight": 5.0},
    "masked_lm": {"weight": 2.0},
    "causal_lm": {"weight": 2.0},
    "cosine": {"weight": 1.0},
}


class DistillSettings(LanguageModelSettings):
    """Settings of `limbeck distill`."""

    teacher: Shown[str]
    """Model folder or Hub id of a masked or causal language model, or, with losses that look at no
    logits, of an encoder without a head, such as one of sentences. `limbeck pretrain model=...
    new_head=true freeze_body=true` gives a masked-LM head to an encoder that has none."""
    student: str | None = None
    """Model folder or Hub id to go on from; None makes the student of the teacher's layers."""
    layers: Shown[str | tuple[int, ...]] = "lower"
    """The teacher's layers that the student starts from: `every_other`, `original`, `lower`,
    `even`, or a list of them, 0-based."""
    num_student_layers: Shown[int | None] = Field(default=None, ge=1)
    """Depth of the student; half the teacher's, rounded up, if not given."""
    model_type: str | None = None
    """Architecture of the student; None takes `distilbert` where that can hold all of the teacher,
    else the teacher's own."""
    fold_token_types: bool = True
    """Where the student has no token types, add the teacher's row for type 0 to every position."""
    copy_transform: bool = True
    """Copy the masked-LM head's dense layer and LayerNorm too."""
    start: Start = ()
    """The student's start as methods applied to the teacher one after the other, in place of the
    five settings above: `[{ method = "keep_layers", layers = [0, 3, 5] }]`."""
    freeze_positions: bool = False
    """Keep the position embeddings as they start, as the original code did."""
    train_layers: tuple[int, ...] | None = Field(default=None, min_length=1)
    """The only layers of the student that are trained, counted from 1, or from the last as -1; 0
    are the embeddings. What is below, above and the head stays as it is. As stages of `limbeck
    chain`, each with a loss whose `student_layers` are the same, one layer after another is
    trained, as MobileBERT's were."""
    losses: Annotated[
        dict[str, SerializeAsAny[Loss]], BeforeValidator(_build_losses), Field(min_length=1)
    ] = Field(default_factory=lambda: dict(_LOSSES), validate_default=True)
    """The losses by name, each with its settings; the total is their weighted sum. Of `masked_lm`
    and `causal_lm` the one counts by which such a model is trained."""

    @model_validator(mode="after")
    def _require_one_start(self) -> Self:
        fields = type(self).model_fields
        names = ("student", *_KEPT)
        given = [name for name in names if getattr(self, name) != fields[name].default]
        if self.start and given:
            raise SettingsError(f"start and {given[0]} are both given; leave one of them out")
        return self

    def named_models(self) -> dict[str, str]:
        """Returns the models that the settings name, by setting."""
        student = {} if self.student is None else {"student": self.student}
        return {"teacher": self.teacher, **student}

    def losses_for(self, model: Model) -> dict[str, Loss]:
        """Returns the losses of a model, without those of the other kind of language model.

        Raises:
            SettingsError: If there is one of the other kind in the place of its own.
        """
        own = model.kind.name
        others = [n for n, loss in self.losses.items() if loss.language_model not in (None, own)]
        if others and own not in self.losses:
            raise SettingsError(
                f"losses.{others[0]} is for other models than "
                f"{with_article(type(model).__name__)}, which learns by losses.{own}"
            )
        return {name: loss for name, loss in self.losses.items() if name not in others}


SettingsType = DistillSettings
summarise = summarise_language_model


def plan(settings: DistillSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    corpus, teacher, student = _prepare(settings)
    inputs = hash_inputs(settings.named_models(), corpus=corpus.info)
    return {
        **plan_language_model(settings, corpus=corpus, student=student, teacher=teacher),
        "run": describe_start(settings.out, "distill", settings, inputs=inputs),
    }


def prepare_model(settings: DistillSettings) -> Callable[[Path], object]:
    """Checks the run, and returns what writes the student as it stands before the first step."""
    corpus, teacher, student = _prepare(settings)

    def write(folder: Path) -> None:
        save_language_model(student, corpus.tokenizer, folder)
        _carry_pooling(settings, folder, teacher=teacher, student=student)

    return write


def run(settings: DistillSettings, *, progress: Progress) -> DistillRecord:
    """Distils the teacher and writes `out/model`; goes on where an earlier run stopped."""
    torch.manual_seed(settings.seed)
    corpus, teacher, student = _prepare(settings)
    inputs = hash_inputs(settings.named_models(), corpus=corpus.info)
    with start_run(settings.out, "distill", settings, inputs=inputs) as run_folder:
        earlier = run_folder.finished(DistillRecord)
        if earlier is not None:
            require_whole_model(earlier, settings.out)
            progress.log(f"{settings.out} is already complete")
            return earlier
        adapter = describe_adapter(teacher.config, teacher.kind)
        if adapter is not None:
            progress.log(
                f"teacher {settings.teacher}: {adapter.model_class}, run by {adapter.name} "
                f"{adapter.version}"
            )
        figures = train_language_model(
            settings,
            corpus=corpus,
            student=student,
            losses=settings.losses_for(student),
            teacher=teacher,
            progress=progress,
        )
        folder = save_language_model(student, corpus.tokenizer, settings.out / "model")
        makes_vectors = _carry_pooling(settings, folder, teacher=teacher, student=student)
        write_card(folder, _make_card(settings, student, figures, makes_vectors=makes_vectors))
        record = DistillRecord(
            model=str(folder),
            model_files=hash_model_files(folder),
            teacher=settings.teacher,
            teacher_adapter=adapter,
            num_layers=student.config.num_hidden_layers,
            num_parameters=student.num_parameters,
            teacher_num_layers=teacher.config.num_hidden_layers,
            teacher_num_parameters=teacher.num_parameters,
            **figures,
        )
        return record.write(settings.out)


def _carry_pooling(
    settings: DistillSettings, folder: Path, *, teacher: AnyModel, student: Model
) -> bool:
    """Gives the student's folder what makes vectors of texts where it comes from.

    Returns:
        Whether sentence-transformers loads it now.
    """
    source, width = _find_origin(settings, teacher=teacher, student=student)
    return carry_sentence_files(source, folder, width=width, new_width=student.config.hidden_size)


def _find_origin(
    settings: DistillSettings, *, teacher: AnyModel, student: Model
) -> tuple[Path, int]:
    """Returns the folder that the student began as, or else its teacher's, and its width."""
    if settings.student is not None:
        return resolve_folder(settings.student), student.config.hidden_size
    return resolve_folder(settings.teacher), teacher.config.hidden_size


def _make_card(
    settings: DistillSettings, student: Model, figures: TrainingFigures, *, makes_vectors: bool
) -> Card:
    """Returns the card of the distilled model: what it is of, and its figures on held-out text."""
    teacher = show_model(settings.teacher)
    after = figures["held_out_after"]
    purpose = "It is to be fine-tuned on a task."
    if student.kind.predicts_next:
        purpose = "It goes on with a text, or is fine-tuned on a task."
    words = {name: title for name, title in name_held_out(after).items() if name in after}
    return Card(
        name=f"{teacher}, distilled",
        summary=(
            f"A student of {teacher} with {student.config.num_hidden_layers} layers, distilled on "
            f"running text with limbeck {__version__}. {purpose}"
        ),
        auto_class=name_class(student.kind, makes_vectors=makes_vectors),
        made={
            "Recipe": f"limbeck distill {__version__}",
            "Teacher": teacher,
            "Losses": ", ".join(settings.losses_for(student)),
            "Parameters": f"{student.num_parameters:,}",
            "Steps": f"{figures['num_steps']:,}",
            "Tokens": f"{figures['num_tokens']:,}",
            **{f"Held out: {title}": f"{after[name]:.4f}" for name, title in words.items()},
        },
        base_model=settings.teacher,
        tags=["distillation"],
        inherited=read_inherited(resolve_folder(settings.teacher)),
    )


def _prepare(
    settings: DistillSettings,
) -> tuple[Corpus, AnyModel, Model]:
    """Opens the corpus, loads the teacher, makes the student, and checks that they fit."""
    if is_labeller(settings.teacher):
        raise SettingsError(
            f"teacher = {settings.teacher} says something of whole texts, and running text is "
            "learned from a language model; accepted: its folder or Hub id. limbeck finetune "
            "learns a task from what you gave"
        )
    folder = resolve_folder(settings.teacher)
    is_foreign = find_foreign_family(folder) is not None
    kind = AutoModelForMaskedLM.kind if is_foreign else find_language_model(settings.teacher).kind
    if is_foreign:
        _require_foreign_fits(settings)
    corpus = open_corpus(settings, kind=kind)
    _require_one_vocabulary(settings)
    corpus.require_tokenizer(AutoTokenizer.from_pretrained(settings.teacher))
    teacher = _load_teacher(settings, folder, kind)
    require_positions(settings, teacher, name=f"the teacher {settings.teacher}")
    if settings.student is None:
        assert isinstance(teacher, Model)
        student = start_student(teacher, settings.start or (_keep_layers(settings, teacher),))
    else:
        student = _load_student(settings.student, teacher)
        require_positions(settings, student, name=f"the student {settings.student}")
    _require_fit(settings, teacher=teacher, student=student)
    _freeze_others(settings, student=student, teacher=teacher)
    if settings.freeze_positions:
        student.freeze_positions()
    origin, width = _find_origin(settings, teacher=teacher, student=student)
    read_sentence_config(origin, hidden_size=width)  # what can't be carried over is said now
    return corpus, teacher, student


def _require_foreign_fits(settings: DistillSettings) -> None:
    """Refuses what a teacher can't do that only `transformers` can run.

    Raises:
        SettingsError: Names the setting.
    """
    reason = f"the teacher {settings.teacher} is of a family that transformers alone can run"
    if settings.student is None:
        raise SettingsError(
            f"{reason}, so that no student can be made of its layers; give student=MODEL, a masked "
            "LM of the teacher's vocabulary"
        )
    if settings.confine_attention:
        raise SettingsError(
            f"confine_attention = true gives each token what it may see, but {reason}, where "
            "families differ in that; set it to false"
        )


def _freeze_others(settings: DistillSettings, *, student: Model, teacher: AnyModel) -> None:
    """Freezes what `train_layers` does not name.

    Source:
        Sun et al., "MobileBERT", ACL 2020, section 3.4: progressive knowledge transfer.

    Raises:
        SettingsError: If a layer is none of the student's, or no loss looks at what is trained.
    """
    if settings.train_layers is None:
        return
    encoder, given = student.encoder, settings.train_layers
    num_layers = student.config.num_hidden_layers
    for number in given:
        if not -num_layers <= number <= num_layers:
            raise SettingsError(
                f"train_layers = {list(given)}: {number} is no layer of the student; accepted: "
                f"1 to {num_layers}, or -{num_layers} to -1 from the last, and 0 for the embeddings"
            )
    chosen = {number + 1 + num_layers if number < 0 else number for number in given}
    depths = student.config.num_places, teacher.config.num_places
    _require_a_loss_above(settings.losses_for(student), lowest=min(chosen), depths=depths)
    student.requires_grad_(requires_grad=False)
    for number in chosen:
        parts = (
            (encoder.layer_at(number - 1),) if number else (encoder.embeddings, encoder.projection)
        )
        for part in parts:
            if part is not None:
                part.requires_grad_(requires_grad=True)


def _require_a_loss_above(
    losses: Mapping[str, Loss], *, lowest: int, depths: tuple[int, int]
) -> None:
    """Refuses losses that all look at layers below the lowest that is trained.

    Raises:
        SettingsError: If so.
    """
    pairs = {name: loss.pair_layers(*depths) for name, loss in losses.items()}
    highest = {name: max(ours for ours, _ in found) for name, found in pairs.items() if found}
    if len(highest) == len(losses) and max(highest.values()) < lowest:
        name = max(highest, key=lambda name: highest[name])
        raise SettingsError(
            f"train_layers trains layer {lowest} and no lower one, but no loss looks there or "
            f"above (losses.{name} ends at layer {highest[name]}); accepted: a loss with "
            f"student_layers = [{lowest}], or on the last layer"
        )


def _require_one_vocabulary(settings: DistillSettings) -> None:
    """Refuses a student that has another vocabulary than its teacher.

    A corpus holds the ids of one vocabulary, not the text that another could read.

    Raises:
        SettingsError: Says what there is instead.
    """
    if settings.student is None:
        return
    names = settings.teacher, settings.student
    teacher, student = (AutoTokenizer.from_pretrained(name).fingerprint for name in names)
    if teacher != student:
        raise SettingsError(
            f"the teacher {settings.teacher} and the student {settings.student} have different "
            "vocabularies, and a corpus holds the ids of one: scores of its entries can't be "
            "compared, and states not without the text; accepted: a student of the teacher's "
            "vocabulary. On a task, limbeck finetune compares the two by characters, also on "
            "unlabelled text"
        )


def choose_family(teacher: Model) -> str:
    """Returns the architecture of a student of which none was said."""
    own = teacher.config.model_type
    return _SMALLER if can_hold(_SMALLER, teacher) else own


def _keep_layers(settings: DistillSettings, teacher: Model) -> KeepLayersSettings:
    values = {name: getattr(settings, name) for name in _KEPT}
    return KeepLayersSettings(
        **{**values, "model_type": settings.model_type or choose_family(teacher)}
    )


def _load_teacher(settings: DistillSettings, folder: Path, kind: Kind) -> AnyModel:
    """Loads a language model, or an encoder without a head if no loss looks at logits.

    Raises:
        MissingHeadError: Says which losses need no head, and how the teacher gets one.
    """
    try:
        return _load(folder, kind)
    except MissingHeadError as error:
        on_logits = [name for name, loss in settings.losses.items() if "logits" in loss.needs]
        if not on_logits:
            return _load_encoder(folder)
        name = settings.teacher
        own = find_foreign_family(folder) is None
        advice = describe_missing_lm_head(name, setting="teacher") if own else str(error)
        raise MissingHeadError(
            f"the teacher {name} has no masked-LM head, so it has no opinion on masked words, at "
            f"which losses.{on_logits[0]} looks. {advice}. Or learn by losses that look at no "
            f"logits: {', '.join(_losses_without_head())}, as the preset minilm-v2 does"
        ) from error


def _load(folder: Path, kind: Kind) -> AnyModel:
    if find_foreign_family(folder) is not None:
        return load_foreign(folder, kind)
    return find_class(AutoConfig.from_pretrained(folder).model_type, kind).from_pretrained(folder)


def _load_encoder(folder: Path) -> AnyModel:
    """Loads an encoder alone, with the pooler that its folder may have."""
    try:
        return _load(folder, AutoModel.kind)
    except MissingHeadError:
        return AutoModel.from_pretrained(folder, add_pooling_layer=False)


def _losses_without_head() -> list[str]:
    """Returns the losses that `distill` can learn by from an encoder alone."""
    return [
        name
        for name in listing.list_names("limbeck.losses")
        if not {"logits", "scores"} & (loss := build_loss(name, {})).needs and loss.recipe is None
    ]


def _load_student(name: str, teacher: AnyModel) -> Model:
    """Loads a student that is given: its language model, or as bare as its teacher."""
    if teacher.kind.has_head:
        return find_language_model(name).from_pretrained(name)
    student = _load_encoder(resolve_folder(name))
    assert isinstance(student, Model)
    return student


def _require_given(losses: Mapping[str, Loss], teacher: ForeignModel, *, name: str) -> None:
    """Refuses losses on what a foreign model does not give.

    Raises:
        SettingsError: Names the loss and what there is.
    """
    states = {"last_hidden_state", "hidden_states"} if teacher.gives_states else set()
    given = {"logits", "pooled", *states}
    for key, loss in losses.items():
        if refused := loss.needs - given:
            raise SettingsError(
                f"losses.{key} compares the models' {', '.join(sorted(refused))}, but the teacher "
                f"{name} is {with_article(teacher.class_name)} that transformers runs, which gives "
                f"{', '.join(sorted(given))} only"
            )


def _require_fit(settings: DistillSettings, *, teacher: AnyModel, student: Model) -> None:
    if student.kind is not teacher.kind:
        raise SettingsError(
            f"the teacher is {with_article(type(teacher).__name__)} and the student "
            f"{with_article(type(student).__name__)}: one predicts masked tokens, the other the "
            "next one; accepted: two of a kind"
        )
    losses = settings.losses_for(student)
    if isinstance(teacher, ForeignModel):
        _require_given(losses, teacher, name=settings.teacher)
    require_fit(losses, student=student.config, teacher=teacher.config)
    sizes = teacher.config.vocab_size, student.config.vocab_size
    if sizes[0] != sizes[1]:
        raise SettingsError(
            f"the teacher's vocab_size is {sizes[0]} and the student's {sizes[1]}; soft targets "
            "need one vocabulary: take a student with the teacher's tokenizer"
        )
