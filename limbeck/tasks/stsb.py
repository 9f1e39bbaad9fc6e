"""STS-B: how alike are two sentences, from 0 to 5?

Source:
    Cer et al., "SemEval-2017 Task 1", 2017; Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from functools import partial

from limbeck.tasks._regression import RegressionSettings, read_regression

HUB = "hf://nyu-mll/glue:stsb"


class StsbSettings(RegressionSettings):
    """The columns and the range of STS-B."""

    text_column: str = "sentence1"
    """Column with the first sentence."""
    text_pair_column: str | None = "sentence2"
    """Column with the second sentence."""
    minimum: float | None = 0.0
    """Smallest number that the data may have; -1 says that it is not public."""
    maximum: float | None = 5.0
    """Largest number that the data may have."""


SettingsType = StsbSettings
read = partial(read_regression, submission_name="STS-B.tsv")
