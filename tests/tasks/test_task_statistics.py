"""What reports resample gives the task's own score, for every task and every metric it can have."""

import json

import numpy as np
import pytest
import torch
from task_examples import EXAMPLES
from test_task_contract import make_model, write

from limbeck import listing
from limbeck.metrics import Classes, load_metric
from limbeck.report.scoring import make_statistics
from limbeck.report.statistics import resample
from limbeck.tasks import collate, load_task, read_task, remove_padding
from limbeck.tokenizers import train_wordpiece

TASKS = listing.list_names("limbeck.tasks")
HAVE_THREE_LABELS = ("mnli", "mnli_mismatched", "snli", "text_classification")


def metrics_of(name):
    """The metrics that a task's settings allow as the main one, None for its only one."""
    field = load_task(name).settings.model_fields.get("metric")
    return [None] if field is None else field.annotation.__args__


def needs_two_labels(metric):
    form = metric and load_metric(metric).form_of(Classes)
    return form is not None and form.num_labels == 2


def cases():
    for name in TASKS:
        for metric in metrics_of(name):
            if not (needs_two_labels(metric) and name in HAVE_THREE_LABELS):
                yield name, metric


@pytest.fixture(scope="module")
def tokenizer():
    return train_wordpiece(["a good bad film story the men and rain great dull"], vocab_size=90)


def predictions(task, tokenizer, *, seed):
    model = make_model(task, tokenizer)
    torch.manual_seed(seed)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    split = task.splits["validation"]
    encoded = task.encode(split, tokenizer, max_length=32)
    batch = collate(task, encoded, range(len(encoded)), pad_token_id=tokenizer.pad_token_id)
    with torch.no_grad():
        logits = task.logits(model(**batch.inputs()), batch)
    records = task.predict(split, encoded, remove_padding(task, logits, batch))
    return json.loads(json.dumps(records))  # as they come from a file


@pytest.mark.parametrize(("name", "metric"), list(cases()))
def test_statistics_give_the_tasks_score(name, metric, tmp_path, tokenizer):
    options = EXAMPLES[name].options | ({} if metric is None else {"metric": metric})
    task = read_task(name, write(tmp_path, name), options=options)
    split = task.splits["validation"]
    classes = list(task.head().get("id2label", {}).values())
    found = []
    for seed in range(4):
        records = predictions(task, tokenizer, seed=seed)
        statistics = make_statistics(records, metric=task.metric, classes=classes)
        assert statistics is not None, f"reports can't resample {task.metric} of {name}"
        expected = task.score(split, records)[task.metric]
        assert statistics.total == pytest.approx(expected, abs=1e-9)
        assert statistics.quality.shape == (len(records),)
        found.append(statistics)
    scores = resample({"model": found}, resamples=20)["model"].scores
    assert scores.shape == (4, 21)
    np.testing.assert_allclose(scores[:, 0], [statistics.total for statistics in found], atol=1e-12)
