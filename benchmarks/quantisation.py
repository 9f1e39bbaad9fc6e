"""What int8, int4 and GPTQ keep of fine-tuned models, and what they save: one table a model.

    python benchmarks/quantisation.py runs/stsb/model=DATA/glue/stsb --out quantised

Score on the validation split with the paired interval of what is lost, error of the outputs (mean
square of the difference over the variance), size of the file beside fp32's, and latency at batch 1
beside that of ONNX Runtime in fp32, measured in turns. Calibrated on 128 training rows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from limbeck.inference import load_engine
from limbeck.recipes import export
from limbeck.recipes.export.source import Source
from limbeck.runs import ExportRecord
from limbeck.train import SilentProgress

TARGETS = ("onnx", "onnx-int8", "onnx-int8-static", "onnx-int4", "onnx-int4-gptq")
ROWS = 512


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+", metavar="MODEL=DATA")
    parser.add_argument("--to", nargs="+", default=TARGETS)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    for number, pair in enumerate(options.models):
        model, _, data = pair.partition("=")
        settings = export.SettingsType.from_values(
            {
                "model": model,
                "data": data,
                "to": tuple(options.to),
                "out": str(options.out / str(number)),
                "max_drop": 1e9,
                "num_rows": ROWS,
            }
        )
        record = export.run(settings, progress=SilentProgress())
        errors = measure_errors(settings, record)
        print(f"\n{model} on {record.task}: {record.metric} {record.score:.4f} in torch\n")
        print("\n".join(make_table(record, errors)), flush=True)
        print(json.dumps({"model": model, "errors": errors, "record": record.to_dict()}))


def measure_errors(settings: export.SettingsType, record: ExportRecord) -> dict[str, float]:
    """Returns the mean squared difference of outputs over their variance, by target."""
    source = Source.read(settings, SilentProgress())
    graph, batches = source.graph, source.gate.rows.batches
    with torch.no_grad():
        own = [graph(*(batch[n] for n in graph.input_names))[-1].numpy() for batch in batches]
    known, errors = np.concatenate(own), {}
    for model in record.models:
        engine = load_engine("onnxruntime", Path(str(model.folder)), kind=graph.kind)
        given = np.concatenate(
            [
                engine.run({n: batch[n].numpy() for n in graph.input_names})[graph.output_names[-1]]
                for batch in batches
            ]
        )
        errors[model.target] = float(np.square(given - known).mean() / known.var())
    return errors


def make_table(record: ExportRecord, errors: dict[str, float]) -> list[str]:
    first = record.models[0]
    lines = [
        f"| | {record.metric} | lost (95 % interval) | error | same answers | file | speed |",
        "|---|---|---|---|---|---|---|",
    ]
    for model in record.models:
        score, outputs = model.score, model.outputs
        assert score is not None
        assert outputs is not None
        ends = "" if score.interval is None else " ({:+.4f} to {:+.4f})".format(*score.interval)
        same = "" if outputs.agreement is None else f"{outputs.agreement:.1%}"
        speed = float(model.speed_up or 0) / float(first.speed_up or 1)
        lines.append(
            f"| `{model.target}` | {score.score:.4f} | {score.drop:+.4f}{ends} | "
            f"{errors[model.target]:.2e} | {same} | {model.file_bytes / 1e6:.1f} MB, "
            f"{model.file_bytes / first.file_bytes:.3f} | {speed:.2f} |"
        )
    return lines


if __name__ == "__main__":
    main()
