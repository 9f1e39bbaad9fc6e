"""MRPC: do two sentences of news say the same (1) or not (0)?

Source:
    Dolan, Brockett, "Automatically Constructing a Corpus of Sentential Paraphrases", IWP 2005;
    Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from functools import partial

from limbeck.tasks._classification import ClassificationSettings, read_classification
from limbeck.tasks._glue import GlueFile
from limbeck.tasks._main_metric import ClassMetric

HUB = "hf://nyu-mll/glue:mrpc"
_LABELS = ("not_equivalent", "equivalent")


class MrpcSettings(ClassificationSettings):
    """The columns and labels of MRPC."""

    text_column: str = "sentence1"
    """Column with the first text."""
    text_pair_column: str | None = "sentence2"
    """Column with the second text."""
    labels: tuple[str, ...] | None = _LABELS
    """The labels, in the order of the model's logits."""
    metric: ClassMetric = "accuracy_f1"
    """Main metric; GLUE's is the mean of accuracy and F1."""


SettingsType = MrpcSettings
read = partial(read_classification, glue=GlueFile("MRPC.tsv", _LABELS, as_numbers=True))
