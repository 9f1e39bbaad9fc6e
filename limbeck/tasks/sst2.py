"""SST-2: is a sentence of a film review negative (0) or positive (1)?

The format of GLUE: columns `sentence`, `label` and, unused, `idx`; label -1 where it is not public.

Source:
    Socher et al., "Recursive Deep Models for Semantic Compositionality Over a Sentiment
    Treebank", EMNLP 2013; Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from functools import partial

from limbeck.tasks._classification import ClassificationSettings, read_classification
from limbeck.tasks._glue import GlueFile

HUB = "hf://nyu-mll/glue:sst2"
_LABELS = ("NEGATIVE", "POSITIVE")


class SST2Settings(ClassificationSettings):
    """The columns and labels of SST-2; a data set that writes them otherwise can say so."""

    text_column: str = "sentence"
    """Column with the sentence."""
    labels: tuple[str, ...] | None = _LABELS
    """The two labels, in the order of the model's logits."""


SettingsType = SST2Settings
read = partial(read_classification, glue=GlueFile("SST-2.tsv", _LABELS, as_numbers=True))
