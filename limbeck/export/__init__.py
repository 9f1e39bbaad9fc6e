"""Targets of an export, one public module each: formats that a model is written in.

The module's name is the target's name; its `TargetType` is all that is needed.
"""

from limbeck.export._difference import Difference, measure_difference
from limbeck.export._graph import Graph
from limbeck.export._sensitivity import (
    Sensitivity,
    list_modules,
    measure_sensitivity,
    narrowed,
)
from limbeck.export._target import Calibration, Target, Written, load_target
from limbeck.export._write import export_model, load_graph

__all__ = [
    "Calibration",
    "Difference",
    "Graph",
    "Sensitivity",
    "Target",
    "Written",
    "export_model",
    "list_modules",
    "load_graph",
    "load_target",
    "measure_difference",
    "measure_sensitivity",
    "narrowed",
]
