"""Targets of an export, one public module each: formats that a model is written in.

The module's name is the target's name; its `TargetType` is all that is needed.
"""

from limbeck.export._difference import Difference, measure_difference
from limbeck.export._graph import Graph
from limbeck.export._narrowing import Narrowing
from limbeck.export._quantiser import (
    Quantiser,
    find_trained_grid,
    is_on_grid,
    require_quantisable,
)
from limbeck.export._sensitivity import (
    Sensitivity,
    find_role,
    list_modules,
    measure_sensitivity,
    time_run,
)
from limbeck.export._steps import begin_step, steps_told_to
from limbeck.export._target import (
    Calibration,
    Target,
    Written,
    list_trained,
    load_target,
    load_trained,
)
from limbeck.export._write import load_graph, write_export

__all__ = [
    "Calibration",
    "Difference",
    "Graph",
    "Narrowing",
    "Quantiser",
    "Sensitivity",
    "Target",
    "Written",
    "begin_step",
    "find_role",
    "find_trained_grid",
    "is_on_grid",
    "list_modules",
    "list_trained",
    "load_graph",
    "load_target",
    "load_trained",
    "measure_difference",
    "measure_sensitivity",
    "require_quantisable",
    "steps_told_to",
    "time_run",
    "write_export",
]
