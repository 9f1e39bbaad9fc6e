"""SNLI: does a caption entail (0) a sentence, leave it open (1) or contradict it (2)?

Pairs on which the annotators did not agree have no label (-1), and are left out.

Source:
    Bowman et al., "A Large Annotated Corpus for Learning Natural Language Inference", EMNLP 2015.
"""

from __future__ import annotations

from limbeck.tasks._classification import define_classification

TASK = define_classification(
    hub="hf://stanfordnlp/snli",
    text_column="premise",
    text_pair_column="hypothesis",
    labels=("entailment", "neutral", "contradiction"),
    skip_unlabelled=True,
)
