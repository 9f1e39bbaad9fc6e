"""Joins the runs of several models on several tasks into one page."""

from limbeck.report.suite.facts import SuiteReport, TaskFacts
from limbeck.report.suite.write import write_suite_report

__all__ = ["SuiteReport", "TaskFacts", "write_suite_report"]
