"""WNLI: does a sentence with its pronoun replaced follow (1) from the first or not (0)?

Adversarial: its validation set repeats training sentences with the other label, so that a constant
guess (56.3 %) beats most trained models.

Source:
    Levesque, Davis, Morgenstern, "The Winograd Schema Challenge", KR 2012;
    Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from limbeck.tasks._classification import define_classification

TASK = define_classification(
    hub="hf://nyu-mll/glue:wnli",
    text_column="sentence1",
    text_pair_column="sentence2",
    labels=("not_entailment", "entailment"),
    submission="WNLI.tsv",
    submits_numbers=True,
)
