"""How weights move: loop, optimiser, schedule, budget, checkpoints of a run, metrics.

Knows no loss, teacher or task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_names

if TYPE_CHECKING:
    from limbeck.train.budget import Budget
    from limbeck.train.constraint import Constraint
    from limbeck.train.formed import Formed, FormedLinear, fold_all
    from limbeck.train.interrupt import Interrupt, SignalTurns, defer_interrupts
    from limbeck.train.loop import (
        Batch,
        Objective,
        Precision,
        Prepared,
        Step,
        TrainState,
        autocast,
        choose_device,
        train_steps,
    )
    from limbeck.train.metrics import METRICS_FILE, MetricsWriter, read_metrics
    from limbeck.train.optimizer import build_adamw
    from limbeck.train.progress import Progress, SilentProgress, Stage
    from limbeck.train.ranks import Ranks
    from limbeck.train.run import TrainRun, open_run
    from limbeck.train.schedule import Schedule
    from limbeck.train.state import load_state, peek_state, save_state
    from limbeck.train.watch import StepWatch, watch_steps
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "budget": ["Budget"],
            "constraint": ["Constraint"],
            "formed": ["Formed", "FormedLinear", "fold_all"],
            "interrupt": ["Interrupt", "SignalTurns", "defer_interrupts"],
            "loop": [
                "Batch",
                "Objective",
                "Precision",
                "Prepared",
                "Step",
                "TrainState",
                "autocast",
                "choose_device",
                "train_steps",
            ],
            "metrics": ["METRICS_FILE", "MetricsWriter", "read_metrics"],
            "optimizer": ["build_adamw"],
            "progress": ["Progress", "SilentProgress", "Stage"],
            "ranks": ["Ranks"],
            "run": ["TrainRun", "open_run"],
            "schedule": ["Schedule"],
            "state": ["load_state", "peek_state", "save_state"],
            "watch": ["StepWatch", "watch_steps"],
        },
    )

__all__ = [
    "METRICS_FILE",
    "Batch",
    "Budget",
    "Constraint",
    "Formed",
    "FormedLinear",
    "Interrupt",
    "MetricsWriter",
    "Objective",
    "Precision",
    "Prepared",
    "Progress",
    "Ranks",
    "Schedule",
    "SignalTurns",
    "SilentProgress",
    "Stage",
    "Step",
    "StepWatch",
    "TrainRun",
    "TrainState",
    "autocast",
    "build_adamw",
    "choose_device",
    "defer_interrupts",
    "fold_all",
    "load_state",
    "open_run",
    "peek_state",
    "read_metrics",
    "save_state",
    "train_steps",
    "watch_steps",
]
