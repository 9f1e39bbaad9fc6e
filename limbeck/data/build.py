"""Building a corpus: records -> documents -> tokens -> shards, in bounded memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from limbeck.data._files import explain_failed_writes
from limbeck.data._silence import make_silent_progress
from limbeck.data.build_state import (
    DIGESTS_FILE,
    BuildRequest,
    BuildState,
    DigestFile,
)
from limbeck.data.documents import SPLITS, TRAIN, choose_split, digest_text, divide_text
from limbeck.data.info import (
    COUNTS_FILE,
    STATE_FILE,
    CorpusInfo,
)
from limbeck.data.records import Record, read_records
from limbeck.data.settings import CorpusSettings
from limbeck.data.shards import SplitWriter, dtype_for
from limbeck.data.sources import Source, find_sources, total_bytes
from limbeck.data.tokenising import DocumentTokeniser
from limbeck.errors import DataError
from limbeck.files import own_folder, replace_file, sha256_of

if TYPE_CHECKING:
    from limbeck.sources import MemorySource
    from limbeck.tokenizers import Tokenizer
    from limbeck.train.progress import Progress, Stage

logger = logging.getLogger(__name__)

_MUCH = 2**30  # bytes that take a second or more to read


def build_corpus(
    sources: Sequence[str | Path | MemorySource],
    *,
    tokenizer: Tokenizer,
    out: Path,
    settings: CorpusSettings | None = None,
    progress: Progress | None = None,
) -> CorpusInfo:
    """Tokenises texts into a corpus folder, or continues where an interrupted build stopped.

    Memory doesn't grow with the input, apart from 12 to 23 bytes a document with
    `settings.deduplicate`. A folder that already holds the same corpus is left as it is.

    Args:
        sources: Files, folders, globs, `hf://NAME`, or rows in memory.
        tokenizer: Tokenizer of the models to train; its files are stored with the corpus.
        out: Corpus folder; made if it doesn't exist.
        settings: How to read, divide and store; the defaults if None.
        progress: Shows bytes read (characters for a Hub data set); nothing does if None.

    Returns:
        What is in the folder, as in its corpus.json.

    Raises:
        DataError: If a source can't be found or read, a record is malformed and `on_error` is
            `raise`, there is no text, or the folder holds something else or can't be written.
        FolderInUseError: If another process builds there.
    """
    settings = settings or CorpusSettings()
    progress = progress or make_silent_progress()
    found = find_sources(sources, settings)
    if (size := total_bytes(found) or 0) >= _MUCH:
        progress.log(f"reading {size / 2**30:.1f} GiB of sources, to know them again")
    request = BuildRequest.make(
        found, settings=settings, tokenizer_fingerprint=tokenizer.fingerprint
    )
    out = Path(out)
    finished = _read_finished(out, request)
    if finished is not None and not (out / STATE_FILE).exists():
        return finished  # without a lock: it may lie where nothing can be written
    _require_room(out)
    with explain_failed_writes(out), own_folder(out, work="limbeck corpus build", error=None):
        finished = _read_finished(out, request)
        if finished is None:
            build = _Build(
                out, tokenizer=tokenizer, settings=settings, state=_prepare(out, request)
            )
            try:
                total = total_bytes(found)
                unit = "characters" if total is None else "bytes"
                with progress.stage("building the corpus", total=total, unit=unit) as stage:
                    build.read(found, stage=stage)
                finished = build.finish()
            finally:
                build.close()
        _remove_state(out)
    return finished


def _read_finished(out: Path, request: BuildRequest) -> CorpusInfo | None:
    """Returns what a finished corpus of this very request holds; None if there is none."""
    if not CorpusInfo.exists(out):
        return None
    info = CorpusInfo.read(out)
    request.require_same(BuildRequest.of(info), folder=out)
    return info


def _require_room(out: Path) -> None:
    """Refuses a folder with something else in it; what is hidden, as locks are, does not count."""
    if not out.exists() or (out / STATE_FILE).exists():
        return
    if not out.is_dir() or any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise DataError(
            f"{out} exists and is not a corpus; give a new or an empty folder for the corpus"
        )


def _prepare(out: Path, request: BuildRequest) -> BuildState:
    """Returns the state to continue from, written at once so that the folder is known as ours."""
    _require_room(out)
    if BuildState.exists(out):
        state = BuildState.read(out)
        if state.writers:
            request.require_same(state.request, folder=out)
            return state
    return BuildState(request=request).write(out, error=None)


def _remove_state(out: Path) -> None:
    for name in (STATE_FILE, DIGESTS_FILE):
        (out / name).unlink(missing_ok=True)


class _Build:
    """One build under way."""

    def __init__(
        self, folder: Path, *, tokenizer: Tokenizer, settings: CorpusSettings, state: BuildState
    ) -> None:
        self._folder = folder
        self._tokenizer = tokenizer
        self._settings = settings
        self._state = state
        self._counters = {"characters": 0, "duplicates": 0, "empty": 0, "malformed": 0}
        self._counters.update(state.counters)
        self._digests = DigestFile(folder, state)
        self._dtype = dtype_for(tokenizer.vocab_size)
        self._writers = {name: self._make_writer(name) for name in SPLITS}
        self._tokeniser = DocumentTokeniser(
            tokenizer, writers=self._writers, batch_characters=settings.batch_characters
        )
        self._saved_at = time.monotonic()
        tokenizer.save_pretrained(folder)

    def read(self, sources: Sequence[Source], *, stage: Stage) -> None:
        """Reads all sources from where the state stands."""
        done = sources[: self._state.source]
        stage.advance(sum(source.num_bytes or 0 for source in done))
        by_bytes = total_bytes(sources) is not None
        for source in sources[self._state.source :]:
            position = 0
            for record in read_records(source, self._settings, start=self._state.record):
                self._take(record)
                self._state.record = record.number
                stage.advance(record.num_bytes_read - position if by_bytes else len(record.text))
                position = record.num_bytes_read
                if time.monotonic() - self._saved_at >= self._settings.save_every_seconds:
                    self._save()
                    stage.update(**self._totals())
            if by_bytes:
                stage.advance((source.num_bytes or 0) - position)
            self._state.source, self._state.record = self._state.source + 1, 0
        self._tokeniser.flush()
        stage.update(**self._totals())

    def finish(self) -> CorpusInfo:
        """Closes the shards and writes corpus.json, which makes the corpus complete."""
        splits = {name: writer.finish() for name, writer in self._writers.items()}
        counters = self._count_all()
        self._require_text(counters)
        counts = np.stack([self._writers[name].token_counts for name in SPLITS])
        with (
            replace_file(self._folder / COUNTS_FILE, error=None) as temporary,
            temporary.open("wb") as stream,
        ):
            np.save(stream, counts.astype("<i8"))
        info = CorpusInfo(
            vocab_size=self._tokenizer.vocab_size,
            tokenizer_fingerprint=self._state.request.tokenizer_fingerprint,
            separator_id=self._tokenizer.separator_id,
            dtype=self._dtype,
            splits=splits,
            num_characters=counters["characters"],
            num_duplicates=counters["duplicates"],
            num_empty=counters["empty"],
            num_malformed=counters["malformed"],
            token_counts_sha256=sha256_of(self._folder / COUNTS_FILE),
            sources=self._state.request.sources,
            settings=self._state.request.settings,
        )
        self._remove_other_shards(info)
        info.write(self._folder, error=None)  # `explain_failed_writes` has more to say
        return info

    def close(self) -> None:
        """Closes files that an error left open."""
        for writer in self._writers.values():
            writer.close()

    def _remove_other_shards(self, info: CorpusInfo) -> None:
        """Removes the shards of interrupted builds that were begun anew elsewhere."""
        names = {shard.name for split in info.splits.values() for shard in split.shards}
        for split in SPLITS:
            for path in self._folder.glob(f"{split}-*.bin"):
                if path.name.partition(".")[0] not in names:
                    path.unlink()

    def _make_writer(self, split: str) -> SplitWriter:
        writer = SplitWriter(
            self._folder,
            split,
            dtype=self._dtype,
            shard_tokens=self._settings.shard_tokens,
            vocab_size=self._tokenizer.vocab_size,
        )
        if self._state.writers:
            writer.restore(self._state.writers[split])
        return writer

    def _take(self, record: Record) -> None:
        """Turns a record into segments for the tokenizer."""
        if record.problem:
            self._refuse_or_skip(record.problem)
            return
        for text in divide_text(record.text, max_characters=self._settings.max_document_characters):
            self._take_document(text.strip())

    def _take_document(self, text: str) -> None:
        if not text:
            self._counters["empty"] += 1
            return
        identity, side = digest_text(text)
        if self._settings.deduplicate and not self._digests.add(identity):
            self._counters["duplicates"] += 1
            return
        self._counters["characters"] += len(text)
        split = choose_split(side, heldout_ratio=self._settings.heldout_ratio)
        self._tokeniser.add(text, split=split)

    def _refuse_or_skip(self, problem: str) -> None:
        if self._settings.on_error == "raise":
            self._save()
            raise DataError(
                f"{problem}. Set on_error=skip to leave out and count such records; the build "
                "continues here"
            )
        self._counters["malformed"] += 1
        if self._counters["malformed"] <= 5:
            logger.warning("skipped %s", problem)

    def _save(self) -> None:
        """Brings everything read so far to the disk and makes it the point to continue from."""
        self._tokeniser.flush()
        self._digests.flush(self._state)
        self._state.writers = {name: writer.state() for name, writer in self._writers.items()}
        self._state.counters = self._count_all()
        self._state.write(self._folder, error=None)
        self._saved_at = time.monotonic()

    def _count_all(self) -> dict[str, int]:
        empty = self._counters["empty"] + self._tokeniser.num_empty
        return self._counters | {"empty": empty}

    def _totals(self) -> dict[str, int]:
        return {
            "documents": sum(writer.num_documents for writer in self._writers.values()),
            "tokens": sum(writer.num_tokens for writer in self._writers.values()),
        }

    def _require_text(self, counters: dict[str, int]) -> None:
        read = ", ".join(source.name for source in self._state.request.sources[:3])
        if not any(writer.num_tokens for writer in self._writers.values()):
            raise DataError(
                f"the corpus is empty: no text in {len(self._state.request.sources)} sources "
                f"({read}); {counters['empty']} empty and {counters['malformed']} "
                "malformed records"
            )
        if not self._writers[TRAIN].num_tokens:
            raise DataError(
                f"all documents of {read} went to the held-out split: "
                f"{self._writers['heldout'].num_documents} documents with heldout_ratio="
                f"{self._settings.heldout_ratio}; lower it or give more documents"
            )
