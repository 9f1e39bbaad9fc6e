"""QNLI: does a sentence answer a question (0) or not (1)?

Source:
    Rajpurkar et al., "SQuAD", EMNLP 2016; Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from functools import partial

from limbeck.tasks._classification import ClassificationSettings, read_classification
from limbeck.tasks._glue import GlueFile

HUB = "hf://nyu-mll/glue:qnli"
_LABELS = ("entailment", "not_entailment")


class QnliSettings(ClassificationSettings):
    """The columns and labels of QNLI."""

    text_column: str = "question"
    """Column with the first text."""
    text_pair_column: str | None = "sentence"
    """Column with the second text."""
    labels: tuple[str, ...] | None = _LABELS
    """The labels, in the order of the model's logits."""


SettingsType = QnliSettings
read = partial(read_classification, glue=GlueFile("QNLI.tsv", _LABELS))
