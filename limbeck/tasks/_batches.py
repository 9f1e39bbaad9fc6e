"""Batches of examples of about the same length, in an order that the seed and epoch decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from limbeck.tasks._base import EncodedExample, TaskBatch

# Examples are sorted by length within this many batches of a shuffled epoch: enough that little
# is padded, few enough that a batch's company changes from epoch to epoch.
_BATCHES_SORTED_TOGETHER = 50


def collate(examples: Sequence[EncodedExample], *, pad_token_id: int) -> TaskBatch:
    """Pads examples to the longest of them."""
    lengths = [len(example.input_ids) for example in examples]
    shape = (len(examples), max(lengths))
    input_ids = torch.full(shape, pad_token_id)
    mask = torch.zeros(shape, dtype=torch.int64)
    segments = None if examples[0].token_type_ids is None else torch.zeros(shape, dtype=torch.int64)
    for row, (example, length) in enumerate(zip(examples, lengths, strict=True)):
        input_ids[row, :length] = torch.tensor(example.input_ids)
        mask[row, :length] = 1
        if segments is not None and example.token_type_ids is not None:
            segments[row, :length] = torch.tensor(example.token_type_ids)
    labels = [example.label for example in examples if example.label is not None]
    return TaskBatch(
        input_ids=input_ids,
        attention_mask=None if min(lengths) == max(lengths) else mask,
        token_type_ids=segments,
        labels=torch.tensor(labels) if len(labels) == len(examples) else None,
        num_tokens=sum(lengths),
    )


class TrainBatches:
    """The steps of a training run, each a list of micro-batches.

    An epoch visits every example once; its last step may have fewer examples. Step `n` is a pure
    function of the examples, the seed and `n`, so that a resumed run goes on exactly.

    Args:
        examples: All training examples.
        batch_size: Examples in one optimiser step.
        accumulate: Micro-batches in one optimiser step.
        pad_token_id: Fills the end of shorter rows.
        seed: Decides the order.
    """

    def __init__(
        self,
        examples: Sequence[EncodedExample],
        *,
        batch_size: int,
        accumulate: int,
        pad_token_id: int,
        seed: int,
    ) -> None:
        self._examples = examples
        self._lengths = np.array([len(example.input_ids) for example in examples])
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
        random = np.random.default_rng((self._seed, epoch))
        shuffled = random.permutation(len(self._examples))
        size, steps = self._batch_size, []
        for first in range(0, len(shuffled), size * _BATCHES_SORTED_TOGETHER):
            group = shuffled[first : first + size * _BATCHES_SORTED_TOGETHER]
            group = group[np.argsort(-self._lengths[group], kind="stable")]
            steps += [group[i : i + size] for i in range(0, len(group), size)]
        return [steps[i] for i in random.permutation(len(steps))]

    def _micro_batches(self, chosen: np.ndarray) -> list[TaskBatch]:
        parts = np.array_split(chosen, min(self._accumulate, len(chosen)))
        return [
            collate([self._examples[i] for i in part], pad_token_id=self._pad_token_id)
            for part in parts
        ]


def evaluation_batches(
    examples: Sequence[EncodedExample], *, batch_size: int, pad_token_id: int
) -> Iterator[tuple[list[int], TaskBatch]]:
    """Yields (indices, batch) over all examples once, the longest first."""
    order = sorted(range(len(examples)), key=lambda i: -len(examples[i].input_ids))
    for first in range(0, len(order), batch_size):
        indices = order[first : first + batch_size]
        yield indices, collate([examples[i] for i in indices], pad_token_id=pad_token_id)
