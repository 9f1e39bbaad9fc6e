"""Batches of examples of about the same length, in an order that the seed and epoch decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from limbeck.data.by_length import batches_by_length, shuffled_by_length
from limbeck.tasks._base import Task
from limbeck.tasks._encoded import EncodedExamples
from limbeck.tasks._examples import TaskBatch


def collate(
    task: Task, examples: EncodedExamples, chosen: Sequence[int], *, pad_token_id: int
) -> TaskBatch:
    """Pads some of the examples, all with a label or all without, to the longest of them.

    Args:
        task: Knows what its labels look like.
        examples: All of them.
        chosen: Which ones.
        pad_token_id: Fills the end of shorter rows.
    """
    ids, lengths = examples.input_ids.pad(chosen, fill=pad_token_id)
    types = examples.token_type_ids
    mask = np.arange(ids.shape[-1]) < lengths[..., None]
    labels = [examples.labels[i] for i in chosen]
    is_labelled = all(label is not None for label in labels)
    input_ids = torch.from_numpy(ids)
    return TaskBatch(
        input_ids=input_ids,
        attention_mask=None if mask.all() else torch.from_numpy(mask.astype(np.int64)),
        token_type_ids=None if types is None else torch.from_numpy(types.pad(chosen, fill=0)[0]),
        labels=task.label_tensor(labels, input_ids.shape) if is_labelled else None,
        num_tokens=int(lengths.sum()),
        positions=tuple(int(i) for i in chosen),
    )


class TrainBatches:
    """The steps of a training run, each a list of micro-batches.

    An epoch visits every example once; its last step may have fewer examples. Step `n` is a pure
    function of the examples, the seed and `n`, so that a resumed run goes on exactly.

    Args:
        task: Whose examples they are.
        examples: All training examples.
        batch_size: Examples in one optimiser step.
        accumulate: Micro-batches in one optimiser step.
        pad_token_id: Fills the end of shorter rows.
        seed: Decides the order.
    """

    def __init__(
        self,
        task: Task,
        examples: EncodedExamples,
        *,
        batch_size: int,
        accumulate: int,
        pad_token_id: int,
        seed: int,
    ) -> None:
        self._task = task
        self._examples = examples
        self._lengths = examples.lengths
        self._is_labelled = examples.is_labelled
        self._batch_size = batch_size
        self._accumulate = accumulate
        self._pad_token_id = pad_token_id
        self._seed = seed
        self.steps_per_epoch = -(-len(examples) // batch_size)

    def steps(self, start: int = 0) -> Iterator[list[TaskBatch]]:
        """Yields the micro-batches of step `start` and of every later one, without end."""
        epoch, position = divmod(start, self.steps_per_epoch)
        while True:
            for chosen in self.epoch_order(epoch)[position:]:
                yield self._micro_batches(chosen)
            epoch, position = epoch + 1, 0

    def epoch_order(self, epoch: int) -> list[np.ndarray]:
        """Returns the indices of the examples in each step of an epoch."""
        return shuffled_by_length(self._lengths, self._batch_size, seed=self._seed, epoch=epoch)

    def _micro_batches(self, chosen: np.ndarray) -> list[TaskBatch]:
        # Gradients add up over micro-batches, so labelled and unlabelled rows can go apart.
        parts = [
            kind
            for part in np.array_split(chosen, min(self._accumulate, len(chosen)))
            for kind in (part[self._is_labelled[part]], part[~self._is_labelled[part]])
            if len(kind)
        ]
        return [
            collate(self._task, self._examples, part.tolist(), pad_token_id=self._pad_token_id)
            for part in parts
        ]


def evaluation_batches(
    task: Task, examples: EncodedExamples, *, batch_size: int, pad_token_id: int
) -> Iterator[TaskBatch]:
    """Yields batches of all examples once, the longest first."""
    for chosen in batches_by_length(examples.lengths.tolist(), batch_size):
        yield collate(task, examples, chosen, pad_token_id=pad_token_id)
