"""What the targets of LiteRT share: one file with a signature for each length, weights once."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from limbeck.errors import SettingsError
from limbeck.export._graph import Graph
from limbeck.export._mobile import WrittenOut, longest_row, make_example, quiet_python
from limbeck.export._steps import begin_step
from limbeck.export._target import Calibration, Target, Written
from limbeck.inference.engines._quiet import quiet_stderr

FILE = "litert/model.tflite"
BUCKETS = (32, 128)
"""Lengths below the longest: a sentence, a paragraph. Each is one more graph in the file, of some
hundred kilobytes, and one more conversion."""


class LitertTarget(Target):
    """Base of the targets.

    Args:
        token_buckets: The lengths of rows, in tokens; by default 32, 128, and the model's longest,
            at most 512.
    """

    engine = "litert"
    packages: ClassVar[tuple[str, ...]] = ("litert_torch", "ai_edge_litert.interpreter")
    extra = "litert"

    def __init__(self, *, token_buckets: Sequence[int] = ()) -> None:
        self._buckets = tuple(token_buckets)

    def check(self, graph: Graph) -> None:
        """Refuses what can't be written, before anything is; see `Target.check`."""
        with quiet_python(), quiet_stderr():  # the first import tells of kernels that are missing
            super().check(graph)
        self._choose_buckets(graph)

    def longest_row(self, graph: Graph) -> int:
        """Returns the most tokens of a row that the file takes."""
        return self._choose_buckets(graph)[-1]

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),  # noqa: ARG002 - ranges are taken while it runs
        keep_float: Sequence[str] = (),
    ) -> Written:
        """Writes `litert/model.tflite`."""
        buckets = self._choose_buckets(graph)
        path = folder / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        with quiet_python():
            path.write_bytes(self.finish(_convert(graph, buckets), graph, keep_float))
        return Written(
            files=(FILE,),
            token_buckets=buckets,
            made_with={"litert-torch": version("litert-torch")},
            options={"max_rows": 1},
        )

    @abstractmethod
    def finish(self, content: bytes, graph: Graph, keep_float: Sequence[str]) -> bytes:
        """Returns the file that the one in float becomes."""

    def _choose_buckets(self, graph: Graph) -> tuple[int, ...]:
        longest = graph.config.max_tokens
        if not self._buckets:
            most = longest_row(graph)
            return (*(size for size in BUCKETS if size < most), most)
        if min(self._buckets) < 1 or (longest is not None and max(self._buckets) > longest):
            raise SettingsError(
                f"token_buckets = {list(self._buckets)}; accepted: numbers of tokens from 1 to "
                f"{longest or 'any'}, which is what {graph.class_name} takes"
            )
        return tuple(sorted(set(self._buckets)))


class _Named(nn.Module):
    """A graph whose inputs and outputs go by name, as they do in the file."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.exported = graph
        self.eval()

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        outputs = self.exported(*(inputs[name] for name in self.exported.input_names))
        return dict(zip(self.exported.output_names, outputs, strict=True))


def signature_name(tokens: int) -> str:
    """Returns what the signature for a length is called."""
    return f"tokens_{tokens}"


def _convert(graph: Graph, buckets: Sequence[int]) -> bytes:
    import litert_torch

    converter: Any = litert_torch
    named = _Named(graph)
    for tokens in buckets:
        example = make_example(graph, rows=1, tokens=tokens)
        # 64-bit whole numbers are not taken by phones' accelerators.
        inputs = {
            name: tensor.to(torch.int32)
            for name, tensor in zip(graph.input_names, example, strict=True)
        }
        converter = converter.signature(signature_name(tokens), named, sample_kwargs=inputs)
    begin_step(f"converting for rows of {', '.join(map(str, buckets))} tokens")
    os.environ.setdefault("LITERT_TORCH_SHOW_PROGRESS", "n")  # it draws over ours
    with WrittenOut(), quiet_stderr():
        return bytes(converter.convert().model_content())
