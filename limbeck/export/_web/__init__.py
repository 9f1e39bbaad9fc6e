"""The page that runs a model in a browser: what it is told, what runs it, and its own files."""

from limbeck.export._web.facts import describe_model, explain_refusal
from limbeck.export._web.runtime import Runtime, find_runtime

__all__ = ["Runtime", "describe_model", "explain_refusal", "find_runtime"]
