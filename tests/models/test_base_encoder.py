"""A real encoder of base size, all-mpnet-base-v2, beside what others make of it.

`python scripts/fetch_base_encoder.py` puts it where these tests look for it.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
import torch
import transformers
from scipy.stats import spearmanr

import limbeck
from limbeck.methods import apply_methods
from limbeck.methods.keep_layers import KeepLayersSettings
from limbeck.recipes import evaluate
from limbeck.train import SilentProgress

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("LIMBECK_BASE_ENCODER", ROOT / "models" / "all-mpnet-base-v2"))
PROSE = ROOT / "limbeck" / "recipes" / "quickstart" / "data" / "text.jsonl.gz"
PAIRS = ROOT.parent / "shared" / "data" / "glue" / "stsb" / "test.jsonl"
NUM_PAIRS = 100

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(
        not FOLDER.is_dir(), reason=f"{FOLDER} is absent: scripts/fetch_base_encoder.py"
    ),
]


@pytest.fixture(scope="module")
def model():
    return limbeck.AutoModel.from_pretrained(FOLDER)


def test_ids_and_hidden_states_on_prose(model):
    with gzip.open(PROSE, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"][:1500] for line in lines][::40][:6]
    options = {"padding": True, "truncation": True, "max_length": 384, "return_tensors": "pt"}
    ours = limbeck.AutoTokenizer.from_pretrained(FOLDER)(texts, **options)
    theirs = transformers.AutoTokenizer.from_pretrained(FOLDER)(texts, **options)
    assert set(ours) == set(theirs)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], msg=name, rtol=0, atol=0)
    assert ours["input_ids"].shape[1] > 200  # beyond the 128 tokens where distances share a bucket
    oracle = transformers.AutoModel.from_pretrained(FOLDER, dtype=torch.float32).eval()
    with torch.no_grad():
        given = model(**ours, collect={"hidden_states"})
        expected = oracle(**theirs, output_hidden_states=True)
    kept = ours["attention_mask"].bool()
    assert len(given.hidden_states) == len(expected.hidden_states) == 13
    for mine, other in zip(given.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(mine[kept], other[kept], rtol=0, atol=1e-5)
    torch.testing.assert_close(given.pooler_output, expected.pooler_output, rtol=0, atol=1e-5)


@pytest.mark.skipif(not PAIRS.is_file(), reason=f"{PAIRS} is absent: not shipped")
def test_similarities_are_those_of_sentence_transformers(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    rows = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    rows = rows[:: len(rows) // NUM_PAIRS][:NUM_PAIRS]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "test.jsonl").write_text(text, encoding="utf-8")
    values = {"model": str(FOLDER), "data": str(tmp_path), "task": "sts", "split": "test"}
    settings = evaluate.EvaluateSettings.from_values({**values, "out": str(tmp_path / "run")})
    given = evaluate.run(settings, progress=SilentProgress()).scores["spearman"]
    oracle = sentence_transformers.SentenceTransformer(str(FOLDER), device="cpu")
    first, second = (
        oracle.encode([row[name] for row in rows], convert_to_tensor=True)
        for name in ("sentence1", "sentence2")
    )
    cosines = torch.nn.functional.cosine_similarity(first, second)
    expected = spearmanr(cosines.cpu().numpy(), [row["label"] for row in rows]).statistic
    # Two cosines that differ in the last digit may change places.
    assert given == pytest.approx(expected, abs=1e-3)
    assert given > 0.75


def test_half_of_it(model):
    """The article's proportion: 12 layers to 6, and 61 % of the parameters."""
    half = apply_methods(model, (KeepLayersSettings(layers=6),))
    assert (model.num_parameters, half.num_parameters) == (109_486_464, 66_959_232)
