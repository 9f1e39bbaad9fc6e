"""What exports keep of a task's score: every target beside torch, on fine-tuned models.

    python benchmarks/inference/exported_scores.py --models RUNS --data DATA --out scores.jsonl

RUNS and DATA are those of `same_answers.py`; `encoder` is scored by `task=sts` on the rows of
`stsb`. It is `limbeck export` that scores, with a bound that refuses nothing. Targets of one engine
are made in one run. One JSON object a line; what can't be made has its reason in place of a score.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import limbeck
from limbeck import listing
from limbeck.errors import LimbeckError
from limbeck.export import load_target

TARGETS = [name for name in listing.list_names("limbeck.export") if load_target(name).engine]
TASKS = {"encoder": {"task": "sts"}}
"""Where models do not say themselves what they are for."""
DATA = {"encoder": "stsb"}
NOTHING_IS_REFUSED = 1e6


def score(model: Path, data: Path, targets: list[str], **options: Any) -> Iterator[dict[str, Any]]:
    """Exports a model to targets of one engine, and yields each one's score beside torch's."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            record = limbeck.export_model(
                model,
                targets,
                str(data),
                out=Path(folder) / "run",
                max_drop=NOTHING_IS_REFUSED,
                measure=False,
                **options,
            ).record
        except LimbeckError as error:
            for target in targets:
                yield {"target": target, "error": str(error)}
            return
    for made in record.models:
        yield {
            "target": made.target,
            "metric": record.metric,
            "examples": record.num_examples,
            "torch": record.score,
            "score": made.score.score,
            "drop": made.score.drop,
            "interval": made.score.interval,
            "is_distinguishable": made.score.is_distinguishable,
            "agreement": made.outputs.agreement,
            "megabytes": made.file_bytes / 1e6,
            "torch_megabytes": record.file_bytes / 1e6,
            "run_seconds": round(time.perf_counter() - start, 1),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--names", nargs="+", help="of models; by default all")
    parser.add_argument("--to", nargs="+", default=TARGETS)
    given = parser.parse_args()
    folders = [path for path in sorted(given.models.iterdir()) if path.is_dir()]
    with given.out.open("a", encoding="utf-8") as out:
        for folder in folders:
            name = folder.name
            data = given.data / DATA.get(name, name)
            if (given.names and name not in given.names) or not data.is_dir():
                continue
            model = folder / "model" if (folder / "model").is_dir() else folder
            wanted = sorted(given.to, key=lambda target: load_target(target).engine)
            for _, targets in groupby(wanted, key=lambda target: load_target(target).engine):
                for line in score(model, data, list(targets), **TASKS.get(name, {})):
                    out.write(json.dumps({"model": name, **line}) + "\n")
                    out.flush()


if __name__ == "__main__":
    main()
