"""Any classification of one or two sentences: any columns, any labels."""

from __future__ import annotations

from limbeck.tasks._classification import define_classification

TASK = define_classification()
