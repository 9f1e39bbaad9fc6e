"""What the losses against a text's own tokens share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from limbeck.losses._views import Compared
from limbeck.nn.constants import IGNORE_INDEX


def sum_of_cross_entropy(seen: Compared) -> Tensor:
    """Returns the sum over rows of logits of the labels' negative log-likelihood, in nats."""
    return F.cross_entropy(
        seen.student.logits, seen.labels, ignore_index=IGNORE_INDEX, reduction="sum"
    )
