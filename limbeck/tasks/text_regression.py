"""Any number said of one or two sentences: any columns, any range."""

from __future__ import annotations

from limbeck.tasks._regression import RegressionSettings, read_regression

SettingsType = RegressionSettings
read = read_regression
