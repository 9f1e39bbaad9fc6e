"""SST-2: is a sentence of a film review negative (0) or positive (1)?

The format of GLUE: columns `sentence`, `label` and, unused, `idx`; label -1 where it is not public.

Source:
    Socher et al., "Recursive Deep Models for Semantic Compositionality Over a Sentiment
    Treebank", EMNLP 2013; Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from limbeck.tasks._classification import define_classification

TASK = define_classification(
    hub="hf://nyu-mll/glue:sst2",
    text_column="sentence",
    labels=("NEGATIVE", "POSITIVE"),
    submission="SST-2.tsv",
    submits_numbers=True,
)
