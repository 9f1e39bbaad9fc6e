"""Files that take so many rows at a time and no more: batches are run in parts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from limbeck.inference.engines._engine import Outputs
from limbeck.inference.engines._exported import ExportedEngine, IntArray


class PartsEngine(ExportedEngine):
    """Base of the engines whose files take some rows at a time, and of choices one a row."""

    rows_at_a_time: int
    """Most rows that the file takes."""

    @abstractmethod
    def compute_part(self, inputs: Mapping[str, IntArray]) -> Outputs:
        """Runs rows, no more than the file takes.

        Shape:
            inputs: (rows, tokens) each; (rows, 1, tokens) for multiple choice.
        """

    def compute_arrays(self, inputs: Mapping[str, IntArray]) -> Outputs:
        """Runs inputs, all that `limits` names, of a shape that the file takes."""
        shape = inputs["input_ids"].shape
        flat = {
            # Choices are scored each by itself, so that each may be a row.
            name: array.reshape(-1, 1, shape[-1]) if self.kind.has_choices else array
            for name, array in inputs.items()
        }
        num_rows, step = len(flat["input_ids"]), self.rows_at_a_time
        with self._lock:
            parts = [
                self.compute_part({n: array[start : start + step] for n, array in flat.items()})
                for start in range(0, num_rows, step)
            ]
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if not self.kind.has_choices:
            return found
        return {name: array.reshape(shape[:-1]) for name, array in found.items()}
