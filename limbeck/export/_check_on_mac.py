"""Runs the Core ML package on a Mac and compares its outputs with the model's.

It needs `pip install coremltools numpy`, nothing else: `python coreml/check_on_mac.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def main() -> int:
    """Prints the differences; 1 if one is too large."""
    import coremltools
    import numpy as np

    folder = Path(__file__).resolve().parent
    reference = np.load(folder / "reference.npz", allow_pickle=False)
    tolerance = float(reference["tolerance"])
    model = coremltools.models.MLModel(str(folder / "model.mlpackage"))
    cases: dict[str, dict[str, Any]] = {}
    for key in reference.files:
        case, _, rest = key.partition("/")
        if case.isdigit():
            cases.setdefault(case, {})[rest] = reference[key]
    differences = []
    for case in cases.values():
        inputs = {k[7:]: v.astype(np.int32) for k, v in case.items() if k.startswith("inputs/")}
        shape = "x".join(str(size) for size in inputs["input_ids"].shape)
        given = model.predict(inputs)
        for name, expected in ((k[8:], v) for k, v in case.items() if k.startswith("outputs/")):
            largest = np.abs(np.asarray(given[name], dtype=np.float64) - expected).max()
            differences.append(float(largest / reference[f"spread/{name}"]))
            sys.stdout.write(f"{shape} {name}: {differences[-1]:.3g} of the spread\n")
    worst = max(differences)
    is_right = all(one <= tolerance for one in differences)  # NaN is none
    verdict = "as the model" if is_right else "NOT as the model"
    sys.stdout.write(f"{verdict}: {worst:.3g}, accepted {tolerance:g}\n")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
