"""What is exported: the students, and the model itself, which needs no training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from limbeck.export import Graph
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.compress.candidates import Candidate
from limbeck.recipes.compress.costs.shapes import Shape, count_shape
from limbeck.recipes.compress.trimming import list_vocabularies
from limbeck.recipes.compress.vocabulary import Vocabulary
from limbeck.recipes.export.rows import take_rows
from limbeck.recipes.finetune.data import trained_config
from limbeck.recipes.finetune.forecast import take_sample
from limbeck.recipes.finetune.training import save_model, start_model


@dataclass(frozen=True, kw_only=True)
class Source:
    """A model that is there in torch once it is trained.

    Attributes:
        name: What tables call it.
        how: How it is made, in words.
        shape: Its sizes.
        candidate: The student; None for the model itself.
        data: Some of the task's rows as its tokenizer gives them, training rows among them.
        write: Writes it as it is before the first step, and returns where it is.
        vocabulary: Pieces that it reads; None for all of its model's.
    """

    name: str
    how: str
    shape: Shape
    candidate: Candidate | None
    data: TaskData
    write: Callable[[Path], Path]
    vocabulary: Vocabulary | None = None


def list_sources(
    candidates: Sequence[Candidate],
    data: TaskData,
    lengths: Sequence[int],
    *,
    has_whole: bool,
) -> list[Source]:
    """Returns the students, and before them the model itself where it can be exported.

    With its whole vocabulary, and with those of its students that are trimmed.

    Args:
        candidates: The students.
        data: The teacher's, or the first student's.
        lengths: Tokens of the texts whose operations are counted.
        has_whole: Whether the model is one of a family that can be exported.
    """
    found = [_of_model(data, lengths)] if has_whole else []
    found += [
        _of_trimmed(vocabulary, data, lengths)
        for vocabulary in list_vocabularies(candidates)
        if has_whole and vocabulary.model == data.settings.model
    ]
    return [*found, *(_of_candidate(candidate, data, lengths) for candidate in candidates)]


def _of_model(data: TaskData, lengths: Sequence[int]) -> Source:
    with torch.device("meta"):
        model = data.task.new_model(data.folder)
    shape = count_shape(model, lengths)
    layers = f"all {shape.num_layers} layers" if shape.num_layers > 1 else "the one layer"
    return Source(
        name=layers,
        how="the model itself, not trained again",
        shape=shape,
        candidate=None,
        data=data,
        write=lambda _: data.folder,
    )


def _of_trimmed(vocabulary: Vocabulary, data: TaskData, lengths: Sequence[int]) -> Source:
    settings = data.settings.model_copy(update={"model": str(vocabulary.draft)})
    whole = _of_model(take_sample(settings, data.task), lengths)
    return replace(
        whole,
        name=f"{whole.name}, {vocabulary.label}",
        how=f"{whole.how}; {vocabulary.how}",
        vocabulary=vocabulary,
    )


def _of_candidate(candidate: Candidate, data: TaskData, lengths: Sequence[int]) -> Source:
    settings = candidate.settings
    sample = take_sample(settings, data.task)
    config = trained_config(settings, sample).replace(**data.task.head()).with_padding()
    with torch.device("meta"):
        model = data.task.auto_model.from_config(config)

    def write(folder: Path) -> Path:
        save_model(start_model(settings, sample), settings, sample, folder)
        return folder

    return Source(
        name=candidate.name,
        how=candidate.how,
        shape=count_shape(model, lengths),
        candidate=candidate,
        data=sample,
        write=write,
        vocabulary=candidate.vocabulary,
    )


def take_calibration(source: Source, graph: Graph, *, count: int) -> Sequence[Mapping[str, Tensor]]:
    """Returns rows that ranges of activations are taken from: training rows where there are any."""
    split = "train" if "train" in source.data.examples else "validation"
    return take_rows(source.data, split, graph, count=count).batches
