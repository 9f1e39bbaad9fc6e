"""Running models: pipelines from text to answers, and measuring their speed."""

from __future__ import annotations

from limbeck.inference.pipelines import TextClassificationPipeline, pipeline

__all__ = ["TextClassificationPipeline", "pipeline"]
