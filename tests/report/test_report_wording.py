"""Claims in words, against the figures that they may be made from."""

import pytest

from limbeck.inference.speed import Quartiles
from limbeck.report.wording import speed_clause


@pytest.mark.parametrize(
    ("ratios", "words"),
    [
        ([0.9, 1.48, 1.5, 1.57, 1.6, 1.63, 1.9], "1.57 times as fast at batch 1"),  # one noisy
        ([0.9, 0.92, 0.98, 1.57, 1.6, 1.63, 1.9], "not measurably faster at batch 1"),
        ([0.7, 0.8, 1.0, 1.0, 1.0, 1.1, 1.2], "not measurably faster at batch 1"),
        ([0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 1.3], "slower at batch 1 (0.80 times the speed)"),
    ],
)
def test_quartiles_decide_what_is_called_faster(ratios, words):
    assert speed_clause(Quartiles.of(ratios)) == words
