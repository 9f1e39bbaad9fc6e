"""MNLI: does a premise entail (0) a hypothesis, leave it open (1) or contradict it (2)?

Validation and test are from the genres of the training text.
"""

from __future__ import annotations

from limbeck.tasks._mnli import define_mnli

TASK = define_mnli(split_suffix="_matched", submission="MNLI-m.tsv")
