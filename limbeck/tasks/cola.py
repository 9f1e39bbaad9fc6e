"""CoLA: is a sentence good English (1) or not (0)?

Scored by the Matthews correlation, since most sentences are acceptable.

Source:
    Warstadt, Singh, Bowman, "Neural Network Acceptability Judgments", TACL 2019;
    Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from functools import partial

from limbeck.tasks._classification import ClassificationSettings, read_classification
from limbeck.tasks._glue import GlueFile
from limbeck.tasks._main_metric import ClassMetric

HUB = "hf://nyu-mll/glue:cola"
_LABELS = ("unacceptable", "acceptable")


class ColaSettings(ClassificationSettings):
    """The columns and labels of CoLA."""

    text_column: str = "sentence"
    """Column with the text."""
    labels: tuple[str, ...] | None = _LABELS
    """The labels, in the order of the model's logits."""
    metric: ClassMetric = "matthews_correlation"
    """Main metric; GLUE's is the Matthews correlation."""


SettingsType = ColaSettings
read = partial(read_classification, glue=GlueFile("CoLA.tsv", _LABELS, as_numbers=True))
