"""Labels for causal language modelling: each position's is the token after it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from limbeck.nn.constants import IGNORE_INDEX

Ids = npt.NDArray[np.int64]


def label_next(tokens: Ids, document_ids: Ids | None = None) -> Ids:
    """Returns the token after each one; `IGNORE_INDEX` after a row's last.

    Args:
        tokens: Packed rows.
        document_ids: Where attention is confined to documents, which one each token belongs to:
            what follows in another can't be told from this one.

    Shape: all (rows, length).
    """
    labels = np.full_like(tokens, IGNORE_INDEX)
    labels[:, :-1] = tokens[:, 1:]
    if document_ids is not None:
        labels[:, :-1][document_ids[:, 1:] != document_ids[:, :-1]] = IGNORE_INDEX
    return labels
