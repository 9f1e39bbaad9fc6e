"""Any number said of one or two sentences: any columns, any range."""

from __future__ import annotations

from limbeck.tasks._regression import define_regression

TASK = define_regression()
