"""The model card: what it says to people, and its evaluation results as the Hub reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from limbeck.checkpoints import CONFIG_NAME, read_config, write_readme
from limbeck.checkpoints.exits import EXITS_NAME
from limbeck.metrics import find_metric
from limbeck.models import AutoConfig, Kind, ModelConfig, find_foreign_family
from limbeck.report.figures import capitalise
from limbeck.report.page import Table
from limbeck.report.render import render_markdown
from limbeck.report.wording import metric_name

SENTENCE_ENCODER = "SentenceEncoder"
"""Stands for the class of a model that makes vectors of texts; sentence-transformers loads it."""
_PIPELINE_TAGS = {
    SENTENCE_ENCODER: "sentence-similarity",
    "AutoModel": "feature-extraction",
    "AutoModelForMaskedLM": "fill-mask",
    "AutoModelForCausalLM": "text-generation",
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForTokenClassification": "token-classification",
    "AutoModelForMultipleChoice": "multiple-choice",
}
# As the library's own cards have them; by the first one the Hub finds its models.
_SENTENCE_TAGS = ("sentence-transformers", "sentence-similarity", "feature-extraction")


@dataclass(frozen=True, kw_only=True)
class CardScore:
    """One metric of the model in the folder.

    Attributes:
        split: The split it was measured on.
        metric: Its name, such as `accuracy`.
        value: Of this model.
        num_examples: Examples in the split.
        seed_values: The same metric of every seed that was trained, this model's among them.
    """

    split: str
    metric: str
    value: float
    num_examples: int
    seed_values: tuple[float, ...] = ()


_SENTENCE_BACKENDS = ("onnxruntime", "openvino")
"""Engines whose exports sentence-transformers runs too."""


@dataclass(frozen=True, kw_only=True)
class ExportUse:
    """How an exported model is run.

    Attributes:
        engine: The engine that runs it here; None if none does.
        needs: What runs it elsewhere.
        file: What is run, a path within the folder.
        target: What it was exported to.
        dtype: What transformers.js calls the precision; None for what it does not load.
        reads_pairs: Whether the model reads two texts at a time.
    """

    engine: str | None
    needs: str
    file: str
    target: str
    dtype: str | None = None
    reads_pairs: bool = False


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a model card says; all of it plain values.

    Attributes:
        name: The model's name.
        summary: What it is, in a sentence or two.
        auto_class: Class that loads it, such as `AutoModelForSequenceClassification`;
            `SENTENCE_ENCODER` for one of sentence-transformers.
        task: Name of the task that it was scored on; None for a model of running text.
        dataset: Hub id of the data set (`owner/name` or `owner/name:config`), None for local files.
        scores: What it scored, the main metric first.
        made: How it was made: word to value, a row each.
        notes: Sentences on what the scores can't tell.
        base_model: What it was trained from; in the metadata only if it is no local folder.
        tags: Besides `limbeck`.
        pipeline_tag: What the Hub calls the use of the model; None for that of its class.
        inherited: Licence and language, if known, by the names of the metadata.
        tables: What else was measured.
        export: What runs it, if it is an exported model.
        own_parts: What it has that `transformers` has no place for, in words; `write_card` looks in
            the folder.
        has_exits: Whether inputs may leave early; `write_card` looks in the folder.
    """

    name: str
    summary: str
    auto_class: str
    task: str | None = None
    dataset: str | None = None
    scores: Sequence[CardScore] = ()
    made: Mapping[str, str]
    notes: Sequence[str] = ()
    base_model: str | None = None
    tags: Sequence[str] = ()
    pipeline_tag: str | None = None
    inherited: Mapping[str, Any]
    tables: Sequence[Table] = ()
    export: ExportUse | None = None
    own_parts: Sequence[str] = ()
    has_exits: bool = False

    @property
    def makes_vectors(self) -> bool:
        """Whether it is a model of sentence-transformers."""
        return self.auto_class == SENTENCE_ENCODER

    @property
    def library(self) -> str | None:
        """The library whose lines the Hub offers to load it; None where none has them.

        An exported folder has no weights that `transformers` could read, and some models have parts
        that it does not know.
        """
        if self.export is None and self.own_parts:
            return None
        if self.export is None:
            return "sentence-transformers" if self.makes_vectors else "transformers"
        if self.makes_vectors and self.export.engine in _SENTENCE_BACKENDS:
            return "sentence-transformers"
        return "transformers.js" if self.export.dtype is not None else None

    @property
    def example(self) -> tuple[str, ...]:
        """A text that such a model reads, or two."""
        if self.pipeline == "question-answering":
            return ("When does the ferry leave?", "The ferry leaves at nine and takes an hour.")
        pair = ("The ferry leaves at nine.", "At nine the ship departs.")
        return pair if self.export is not None and self.export.reads_pairs else pair[:1]

    @property
    def command(self) -> str | None:
        """What is typed to run it; None where a line of texts would not do."""
        first, *others = (f'"{text}"' for text in self.example)
        if self.makes_vectors:
            return f"limbeck embed FOLDER_OR_HUB_ID {first} --out vectors.npy"
        if self.pipeline == "question-answering":
            return f"limbeck predict FOLDER_OR_HUB_ID {others[0]} --question {first}"
        if self.pipeline not in ("text-classification", "token-classification"):
            return None
        pair = f" --text-pair {others[0]}" if others else ""
        return f"limbeck predict FOLDER_OR_HUB_ID {first}{pair}"

    @property
    def pipeline(self) -> str | None:
        """What the Hub and pipelines call the use of models of its class."""
        return self.pipeline_tag or _PIPELINE_TAGS.get(self.auto_class)


def name_class(kind: Kind, *, makes_vectors: bool) -> str:
    """Returns the class that a card says of a model.

    Args:
        kind: What stands on its encoder. One with a head is first of all that, for further
            training.
        makes_vectors: Whether its folder says how a text becomes a vector.
    """
    return SENTENCE_ENCODER if makes_vectors and not kind.has_head else kind.auto_name


def write_card(folder: Path, card: Card) -> bool:
    """Writes a card into a model folder, unless one is there that Limbeck did not write.

    Where layers differ in heads and inner neurons, it says which has how many.

    Returns:
        Whether it was written.

    Raises:
        CheckpointError: If a file can't be read or written.
    """
    card = _look_at_model(folder, card)
    made = tuple(card.made.items())
    tables = {
        "scores": _score_table(card.scores) if card.scores else None,
        "made": Table(title="How it was made", columns=("What", "Value"), rows=made),
    }
    body = render_markdown("card.md", card=card, **tables)
    return write_readme(folder, metadata=_metadata(card).to_yaml(), body=body)


def _look_at_model(folder: Path, card: Card) -> Card:
    """Returns a card with what a folder's `config.json` alone says."""
    family = read_config(folder).get("model_type") if (folder / CONFIG_NAME).is_file() else None
    if not isinstance(family, str) or find_foreign_family(folder) is not None:
        return card
    config = AutoConfig.from_pretrained(folder)
    return replace(
        card,
        own_parts=config.own_parts,
        has_exits=(folder / EXITS_NAME).is_file(),
        made={**card.made, **_shapes_of(config)},
    )


def _shapes_of(config: ModelConfig) -> dict[str, str]:
    """Returns how many heads and inner neurons each layer has, where they differ."""
    if config.layer_shapes is None:
        return {}
    heads = ", ".join(str(len(shape.heads)) for shape in config.layer_shapes)
    neurons = ", ".join(f"{shape.neurons}" for shape in config.layer_shapes)
    return {
        "Heads of each layer": f"{heads} of {config.num_attention_heads}",
        "Inner neurons of each layer": f"{neurons} of {config.intermediate_size}",
    }


def _metadata(card: Card) -> ModelCardData:
    base = card.base_model
    hub_base = None if base is None or Path(base).expanduser().exists() else base
    dataset, _, config = (card.dataset or "").partition(":")
    pipeline_tag = card.pipeline
    is_sentences = card.makes_vectors and (card.export is not None or not card.own_parts)
    results = [
        EvalResult(
            task_type=pipeline_tag or "other",
            task_name=card.task,
            dataset_type=dataset or "local",
            dataset_name=card.task or dataset,
            dataset_config=config or None,
            dataset_split=score.split,
            metric_type=_metric_type(score.metric),
            metric_name=score.metric,
            metric_value=round(score.value, 6),
        )
        for score in card.scores
    ]
    metrics = list(dict.fromkeys(result.metric_type for result in results))
    return ModelCardData(
        model_name=card.name if results else None,
        library_name=card.library,
        base_model=hub_base,
        datasets=[dataset] if dataset else None,
        metrics=metrics or None,
        pipeline_tag=pipeline_tag,
        tags=["limbeck", *card.tags, *(_SENTENCE_TAGS if is_sentences else ())],
        eval_results=results or None,
        **card.inherited,
    )


def _metric_type(name: str) -> str:
    """Returns a metric's identifier on the Hub, or its name where it is none of ours."""
    metric = find_metric(name)
    return name if metric is None else metric.hub_type


def _score_table(scores: Sequence[CardScore]) -> Table:
    has_seeds = any(len(score.seed_values) > 1 for score in scores)
    columns = ["Split", "Metric", "This model", "Examples"]
    columns += ["Seeds", "Median over seeds", "Lowest to highest"] if has_seeds else []
    rows = []
    for score in scores:
        name = capitalise(metric_name(score.metric))
        row = [score.split, name, f"{score.value:.4f}", f"{score.num_examples:,}"]
        if has_seeds:
            values = score.seed_values or (score.value,)
            ends = f"{min(values):.4f} to {max(values):.4f}"
            row += [str(len(values)), f"{median(values):.4f}", ends]
        rows.append(tuple(row))
    return Table(title="Results", columns=tuple(columns), rows=tuple(rows))
