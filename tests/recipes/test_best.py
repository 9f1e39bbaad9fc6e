"""Which validation's weights a fine-tuning keeps."""

import pytest
from tiny_task import write_model

from limbeck.models import AutoModelForSequenceClassification
from limbeck.recipes.finetune.best import BestWeights


@pytest.fixture
def best(tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(
        write_model(tmp_path / "model", head=["a", "b"])
    )
    return BestWeights(model, metric="f1")


def offer(best, step, f1, *, is_near_constant=False):
    best.offer(
        best.model, step=step, epoch=step, scores={"f1": f1}, is_near_constant=is_near_constant
    )


def test_one_answer_for_all_is_not_preferred(best):
    """Of F1 on a skewed set it may have more than the first epoch that looks at its input."""
    offer(best, 1, 0.77, is_near_constant=True)
    offer(best, 2, 0.70)
    assert best.evaluation.step == 2
    offer(best, 3, 0.78, is_near_constant=True)
    assert (best.evaluation.step, best.num_without_gain) == (2, 1)
    offer(best, 4, 0.71)
    assert best.evaluation.step == 4


def test_among_answers_for_all_the_score_decides(best):
    offer(best, 1, 0.5, is_near_constant=True)
    offer(best, 2, 0.6, is_near_constant=True)
    assert best.evaluation.step == 2


def test_a_resumed_run_remembers(best):
    offer(best, 1, 0.7)
    state = best.state()
    again = BestWeights(best.model, metric="f1")
    again.restore(state)
    offer(again, 2, 0.9, is_near_constant=True)
    assert again.evaluation.step == 1
    old = {**state, "best": {k: v for k, v in state["best"].items() if k != "is_near_constant"}}
    again.restore(old)
    assert again.evaluation == best.evaluation
