"""What a model whose weights were pruned one by one is without its zeros."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from limbeck.checkpoints import SPARSE_NAME
from limbeck.checkpoints.sparse import write_sparse
from limbeck.models import Model
from limbeck.sparsity import list_linears, measure_density


@dataclass(frozen=True)
class Stored:
    """What `limbeck export --to sparse` would make of a model.

    Attributes:
        density: Share of its layers' weights that is not zero.
        num_bytes: Size of the file.
    """

    density: float
    num_bytes: int

    @classmethod
    def of(cls, model: Model) -> Self:
        """Writes the file of a model, and throws it away."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / SPARSE_NAME
            names, head = model.architecture.names, model.kind.name
            write_sparse(path, names.write(model.state_dict(), head=head))
            return cls(density=measure_density(model), num_bytes=path.stat().st_size)


def predict_bytes(model: Model, density: float) -> int:
    """Returns about how large that file is with a share of the layers' weights left.

    A weight that is left costs a byte, and another that says where it stands; of the other matrices
    each costs one, and all else four.
    """
    matrices = sum(one.numel() for one in model.parameters() if one.ndim == 2)
    pruned = sum(linear.weight.numel() for _, _, linear in list_linears(model))
    others = model.num_parameters - matrices
    return round(2 * density * pruned) + matrices - pruned + 4 * others
