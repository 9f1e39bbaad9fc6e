"""Peak memory of building a corpus from some text, and from several copies of it.

Memory must not grow with the input. Each build runs in its own process, whose peak resident set
the kernel counts. De-duplication is off: with it, the copies would be dropped.

    python benchmarks/corpus_memory.py --megabytes 80 --copies 8

The text is the JSON Lines of ../shared/data/corpus where it is there, as far as it is needed, else
made up. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT.parent / "shared" / "data" / "corpus"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=float, default=10.0, help="text of one copy")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument(
        "--work", type=Path, help="folder for texts and corpora (default: temporary)"
    )
    parser.add_argument("--tokenizer", help="folder or Hub id (default: trained on the text)")
    parser.add_argument("--build", nargs=2, metavar=("TEXTS", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        texts, out = arguments.build
        print(json.dumps(build(texts, out, tokenizer=arguments.tokenizer)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        print(json.dumps(measure(Path(folder), arguments), indent=2))


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    text = folder / "text.jsonl"
    num_bytes = write_text(text, int(arguments.megabytes * 1e6))
    tokenizer = arguments.tokenizer or train_tokenizer(text, folder / "tokenizer")
    runs = []
    for copies in (1, arguments.copies):
        texts = folder / f"texts-{copies}"
        texts.mkdir()
        for copy in range(copies):
            (texts / f"{copy}.jsonl").hardlink_to(text)
        command = [sys.executable, __file__, "--tokenizer", tokenizer, "--build", str(texts)]
        done = subprocess.run(
            [*command, str(folder / f"corpus-{copies}")],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        runs.append(
            {"copies": copies, "megabytes": copies * num_bytes / 1e6, **json.loads(done.stdout)}
        )
    first, last = runs
    return {
        "benchmark": "corpus_memory",
        "text": "../shared/data/corpus" if CORPUS.is_dir() else "made up",
        "runs": runs,
        "peak_ratio": round(last["peak_rss_mib"] / first["peak_rss_mib"], 3),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def build(texts: str, out: str, *, tokenizer: str) -> dict[str, object]:
    from limbeck.data import CorpusSettings, build_corpus
    from limbeck.tokenizers import Tokenizer

    loaded = Tokenizer.from_pretrained(tokenizer)
    before = peak_rss_mib()
    start = time.perf_counter()
    info = build_corpus([texts], tokenizer=loaded, out=Path(out), settings=CorpusSettings())
    elapsed = time.perf_counter() - start
    num_tokens = sum(info.num_tokens.values())
    return {
        "num_tokens": num_tokens,
        "num_documents": sum(info.num_documents.values()),
        "elapsed_seconds": round(elapsed, 2),
        "tokens_per_second": round(num_tokens / elapsed),
        "peak_rss_before_mib": round(before, 1),
        "peak_rss_mib": round(peak_rss_mib(), 1),
    }


def peak_rss_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def train_tokenizer(text: Path, folder: Path) -> str:
    from limbeck.tokenizers import train_wordpiece

    with text.open(encoding="utf-8") as lines:
        sample = (
            json.loads(line)["text"][:20_000] for line, _ in zip(lines, range(500), strict=False)
        )
        train_wordpiece(sample, vocab_size=30_000).save_pretrained(folder)
    return str(folder)


def write_text(path: Path, num_bytes: int) -> int:
    """Writes about `num_bytes` bytes of JSON Lines and returns how many it were."""
    written = 0
    with path.open("wb") as out:
        for line in lines_of_corpus() if CORPUS.is_dir() else made_up_lines():
            out.write(line)
            written += len(line)
            if written >= num_bytes:
                break
    return written


def lines_of_corpus() -> Iterator[bytes]:
    """Yields documents of all files in turn, so that any amount has articles and novels."""
    with contextlib.ExitStack() as stack:
        paths = sorted(CORPUS.glob("*.jsonl.gz"))
        streams = [stack.enter_context(gzip.open(path)) for path in paths]
        for row in itertools.zip_longest(*streams, fillvalue=b""):
            yield from filter(None, row)


def made_up_lines() -> Iterator[bytes]:
    generator = random.Random(0)
    words = [
        "".join(generator.choices("etaoinshrdlu", k=generator.randint(1, 9))) for _ in range(20_000)
    ]
    while True:
        # mostly articles, at times a novel
        length = 200_000 if generator.random() < 0.002 else generator.randint(20, 1500)
        yield json.dumps({"text": " ".join(generator.choices(words, k=length))}).encode() + b"\n"


if __name__ == "__main__":
    main()
