"""The strings that break tokenizers, and the kinds of folder they are tried on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NASTY = json.loads((HERE / "nasty_strings.json").read_text(encoding="utf-8"))
TEXTS: dict[str, str] = NASTY["texts"]
NOT_UNICODE: dict[str, str] = NASTY["not_unicode"]

# Name of a kind of folder -> what its tokenizer_config.json says.
KINDS: dict[str, dict[str, Any]] = {
    "uncased": {"do_lower_case": True, "tokenizer_class": "BertTokenizer"},
    "cased": {"do_lower_case": False, "tokenizer_class": "BertTokenizer", "model_max_length": 64},
    "multilingual": {
        "do_lower_case": False,
        "tokenize_chinese_chars": True,
        "strip_accents": False,
        "tokenizer_class": "BertTokenizerFast",
    },
    "uncased-with-accents": {
        "do_lower_case": True,
        "strip_accents": False,
        "tokenizer_class": "BertTokenizer",
    },
    "cased-without-accents": {
        "do_lower_case": False,
        "strip_accents": True,
        "tokenizer_class": "BertTokenizer",
    },
    "whole-chinese-words": {
        "do_lower_case": True,
        "tokenize_chinese_chars": False,
        "tokenizer_class": "BertTokenizer",
    },
    "distilbert": {"do_lower_case": True, "tokenizer_class": "DistilBertTokenizer"},
    "left": {
        "tokenizer_class": "BertTokenizer",
        "padding_side": "left",
        "truncation_side": "left",
    },
    "split-special": {"tokenizer_class": "BertTokenizer", "split_special_tokens": True},
    "cleaned-up": {"tokenizer_class": "BertTokenizer", "clean_up_tokenization_spaces": True},
    "added": {
        "tokenizer_class": "BertTokenizer",
        "extra_special_tokens": ["<e1>", "</e1>"],
        "model_max_length": 128,
    },
}
