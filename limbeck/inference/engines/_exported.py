"""What the engines share that run exported files: lengths, outputs, and what is wrong with them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from limbeck.checkpoints import CONFIG_NAME
from limbeck.errors import (
    CheckpointError,
    LimbeckError,
    SettingsError,
    require_extra,
    shorten,
    with_article,
)
from limbeck.inference.engines._engine import (
    VECTORS,
    Batch,
    Engine,
    Limits,
    Outputs,
    engine_name,
)
from limbeck.inference.engines._files import Exported, read_exported
from limbeck.inference.engines._pooling import needs_weights, pool
from limbeck.models import Kind

_HIDDEN: Final = "last_hidden_state"
IntArray = npt.NDArray[np.int64]


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
    outputs: Mapping[str, str]
    """Which of the file's outputs are read, and what they are called here."""

    def __init__(
        self,
        exported: Exported,
        *,
        vectors: bool = False,
        device: str = "auto",
        num_threads: int | None = None,
    ) -> None:
        self.facts, self.precision, self.file = exported.facts, exported.precision, exported.file
        self.gives_vectors = vectors
        self.device = check_device(device)
        self._lock = Lock()  # for runtimes that keep the inputs and outputs of one call
        self.open(exported, num_threads=num_threads)

    @abstractmethod
    def open(self, exported: Exported, *, num_threads: int | None) -> None:
        """Opens the file, and sets `limits` and `outputs`.

        Raises:
            CheckpointError: If it is damaged, or another model's.
            SettingsError: If the runtime can't be told how many threads to take.
        """

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
        return cls(exported, vectors=vectors, device=device, num_threads=num_threads)

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
        for name, array in found.items():
            first = shape if self._scores_tokens or name == _HIDDEN else shape[:-1]
            widths = self._widths_of(name)
            last = array.shape[len(first) :]
            if array.shape[: len(first)] != first or (widths and last not in widths):
                wanted = " or ".join(str((*first, *width)) for width in widths or ((),))
                raise CheckpointError(
                    f"{self.file} gives {name} of shape {array.shape} for input_ids of shape "
                    f"{shape}, and {with_article(self.facts.class_name or self.kind.name)} has to "
                    f"give {wanted}{'' if widths else ' and what follows'}: {advice}"
                )
        return found

    def _widths_of(self, name: str) -> tuple[tuple[int, ...], ...]:
        """Returns what may follow rows and tokens in an output's shape; none where all may."""
        if self.kind.name in ("sequence_classification", "token_classification"):
            return ((self.facts.num_labels,),)
        sentence = self.facts.sentence
        if sentence is None:
            return ()
        if name == _HIDDEN:
            return ((sentence.hidden_size,),)
        # Files of other libraries give whole vectors, whatever the folder cuts them to.
        return tuple({(sentence.width,): None, (sentence.whole_width,): None})

    def _as_asked(self, found: Outputs, inputs: Mapping[str, IntArray]) -> Outputs:
        """Returns vectors where they were asked for, and the file gives hidden states alone."""
        if not self.gives_vectors:
            return found
        assert self.facts.sentence is not None
        if VECTORS in found:
            return {VECTORS: found[VECTORS][:, : self.facts.sentence.width]}
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
