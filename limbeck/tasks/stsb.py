"""STS-B: how alike are two sentences, from 0 to 5?

Source:
    Cer et al., "SemEval-2017 Task 1", 2017; Wang et al., "GLUE", ICLR 2019.
"""

from __future__ import annotations

from limbeck.tasks._regression import define_regression

TASK = define_regression(
    hub="hf://nyu-mll/glue:stsb",
    text_column="sentence1",
    text_pair_column="sentence2",
    minimum=0.0,
    maximum=5.0,
    submission="STS-B.tsv",
)
