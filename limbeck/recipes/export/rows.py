"""Rows that an export is compared and calibrated on: the task's, the user's, or shipped ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from limbeck.data import CorpusSettings
from limbeck.data.by_length import batches_by_length
from limbeck.data.records import read_records
from limbeck.data.sampling import take_evenly
from limbeck.data.sources import find_sources
from limbeck.errors import DataError, SettingsError
from limbeck.export import Graph
from limbeck.files import sha256_of_texts
from limbeck.recipes._tasks.data import TaskData
from limbeck.tasks import collate
from limbeck.tokenizers import Tokenizer

_SHIPPED = Path(__file__).parents[1] / "quickstart/data/text.jsonl.gz"
_MOST_TEXTS = 20_000  # looked at, of which some are taken evenly


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of one kind.

    Attributes:
        source: What they are, in words.
        batches: Inputs by name, of about the same length in a batch.
    """

    source: str
    batches: Sequence[Mapping[str, Tensor]]

    @property
    def num_rows(self) -> int:
        """How many there are."""
        return sum(len(batch["input_ids"]) for batch in self.batches)

    @property
    def num_tokens(self) -> int:
        """Mean length of a row, in tokens; of a choice where a row has several."""
        masks = [batch["attention_mask"] > 0 for batch in self.batches]
        num_rows = sum(mask.flatten(0, -2).shape[0] for mask in masks)
        return max(1, round(sum(int(mask.sum()) for mask in masks) / num_rows))


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Running text, given or shipped.

    Attributes:
        source: What it is, in words.
        texts: All of it.
        is_given: Whether the user gave it.
    """

    source: str
    texts: Sequence[str]
    is_given: bool

    @property
    def fingerprint(self) -> str:
        """The SHA-256 over them."""
        return sha256_of_texts(self.texts)


def read_texts(names: str | Sequence[str] | None, *, text_field: str) -> Texts:
    """Reads the texts of the settings, or those that come with Limbeck.

    Raises:
        DataError: If they can't be read, or are empty.
    """
    if names is None:
        return Texts(
            source="English texts that come with Limbeck", texts=_read_shipped(), is_given=False
        )
    given = [names] if isinstance(names, str) else list(names)
    texts = [text for text in _read(given, text_field=text_field) if text.strip()]
    if not texts:
        raise DataError(f"texts = {names!r} have no words; give some text to go by")
    return Texts(source=f"texts of {', '.join(given)}", texts=texts, is_given=True)


def encode_texts(
    texts: Texts, graph: Graph, tokenizer: Tokenizer, *, count: int, max_length: int
) -> Rows:
    """Returns rows of running text, as the model's head takes them: texts, pairs or choices."""
    chosen = take_evenly(texts.texts, count)
    others = [*chosen[1:], chosen[0]]
    batches = []
    for places in batches_by_length([len(text) for text in chosen], _batch_size(graph)):
        first, second = ([texts[i] for i in places] for texts in (chosen, others))
        if graph.kind.has_choices:  # each text with itself and with another after it
            first = [text for text in first for _ in range(2)]
            second = [text for pair in zip(first[::2], second, strict=True) for text in pair]
        takes_pairs = graph.kind.has_choices or graph.kind.name == "question_answering"
        encoded = tokenizer(
            first,
            second if takes_pairs else None,
            truncation="longest_first",
            max_length=max_length,
            padding="longest",
            return_tensors="pt",
        )
        rows = {name: encoded[name] for name in encoded}
        if graph.kind.has_choices:
            rows = {name: tensor.unflatten(0, (-1, 2)) for name, tensor in rows.items()}
        batches.append(_complete(rows, graph))
    return Rows(source=texts.source, batches=batches)


def take_rows(data: TaskData, split: str, graph: Graph, *, count: int) -> Rows:
    """Returns rows of a task's split, taken evenly."""
    examples, pad_token_id = data.examples[split], data.tokenizer.pad_token_id
    chosen = take_evenly(range(len(examples)), count)
    lengths = examples.lengths[chosen].tolist()
    batches = []
    for places in batches_by_length(lengths, _batch_size(graph)):
        some = [chosen[place] for place in places]
        batch = collate(data.task, examples, some, pad_token_id=pad_token_id)
        batches.append(_complete({**batch.inputs(), "attention_mask": batch.mask()}, graph))
    return Rows(source=f"{split} rows of {data.task.name}", batches=batches)


def measure_unknown(rows: Rows, tokenizer: Tokenizer) -> float:
    """Returns the share of tokens that stand for what the vocabulary can't spell."""
    try:
        unknown = tokenizer.unk_token_id
    except SettingsError:  # one that spells everything
        return 0.0
    real = torch.cat([batch["attention_mask"].flatten().bool() for batch in rows.batches])
    ids = torch.cat([batch["input_ids"].flatten() for batch in rows.batches])[real]
    return float((ids == unknown).double().mean())


def _batch_size(graph: Graph) -> int:
    """Returns how many rows are run at a time: one where each token has a score for every word."""
    return 1 if graph.kind.ties_words else 8


def _complete(inputs: Mapping[str, Tensor], graph: Graph) -> dict[str, Tensor]:
    """Returns just the inputs that the graph takes."""
    zeros = torch.zeros_like(inputs["input_ids"])
    return {name: inputs.get(name, zeros) for name in graph.input_names}


def _read(names: Sequence[str], *, text_field: str) -> Iterator[str]:
    reading = CorpusSettings(documents="line", text_field=text_field)
    num_read = 0
    for source in find_sources(names, reading):
        for record in read_records(source, reading):
            if record.problem is not None:
                raise DataError(record.problem)
            yield record.text
            num_read += 1
            if num_read == _MOST_TEXTS:
                return


def _read_shipped() -> list[str]:
    """Returns paragraphs and sentences in turn, so that there are long and short ones."""
    paragraphs = [
        paragraph
        for text in _read([str(_SHIPPED)], text_field="text")
        for paragraph in text.split("\n\n")
        if paragraph.strip()
    ]
    return [p if i % 2 else f"{p.partition('. ')[0]}." for i, p in enumerate(paragraphs)]
