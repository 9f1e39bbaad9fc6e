"""WNLI: does a sentence with its pronoun replaced follow (1) from the first or not (0)?

Adversarial: its validation set repeats training sentences with the other label, so that a constant
guess (56.3 %) beats most trained models.

Source:
    Levesque, Davis, Morgenstern, "The Winograd Schema Challenge", KR 2012;
    Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from functools import partial

from limbeck.tasks._classification import ClassificationSettings, read_classification
from limbeck.tasks._glue import GlueFile

HUB = "hf://nyu-mll/glue:wnli"
_LABELS = ("not_entailment", "entailment")


class WnliSettings(ClassificationSettings):
    """The columns and labels of WNLI."""

    text_column: str = "sentence1"
    """Column with the first text."""
    text_pair_column: str | None = "sentence2"
    """Column with the second text."""
    labels: tuple[str, ...] | None = _LABELS
    """The labels, in the order of the model's logits."""


SettingsType = WnliSettings
read = partial(read_classification, glue=GlueFile("WNLI.tsv", _LABELS, as_numbers=True))
