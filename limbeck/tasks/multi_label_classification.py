"""Any number of labels at once for one or two sentences: any columns, any labels."""

from __future__ import annotations

from limbeck.tasks._definition import TaskDefinition
from limbeck.tasks._multi_label import MultiLabelSettings, read_multi_label

TASK = TaskDefinition(settings=MultiLabelSettings, read=read_multi_label)
