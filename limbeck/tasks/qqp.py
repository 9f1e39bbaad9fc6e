"""QQP: do two questions ask the same (1) or not (0)?

Source:
    Iyer, Dandekar, Csernai, "First Quora Dataset Release: Question Pairs", 2017;
    Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from limbeck.tasks._classification import define_classification

TASK = define_classification(
    hub="hf://nyu-mll/glue:qqp",
    text_column="question1",
    text_pair_column="question2",
    labels=("not_duplicate", "duplicate"),
    metric="accuracy_f1",
    submission="QQP.tsv",
    submits_numbers=True,
)
