"""CoLA: is a sentence good English (1) or not (0)?

Scored by the Matthews correlation, since most sentences are acceptable.

Source:
    Warstadt, Singh, Bowman, "Neural Network Acceptability Judgments", TACL 2019;
    Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from limbeck.tasks._classification import define_classification

TASK = define_classification(
    hub="hf://nyu-mll/glue:cola",
    text_column="sentence",
    labels=("unacceptable", "acceptable"),
    metric="matthews_correlation",
    submission="CoLA.tsv",
    submits_numbers=True,
)
