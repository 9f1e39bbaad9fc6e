"""Targets that round weights, for the tests of the gate: written into a folder of their own.

The folder is the registry: on the path of the room, its files are targets like all others.
"""

import sys
from contextlib import contextmanager

import pytest

import limbeck.export

TINY_INT8 = '''
"""ONNX whose weights went through int8 with one scale for all of a matrix."""

import copy

from limbeck.export import list_modules
from limbeck.export.onnx import OnnxTarget


class TinyInt8Target(OnnxTarget):
    """Rounds all weights but those that are kept."""

    precision = "int8"
    tolerance = 0.2
    steps = 127

    def narrow_input(self, given):
        return given

    def narrow(self, weight, *, role="matrix"):
        scale = weight.abs().max() / self.steps
        return (weight / scale).round() * scale

    def write(self, graph, folder, *, calibration=(), keep_float=()):
        graph = copy.deepcopy(graph)
        for name, module in list_modules(graph).items():
            if name not in keep_float:
                module.weight.data = self.narrow(module.weight.data)
        return super().write(graph, folder)


TargetType = TinyInt8Target
'''

TINY_NOTHING = '''
"""ONNX whose weights were rounded to nothing."""

from limbeck.export.tiny_int8 import TinyInt8Target


class TinyNothingTarget(TinyInt8Target):
    """Has one step."""

    def narrow(self, weight, *, role="matrix"):
        return (weight / weight.abs().max() / 4).round()


TargetType = TinyNothingTarget
'''

TINY_OPPOSITE = '''
"""ONNX that says the opposite."""

import copy

from limbeck.export import list_modules
from limbeck.export.onnx import OnnxTarget


class TinyOppositeTarget(OnnxTarget):
    """Is broken, in a format whose numbers may differ by much."""

    precision = "int8"
    tolerance = 100

    def write(self, graph, folder, *, calibration=(), keep_float=()):
        graph = copy.deepcopy(graph)
        last = [*list_modules(graph).values()][-1]
        last.weight.data, last.bias.data = -last.weight.data, -last.bias.data
        return super().write(graph, folder)


TargetType = TinyOppositeTarget
'''

ELSEWHERE = '''
"""A format that nothing here runs."""

from limbeck.export.onnx import OnnxTarget


class ElsewhereTarget(OnnxTarget):
    """Is run on a telephone."""

    engine = None
    needs = "a telephone"


TargetType = ElsewhereTarget
'''


BROKEN = '''
"""A converter that always fails, as those of others do: with an error of its own."""

from limbeck.export.onnx import OnnxTarget


class BrokenTarget(OnnxTarget):
    """Fails."""

    def write(self, graph, folder, *, calibration=(), keep_float=()):
        raise KeyError("the graph has a loop\\nat node 7")


TargetType = BrokenTarget
'''

MOODY = '''
"""A converter that takes a model before it is trained, and not after that."""

from limbeck.export.onnx import OnnxTarget


class MoodyTarget(OnnxTarget):
    """Fails in the folder of a search."""

    def write(self, graph, folder, *, calibration=(), keep_float=()):
        if "exports" in folder.parts:
            raise RuntimeError("weights are too large")
        return super().write(graph, folder)


TargetType = MoodyTarget
'''


def write_targets(folder):
    """Writes the targets, whose names are those of the files."""
    folder.mkdir()
    named = {
        "tiny_int8": TINY_INT8,
        "tiny_nothing": TINY_NOTHING,
        "tiny_opposite": TINY_OPPOSITE,
        "elsewhere": ELSEWHERE,
        "broken": BROKEN,
        "moody": MOODY,
    }
    for name, text in named.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


@contextmanager
def narrow_targets(folder):
    """Has the room know the targets meanwhile."""
    write_targets(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limbeck.export, "__path__", [*limbeck.export.__path__, str(folder)])
        yield
    for name in [name for name in sys.modules if name.startswith("limbeck.export.")]:
        if name.rpartition(".")[2] in {path.stem for path in folder.glob("*.py")}:
            del sys.modules[name]
