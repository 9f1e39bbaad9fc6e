"""The files that GLUE's server takes: one prediction a line, under the name it expects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class GlueFile:
    r"""How a task's predictions are submitted.

    Attributes:
        name: Name of the file.
        word: Returns a prediction as the server reads it.

    Source:
        gluebenchmark.com, "FAQ", and its sample submission.

    Example:
        >>> GlueFile("RTE.tsv").write(["entailment", "not_entailment"])
        'index\tprediction\n0\tentailment\n1\tnot_entailment\n'
    """

    name: str
    word: Callable[[str], str] = str

    def write(self, predictions: Sequence[str]) -> str:
        """Returns the content of the file, from the predictions in the order of the test set."""
        lines = [f"{i}\t{self.word(prediction)}\n" for i, prediction in enumerate(predictions)]
        return "index\tprediction\n" + "".join(lines)


def number_words(*labels: str) -> Callable[[str], str]:
    """Returns how labels are written as their numbers.

    Example:
        >>> number_words("NEGATIVE", "POSITIVE")("POSITIVE")
        '1'
    """
    return lambda label: str(labels.index(label))
