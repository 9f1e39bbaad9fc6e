"""MNLI, whose two validation and two test sets are a task each.

Source:
    Williams, Nangia, Bowman, "A Broad-Coverage Challenge Corpus for Sentence Understanding through
    Inference", NAACL 2018; Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from limbeck.tasks._classification import define_classification
from limbeck.tasks._definition import TaskDefinition


def define_mnli(*, split_suffix: str, submission: str) -> TaskDefinition:
    """Returns the task of one of the two sets, by what the names of its splits end in."""
    return define_classification(
        hub="hf://nyu-mll/glue:mnli",
        split_suffix=split_suffix,
        text_column="premise",
        text_pair_column="hypothesis",
        labels=("entailment", "neutral", "contradiction"),
        submission=submission,
    )
