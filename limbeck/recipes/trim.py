"""Trim a model's tables: pieces that no text uses, positions beyond a length, a rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self, TypedDict

import numpy as np
import torch
from pydantic import Field, field_validator

from limbeck.checkpoints import (
    copy_beside,
    read_inherited,
    require_no_exits,
    require_weights,
    resolve_folder,
)
from limbeck.config import Shown
from limbeck.data import Corpus, CorpusInfo, CorpusSettings
from limbeck.data.records import read_records
from limbeck.data.sources import find_sources
from limbeck.errors import DataError, LimbeckError, SettingsError
from limbeck.files import sha256_of_texts
from limbeck.methods import factorise_embeddings, trim_positions, trim_vocabulary
from limbeck.models import AutoConfig, AutoModel, Model, find_class
from limbeck.recipes._inputs import hash_inputs
from limbeck.recipes._loads import measure_loads, word_loads
from limbeck.recipes._settings import RunSettings
from limbeck.recipes._tasks.card import show_model
from limbeck.recipes._tasks.heads import find_head
from limbeck.recipes._tasks.memory import MEMORY_NAME, read_memory
from limbeck.report.card import Card, name_class, write_card
from limbeck.runs import (
    TrimRecord,
    describe_start,
    hash_model_files,
    require_model_files,
    start_run,
)
from limbeck.tokenizers import AutoTokenizer, Tokenizer
from limbeck.tokenizers.trimming import Ids, count_pieces, keep_pieces
from limbeck.train import Progress, SilentProgress
from limbeck.version import __version__

_TEXTS_AT_A_TIME = 1_000


class TrimSettings(RunSettings):
    """Settings of `limbeck trim`."""

    model: Shown[str]
    """Model folder or Hub id, with its tokenizer."""
    texts: Shown[str | tuple[str, ...] | None] = None
    """Texts whose pieces are kept: files, folders, globs or `hf://NAME`; or a corpus that was built
    with the model's tokenizer. None keeps all pieces."""
    out: Shown[Path]
    """Run folder; the model is in its folder `model`."""
    min_count: Shown[int] = Field(default=1, ge=0)
    """A piece that occurs less often goes; with 0 all stay, and texts only say what pieces count
    for `rank`."""
    max_pieces: Shown[int | None] = Field(default=None, ge=1)
    """Keep only so many pieces, the most frequent ones; none keeps all that occur."""
    max_tokens: Shown[int | None] = Field(default=None, ge=8)
    """Longest input that the model will take, in tokens: positions beyond it go. None keeps all."""
    rank: Shown[int | float | None] = Field(default=None, gt=0, allow_inf_nan=False)
    """Factorise the table of words: width of a narrow table beside a projection, or below 1 a share
    of the width. It is nearest to the table where pieces of `texts` are frequent. The model then
    computes something near to what it did, and can learn from that model: `limbeck finetune`."""
    documents: Literal["block", "line", "file"] = "line"
    """What is one text in a plain text file: a line, a block between blank lines, the file."""
    text_field: str = Field(default="text", min_length=1)
    """Column that holds the text: field of a JSON line, column of a table or of a Hub data set."""

    @field_validator("rank")
    @classmethod
    def _check_columns(cls, rank: float | None) -> float | None:
        return None if rank is None else factorise_embeddings.require_columns(rank)

    measure: bool = True
    """Measure the speed and memory of both models at the end."""

    def named_models(self) -> dict[str, str]:
        """Returns the models that the settings name, by setting."""
        return {"model": self.model}


SettingsType = TrimSettings


class _Sizes(TypedDict):
    """What there is before and after, as `TrimRecord` has it."""

    num_pieces: int
    num_parameters: int
    num_pieces_before: int
    num_parameters_before: int
    max_tokens: int | None
    max_tokens_before: int | None
    embedding_rank: int | None


@dataclass(frozen=True)
class _Cut:
    """What is to be trimmed, and of what.

    Attributes:
        settings: Of the run.
        folder: The model's.
        tokenizer: The model's.
        ids: Pieces that stay; None for all.
        weights: How much each of the model's pieces counts where the table is factorised; None for
            all alike.
        whole: The model, without memory for its weights.
        small: What is made of it, likewise.
    """

    settings: TrimSettings
    folder: Path
    tokenizer: Tokenizer
    ids: Ids | None
    weights: Ids | None
    whole: Model
    small: Model

    @classmethod
    def find(cls, settings: TrimSettings, *, progress: Progress) -> Self:
        _require_something(settings)
        folder = resolve_folder(settings.model)
        require_weights(folder)
        require_no_exits(folder, "they were trained on the model as it is")
        config = AutoConfig.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        _require_length_of_task(settings, folder)
        ids, weights = None, None
        if settings.texts is not None:
            counts = _count(settings, settings.texts, tokenizer, progress=progress)
            if settings.min_count > 0 or settings.max_pieces is not None:
                ids = trim_vocabulary.choose_rows(
                    config,
                    tokenizer,
                    counts,
                    min_count=settings.min_count,
                    max_pieces=settings.max_pieces,
                )
            rows = config.vocab_size
            weights = factorise_embeddings.weigh_pieces(tokenizer, counts, num_rows=rows)
        kind = find_head(folder) or AutoModel.kind
        with torch.device("meta"):  # shapes alone: no weight is drawn or read
            whole = find_class(config.model_type, kind)(config)
            small = _shrink(whole, settings, ids=ids, weights=weights)
        return cls(settings, folder, tokenizer, ids, weights, whole, small)

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 over the pieces that stay, and how they count where that matters."""
        kept = [] if self.ids is None else self.ids.tolist()
        counts = [] if self.settings.rank is None or self.weights is None else self.weights.tolist()
        lists = [kept, counts] if counts else [kept]
        return sha256_of_texts([",".join(map(str, numbers)) for numbers in lists])

    def write(self, folder: Path) -> None:
        """Writes the model without what is to go."""
        model = type(self.whole).from_pretrained(self.folder)
        small = _shrink(model, self.settings, ids=self.ids, weights=self.weights)
        small.save_pretrained(folder)
        tokenizer, length = self.tokenizer, self.settings.max_tokens
        if self.ids is not None:
            tokenizer = keep_pieces(tokenizer, self.ids.tolist())
        if length is not None:
            tokenizer = tokenizer.with_max_length(length)
        tokenizer.save_pretrained(folder)
        copy_beside(self.folder, folder, max_tokens=length)

    @property
    def sizes(self) -> _Sizes:
        """What there is before and after."""
        before, after = self.whole.config, self.small.config
        return {
            "num_pieces": after.vocab_size,
            "num_parameters": self.small.num_parameters,
            "num_pieces_before": before.vocab_size,
            "num_parameters_before": self.whole.num_parameters,
            "max_tokens": after.max_tokens,
            "max_tokens_before": before.max_tokens,
            "embedding_rank": after.embedding_rank,
        }


def _shrink(model: Model, settings: TrimSettings, *, ids: Ids | None, weights: Ids | None) -> Model:
    """Returns a model without what is to go; the given one is left as it is.

    Raises:
        SettingsError: If it has nothing of the kind, or more would go than can.
    """
    if ids is not None:
        model = trim_vocabulary.keep_rows(model, ids.tolist())
        weights = None if weights is None else weights[ids]
    if settings.max_tokens is not None:
        length = trim_positions.SettingsType(max_tokens=settings.max_tokens)
        model = trim_positions.apply(model, length)
    if settings.rank is not None:
        model = factorise_embeddings.factorise(model, settings.rank, counts=weights)
    return model


def _require_something(settings: TrimSettings) -> None:
    """Refuses settings that trim nothing, or choose among pieces of no text.

    Raises:
        SettingsError: If so.
    """
    keeps_all = settings.min_count == 0 and settings.max_pieces is None
    if settings.texts is not None and keeps_all and settings.rank is None:
        raise SettingsError(
            "min_count = 0 keeps all pieces of texts, which then matter for rank alone; give rank, "
            "or a min_count from 1"
        )
    if settings.texts is not None:
        return
    for name in ("min_count", "max_pieces"):
        if (value := getattr(settings, name)) != type(settings).model_fields[name].default:
            raise SettingsError(
                f"{name} = {value} chooses among the pieces of texts, but there are none; give "
                f"texts too, or leave {name} out"
            )
    if settings.max_tokens is None and settings.rank is None:
        raise SettingsError(
            "nothing says what is to go; give texts (whose pieces stay), max_tokens (the longest "
            "input that stays) or rank (the width of a factorised table), or several of them"
        )


def _require_length_of_task(settings: TrimSettings, folder: Path) -> None:
    """Refuses a model that could not read what it was fine-tuned to read.

    Raises:
        SettingsError: If so.
    """
    memory, length = read_memory(folder), settings.max_tokens
    if memory is not None and length is not None and length < memory.max_length:
        raise SettingsError(
            f"max_tokens = {length}, but {settings.model} was fine-tuned with max_length = "
            f"{memory.max_length}, as its {MEMORY_NAME} says; accepted: {memory.max_length} and "
            "more"
        )


def run(settings: TrimSettings, *, progress: Progress) -> TrimRecord:
    """Writes the model with smaller tables, and its tokenizer, to `out/model`.

    Raises:
        CheckpointError: If the model can't be read or written.
        DataError: If the texts or the corpus can't be used.
        SettingsError: If nothing would go, or more than can be done without.
    """
    cut = _Cut.find(settings, progress=progress)
    inputs = hash_inputs(settings.named_models(), texts=cut)
    with start_run(settings.out, "trim", settings, inputs=inputs) as run_folder:
        earlier = run_folder.finished(TrimRecord)
        if earlier is not None:
            remedy = f"remove {settings.out}, and the same command makes it again"
            require_model_files(settings.out / "model", earlier.model_files, remedy=remedy)
            progress.log(f"{settings.out} is already complete")
            return earlier
        folder = settings.out / "model"
        cut.write(folder)
        write_card(folder, _make_card(settings, cut))
        record = TrimRecord(
            model=str(folder),
            model_files=hash_model_files(folder),
            **cut.sizes,
            **(_measure(cut, folder, progress) if settings.measure else {}),
        )
        return record.write(settings.out)


def _measure(cut: _Cut, folder: Path, progress: Progress) -> dict[str, Any]:
    """Returns what both models take, measured in turns on texts of the kind that stayed.

    Where that fails it is told: what was made is not lost for it.
    """
    given = cut.settings.texts
    names = [given] if isinstance(given, str) else list(given or ())
    texts: Sequence[str] = ()
    if names and not CorpusInfo.exists(Path(names[0])):
        read = _read(names, cut.settings, progress=SilentProgress())
        texts = list(islice(read, _TEXTS_AT_A_TIME))
    try:
        before, after = measure_loads(
            cut.folder, folder, kind=cut.small.kind, texts=texts, progress=progress
        )
    except LimbeckError as error:
        progress.log(f"what both models take was not measured: {error}")
        return {}
    return {"load_before": before, "load": after}


def _make_card(settings: TrimSettings, cut: _Cut) -> Card:
    """Returns the card of the trimmed model: what it is of, and what stayed."""
    name = show_model(settings.model)
    kept = {word.capitalize(): value for word, value in _word_sizes(cut.sizes).items()}
    computes = (
        "Of a text that is made up of the same pieces as before, and no longer than it takes, it "
        "computes the same."
        if settings.rank is None
        else "Its table of words is factorised, so that it computes something near to what it did "
        "until it has learned from the model."
    )
    return Card(
        name=f"{name}, trimmed",
        summary=f"{name} with smaller tables, trimmed with limbeck {__version__}. {computes}",
        auto_class=name_class(
            cut.small.kind, makes_vectors=(cut.folder / "modules.json").is_file()
        ),
        made={"Recipe": f"limbeck trim {__version__}", "Started from": name, **kept},
        base_model=settings.model,
        inherited=read_inherited(cut.folder),
    )


def plan(settings: TrimSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it; the texts are read for that."""
    cut = _Cut.find(settings, progress=SilentProgress())
    inputs = hash_inputs(settings.named_models(), texts=cut)
    return {
        "recipe": "trim",
        "model": f"{settings.model}, {type(cut.whole).__name__}",
        "out": str(settings.out),
        "run": describe_start(settings.out, "trim", settings, inputs=inputs),
        **_word_sizes(cut.sizes),
    }


def prepare_model(settings: TrimSettings) -> Callable[[Path], object]:
    """Checks the run, and returns what writes the model that it would make."""
    return _Cut.find(settings, progress=SilentProgress()).write


def summarise(result: TrimRecord) -> str:
    """Formats a result: what stayed of pieces, positions and parameters."""
    sizes = _word_sizes(result.model_dump())
    lines = [f"{name}: {value}" for name, value in sizes.items()]
    if result.load is not None and result.load_before is not None:
        lines += word_loads(result.load_before, result.load, is_same=result.embedding_rank is None)
    return "\n".join(lines)


def _word_sizes(sizes: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for name, number in (
        ("pieces", "num_pieces"),
        ("positions", "max_tokens"),
        ("parameters", "num_parameters"),
    ):
        before, after = sizes[f"{number}_before"], sizes[number]
        if before is not None:
            found[name] = _word_size(before, after)
    rank = sizes["embedding_rank"]
    return found if rank is None else {**found, "rank of the table": f"{rank:,}"}


def _word_size(before: int, after: int) -> str:
    """Says what stayed of a number.

    Example:
        >>> _word_size(32, 12), _word_size(30_522, 30_520), _word_size(512, 512)
        ('12 of 32, 62.5% less', '30,520 of 30,522, 2 less', '512, none removed')
    """
    removed = before - after
    if not removed:
        return f"{after:,}, none removed"
    share = removed / before
    return f"{after:,} of {before:,}, {f'{removed:,}' if share < 0.0005 else f'{share:.1%}'} less"


def _count(
    settings: TrimSettings,
    texts: str | Sequence[str],
    tokenizer: Tokenizer,
    *,
    progress: Progress,
) -> Ids:
    names = [texts] if isinstance(texts, str) else list(texts)
    if len(names) == 1 and CorpusInfo.exists(Path(names[0])):
        corpus = Corpus.open(names[0])
        corpus.require_tokenizer(tokenizer)
        return corpus.token_counts
    counts: Ids = np.zeros(tokenizer.vocab_size, dtype=np.int64)
    read = _read(names, settings, progress=progress)
    while part := list(islice(read, _TEXTS_AT_A_TIME)):
        counts += count_pieces(tokenizer, part)
    if not counts.any():
        raise DataError(f"texts = {texts!r} have no words; give some text to go by")
    return counts


def _read(names: Sequence[str], settings: TrimSettings, *, progress: Progress) -> Iterator[str]:
    """Yields the texts, telling how far that has come."""
    reading = CorpusSettings(documents=settings.documents, text_field=settings.text_field)
    with progress.stage("Reading the texts", total=None, unit="texts") as stage:
        for source in find_sources(names, reading):
            for record in read_records(source, reading):
                if record.problem is not None:
                    raise DataError(record.problem)
                yield record.text
                stage.advance()
