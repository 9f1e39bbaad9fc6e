"""SQuAD 1.1: find the piece of a text that answers a question.

Reads SQuAD's JSON files and any in their format, or rows with `id`, `context`, `question` and
`answers`.

Source:
    Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text", EMNLP 2016.
"""

from __future__ import annotations

from limbeck.tasks._definition import TaskDefinition
from limbeck.tasks._question_answering import QuestionAnsweringSettings, read_question_answering

TASK = TaskDefinition(
    settings=QuestionAnsweringSettings, read=read_question_answering, hub="hf://rajpurkar/squad"
)
