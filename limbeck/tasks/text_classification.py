"""Any classification of one or two sentences: any columns, any labels."""

from __future__ import annotations

from limbeck.tasks._classification import ClassificationSettings, read_classification

SettingsType = ClassificationSettings
read = read_classification
