"""Fine-tuning beside a teacher waits for the device once a step, whatever the task."""

import runpy
from pathlib import Path

import pytest
import torch
from task_examples import EXAMPLES
from test_task_contract import TASKS, make_model, options, write
from test_task_contract import tokenizer as tokenizer

from limbeck.losses import build_loss
from limbeck.objectives import LiveTeacher, TaskObjective, TaskTeacher
from limbeck.tasks import collate, read_task

WAITS = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/device_waits.py"))
TRAINED = [name for name in TASKS if name in EXAMPLES and name != "sts"]


def make_objective(task, tokenizer, rows):
    model, teacher = make_model(task, tokenizer).train(), make_model(task, tokenizer)
    on_logits = "logit_mse" if task.targets == "real" else "soft_targets"
    losses = {name: build_loss(name, {}) for name in (on_logits, "hidden_mse")}
    outputs = LiveTeacher(task, teacher, rows=rows, pad_token_id=tokenizer.pad_token_id)
    taught = TaskTeacher(config=teacher.config, outputs=outputs, losses=losses)
    return TaskObjective(task, model, teacher=taught), teacher


@pytest.mark.parametrize("name", TRAINED)
def test_a_step_waits_once(name, tokenizer, tmp_path):
    task = read_task(name, write(tmp_path, name), options=options(name))
    rows = task.encode(task.splits["train"], tokenizer, max_length=32)
    objective, teacher = make_objective(task, tokenizer, rows)
    batches = [
        collate(task, rows, part, pad_token_id=tokenizer.pad_token_id)
        for part in torch.arange(len(rows)).tensor_split(2)
    ]
    waits = WAITS["count_step_waits"](objective, batches, others=[teacher])
    assert {where.partition(" in ")[0]: n for where, n in waits.items()} == {"tolist": 1}
