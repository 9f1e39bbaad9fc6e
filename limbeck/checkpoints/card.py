"""The model card: a model folder's README.md, with its evaluation results as the Hub reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from limbeck.errors import CheckpointError
from limbeck.files import write_text

CARD_NAME = "README.md"
_MARK = "<!-- Written by limbeck, which writes it anew as long as this line stands. -->"
_PIPELINE_TAGS = {
    "AutoModel": "feature-extraction",
    "AutoModelForMaskedLM": "fill-mask",
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForTokenClassification": "token-classification",
    "AutoModelForMultipleChoice": "multiple-choice",
}
_INHERITED = ("license", "license_name", "license_link", "language")


@dataclass(frozen=True, kw_only=True)
class CardScore:
    """One metric of the model in the folder.

    Attributes:
        split: The split it was measured on.
        metric: Its name, such as `accuracy`.
        value: Of this model.
        num_examples: Examples in the split.
        hub_type: The metric's identifier on the Hub, if that is another than its name.
        seed_values: The same metric of every seed that was trained, this model's among them.
    """

    split: str
    metric: str
    value: float
    num_examples: int
    hub_type: str | None = None
    seed_values: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a model card says; all of it plain values.

    Attributes:
        name: The model's name.
        summary: What it is, in a sentence or two.
        auto_class: Class that loads it, such as `AutoModelForSequenceClassification`.
        task: Name of the task that it was scored on.
        dataset: Hub id of the data set (`owner/name` or `owner/name:config`), None for local files.
        scores: What it scored, the main metric first.
        made: How it was made: word to value, a row each.
        notes: Sentences on what the scores can't tell.
        base_model: What it was trained from; in the metadata only if it is no local folder.
        tags: Besides `limbeck`.
        inherited: Licence and language, if known, by the names of the metadata.
    """

    name: str
    summary: str
    auto_class: str
    task: str
    dataset: str | None = None
    scores: Sequence[CardScore] = ()
    made: Mapping[str, str]
    notes: Sequence[str] = ()
    base_model: str | None = None
    tags: Sequence[str] = ()
    inherited: Mapping[str, Any]


def write_card(folder: Path, card: Card) -> bool:
    """Writes `README.md` into a model folder, unless one is there that Limbeck did not write.

    Returns:
        Whether it was written.

    Raises:
        CheckpointError: If the file can't be read or written.
    """
    if has_foreign_card(folder):
        return False
    path = folder / CARD_NAME
    text = f"---\n{_metadata(card).to_yaml()}\n---\n\n{_MARK}\n\n{_body(card)}"
    write_text(path, text, error=CheckpointError)
    return True


def has_foreign_card(folder: Path) -> bool:
    """Tells whether a folder has a `README.md` that Limbeck did not write, or that was edited.

    Raises:
        CheckpointError: If the file can't be read.
    """
    path = folder / CARD_NAME
    return path.exists() and _MARK not in _read(path)


def read_inherited(folder: Path) -> dict[str, Any]:
    """Returns what a model passes on to those made of it: licence and language, if its card says.

    A card that can't be understood says nothing.
    """
    path = folder / CARD_NAME
    if not path.is_file():
        return {}
    try:
        card = ModelCard(_read(path), ignore_metadata_errors=True)
        data: dict[str, Any] = card.data.to_dict()  # type: ignore[no-untyped-call]
    except (ValueError, yaml.YAMLError):
        return {}
    return {name: data[name] for name in _INHERITED if data.get(name)}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise CheckpointError(f"can't read {path}: {error.strerror or error}.") from error


def _metadata(card: Card) -> ModelCardData:
    base = card.base_model
    hub_base = None if base is None or Path(base).expanduser().exists() else base
    dataset, _, config = (card.dataset or "").partition(":")
    pipeline_tag = _PIPELINE_TAGS.get(card.auto_class)
    results = [
        EvalResult(
            task_type=pipeline_tag or "other",
            task_name=card.task,
            dataset_type=dataset or "local",
            dataset_name=card.task,
            dataset_config=config or None,
            dataset_split=score.split,
            metric_type=score.hub_type or score.metric,
            metric_name=score.metric,
            metric_value=round(score.value, 6),
        )
        for score in card.scores
    ]
    metrics = list(dict.fromkeys(result.metric_type for result in results))
    return ModelCardData(
        model_name=card.name if results else None,
        library_name="transformers",
        base_model=hub_base,
        datasets=[dataset] if dataset else None,
        metrics=metrics or None,
        pipeline_tag=pipeline_tag,
        tags=["limbeck", *card.tags],
        eval_results=results or None,
        **card.inherited,
    )


def _body(card: Card) -> str:
    parts = [f"# {_plain(card.name)}", _plain(card.summary)]
    if card.scores:
        parts += [f"## Results on {_plain(card.task)}", _score_table(card.scores)]
        parts += [_plain(note) for note in card.notes]
    made = [f"| {_plain(name)} | {_plain(value)} |" for name, value in card.made.items()]
    parts += ["## How it was made", "\n".join(["| What | Value |", "| --- | --- |", *made])]
    parts += ["## Use", _usage(card.auto_class)]
    return "\n\n".join(parts) + "\n"


def _score_table(scores: Sequence[CardScore]) -> str:
    has_seeds = any(len(score.seed_values) > 1 for score in scores)
    head = ["Split", "Metric", "This model", "Examples"]
    head += ["Seeds", "Median over seeds", "Lowest to highest"] if has_seeds else []
    rows = []
    for score in scores:
        row = [score.split, score.metric.replace("_", " "), f"{score.value:.4f}"]
        row.append(f"{score.num_examples:,}")
        if has_seeds:
            values = score.seed_values or (score.value,)
            row += [
                str(len(values)),
                f"{median(values):.4f}",
                f"{min(values):.4f} to {max(values):.4f}",
            ]
        rows.append(row)
    rule = ["---", "---", *["---:"] * (len(head) - 2)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def _usage(auto_class: str) -> str:
    return "\n".join(
        [
            "```python",
            f"from transformers import {auto_class}, AutoTokenizer  # or: from limbeck",
            "",
            f'model = {auto_class}.from_pretrained("FOLDER_OR_HUB_ID")',
            'tokenizer = AutoTokenizer.from_pretrained("FOLDER_OR_HUB_ID")',
            "```",
        ]
    )


def _plain(text: str) -> str:
    """Returns text that stays in its cell and is not read as HTML."""
    return text.replace("\n", " ").replace("|", r"\|").replace("<", "&lt;")
