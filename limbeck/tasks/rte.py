"""RTE: does a first text entail a second (0) or not (1)?

Source:
    Dagan, Glickman, Magnini, "The PASCAL Recognising Textual Entailment Challenge", 2006, and its
    successors; Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from functools import partial

from limbeck.tasks._classification import ClassificationSettings, read_classification
from limbeck.tasks._glue import GlueFile

HUB = "hf://nyu-mll/glue:rte"
_LABELS = ("entailment", "not_entailment")


class RteSettings(ClassificationSettings):
    """The columns and labels of RTE."""

    text_column: str = "sentence1"
    """Column with the first text."""
    text_pair_column: str | None = "sentence2"
    """Column with the second text."""
    labels: tuple[str, ...] | None = _LABELS
    """The labels, in the order of the model's logits."""


SettingsType = RteSettings
read = partial(read_classification, glue=GlueFile("RTE.tsv", _LABELS))
