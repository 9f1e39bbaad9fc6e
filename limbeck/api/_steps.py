"""A fine-tuning, step by step."""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterator
from pathlib import Path

from limbeck.api._results import FinetuneResult
from limbeck.errors import TrainingError
from limbeck.recipes.finetune.training import FinetuneStep
from limbeck.runs import FinetuneRecord
from limbeck.train import SignalTurns


class FinetuneSteps(Iterator[FinetuneStep]):
    """An iterator over the steps of a fine-tuning, which are made as it is asked for them.

    With `yield from` its value is the result, as that of a generator. New steps in a folder end
    those that were left there, as when a notebook's cell is run again, and go on after them.
    """

    def __init__(self, folder: Path, steps: Generator[FinetuneStep, None, FinetuneRecord]) -> None:
        earlier = _open.get(folder.resolve())
        if earlier is not None:
            earlier.close()
        _open[folder.resolve()] = self
        self.folder = folder
        self._steps = steps
        self._result: FinetuneResult | None = None
        self._signals = SignalTurns()
        # A generator that is still open when Python ends would be closed too late to save.
        weakref.finalize(self, steps.close)

    def __next__(self) -> FinetuneStep:
        """Makes the next step."""
        try:
            with self._signals.give():
                return next(self._steps)
        except StopIteration as end:
            if end.value is not None:
                self._result = FinetuneResult(self.folder, end.value)
            raise StopIteration(self._result) from None

    @property
    def result(self) -> FinetuneResult:
        """The result; the steps that are left are made first, if any.

        Raises:
            TrainingError: If the run was left before its end.
        """
        for _ in self:
            pass
        if self._result is None:
            raise TrainingError(
                f"the run in {self.folder} was left before its end; it goes on with the same call "
                f"and out={str(self.folder)!r}"
            )
        return self._result

    def close(self) -> None:
        """Ends the run where it stands, with a checkpoint from which the same call goes on."""
        with self._signals.give():
            self._steps.close()


_open: weakref.WeakValueDictionary[Path, FinetuneSteps] = weakref.WeakValueDictionary()
"""The steps that somebody still holds, by their run's folder."""
