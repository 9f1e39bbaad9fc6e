"""Files that were exported: which of a folder's is run, and whether it is what was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from limbeck.checkpoints.exits import holds_exits
from limbeck.checkpoints.exported import ExportInfo
from limbeck.errors import CheckpointError, MissingHeadError, SettingsError, shorten_names
from limbeck.inference.engines._engine import Engine, engine_name
from limbeck.inference.engines._facts import ModelFacts, read_facts
from limbeck.models import Kind

_SHOWN_FILES = 2  # of up to fifteen names that a file of another library's may have


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One exported file and what is known of it.

    Attributes:
        folder: The model folder.
        file: What is run, a file or, as some formats have it, a folder in it.
        precision: What it is computed in, which is the type of its weights where nothing else was
            asked for.
        facts: Those of the model.
        info: What the export wrote of itself; None where it was another library's.
    """

    folder: Path
    file: Path
    precision: str
    facts: ModelFacts
    info: ExportInfo | None


def find_files(folder: Path, engine: type[Engine]) -> dict[str, str]:
    """Returns what of a folder an engine runs: paths within the folder, and their precision.

    Raises:
        DataError: If the folder's `export.json` is damaged.
    """
    if ExportInfo.exists(folder):
        info = ExportInfo.read(folder)
        if info.engine != engine_name(engine):
            return {}
        return {next(iter(info.files)): info.precision}
    return {name: kept for name, kept in engine.files.items() if (folder / name).exists()}


def wanted_files(engine: type[Engine], *, precision: str | None) -> list[str]:
    """Returns what an engine wants of the Hub's files, those of one precision alone.

    Weights may stand in a file beside, which is called the same and `_data`.
    """
    wanted = precision or next(iter(engine.files.values()), None)
    wanted = engine.computes.get(str(wanted), wanted)
    names = [name for name, kept in engine.files.items() if kept == wanted]
    return [one for name in names for one in (name, f"{name}_data")]


def read_exported(
    folder: Path, engine: type[Engine], *, kind: Kind | None = None, precision: str | None = None
) -> Exported:
    """Finds what of a folder an engine runs, and checks that it is what was written.

    Args:
        folder: The model folder.
        engine: What is to run it.
        kind: Which head is asked for; by default the model's own.
        precision: Which of several files, or what it is computed in; by default the first file that
            the engine names, as it is.

    Raises:
        CheckpointError: If there is none, or a file is damaged.
        MissingHeadError: If the model has another head.
        SettingsError: If there is none of the precision; the message lists those there are.
    """
    files = find_files(folder, engine)
    if not files:
        raise CheckpointError(_explain_absence(folder, engine))
    wanted = engine.computes.get(str(precision), precision)
    chosen = next((name for name, of in files.items() if wanted in (None, of)), None)
    if chosen is None:
        held = dict.fromkeys(files.values())
        accepted = [*held, *(name for name, of in engine.computes.items() if of in held)]
        raise SettingsError(
            f"precision = '{precision}': {folder} holds {_list_files(files)}; accepted: "
            f"{', '.join(accepted)}, or none for the first. Another one is written by limbeck "
            "export"
        )
    info = ExportInfo.read(folder) if ExportInfo.exists(folder) else None
    if info is not None:
        changed = info.changed_file(folder)
        if changed is not None:
            state = "is missing" if not (folder / changed).exists() else "is not what was written"
            raise CheckpointError(
                f"{folder / changed} {state}: {ExportInfo.FILE_NAME} beside it has another "
                "checksum. Copy the folder again from where it came, or export the model again"
            )
    # What other libraries exported may be the encoder alone, whatever head the folder names, as of
    # most sentence models: then the file's outputs tell whether it is.
    is_below = info is None and kind is not None and not kind.has_head
    facts = read_facts(folder, info, is_below=is_below)
    if kind not in (None, facts.kind):
        name = facts.class_name or facts.kind.name
        head = (
            f"a head for {kind.name.replace('_', ' ')}" if kind.has_head else "one without a head"
        )
        raise MissingHeadError(
            f"{folder} holds an exported {name}, and {head} was asked for; accepted: an export of "
            "a model that is so"
        )
    return Exported(
        folder=folder,
        file=folder / chosen,
        precision=files[chosen] if precision is None else precision,
        facts=facts,
        info=info,
    )


def _list_files(files: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({precision})" for name, precision in files.items())


def _explain_absence(folder: Path, engine: type[Engine]) -> str:
    name = engine_name(engine)
    if ExportInfo.exists(folder):
        info = ExportInfo.read(folder)
        runs = f"engine = '{info.engine}'" if info.engine else "nothing here runs it"
        return (
            f"{folder} was exported to {info.target.replace('_', '-')}, which {name} does not run; "
            f"accepted: {runs}"
        )
    if holds_exits(folder):  # which no export keeps
        return (
            f"{folder} has early exits, which {name} does not run; accepted: engine = 'torch', or "
            "an export of the model that was given to limbeck early-exit"
        )
    known = shorten_names(engine.files, count=_SHOWN_FILES)
    others = f". Other libraries' files are found as {known}" if engine.files else ""
    return (
        f"{folder} has nothing that {name} runs. Export the model first: limbeck export {folder} "
        f"--to {engine.target} --out RUN, then give RUN/model{others}"
    )
