"""From text to training batches: reading, de-duplication, tokenised shards, packing, masking."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from limbeck.data.batch import MaskedBatch
    from limbeck.data.batches import MaskedBatches
    from limbeck.data.build import build_corpus
    from limbeck.data.corpus import Corpus, TokenSplit
    from limbeck.data.info import CorpusInfo
    from limbeck.data.masking import MaskingSettings
    from limbeck.data.settings import CorpusSettings

__all__ = [
    "Corpus",
    "CorpusInfo",
    "CorpusSettings",
    "MaskedBatch",
    "MaskedBatches",
    "MaskingSettings",
    "TokenSplit",
    "build_corpus",
]

# Building and inspecting a corpus needs no torch; batches do. So names are imported when used.
_PLACES: Final = {
    "Corpus": "corpus",
    "CorpusInfo": "info",
    "CorpusSettings": "settings",
    "MaskedBatch": "batch",
    "MaskedBatches": "batches",
    "MaskingSettings": "masking",
    "TokenSplit": "corpus",
    "build_corpus": "build",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'limbeck.data' has no attribute '{name}'")
    return getattr(importlib.import_module(f"limbeck.data.{_PLACES[name]}"), name)
