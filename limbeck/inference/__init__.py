"""Running models: pipelines from text to answers, and measuring their speed."""

from __future__ import annotations

from limbeck.inference.engines import Engine, Limits, ModelFacts, load_engine
from limbeck.inference.engines._sentence import SentenceEngine
from limbeck.inference.pipelines import find_pipeline, find_task, pipeline
from limbeck.inference.pipelines.question_answering import QuestionAnsweringPipeline
from limbeck.inference.pipelines.text_classification import TextClassificationPipeline
from limbeck.inference.pipelines.token_classification import TokenClassificationPipeline
from limbeck.inference.sentence_vectors import SentenceVectorsPipeline

__all__ = [
    "Engine",
    "Limits",
    "ModelFacts",
    "QuestionAnsweringPipeline",
    "SentenceEngine",
    "SentenceVectorsPipeline",
    "TextClassificationPipeline",
    "TokenClassificationPipeline",
    "find_pipeline",
    "find_task",
    "load_engine",
    "pipeline",
]
