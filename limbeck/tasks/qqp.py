"""QQP: do two questions ask the same (1) or not (0)?

Source:
    Iyer, Dandekar, Csernai, "First Quora Dataset Release: Question Pairs", 2017;
    Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from functools import partial

from limbeck.tasks._classification import ClassificationSettings, read_classification
from limbeck.tasks._glue import GlueFile
from limbeck.tasks._main_metric import ClassMetric

HUB = "hf://nyu-mll/glue:qqp"
_LABELS = ("not_duplicate", "duplicate")


class QqpSettings(ClassificationSettings):
    """The columns and labels of QQP."""

    text_column: str = "question1"
    """Column with the first text."""
    text_pair_column: str | None = "question2"
    """Column with the second text."""
    labels: tuple[str, ...] | None = _LABELS
    """The labels, in the order of the model's logits."""
    metric: ClassMetric = "accuracy_f1"
    """Main metric; GLUE's is the mean of accuracy and F1."""


SettingsType = QqpSettings
read = partial(read_classification, glue=GlueFile("QQP.tsv", _LABELS, as_numbers=True))
