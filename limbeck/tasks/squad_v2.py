"""SQuAD 2.0: find the piece of a text that answers a question, or say that none does.

Source:
    Rajpurkar, Jia, Liang, "Know What You Don't Know: Unanswerable Questions for SQuAD", ACL 2018.
"""

from __future__ import annotations

from limbeck.tasks._definition import TaskDefinition
from limbeck.tasks._question_answering import UnanswerableSettings, read_question_answering

TASK = TaskDefinition(
    settings=UnanswerableSettings, read=read_question_answering, hub="hf://rajpurkar/squad_v2"
)
