"""What the page is told of a model: `model.json`, from which it makes fields and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from limbeck.errors import CheckpointError, LimbeckError
from limbeck.export._graph import Graph
from limbeck.files import read_json
from limbeck.models import SentenceModel
from limbeck.tasks import load_task
from limbeck.tokenizers import AutoTokenizer, Tokenizer

_DTYPES: Final = {"fp32": "fp32", "int8": "q8"}
"""What `transformers.js` calls a precision; it finds the file by it."""
_USUAL_LENGTH: Final = 512  # where neither model nor folder says how long a row may be
_EXAMPLES: Final[Mapping[str, list[list[str]]]] = {
    "text": [
        ["A gorgeous, witty film that I would gladly watch again."],
        ["Two hours of my life that nobody will give back to me."],
        ["The second half is better than the first, but that is not saying much."],
    ],
    "pair": [
        ["A man is playing a guitar on a stage.", "Somebody makes music."],
        ["The shop opens at nine.", "The shop is open all night."],
        ["How do I learn to swim?", "What is the best way to learn swimming?"],
    ],
    "token_classification": [
        ["Ada Lovelace met Charles Babbage in London in 1833."],
        ["The United Nations opened an office in Nairobi, said Maria Fernandez of Reuters."],
    ],
    "question_answering": [
        [
            "Who wrote the first program?",
            "Ada Lovelace lived in London. In 1843 she published the first computer program.",
        ],
        [
            "How high is the tower?",
            "The Eiffel Tower was built from 1887 to 1889, and is 330 metres high.",
        ],
    ],
    "masked_lm": [
        ["Paris is the {mask} of France."],
        ["She poured {mask} into her cup of tea."],
    ],
    "multiple_choice": [
        [
            "The glass fell from the table and",
            "broke on the floor.\nsang a song.\nwent to school by bus.",
        ]
    ],
    "encoder": [
        ["How do I reset my password?\nI can't log in any more.\nWhen does the museum open?"],
        ["A cat sleeps on the sofa.\nEin Kätzchen schläft auf dem Sofa.\nShares fell on Monday."],
    ],
}
_NO_PAGE: Final = {
    "causal_lm": "it goes on with a text, and the page has fields for answers, not for texts that "
    "grow token by token",
    "replaced_tokens": "its head tells replaced tokens from real ones, which is of use in "
    "pretraining only; fine-tune it on a task first",
}


def explain_refusal(graph: Graph) -> str | None:
    """Returns why a model has no page, or None."""
    if graph.kind.name == "encoder" and not isinstance(graph.model, SentenceModel):
        return (
            "it is a bare encoder, which answers nothing by itself; accepted: a model with a head, "
            "or a sentence model (a folder with modules.json)"
        )
    return _NO_PAGE.get(graph.kind.name)


def describe_model(graph: Graph, folder: Path, *, site: Path, precision: str) -> dict[str, Any]:
    """Returns what stands in `model.json`.

    Args:
        graph: The model.
        folder: The exported folder, with its tokenizer.
        site: The folder that is served, with model and runtime.
        precision: Type of the weights.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = graph.config
    task, num_texts = _read_task(folder)
    downloads = [p for room in ("models", "runtime") for p in (site / room).rglob("*.*")]
    return {
        "name": graph.name,
        "kind": graph.kind.name,
        "family": config.model_type,
        "num_parameters": sum(weight.numel() for weight in graph.model.parameters()),
        "precision": precision,
        "dtype": _DTYPES[precision],
        "model_bytes": sum(p.stat().st_size for p in downloads if p.suffix == ".onnx"),
        "download_bytes": sum(p.stat().st_size for p in downloads),
        "labels": [config.id2label[i] for i in range(config.num_labels)],
        "activation": _find_activation(graph),
        "num_texts": num_texts,
        "may_have_no_answer": task == "squad_v2",
        "max_tokens": _find_length(graph),
        "pad_token_id": config.pad_token_id or 0,
        "frames": {
            name: tokenizer.read_template(pair=name == "pair") for name in ("single", "pair")
        },
        "spelling": _find_spelling(folder),
        "mask_token": tokenizer.config.special_tokens.get("mask_token"),
        **_describe_sentences(graph),
        "examples": _find_examples(graph, tokenizer, num_texts=num_texts),
    }


def _read_task(folder: Path) -> tuple[str | None, int | None]:
    """Returns which task the folder remembers, and how many texts an example of it has."""
    path = folder / "limbeck.json"
    if not path.is_file():
        return None, None
    memory = read_json(path, error=CheckpointError)
    task = str(memory.get("task"))
    try:
        options = load_task(task).read_options(memory.get("task_options") or {})
    except LimbeckError:  # of a later version, or of somebody else: the page lets the reader choose
        return task, None
    is_pair = getattr(options, "text_pair_column", None) is not None
    return task, 2 if is_pair else 1


def _find_activation(graph: Graph) -> str:
    """Returns what makes scores of a classifier's logits, by the rule of its pipeline."""
    problem = graph.config.problem_type
    if problem == "regression":
        return "none"
    is_yes_or_no = problem == "multi_label_classification" or graph.config.num_labels == 1
    return "sigmoid" if is_yes_or_no else "softmax"


def _find_length(graph: Graph) -> int:
    lengths = [graph.config.max_tokens]
    if isinstance(graph.model, SentenceModel):
        lengths.append(graph.model.config.max_seq_length)
    return min((length for length in lengths if length is not None), default=_USUAL_LENGTH)


def _find_spelling(folder: Path) -> str:
    """Returns how tokens spell the beginning of a word, from which the page tells their places."""
    pipeline = read_json(folder / "tokenizer.json", error=CheckpointError)
    if pipeline["model"].get("type") == "WordPiece":
        return "wordpiece"
    return "bytes" if '"ByteLevel"' in json.dumps(pipeline["pre_tokenizer"]) else "metaspace"


def _describe_sentences(graph: Graph) -> dict[str, Any]:
    if not isinstance(graph.model, SentenceModel):
        return {}
    config = graph.model.config
    prompt = config.prompts.get(config.default_prompt_name or "", "")
    return {"prompt": prompt, "is_lowercase": config.do_lower_case}


def _find_examples(graph: Graph, tokenizer: Tokenizer, *, num_texts: int | None) -> list[list[str]]:
    kind = graph.kind.name
    if kind == "sequence_classification":
        kind = "pair" if num_texts == 2 else "text"
    mask = tokenizer.config.special_tokens.get("mask_token", "")
    return [[text.replace("{mask}", mask) for text in texts] for texts in _EXAMPLES[kind]]
