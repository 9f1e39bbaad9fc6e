"""LiteRT (TensorFlow Lite) in fp32, for apps on Android and iOS, with a length of rows each."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.export._graph import Graph
from limbeck.export._litert import LitertTarget


class LitertFloatTarget(LitertTarget):
    """One file with a signature for each length, weights once."""

    def finish(self, content: bytes, graph: Graph, keep_float: Sequence[str]) -> bytes:  # noqa: ARG002
        """Returns the file that the one in float becomes."""
        return content


TargetType = LitertFloatTarget
