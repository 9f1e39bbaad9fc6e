"""QNLI: does a sentence answer a question (0) or not (1)?

Source:
    Rajpurkar et al., "SQuAD", EMNLP 2016; Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from limbeck.tasks._classification import define_classification

TASK = define_classification(
    hub="hf://nyu-mll/glue:qnli",
    text_column="question",
    text_pair_column="sentence",
    labels=("entailment", "not_entailment"),
    submission="QNLI.tsv",
)
