"""A suite of tiny models, and what its report and its runs hold."""

import json

from limbeck.recipes.suite import SuiteSettings
from limbeck.runs import FinetuneRecord

FINETUNE = {
    "epochs": 12,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "max_length": 16,
    "log_every": 1,
    "device": "cpu",
}


def make_settings(ground, out, **changes):
    encoder = str(ground / "encoder")
    values = {
        "suite": "custom",
        "data": str(ground / "data"),
        "out": out,
        "tasks": {
            "sst2": {},
            "polarity": {
                "task": "text-classification",
                "task_options": {"text_column": "sentence", "metric": "macro_f1"},
            },
        },
        "models": {
            "whole": {"model": encoder, "role": "teacher"},
            "half": {"model": encoder, "teacher": "whole", "finetune": {"keep_layers": 1}},
            "random weights": {
                "model": encoder,
                "role": "baseline",
                "finetune": {"initialise": "random", "epochs": 1},
            },
        },
        "seeds": (0, 1),
        "finetune": FINETUNE,
        "measure": False,
    }
    return SuiteSettings.from_values({**values, **changes})


def read_report(out):
    return json.loads((out / "report/report.json").read_text())


def scores_of(out):
    """Every seed's validation score, read from the runs themselves: task, model, seed."""
    found = {}
    for path in sorted(out.glob("runs/*/*/result.json")):
        result = FinetuneRecord.read(path.parent)
        for seed in result.seeds:
            score = seed.validation[result.metric]
            found[result.task, result.label, seed.seed] = score
    return found
