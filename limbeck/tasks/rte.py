"""RTE: does a first text entail a second (0) or not (1)?

Source:
    Dagan, Glickman, Magnini, "The PASCAL Recognising Textual Entailment Challenge", 2006, and its
    successors; Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from limbeck.tasks._classification import define_classification

TASK = define_classification(
    hub="hf://nyu-mll/glue:rte",
    text_column="sentence1",
    text_pair_column="sentence2",
    labels=("entailment", "not_entailment"),
    submission="RTE.tsv",
)
