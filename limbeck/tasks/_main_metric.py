"""What `task_options.metric` accepts: of each kind of predictions, the metrics that judge it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from limbeck.metrics import Answers, Classes, LabelSets, Numbers, Rankings, Tags, main_metrics_of

if TYPE_CHECKING:  # the type checker can't list a folder
    ClassMetric = str
    NumberMetric = str
    LabelSetMetric = str
    TagMetric = str
    AnswerMetric = str
    RankingMetric = str
else:
    ClassMetric = Literal[main_metrics_of(Classes)]
    NumberMetric = Literal[main_metrics_of(Numbers)]
    LabelSetMetric = Literal[main_metrics_of(LabelSets)]
    TagMetric = Literal[main_metrics_of(Tags)]
    AnswerMetric = Literal[main_metrics_of(Answers)]
    RankingMetric = Literal[main_metrics_of(Rankings)]
