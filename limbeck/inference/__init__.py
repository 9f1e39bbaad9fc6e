"""Running models: pipelines from text to answers, and measuring their speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_names

if TYPE_CHECKING:
    from limbeck.inference.engines import Engine, Limits, ModelFacts, load_engine
    from limbeck.inference.engines._sentence import SentenceEngine
    from limbeck.inference.pipelines import find_pipeline, find_task, pipeline
    from limbeck.inference.pipelines.question_answering import QuestionAnsweringPipeline
    from limbeck.inference.pipelines.text_classification import TextClassificationPipeline
    from limbeck.inference.pipelines.token_classification import TokenClassificationPipeline
    from limbeck.inference.sentence_vectors import SentenceVectorsPipeline
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "engines": ["Engine", "Limits", "ModelFacts", "load_engine"],
            "engines._sentence": ["SentenceEngine"],
            "pipelines": ["find_pipeline", "find_task", "pipeline"],
            "pipelines.question_answering": ["QuestionAnsweringPipeline"],
            "pipelines.text_classification": ["TextClassificationPipeline"],
            "pipelines.token_classification": ["TokenClassificationPipeline"],
            "sentence_vectors": ["SentenceVectorsPipeline"],
        },
    )

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
