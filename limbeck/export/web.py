"""A page that runs the model in a browser: a folder for any static server, no other request."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from limbeck.errors import CheckpointError
from limbeck.export._graph import Graph
from limbeck.export._steps import begin_step
from limbeck.export._target import Calibration, Written
from limbeck.export._web import describe_model, explain_refusal, find_runtime
from limbeck.export._web.runtime import PACKAGES
from limbeck.export.onnx_int8 import OnnxInt8Target
from limbeck.files import write_json
from limbeck.system_errors import raised_as

FOLDER: Final = "web"
"""What is served, within the exported folder."""
_PAGE: Final = Path(__file__).parent / "_web" / "page"
_BESIDE: Final = ("config.json", "tokenizer.json", "tokenizer_config.json")


class WebTarget(OnnxInt8Target):
    """Page, ONNX with int8 weights and `transformers.js` in one folder.

    Args:
        runtime: Folder with the archives of npm that run the model; by default what the
            environment names in `LIMBECK_WEB_RUNTIME`, or else a cache that npm fills once.
    """

    method = trained_bits = None

    def __init__(self, runtime: Path | None = None) -> None:
        self.runtime = runtime

    def describe_runtime(self) -> str:
        """Says where what runs a page in a browser is, or would come from."""
        return find_runtime(self.runtime).describe()

    def refuse(self, graph: Graph) -> str | None:
        """Returns why the model has no page; None if it has one."""
        return explain_refusal(graph) or super().refuse(graph)

    def check(self, graph: Graph) -> None:
        """Refuses a model without a page, and a machine without what runs one."""
        super().check(graph)
        find_runtime(self.runtime).check()

    def write(
        self,
        graph: Graph,
        folder: Path,
        *,
        calibration: Calibration = (),
        keep_float: Sequence[str] = (),
    ) -> Written:
        """Writes `web/`, which holds the model in the layout of `transformers.js`."""
        site = folder / FOLDER
        begin_step("copying what runs the page")
        find_runtime(self.runtime).copy_to(site / "runtime")  # what may fail on a network: first
        name = _plain(graph.name)
        place = f"models/{name}"
        with raised_as(CheckpointError, site, writes=True):
            shutil.copytree(_PAGE, site, dirs_exist_ok=True)
            (site / place).mkdir(parents=True)
            for file in _BESIDE:
                shutil.copyfile(folder / file, site / place / file)
        written = super().write(graph, site / place, calibration=calibration, keep_float=keep_float)
        facts = describe_model(graph, folder, site=site, precision=self.precision)
        write_json(site / "model.json", {"folder": name, **facts}, error=CheckpointError)
        return replace(
            written,
            files=tuple(f"{FOLDER}/{place}/{name}" for name in written.files),
            made_with={**written.made_with, **{p.name: p.version for p in PACKAGES}},
        )


def _plain(name: str) -> str:
    """Returns a model's name as a part of an address."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-") or "model"


TargetType = WebTarget
