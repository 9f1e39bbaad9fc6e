"""The student: where it starts, and what is put on it so that it gives vectors as its teacher."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from limbeck.checkpoints import resolve_folder
from limbeck.errors import SettingsError
from limbeck.losses import Loss, VectorLoss
from limbeck.methods import start_student
from limbeck.methods.keep_layers import KeepLayersSettings
from limbeck.models import (
    DenseConfig,
    ForeignModel,
    Model,
    NormalizeConfig,
    SentenceConfig,
    SentenceModel,
    find_foreign_family,
)
from limbeck.nn import DenseLayer
from limbeck.recipes.distill_embeddings.reading import require_counted_prompt, require_positions
from limbeck.recipes.distill_embeddings.settings import DistillEmbeddingsSettings
from limbeck.recipes.distill_embeddings.teachers import Teacher, VectorTeacher
from limbeck.tokenizers import AutoTokenizer, Tokenizer

Projection = Literal["pca", "dense", "learned"]


@dataclass(frozen=True)
class Student:
    """A model that is going to learn.

    Attributes:
        model: Newly made; not on the run's device yet.
        tokenizer: Its own.
        projection: What makes widths equal; None where nothing has to.
    """

    model: SentenceModel
    tokenizer: Tokenizer
    projection: Projection | None

    @classmethod
    def make(
        cls, settings: DistillEmbeddingsSettings, teacher: Teacher, losses: dict[str, Loss]
    ) -> Student:
        """Makes the student of the teacher's layers, or loads it.

        Raises:
            SettingsError: If it can't be made, or does not fit the teacher.
        """
        model, tokenizer = _begin(settings, teacher)
        require_counted_prompt(model.config, name="the student")
        require_positions(
            settings, model.encoder.config, name=f"the student {settings.student or ''}".strip()
        )
        projection = _choose_projection(settings, teacher, model.config.width, losses)
        if projection == "dense":
            assert isinstance(teacher, VectorTeacher)
            model = _with_layers(model, _add_dense(model.config, teacher.sentence.width))
        widths = settings.matryoshka_dims
        if widths and max(widths) > model.config.width:
            raise SettingsError(
                f"matryoshka_dims = {list(widths)}: the student's vectors have "
                f"{model.config.width} numbers; accepted: 1 to {model.config.width}"
            )
        if widths and all(isinstance(loss, VectorLoss) for loss in losses.values()):
            raise SettingsError(
                f"matryoshka_dims = {list(widths)}, but {', '.join(losses)} compare with the "
                "teacher's vectors, whose first numbers mean nothing by themselves; add a loss "
                "between texts, such as losses.similarity_matrix.weight=1"
            )
        return cls(model, tokenizer, projection)

    @torch.no_grad()
    def fit_dense(self, pooled: Tensor, targets: Tensor) -> None:
        """Starts the dense layer as the map that fits the teacher's vectors best.

        Args:
            pooled: The student's vectors before that layer.
            targets: The teacher's of the same texts.
        """
        (place,) = _dense_places(self.model.config)[-1:]
        # A little of the identity, so that texts fewer than the width have one answer too.
        left = pooled.double()
        gram = left.T @ left
        gram += 1e-6 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        found = torch.linalg.solve(gram, left.T @ targets.double())
        dense = self.model.head.layers[place]
        assert isinstance(dense, DenseLayer)
        dense.linear.weight.copy_(found.T)

    def before_dense(self) -> SentenceModel:
        """Returns the student without the dense layer and what follows, the same encoder in it."""
        place = _dense_places(self.model.config)[-1]
        cut = replace(self.model.config, layers=self.model.config.layers[:place])
        found = SentenceModel(self.model.encoder, cut)
        found.head.load_state_dict(self.model.head.state_dict(), strict=False)
        return found


def _begin(
    settings: DistillEmbeddingsSettings, teacher: Teacher
) -> tuple[SentenceModel, Tokenizer]:
    sentence = teacher.sentence if isinstance(teacher, VectorTeacher) else None
    if settings.student is not None:
        folder = resolve_folder(settings.student)
        if find_foreign_family(folder) is not None:
            raise SettingsError(
                f"student = {settings.student} is of a family that transformers alone can run, and "
                "can't be trained here; accepted: a model of Limbeck's own families"
            )
        model = SentenceModel.from_pretrained(folder)
        own_pooling = (folder / "modules.json").is_file()
        return _dress(settings, model, sentence, keep_pooling=own_pooling), (
            AutoTokenizer.from_pretrained(folder)
        )
    if not isinstance(teacher, VectorTeacher):
        raise SettingsError(
            f"the teacher {settings.teacher} is a cross-encoder, which gives no vectors to start "
            "from; give student=MODEL, an encoder"
        )
    whole = teacher.load_model()
    if isinstance(whole.encoder, ForeignModel):
        raise SettingsError(
            f"the teacher {settings.teacher} is of a family that transformers alone can run, so "
            "that no student can be made of its layers; give student=MODEL"
        )
    assert isinstance(whole.encoder, Model)
    methods = settings.start or (
        KeepLayersSettings(layers=settings.layers, num_student_layers=settings.num_student_layers),
    )
    encoder = start_student(whole.encoder, methods)
    model = SentenceModel(encoder, whole.config.on_width(encoder.config.hidden_size))
    if model.config == whole.config:
        model.head.load_state_dict(whole.head.state_dict())
    return _dress(settings, model, sentence, keep_pooling=True), teacher.tokenizer


def _dress(
    settings: DistillEmbeddingsSettings,
    model: SentenceModel,
    teacher: SentenceConfig | None,
    *,
    keep_pooling: bool,
) -> SentenceModel:
    """Returns the student with the pooling and the norm that are asked for, or its teacher's."""
    config = model.config
    pooling = config.pooling
    if settings.pooling is not None:
        pooling = replace(pooling, modes=(settings.pooling,))
    elif not keep_pooling and teacher is not None and len(teacher.pooling.modes) == 1:
        pooling = teacher.pooling
    normalize = settings.normalize
    if normalize is None:
        normalize = teacher is None or _ends_in_norm(teacher)
    layers = config.layers
    if _ends_in_norm(config) and not normalize:
        layers = layers[:-1]
    elif normalize and not _ends_in_norm(config):
        layers = (*layers, NormalizeConfig())
    # What it learned from may be shorter than what it will read: passages after sentences.
    limit = max(settings.max_length, config.max_seq_length or 0)
    changed = replace(config, pooling=pooling, layers=layers, max_seq_length=limit)
    return _with_layers(model, changed)


def _with_layers(model: SentenceModel, config: SentenceConfig) -> SentenceModel:
    """Returns the same encoder under another head, its weights taken over by place."""
    if config.pooling.modes != model.config.pooling.modes and _dense_places(model.config):
        raise SettingsError(
            f"pooling = '{config.pooling.modes[0]}', but the student has a dense layer that is "
            f"used to {', '.join(model.config.pooling.modes)}; leave pooling out"
        )
    found = SentenceModel(model.encoder, config)
    found.head.load_state_dict(model.head.state_dict(), strict=False)
    return found


def _choose_projection(
    settings: DistillEmbeddingsSettings, teacher: Teacher, width: int, losses: dict[str, Loss]
) -> Projection | None:
    """Returns what makes widths equal, None where nothing compares vector with vector.

    Raises:
        SettingsError: If what is asked for can't, or nothing needs it.
    """
    given = settings.projection
    if not isinstance(teacher, VectorTeacher) or not any(
        isinstance(loss, VectorLoss) for loss in losses.values()
    ):
        if given is not None:
            raise SettingsError(
                f"projection = '{given}' makes vectors as wide as the teacher's, but "
                f"{', '.join(losses)} compare none with the teacher's; leave it out"
            )
        return None
    wide = teacher.sentence.width
    if width == wide:
        if given is not None:
            raise SettingsError(
                f"projection = '{given}', but both models' vectors have {width} numbers; leave it "
                "out"
            )
        return None
    if given == "pca" and width > wide:
        raise SettingsError(
            f"projection = 'pca' makes the teacher's {wide} numbers fewer, but the student has "
            f"{width}; accepted: dense, learned"
        )
    return given or ("pca" if width < wide else "dense")


def _add_dense(config: SentenceConfig, width: int) -> SentenceConfig:
    config = replace(config, truncate_dim=None)  # the layer takes whole vectors, and narrows them
    dense = DenseConfig(
        in_features=config.width, out_features=width, bias=False, activation="Identity"
    )
    layers = config.layers
    if _ends_in_norm(config):
        return replace(config, layers=(*layers[:-1], dense, layers[-1]))
    return replace(config, layers=(*layers, dense))


def _ends_in_norm(config: SentenceConfig) -> bool:
    return bool(config.layers) and isinstance(config.layers[-1], NormalizeConfig)


def _dense_places(config: SentenceConfig) -> list[int]:
    return [i for i, layer in enumerate(config.layers) if isinstance(layer, DenseConfig)]
