"""Joins runs into one page: what a student kept of its teacher, at what size and speed."""

from limbeck.report.facts import Comparison, Distillation, ModelFacts, Report, Scores
from limbeck.report.write import write_report

__all__ = ["Comparison", "Distillation", "ModelFacts", "Report", "Scores", "write_report"]
