"""MRPC: do two sentences of news say the same (1) or not (0)?

Source:
    Dolan, Brockett, "Automatically Constructing a Corpus of Sentential Paraphrases", IWP 2005;
    Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from limbeck.tasks._classification import define_classification

TASK = define_classification(
    hub="hf://nyu-mll/glue:mrpc",
    text_column="sentence1",
    text_pair_column="sentence2",
    labels=("not_equivalent", "equivalent"),
    metric="accuracy_f1",
    submission="MRPC.tsv",
    submits_numbers=True,
)
