"""Joins runs into one page: what a student kept of its teacher, at what size and speed."""

from limbeck.report.distillation_page import DistillationReport, write_distillation_report
from limbeck.report.facts import Comparison, DistillationFacts, ModelFacts, Report, SeedScores
from limbeck.report.write import write_report

__all__ = [
    "Comparison",
    "DistillationFacts",
    "DistillationReport",
    "ModelFacts",
    "Report",
    "SeedScores",
    "write_distillation_report",
    "write_report",
]
