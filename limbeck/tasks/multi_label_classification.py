"""Any number of labels at once for one or two sentences: any columns, any labels."""

from __future__ import annotations

from limbeck.tasks._multi_label import MultiLabelSettings, read_multi_label

SettingsType = MultiLabelSettings
read = read_multi_label
