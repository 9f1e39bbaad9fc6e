"""From text to training batches: reading, de-duplication, tokenised shards, packing, masking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_names

if TYPE_CHECKING:
    from limbeck.data.batch import MaskedBatch
    from limbeck.data.batches import MaskedBatches
    from limbeck.data.build import build_corpus
    from limbeck.data.corpus import Corpus, TokenSplit
    from limbeck.data.info import CorpusInfo
    from limbeck.data.masking import MaskingSettings
    from limbeck.data.settings import CorpusSettings
else:  # building and inspecting a corpus needs no torch; batches do
    __getattr__ = lazy_names(
        __name__,
        {
            "batch": ["MaskedBatch"],
            "batches": ["MaskedBatches"],
            "build": ["build_corpus"],
            "corpus": ["Corpus", "TokenSplit"],
            "info": ["CorpusInfo"],
            "masking": ["MaskingSettings"],
            "settings": ["CorpusSettings"],
        },
    )

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
