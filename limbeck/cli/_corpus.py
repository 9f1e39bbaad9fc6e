"""`limbeck corpus`: text in, training corpus out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from limbeck.cli._common import (
    COMMON,
    Common,
    Flag,
    align,
    describe_plan,
    note,
    split_arguments,
)

if TYPE_CHECKING:
    from limbeck.data import CorpusInfo


def build_corpus_app() -> App:
    """Builds the commands under `limbeck corpus`."""
    app = App(name="corpus", help="Build a training corpus from text, or look into one.")
    app.command(build)
    app.command(info)
    return app


def build(
    *arguments: Annotated[
        str,
        Parameter(
            help="Files, folders, globs or hf://NAME, then key=value settings; --settings shows "
            "them all."
        ),
    ],
    tokenizer: Annotated[str, Parameter(help="Model folder or Hub id with the tokenizer.")],
    out: Annotated[Path, Parameter(help="Corpus folder.")],
    dry_run: Annotated[bool, Flag, Parameter(help="Show settings and sources; build nothing.")] = (
        False
    ),
    show_settings: Annotated[
        bool, Flag, Parameter(name="--settings", help="Print all settings; build nothing.")
    ] = False,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Tokenise text, JSON Lines, tables or a Hub data set into shards; goes on if interrupted."""
    from limbeck.config import dump_changes, dump_toml, read_settings
    from limbeck.data import CorpusSettings, build_corpus
    from limbeck.data.sources import find_sources, total_bytes

    sources, overrides = split_arguments(arguments)
    settings = read_settings(CorpusSettings, None, overrides)
    if show_settings:
        text = dump_toml(settings)
        common.tell(text.rstrip("\n"))
        return {"toml": text}

    from limbeck.tokenizers import AutoTokenizer

    read = AutoTokenizer.from_pretrained(tokenizer)
    if dry_run:
        found = find_sources(sources, settings)
        planned = {
            "out": str(out),
            "tokenizer": f"{tokenizer}, {read.vocab_size:,} pieces",
            "num_bytes": total_bytes(found),
            "sources": [source.name for source in found],
        }
        common.tell(*describe_plan(planned, dump_changes(settings)))
        return {"dry_run": True, "settings": settings.model_dump(mode="json"), **planned}
    try:
        built = build_corpus(
            sources,
            tokenizer=read,
            out=out,
            settings=settings,
            progress=common.progress(),
        )
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt("interrupted; the same command goes on where it was") from error
    if not built.num_tokens["heldout"] and settings.heldout_ratio:
        note(
            "No document was held out, and training needs held-out text to measure on: build again "
            f"into another folder with a heldout_ratio above {settings.heldout_ratio:g}."
        )
    return _tell_info(built, folder=out, common=common)


def info(
    folder: Annotated[Path, Parameter(help="Corpus folder.")],
    *,
    verify: Annotated[bool, Parameter(help="Compare every file with its checksum.")] = True,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Show what is in a corpus, and verify its checksums."""
    from limbeck.data import Corpus

    corpus = Corpus.open(folder)
    if verify:
        corpus.verify(progress=common.progress())
    return {**_tell_info(corpus.info, folder=folder, common=common), "verified": verify}


def _tell_info(found: CorpusInfo, *, folder: Path, common: Common) -> dict[str, Any]:
    splits = found.splits.items()
    rows = [("split", "documents", "tokens", "shards")]
    rows += [
        (name, f"{split.num_documents:,}", f"{split.num_tokens:,}", str(len(split.shards)))
        for name, split in splits
    ]
    left_out = {
        "duplicates": found.num_duplicates,
        "empty": found.num_empty,
        "malformed": found.num_malformed,
    }
    common.tell(
        *align(rows),
        f"vocabulary: {found.vocab_size:,}, tokens stored in {found.num_bytes:,} bytes",
        "left out: " + ", ".join(f"{count:,} {name}" for name, count in left_out.items()),
    )
    return {"folder": str(folder), **found.to_dict()}
