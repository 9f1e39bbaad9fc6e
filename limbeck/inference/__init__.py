"""Running models: pipelines from text to answers, and measuring their speed."""

from __future__ import annotations

from limbeck.inference.engines import Engine, Limits, load_engine
from limbeck.inference.engines._sentence import SentenceEngine
from limbeck.inference.pipelines import find_task, pipeline
from limbeck.inference.question_answering import QuestionAnsweringPipeline
from limbeck.inference.sentence_vectors import SentenceVectorsPipeline
from limbeck.inference.text_classification import TextClassificationPipeline
from limbeck.inference.token_classification import TokenClassificationPipeline

__all__ = [
    "Engine",
    "Limits",
    "QuestionAnsweringPipeline",
    "SentenceEngine",
    "SentenceVectorsPipeline",
    "TextClassificationPipeline",
    "TokenClassificationPipeline",
    "find_task",
    "load_engine",
    "pipeline",
]
