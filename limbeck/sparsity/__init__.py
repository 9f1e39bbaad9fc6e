"""Ways to prune weights, alone or as units, while a model is trained; each public module is one.

A method is settings: how masks come of weights or of trained scores, and what is added to the
objective. A `Sparsifier` puts masks on the linear layers of a model's encoder layers, and folds
them into a plain model again.
"""

from limbeck.sparsity._linears import list_linears
from limbeck.sparsity._mask import Mask, MaskedLinear
from limbeck.sparsity._settings import Sparsify, SparsitySettings, build_sparsity
from limbeck.sparsity._sparsifier import Sparsifier, measure_density, require_prunable

__all__ = [
    "Mask",
    "MaskedLinear",
    "Sparsifier",
    "Sparsify",
    "SparsitySettings",
    "build_sparsity",
    "list_linears",
    "measure_density",
    "require_prunable",
]
