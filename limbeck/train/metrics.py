"""What a run measured, one JSON object a line, and in TensorBoard where asked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from limbeck.errors import TrainingError, require_extra
from limbeck.files import crc32_of, read_json_lines, write_json_lines
from limbeck.system_errors import raised_as
from limbeck.train.loop import Step
from limbeck.train.ranks import Ranks

METRICS_FILE = "metrics.jsonl"
_CHECKSUM = "crc32"
_REMEDY = "remove the file to go on without what it holds, or give another out=..."


@dataclass(frozen=True)
class MetricLine:
    """What was measured at a step.

    Attributes:
        kind: What was measured: `train`, `evaluate`, ...
        step: Optimiser steps made when it was measured.
        values: The figures by name; None for one that was not finite.
    """

    kind: str
    step: int
    values: dict[str, float | str | None]

    def to_dict(self) -> dict[str, Any]:
        """Returns the line as it is written, but for its checksum."""
        return {"kind": self.kind, "step": self.step, **self.values}

    def sealed(self) -> dict[str, Any]:
        """Returns the line as it is written, the checksum of all else in it last."""
        return {**self.to_dict(), _CHECKSUM: crc32_of(self.to_dict())}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any], *, where: str) -> Self:
        """Reads a line that `sealed` gave; one without a checksum is taken as it is.

        Raises:
            TrainingError: If it is no measurement, or not the one that was written.
        """
        values = {name: value for name, value in row.items() if name != _CHECKSUM}
        if row.get(_CHECKSUM, crc32_of(values)) != crc32_of(values):
            raise TrainingError(f"{where} differs from its checksum; {_REMEDY}")
        kind, step = values.pop("kind", None), values.pop("step", None)
        if not isinstance(kind, str) or not isinstance(step, int):
            raise TrainingError(
                f"{where} has no 'kind' in words or no 'step' in whole numbers: it is not the "
                f"metrics of a run; {_REMEDY}"
            )
        return cls(kind, step, values)


class MetricsWriter:
    """Appends to `metrics.jsonl` in a run folder; each line is written through at once.

    Args:
        folder: The run folder.
        tensorboard: Also write TensorBoard event files to `folder/tensorboard`.
        resume_step: Lines of steps after this one, left by a run that was stopped past its last
            checkpoint, are dropped. What stands for the step itself is not written again, where the
            run was stopped after a measurement and before the checkpoint knew of it.
        resume_lines: How many lines there were at that checkpoint; None if that is not known.
        ranks: The processes of the run, of which only the main one writes; one if absent.

    Attributes:
        num_lines: Lines written so far.

    Raises:
        MissingExtraError: If TensorBoard is asked for and not installed.
        TrainingError: If the file is damaged, or lacks lines that it had.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tensorboard: bool = False,
        resume_step: int = 0,
        resume_lines: int | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.num_lines = 0
        self._file: IO[str] | None = None
        self._board: Any = None
        self._standing: set[tuple[str, int]] = set()
        if ranks is not None and not ranks.is_main:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / METRICS_FILE
        # Without a checkpoint the run starts anew, and measures its step 0 again.
        lines = read_metrics(folder) if resume_step else []
        if path.exists() and resume_step and resume_lines is not None:
            if len(lines) < resume_lines:
                raise TrainingError(
                    f"{path} has {len(lines)} of the {resume_lines} lines that it had after step "
                    f"{resume_step}; {_REMEDY}"
                )
            lines = lines[:resume_lines]
        kept = [line.sealed() for line in lines if line.step <= resume_step]
        write_json_lines(path, kept, error=TrainingError)
        self._standing = {(line.kind, line.step) for line in lines if line.step == resume_step}
        self.num_lines = len(kept)
        self._file = path.open("a", encoding="utf-8")
        if tensorboard:
            require_extra("tensorboard", extra="tensorboard", purpose="tensorboard = true")
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=resume_step + 1)

    def write(self, kind: str, *, step: int, **values: float | str | None) -> None:
        """Adds one line.

        Args:
            kind: What was measured: `train`, `evaluate`, ...
            step: Optimiser steps made when it was measured.
            values: The figures, each with its unit in its name. One that is not finite, such as
                the gradient norm of a step that fp16 skipped, becomes null, as JSON has no word
                for it.
        """
        if self._file is None or (kind, step) in self._standing:
            return
        for name, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                values[name] = None
        with raised_as(TrainingError, self._file.name, writes=True):
            self._file.write(json.dumps(MetricLine(kind, step, values).sealed()) + "\n")
            self._file.flush()
        self.num_lines += 1
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{kind}/{name}", value, step)

    def write_step(self, step: Step) -> None:
        """Adds a line of kind `train`: the step's figures, its terms as `loss_NAME`."""
        values = {
            f.name: getattr(step, f.name)
            for f in fields(step)
            if f.name not in ("terms", "loss_scale")
        }
        terms = {f"loss_{name}": value for name, value in step.terms.items()}
        self.write("train", step=values.pop("number"), **values, **terms)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()


def read_metrics(folder: Path) -> list[MetricLine]:
    """Returns the lines of a run's `metrics.jsonl`, an unfinished last line left out.

    Raises:
        TrainingError: If the file can't be read, or a line is no measurement.
    """
    path = folder / METRICS_FILE
    if not path.exists():
        return []
    rows = read_json_lines(path, error=TrainingError, remedy=_REMEDY, may_be_cut=True)
    return [
        MetricLine.from_dict(row, where=f"{path}, line {number}")
        for number, row in enumerate(rows, start=1)
    ]
