"""Files that were exported: which of a folder's is run, whether it is whole, and what runs it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from limbeck.checkpoints import CONFIG_NAME
from limbeck.checkpoints.exported import ExportInfo
from limbeck.errors import (
    CheckpointError,
    LimbeckError,
    MissingHeadError,
    SettingsError,
    require_extra,
    shorten,
)
from limbeck.inference.engines._engine import (
    VECTORS,
    Batch,
    Engine,
    Limits,
    Outputs,
    engine_name,
)
from limbeck.inference.engines._facts import ModelFacts, read_facts
from limbeck.inference.engines._pooling import needs_weights, pool
from limbeck.models import Kind

_HIDDEN: Final = "last_hidden_state"
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One exported file and what is known of it.

    Attributes:
        folder: The model folder.
        file: What is run, a file or, as some formats have it, a folder in it.
        precision: Type of its weights.
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
        precision: Which of several files; by default the first that the engine names.

    Raises:
        CheckpointError: If there is none, or a file is damaged.
        MissingHeadError: If the model has another head.
        SettingsError: If there is none of the precision; the message lists those there are.
    """
    files = find_files(folder, engine)
    if not files:
        raise CheckpointError(_explain_absence(folder, engine))
    chosen = next((name for name, of in files.items() if precision in (None, of)), None)
    if chosen is None:
        raise SettingsError(
            f"precision = '{precision}': {folder} holds {_list_files(files)}; accepted: "
            f"{', '.join(dict.fromkeys(files.values()))}, or none for the first. Another one is "
            "written by limbeck export"
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
        precision=files[chosen],
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
    target = _TARGETS.get(name, name)
    return (
        f"{folder} has nothing that {name} runs; accepted: {', '.join(engine.files) or 'an export'}"
        f". Export the model first: limbeck export {folder} --to {target} --out RUN, then give "
        "RUN/model"
    )


_TARGETS = {"onnxruntime": "onnx"}
"""Targets that are not called as the engine is."""


class ExportedEngine(Engine):
    """Base of the engines that run exported files.

    Rows are filled up to a length that the file takes, and outputs cut back.

    Args:
        exported: What is run.
        vectors: Whether vectors of texts are given, not hidden states.
        device: `auto`, `cpu`, or what else the engine knows.
        num_threads: Threads of the CPU; by default as many as there are cores.
    """

    token_buckets: tuple[int, ...] | None = None
    """The only lengths of rows that the file takes; None where it takes every length."""
    fixed_rows: int | None = None
    """The only number of rows that the file takes; None where it takes any."""
    gives_vectors: bool = False
    """Whether vectors of texts are given, not hidden states."""
    file: Path
    """What is run."""

    @abstractmethod
    def __init__(
        self,
        exported: Exported,
        *,
        vectors: bool = False,
        device: str = "auto",
        num_threads: int | None = None,
    ) -> None: ...

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        kind: Kind | None = None,
        vectors: bool = False,
        device: str = "auto",
        precision: str | None = None,
        num_threads: int | None = None,
    ) -> Self:
        """Reads an exported folder; the arguments are those of `load_engine`."""
        exported = read_exported(folder, cls, kind=kind, precision=precision)
        for package in cls.packages:
            require_extra(package, extra=cls.extra, purpose=f"the engine {engine_name(cls)}")
        engine = cls(exported, vectors=vectors, device=device, num_threads=num_threads)
        engine.file = exported.file
        return engine

    @abstractmethod
    def compute_arrays(self, inputs: Mapping[str, IntArray]) -> Outputs:
        """Runs inputs, all that `limits` names, of a shape that the file takes."""

    def compute(self, batch: Batch) -> Outputs:
        """Runs a batch that is within the limits."""
        ids = np.asarray(batch["input_ids"], dtype=np.int64)
        inputs = {
            name: np.asarray(batch[name], dtype=np.int64)
            if name in batch
            else _default_input(name, ids)
            for name in self.limits.inputs
        }
        rows, num_tokens = len(ids), ids.shape[-1]
        length = next((size for size in self.token_buckets or () if size >= num_tokens), num_tokens)
        missing = (self.fixed_rows or rows) - rows
        if missing == 0 and length == num_tokens:
            return self._as_asked(self._compute_checked(inputs), inputs)
        # A row of nothing but padding has no softmax: what is filled up with is the first one.
        after = [(0, 0)] * (ids.ndim - 1) + [(0, length - num_tokens)]
        filled = {n: np.pad(a, after) for n, a in inputs.items()}
        filled = {n: np.concatenate([a, *missing * [a[:1]]]) for n, a in filled.items()}
        found = {name: array[:rows] for name, array in self._compute_checked(filled).items()}
        if self._scores_tokens:
            found = {name: array[:, :num_tokens] for name, array in found.items()}
        elif _HIDDEN in found:
            found[_HIDDEN] = found[_HIDDEN][:, :num_tokens]
        return self._as_asked(found, inputs)

    @property
    def _scores_tokens(self) -> bool:
        kind = self.kind
        return kind.has_head and not (kind.reads_sequence or kind.has_choices)

    def _compute_checked(self, inputs: Mapping[str, IntArray]) -> Outputs:
        """Runs the file, and refuses what it gives if that is not what the model's head does.

        A file of another library need not say which shapes it gives, and `config.json` beside it
        may be another model's.
        """
        advice = (
            f"it is damaged, or {CONFIG_NAME} beside it is another model's. Export the model "
            "again, or take the files from where they came"
        )
        try:
            found = self.compute_arrays(inputs)
        except (LimbeckError, MemoryError):
            raise
        except Exception as error:  # the runtimes' own errors have no common base but this
            reason = shorten(" ".join(str(error).split()), length=300, quoted=False)
            raise CheckpointError(f"{self.file} can't be run: {reason}: {advice}") from error
        shape = inputs["input_ids"].shape
        has_labels = self.kind.name in ("sequence_classification", "token_classification")
        labels = (self.facts.num_labels,) if has_labels else ()
        for name, array in found.items():
            wanted = shape if self._scores_tokens or name == _HIDDEN else shape[:-1]
            if array.shape[: len(wanted)] != wanted or (
                labels and array.shape[len(wanted) :] != labels
            ):
                raise CheckpointError(
                    f"{self.file} gives {name} of shape {array.shape} for input_ids of shape "
                    f"{shape}, and a {self.facts.class_name or self.kind.name} has to give "
                    f"{(*wanted, *labels)}{'' if labels else ' and what follows'}: {advice}"
                )
        return found

    def _as_asked(self, found: Outputs, inputs: Mapping[str, IntArray]) -> Outputs:
        """Returns vectors where they were asked for, and the file gives hidden states alone."""
        if not self.gives_vectors or VECTORS in found:
            return found
        assert self.facts.sentence is not None
        mask = inputs.get("attention_mask", np.ones_like(inputs["input_ids"]))
        return {VECTORS: pool(found[_HIDDEN], mask, self.facts.sentence)}


def _default_input(name: str, ids: IntArray) -> IntArray:
    return np.ones_like(ids) if name == "attention_mask" else np.zeros_like(ids)


def check_device(device: str, accepted: tuple[str, ...] = ("cpu",)) -> str:
    """Returns the device that is meant, `auto` being the first that is accepted.

    Raises:
        SettingsError: If it is none of them.
    """
    if device == "auto":
        return accepted[0]
    if device not in accepted:
        raise SettingsError(
            f"device = '{device}' can't be used: the engine runs on {' or '.join(accepted)}. "
            f"Accepted: auto, {', '.join(accepted)}"
        )
    return device


def choose_outputs(names: tuple[str, ...], exported: Exported, *, vectors: bool) -> dict[str, str]:
    """Returns which of a file's outputs are read, and what they are called here.

    Raises:
        CheckpointError: If the file does not give what the model's head does.
    """
    kind = exported.facts.kind
    if kind.name == "question_answering":
        wanted = {"start_logits": "start_logits", "end_logits": "end_logits"}
    elif kind.has_head:
        wanted = {"logits": "logits"}
    elif vectors and VECTORS in names:
        wanted = {VECTORS: VECTORS}
    else:
        hidden = "token_embeddings" if "token_embeddings" in names else _HIDDEN
        wanted = {hidden: _HIDDEN}
        sentence = exported.facts.sentence
        if vectors and sentence is not None and needs_weights(sentence):
            raise CheckpointError(
                f"{exported.file} gives {', '.join(names)}, and the model has a Dense layer after "
                f"these, which the file lacks; accepted: a file that gives {VECTORS}. Export the "
                "model again, with limbeck export"
            )
    missing = [name for name in wanted if name not in names]
    if missing:
        raise CheckpointError(
            f"{exported.file} gives {', '.join(names)}; a "
            f"{exported.facts.class_name or kind.name} has to give {', '.join(wanted)}: it is "
            "another model's, or was exported for another task. Export the model again"
        )
    return wanted


def limits_of(
    exported: Exported,
    inputs: tuple[str, ...],
    *,
    buckets: tuple[int, ...] | None = None,
    max_rows: int | None = None,
) -> Limits:
    """Returns the limits of an exported file.

    Args:
        exported: The file.
        inputs: Names of its inputs.
        buckets: The only lengths of rows that it takes; by default as the export says.
        max_rows: Most rows at a time; None for any number.
    """
    buckets = buckets or (exported.info.token_buckets if exported.info else None)
    lengths = (exported.facts.max_tokens, max(buckets) if buckets else None)
    return Limits(
        inputs=inputs,
        max_tokens=min((length for length in lengths if length is not None), default=None),
        max_rows=max_rows,
    )
