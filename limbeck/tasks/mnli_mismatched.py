"""MNLI mismatched: does a premise entail (0) a hypothesis, leave it open (1) or contradict it (2)?

Validation and test are from other genres than the training text.

Source:
    Williams, Nangia, Bowman, "A Broad-Coverage Challenge Corpus for Sentence Understanding through
    Inference", NAACL 2018; Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from limbeck.tasks._classification import ClassificationSettings, read_classification
from limbeck.tasks._glue import GlueFile

HUB = "hf://nyu-mll/glue:mnli"
_LABELS = ("entailment", "neutral", "contradiction")


class MnliMismatchedSettings(ClassificationSettings):
    """The columns and labels of MNLI."""

    split_suffix: ClassVar[str] = "_mismatched"

    text_column: str = "premise"
    """Column with the first text."""
    text_pair_column: str | None = "hypothesis"
    """Column with the second text."""
    labels: tuple[str, ...] | None = _LABELS
    """The labels, in the order of the model's logits."""


SettingsType = MnliMismatchedSettings
read = partial(read_classification, glue=GlueFile("MNLI-mm.tsv", _LABELS))
