"""Tokenizers: a thin, typed face on the `tokenizers` library.

`AutoTokenizer.from_pretrained` reads a folder or a Hub repository, `Tokenizer` turns texts into
ids and back, `train_wordpiece`, `train_bpe` and `train_unigram` make a vocabulary from a corpus.
The ids are those of `transformers` for the same files.
"""

from __future__ import annotations

from limbeck.tokenizers.encoding import BatchEncoding
from limbeck.tokenizers.framing import Frame
from limbeck.tokenizers.texts import TextError
from limbeck.tokenizers.tokenizer import AutoTokenizer, Tokenizer
from limbeck.tokenizers.training import train_bpe, train_unigram, train_wordpiece

__all__ = [
    "AutoTokenizer",
    "BatchEncoding",
    "Frame",
    "TextError",
    "Tokenizer",
    "train_bpe",
    "train_unigram",
    "train_wordpiece",
]
