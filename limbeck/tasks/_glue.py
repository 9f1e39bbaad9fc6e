"""The files that GLUE's server takes: one prediction a line, under the name it expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class GlueFile:
    r"""How a task's predictions are submitted.

    Attributes:
        name: Name of the file.
        labels: The labels as GLUE calls them.
        as_numbers: Whether the server reads a label's number instead of its name.

    Source:
        gluebenchmark.com, "FAQ", and its sample submission.

    Example:
        >>> GlueFile("RTE.tsv", ("entailment", "not_entailment")).write(["not_entailment"])
        'index\tprediction\n0\tnot_entailment\n'
        >>> GlueFile("SST-2.tsv", ("NEGATIVE", "POSITIVE"), as_numbers=True).write(["POSITIVE"])
        'index\tprediction\n0\t1\n'
    """

    name: str
    labels: tuple[str, ...]
    as_numbers: bool = False

    def write(self, predictions: Sequence[str]) -> str:
        """Returns the content of the file, from the predictions in the order of the test set."""
        words = {name: str(i) if self.as_numbers else name for i, name in enumerate(self.labels)}
        lines = [f"{i}\t{words[prediction]}\n" for i, prediction in enumerate(predictions)]
        return "index\tprediction\n" + "".join(lines)
