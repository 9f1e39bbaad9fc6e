"""Sentence models: an encoder and what makes one vector of a text's hidden states.

On disk they are folders of sentence-transformers, which loads what is written here, and whose
folders are read: `modules.json`, and a numbered folder for each module after the encoder.
"""

from limbeck.models._sentence.config import (
    DOCUMENT_PROMPTS,
    QUERY_PROMPTS,
    DenseConfig,
    NormalizeConfig,
    PoolingConfig,
    SentenceConfig,
    find_prompt,
)
from limbeck.models._sentence.folder import (
    carry_sentence_files,
    read_sentence_config,
    read_sentence_head,
)
from limbeck.models._sentence.head import SentenceHead
from limbeck.models._sentence.model import SentenceModel

__all__ = [
    "DOCUMENT_PROMPTS",
    "QUERY_PROMPTS",
    "DenseConfig",
    "NormalizeConfig",
    "PoolingConfig",
    "SentenceConfig",
    "SentenceHead",
    "SentenceModel",
    "carry_sentence_files",
    "find_prompt",
    "read_sentence_config",
    "read_sentence_head",
]
