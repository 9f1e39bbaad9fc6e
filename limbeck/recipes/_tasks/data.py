"""A task's data as one model's token ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Self

from torch import Tensor

from limbeck.checkpoints import resolve_folder
from limbeck.errors import DataError, SettingsError
from limbeck.files import sha256_of_texts
from limbeck.metrics import best_constant, load_metric
from limbeck.models import AutoConfig, ModelConfig, read_any_config
from limbeck.recipes._tasks.heads import require_head
from limbeck.recipes._tasks.predictions import Runner, predict_logits
from limbeck.recipes._tasks.settings import TaskRunSettings, TaskSettings
from limbeck.runs import TaskNames, Trivial
from limbeck.tasks import (
    EncodedExamples,
    Record,
    Task,
    read_task,
)
from limbeck.tokenizers import AutoTokenizer, Tokenizer
from limbeck.train import Progress

_HOLD_OUT = defaultdict(
    str, validation=", or hold a part of train out with task_options.validation_ratio=0.1"
)
AUGMENTED = "augmented"
"""Name of the rows that are made of the training rows, among `TaskData.examples`."""


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """A task's examples as token ids, for one model.

    Attributes:
        settings: Of the run.
        folder: The model folder.
        config: The model's configuration.
        tokenizer: The model's tokenizer.
        task: The task and its splits.
        examples: The encoded examples of the splits that the run uses.
    """

    settings: TaskRunSettings
    folder: Path
    config: ModelConfig
    tokenizer: Tokenizer
    task: Task
    examples: Mapping[str, EncodedExamples]

    @classmethod
    def read(
        cls,
        settings: TaskRunSettings,
        *,
        needed: Sequence[str],
        optional: Collection[str] = (),
        instead: Sequence[str] = (),
        use_model_labels: bool,
        any_family: bool = False,
        progress: Progress,
    ) -> Self:
        """Reads the model's configuration and tokenizer and the data, and checks that they fit.

        Args:
            settings: Of the run.
            needed: Splits that must be there.
            optional: Splits that are used if they are there.
            instead: Splits that will do where one that is needed is not there.
            use_model_labels: Whether the model's labels are the task's, where the task leaves them
                open.
            any_family: Whether the model may be one that only `transformers` can run.
            progress: Where the sizes are shown.

        Raises:
            DataError: If the data can't be used.
            MissingHeadError: If the data lack the model's labels, since its head is another task's.
            SettingsError: If the model can't take the inputs.
        """
        folder = resolve_folder(settings.model)
        config, tokenizer = read_inputs(folder, any_family=any_family)
        require_inputs(settings.max_length, config=config, tokenizer=tokenizer)
        shortage = tokenizer.describe_shortage(config.vocab_size)
        if shortage is not None:
            progress.log(f"{settings.model}: {shortage}")
        labels = list(config.id2label.values()) if use_model_labels else None
        if labels is not None and len(set(labels)) < len(labels):
            labels = None  # names that stand for two labels can't be looked up
        task = _read_task(settings, folder, labels)
        if use_model_labels:  # a new head's outputs are the task's own
            task = task.for_folder(folder)
        if instead and set(instead) <= set(task.splits) and not set(needed) <= set(task.splits):
            needed = instead
        for name in needed:
            if name not in task.splits:
                raise _lacks_split(name, settings, task)
        examples = {
            name: task.encode(split, tokenizer, max_length=settings.max_length)
            for name, split in task.splits.items()
            if name in {*needed, *optional}
        }
        for name, encoded in examples.items():
            num_full = int((encoded.lengths == settings.max_length).sum())
            cut = f", {num_full:,} of them at the limit of {settings.max_length} tokens"
            num_examples = len(task.splits[name].examples)
            progress.log(f"{task.name}: {num_examples:,} {name} examples{cut if num_full else ''}")
        return cls(
            settings=settings,
            folder=folder,
            config=config,
            tokenizer=tokenizer,
            task=task,
            examples=examples,
        )

    def predict(self, model: Runner, split: str) -> list[Record]:
        """Returns a prediction for each of a split's examples, the model in eval mode meanwhile.

        Args:
            model: The model, or an engine that runs it.
            split: Name of the split.
        """
        logits: Sequence[Tensor] = predict_logits(
            self.task,
            model,
            self.examples[split],
            batch_size=self.settings.evaluation_batch_size,
            pad_token_id=self.tokenizer.pad_token_id,
            precision=self.settings.precision,
        )
        return self.task.predict(self.task.splits[split], self.examples[split], logits)

    def score(self, records: Mapping[str, Sequence[Record]]) -> dict[str, dict[str, float] | None]:
        """Returns the metrics of each split, None for one without labels."""
        splits = self.task.splits
        return {
            name: self.task.score(splits[name], values) if splits[name].is_labelled else None
            for name, values in records.items()
        }

    def judge_trivial(self, records: Mapping[str, Sequence[Record]]) -> dict[str, Trivial]:
        """Returns of each labelled split what one and the same answer would have scored."""
        metric = load_metric(self.task.metric)
        found = {}
        for name, values in records.items():
            if not self.task.splits[name].is_labelled:
                continue
            predictions = self.task.judged(values)
            constant = best_constant(predictions, metric)
            assert constant is not None, "a task's main metric judges its predictions"
            favourite = predictions.favourite()
            found[name] = Trivial(
                answer=constant.answer,
                score=constant.score,
                favourite=None if favourite is None else str(favourite),
            )
        return found

    def require_rows_to_learn(self) -> None:
        """Refuses data of which nothing can be learned.

        Raises:
            DataError: If there are neither labelled rows nor some that a teacher labels.
        """
        if not {"train", "transfer"} & self.examples.keys():
            raise _lacks_split("train", self.settings, self.task)

    @cached_property
    def training(self) -> EncodedExamples:
        """All rows to train on: the labelled ones of `train`, then those without labels."""
        names = ("train", "transfer", AUGMENTED)
        return EncodedExamples.join([self.examples[n] for n in names if n in self.examples])

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 over the data set's encoded examples, and all that these are scored by."""
        names = [name for name in self.examples if name != AUGMENTED]
        rows = (
            repr((name, row.input_ids, row.label)) for name in names for row in self.examples[name]
        )
        return sha256_of_texts(chain(rows, *map(self._answers_beside_rows, names)))

    def _answers_beside_rows(self, split: str) -> Iterator[str]:
        """Yields the answers to examples whose rows hold them in part, cut or as token numbers."""
        examples, labels = self.task.splits[split].examples, self.examples[split].labels
        if [example.label for example in examples] != list(labels):
            yield from (repr((split, example.label)) for example in examples)

    def require_same(self, fingerprint: str | None, *, folder: Path) -> None:
        """Refuses to go on with a run whose examples were others; None is one that did not say.

        Raises:
            DataError: If they were.
        """
        if fingerprint not in (None, self.fingerprint):
            raise DataError(
                f"{folder} was begun with other examples than data = {self.settings.data!r} has "
                f"now; give another out=..., or remove {folder} to train again"
            )

    def has_vocabulary_of(self, tokenizer: Tokenizer) -> bool:
        """Tells whether another model's tokenizer gives texts the same ids."""
        return tokenizer.fingerprint == self.tokenizer.fingerprint

    def reads_alike(self, tokenizer: Tokenizer) -> bool:
        """Tells whether another model's tokenizer gives texts the same ids and token types."""
        same_names = tokenizer.model_input_names == self.tokenizer.model_input_names
        return same_names and self.has_vocabulary_of(tokenizer)

    def encode_again(self, split: str, tokenizer: Tokenizer) -> EncodedExamples:
        """Returns a split's rows as another model's tokenizer gives them."""
        if self.reads_alike(tokenizer):
            return self.examples[split]
        return self.task.encode(
            self.task.splits[split], tokenizer, max_length=self.settings.max_length
        )

    def sizes(self) -> dict[str, int]:
        """Returns how many examples each split has, and windows where those are more or fewer."""
        found: dict[str, int] = {}
        for split, encoded in self.examples.items():
            if split == AUGMENTED:
                continue
            found[f"num_{split}_examples"] = len(self.task.splits[split].examples)
            if len(encoded) != found[f"num_{split}_examples"]:
                found[f"num_{split}_windows"] = len(encoded)
        return found

    def names(self) -> TaskNames:
        """Returns what the model and the task are called in records."""
        label, role = self.settings.default_names()
        names: TaskNames = {
            "task": self.settings.task_label or self.task.name,
            "metric": self.task.metric,
            "labels": tuple(self.task.head().get("id2label", {}).values()),
            "label": self.settings.label or label,
            "role": self.settings.role or role,
            "model": self.settings.model,
        }
        if self.task.num_held_out:
            names["num_held_out"] = self.task.num_held_out
        return names


def _lacks_split(name: str, settings: TaskSettings, task: Task) -> DataError:
    return DataError(
        f"data = {settings.data!r} has no {name} split, which this run needs (it has: "
        f"{', '.join(task.splits)}); give it with data.{name}=FILE{_HOLD_OUT[name]}"
    )


def _read_task(settings: TaskSettings, folder: Path, labels: Sequence[str] | None) -> Task:
    """Reads the task; data that lack the labels of a model are the fault of another task's head."""
    read = partial(read_task, settings.task, settings.data, options=settings.task_options)
    try:
        return read(labels=labels)
    except DataError as error:
        if "task" not in settings.model_fields_set and settings.data is not None:
            raise DataError(
                f"{error} (no task was given, so that it is {settings.task}; give task=..., such "
                "as task=text_classification for texts with labels of your own)"
            ) from error
        if labels is None:
            raise
        try:
            task = read()
        except DataError:
            raise error from None
        require_head(task, folder, name=settings.model)
        raise


def read_inputs(folder: Path, *, any_family: bool = False) -> tuple[ModelConfig, Tokenizer]:
    """Reads a model's configuration, and its tokenizer giving the inputs that the model takes.

    Args:
        folder: The model folder.
        any_family: Whether the model may be one that only `transformers` can run.
    """
    config = read_any_config(folder) if any_family else AutoConfig.from_pretrained(folder)
    return config, AutoTokenizer.from_pretrained(folder).for_model(config)


def require_inputs(max_length: int, *, config: ModelConfig, tokenizer: Tokenizer) -> None:
    """Refuses inputs that the model has no embeddings for.

    Raises:
        SettingsError: If they are too long, or the tokenizer is another model's.
    """
    if not config.takes(max_length):
        raise SettingsError(
            f"max_length = {max_length}, but the model has {config.max_tokens} positions; "
            f"accepted: 8 to {config.max_tokens}"
        )
    if tokenizer.vocab_size > config.vocab_size:
        raise SettingsError(
            f"the tokenizer has {tokenizer.vocab_size} pieces, but the model embeds "
            f"{config.vocab_size}; use the tokenizer that the model was trained with"
        )
