"""What a task is to the recipes: the base of every kind of task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from limbeck.errors import SettingsError
from limbeck.metrics import Predictions, score
from limbeck.models import AutoConfig, AutoModel, Model
from limbeck.nn import ModelOutput, at_least_float32
from limbeck.tasks._average import average_distributions, sum_weighted
from limbeck.tasks._encoded import EncodedExamples
from limbeck.tasks._examples import EncodedExample, Record, Split, TaskBatch
from limbeck.tasks._labels import align_names
from limbeck.tasks._spans import BatchSpans, Spans
from limbeck.tokenizers import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """One task with its data: everything that the recipes need to know of it.

    What is said of logits holds for every kind: (batch, ...), in float32 or wider. Where their
    last dimension runs over tokens or choices, padding has `PADDING` there.

    Attributes:
        name: The task's name in settings and reports.
        metric: The main metric: the best epoch is the one where it is highest.
        splits: The splits that the data set has, among `SPLITS`.
        labels: The labels, in the order of the logits; none for a task whose head has no names.
        num_held_out: How many examples of validation were held out of the training split.
        places: Where each label stands among a model's outputs; None if in the same order.
    """

    predictions: ClassVar[type[Predictions]]
    """What its records say, and so which metrics judge them."""
    metrics: ClassVar[tuple[str, ...] | None] = None
    """The metrics that it has; None for all that judge such predictions."""
    auto_model: ClassVar[type[AutoModel]]
    """Makes the models of the head that the task needs."""
    targets: ClassVar[Literal["categorical", "real"]] = "categorical"
    """What a row of `distributions` holds: the logits of one distribution, or plain numbers."""
    label_dim: ClassVar[int] = -1
    """Dimension of the logits over which one distribution runs."""
    is_trainable: ClassVar[bool] = True
    """Whether there is something to fine-tune; zero-shot tasks only evaluate."""
    scores_tokens: ClassVar[bool] = False
    """Whether its logits are of tokens, which `realign` lays side by side for two vocabularies."""
    losses_across: ClassVar[frozenset[str] | None] = None
    """Losses on logits that can compare those of two vocabularies; None for all."""
    problem_type: ClassVar[str | None] = None
    """What `transformers` calls the kind of problem, for heads that it has several losses for."""
    pipeline_tag: ClassVar[str | None] = None
    """What the Hub calls the use of its models; None for that of every model of the class."""

    name: str
    metric: str
    splits: Mapping[str, Split]
    labels: tuple[str, ...] = ()
    num_held_out: int = 0
    places: tuple[int, ...] | None = None

    def head(self) -> dict[str, Any]:
        """Returns what the task changes in a model's configuration: by default the labels."""
        if not self.labels:
            return {}
        return {
            "num_labels": len(self.labels),
            "id2label": dict(enumerate(self.labels)),
            "label2id": {name: i for i, name in enumerate(self.labels)},
        } | ({} if self.problem_type is None else {"problem_type": self.problem_type})

    def load_model(self, folder: Path, *, new_head: bool) -> Model:
        """Loads a model folder with this task's head.

        Args:
            folder: The model folder.
            new_head: Initialise the head from torch's generator instead of reading it.
        """
        if not new_head:
            return self.auto_model.from_pretrained(folder)
        return self.auto_model.from_pretrained(folder, new_head=True, **self.head())

    def new_model(self, folder: Path) -> Model:
        """Returns a model of the architecture in `folder` with random weights."""
        config = AutoConfig.from_pretrained(folder).replace(**self.head()).with_padding()
        return self.auto_model.from_config(config)

    @abstractmethod
    def encode(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> EncodedExamples:
        """Turns examples into token ids, at least one row an example, in their order."""

    def spans(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> Spans:
        """Returns which characters each token of the rows of `encode` covers.

        Raises:
            SettingsError: If a row of this task is no piece of text with one place for each token.
        """
        raise SettingsError(
            f"a task such as {self.name} has no one row of text for an example, so that tokens of "
            "two vocabularies can't be laid side by side; learn from logits"
        )

    def realign(self, logits: Tensor, student: BatchSpans, teacher: BatchSpans) -> Tensor:
        """Returns a teacher's logits, of its own tokens, as logits of the student's.

        Args:
            logits: As `logits` gives them.
            student: Where the student's tokens stand, on the same device.
            teacher: Where the teacher's do.
        """
        return logits

    def label_tensor(self, labels: Sequence[Any], batch_shape: torch.Size) -> Tensor:
        """Stacks the labels of a batch whose `input_ids` have the given shape."""
        return torch.tensor(labels)

    def logits(self, output: ModelOutput, batch: TaskBatch) -> Tensor:
        """Returns what predictions and losses are made from, with gradient."""
        assert output.logits is not None
        return self.in_order(at_least_float32(output.logits))

    @property
    def reads_vectors(self) -> bool:
        """Whether it goes by vectors of texts, as a sentence model makes them."""
        return False

    def logits_of(self, outputs: Mapping[str, Tensor], batch: TaskBatch) -> Tensor:
        """Returns the same of what an engine gives: named arrays, in place of a model's output."""
        return self.logits(read_outputs(outputs), batch)

    def in_order(self, scores: Tensor) -> Tensor:
        """Returns a model's scores in the order of the task's labels, both (..., labels)."""
        if self.places is None:
            return scores
        return scores.index_select(-1, torch.tensor(self.places, device=scores.device))

    def sizes(self, batch: TaskBatch) -> list[int] | None:
        """Returns how much of the last dimension of each row's logits is real; None for all."""
        return None

    def distributions(self, logits: Tensor, counted: Tensor | None) -> Tensor:
        """Returns logits as rows that soft targets compare, (rows, width); see `targets`.

        Args:
            logits: As `logits` gives them.
            counted: What `counted` gave for the batch, where the logits are.
        """
        return logits

    def average(self, logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        """Returns the logits of what several models say together: the mean of their probabilities.

        Numbers are averaged as they are. The logits of one model, given several times, come back.

        Args:
            logits: Of each model, as `logits` gives them, all of one shape.
            weights: How much each counts; they add up to 1.

        Source:
            Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, section 1: the
            arithmetic mean of an ensemble's predictions.
        """
        if self.targets == "real":
            return sum_weighted(logits, weights)
        return average_distributions(logits, weights, dim=self.label_dim)

    def counted(self, batch: TaskBatch) -> Tensor | None:
        """Returns which rows `distributions` gives of all; None for all. Shape: (rows,)."""
        return None

    def num_distributions(self, batch: TaskBatch) -> int:
        """Returns the number of rows that `distributions` gives, known from the batch alone."""
        return batch.num_examples

    @abstractmethod
    def loss_sum(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Returns the loss against a batch's labels, added up over what `loss_count` counts."""

    def loss_count(self, batch: TaskBatch) -> int:
        """Returns what the loss is averaged over: by default examples."""
        return batch.num_examples

    @abstractmethod
    def predict(
        self, split: Split, encoded: Sequence[EncodedExample], logits: Sequence[Tensor]
    ) -> list[Record]:
        """Returns one record per example: index, label, prediction and what belongs to it.

        Args:
            split: The examples.
            encoded: What `encode` gave for them.
            logits: For each of these, its row of logits without padding.
        """

    def score(self, split: Split, records: Sequence[Record]) -> dict[str, float]:
        """Returns the metrics of a labelled split from the records of `predict`."""
        found = self.judged(records)
        return {**score(found, only=self.metrics), "num_examples": len(records)}

    def judged(self, records: Sequence[Record]) -> Predictions:
        """Returns a labelled split's records of `predict` as what metrics judge."""
        return self.predictions.from_records(records, classes=self.labels)

    def details(self, split: Split, records: Sequence[Record]) -> dict[str, Any]:
        """Returns what else is worth knowing of a labelled split, such as a confusion matrix."""
        return self.judged(records).details()

    def submission(self, split: Split, records: Sequence[Record]) -> tuple[str, str] | None:
        """Returns the name and content of the file that a benchmark's scorer takes, if any."""
        return None

    def for_folder(self, folder: Path) -> Task:
        """Returns the task for a model whose folder may say how its outputs are to be read."""
        return self

    def for_model(self, labels: Sequence[str]) -> Self:
        """Returns the task for a model that has its labels, in whatever order.

        Args:
            labels: The model's, in the order of its outputs.

        Raises:
            DataError: If they are not the task's.
        """
        if not self.labels:
            return self
        places = align_names(of_model=labels, of_task=self.labels)
        return replace(self, places=None if places == sorted(places) else tuple(places))


def read_outputs(outputs: Mapping[str, Tensor]) -> ModelOutput:
    """Returns an engine's named arrays as a model's output, as far as that has the names.

    A model with a head gives its scores alone; hidden states that nobody asked for are empty. Those
    of a sentence model are called `token_embeddings`.
    """
    known = {field.name for field in fields(ModelOutput)}
    found: dict[str, Any] = {name: value for name, value in outputs.items() if name in known}
    hidden = outputs.get("token_embeddings", torch.empty(0))
    return ModelOutput(**{"last_hidden_state": hidden, **found})


PADDING = -1e4
"""Logit of what is padding: probability 0 in every precision, and finite, so that the divergence
between two models that both have it is 0 and not NaN."""


def remove_padding(task: Task, logits: Tensor, batch: TaskBatch) -> list[Tensor]:
    """Cuts a batch's logits into one tensor a row, without padding."""
    sizes = task.sizes(batch)
    if sizes is None:
        return list(logits)
    return [row[..., :size] for row, size in zip(logits, sizes, strict=True)]


def restore_padding(rows: Sequence[Tensor]) -> Tensor:
    """Stacks what `remove_padding` gave."""
    width = max(row.shape[-1] for row in rows)
    stacked = rows[0].new_full((len(rows), *rows[0].shape[:-1], width), PADDING)
    for number, row in enumerate(rows):
        stacked[number, ..., : row.shape[-1]] = row
    return stacked
