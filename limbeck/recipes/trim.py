"""Trim a model's vocabulary to the pieces that texts use, its hidden states left as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import Field

from limbeck.checkpoints import copy_beside, read_inherited, resolve_folder
from limbeck.config import Shown
from limbeck.data import Corpus, CorpusInfo, CorpusSettings
from limbeck.data.records import read_records
from limbeck.data.sources import find_sources
from limbeck.errors import DataError
from limbeck.files import sha256_of_texts
from limbeck.methods import trim_vocabulary
from limbeck.models import AutoConfig, AutoModel, Model, ModelConfig, find_class
from limbeck.recipes._inputs import hash_inputs
from limbeck.recipes._settings import RunSettings
from limbeck.recipes._tasks.card import show_model
from limbeck.recipes._tasks.heads import find_head
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
    texts: Shown[str | tuple[str, ...]]
    """Texts whose pieces are kept: files, folders, globs or `hf://NAME`; or a corpus that was built
    with the model's tokenizer."""
    out: Shown[Path]
    """Run folder; the model is in its folder `model`."""
    min_count: Shown[int] = Field(default=1, ge=1)
    """A piece that occurs less often goes."""
    max_pieces: Shown[int | None] = Field(default=None, ge=1)
    """Keep only so many pieces, the most frequent ones; none keeps all that occur."""
    documents: Literal["block", "line", "file"] = "line"
    """What is one text in a plain text file: a line, a block between blank lines, the file."""
    text_field: str = Field(default="text", min_length=1)
    """Column that holds the text: field of a JSON line, column of a table or of a Hub data set."""

    def named_models(self) -> dict[str, str]:
        """Returns the models that the settings name, by setting."""
        return {"model": self.model}


SettingsType = TrimSettings


@dataclass(frozen=True)
class _Cut:
    """What is to be trimmed, and to which pieces."""

    folder: Path
    config: ModelConfig
    tokenizer: Tokenizer
    ids: Ids

    @classmethod
    def find(cls, settings: TrimSettings, *, progress: Progress) -> Self:
        folder = resolve_folder(settings.model)
        config, tokenizer = (
            AutoConfig.from_pretrained(folder),
            AutoTokenizer.from_pretrained(folder),
        )
        ids = trim_vocabulary.choose_rows(
            config,
            tokenizer,
            _count(settings, tokenizer, progress=progress),
            min_count=settings.min_count,
            max_pieces=settings.max_pieces,
        )
        return cls(folder, config, tokenizer, ids)

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 over the pieces that stay."""
        return sha256_of_texts([",".join(map(str, self.ids.tolist()))])

    def write(self, folder: Path) -> None:
        """Writes the model of the pieces that stay."""
        ids = self.ids.tolist()
        model = trim_vocabulary.keep_rows(self.model_type.from_pretrained(self.folder), ids)
        model.save_pretrained(folder)
        keep_pieces(self.tokenizer, ids).save_pretrained(folder)
        copy_beside(self.folder, folder)

    @property
    def sizes(self) -> dict[str, int]:
        """Pieces and parameters before and after."""
        small = trim_vocabulary.trimmed_config(self.config, self.ids.tolist())
        return {
            "num_pieces": small.vocab_size,
            "num_parameters": self._count_parameters(small),
            "num_pieces_before": self.config.vocab_size,
            "num_parameters_before": self._count_parameters(self.config),
        }

    @property
    def model_type(self) -> type[Model]:
        """The model's class, by the head that its folder names."""
        return find_class(self.config.model_type, find_head(self.folder) or AutoModel.kind)

    def _count_parameters(self, config: ModelConfig) -> int:
        with torch.device("meta"):  # shapes alone: no weight is drawn
            return self.model_type(config).num_parameters


def run(settings: TrimSettings, *, progress: Progress) -> TrimRecord:
    """Writes the model of fewer pieces, and its tokenizer, to `out/model`.

    Raises:
        CheckpointError: If the model can't be read or written.
        DataError: If the texts or the corpus can't be used.
        SettingsError: If too few pieces would be left.
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
        record = TrimRecord(model=str(folder), model_files=hash_model_files(folder), **cut.sizes)
        return record.write(settings.out)


def _make_card(settings: TrimSettings, cut: _Cut) -> Card:
    """Returns the card of the trimmed model: what it is of, and what stayed."""
    name = show_model(settings.model)
    kept = {word.capitalize(): value for word, value in _word_sizes(cut.sizes).items()}
    return Card(
        name=f"{name}, trimmed",
        summary=(
            f"{name} with the pieces that some texts use, trimmed with limbeck {__version__}. Of a "
            "text that is made up of the same pieces as before it computes the same."
        ),
        auto_class=name_class(
            cut.model_type.kind, makes_vectors=(cut.folder / "modules.json").is_file()
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
        "model": f"{settings.model}, {cut.model_type.__name__}",
        "out": str(settings.out),
        "run": describe_start(settings.out, "trim", settings, inputs=inputs),
        **_word_sizes(cut.sizes),
    }


def prepare_model(settings: TrimSettings) -> Callable[[Path], object]:
    """Checks the run, and returns what writes the model that it would make."""
    return _Cut.find(settings, progress=SilentProgress()).write


def summarise(result: TrimRecord) -> str:
    """Formats a result: what stayed of pieces and parameters."""
    sizes = _word_sizes(result.model_dump())
    return "\n".join(f"{name}: {value}" for name, value in sizes.items())


def _word_sizes(sizes: dict[str, Any]) -> dict[str, str]:
    found = {}
    for name in ("pieces", "parameters"):
        before, after = sizes[f"num_{name}_before"], sizes[f"num_{name}"]
        found[name] = f"{after:,} of {before:,}, {1 - after / before:.1%} less"
    return found


def _count(settings: TrimSettings, tokenizer: Tokenizer, *, progress: Progress) -> Ids:
    names = [settings.texts] if isinstance(settings.texts, str) else list(settings.texts)
    if len(names) == 1 and CorpusInfo.exists(Path(names[0])):
        corpus = Corpus.open(names[0])
        corpus.require_tokenizer(tokenizer)
        return corpus.token_counts
    counts: Ids = np.zeros(tokenizer.vocab_size, dtype=np.int64)
    texts = _read(names, settings, progress=progress)
    while part := list(islice(texts, _TEXTS_AT_A_TIME)):
        counts += count_pieces(tokenizer, part)
    if not counts.any():
        raise DataError(f"texts = {settings.texts!r} have no words; give some text to go by")
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
