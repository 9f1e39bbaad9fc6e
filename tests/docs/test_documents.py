"""What the documents tell readers to type works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_blocks import DRY_RUN, SHELLS, SKIP, Block, documents, find_blocks, find_links
from doc_blocks import split_commands as split

from limbeck import listing

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = documents(ROOT)
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
TESTED = DOCUMENTS

NO_NETWORK = {"HF_HUB_OFFLINE": "1"}


def make_target(command: str) -> str | None:
    """Returns the target of a `make` command."""
    found = re.match(r"make(?: [A-Z_]+=\S+)* ([a-z-]+)", command)
    return found[1] if found else None


def dry_runs(text: str) -> str:
    """Turns commands into ones that only say what they would do."""
    lines = ["set -e"]
    for command in split(text):
        if target := make_target(command):
            lines.append(f"make -C '{ROOT}' --dry-run {target} > /dev/null")
            if target == "quickstart":
                lines.append("limbeck quickstart --dry-run")
        elif command.startswith("limbeck "):
            lines.append(f"{command} --dry-run")
    return "\n".join(lines)


def run_block(block: Block, folder: Path, name: str) -> None:
    """Runs a block in a folder, with this environment's commands first on the path."""
    environment = dict(os.environ) | NO_NETWORK
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    if block.language == "python":
        command = [sys.executable, "-c", block.text]
    else:
        text = dry_runs(block.text) if block.mode == DRY_RUN else f"set -e\n{block.text}"
        command = ["bash", "-c", text]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{name}:{block.line}\n{block.text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("path", TESTED, ids=lambda path: str(path.relative_to(ROOT)))
def test_blocks_run(path: Path, tmp_path: Path) -> None:
    for block in find_blocks(path.read_text(encoding="utf-8")):
        if block.mode != SKIP:
            run_block(block, tmp_path, path.name)


@pytest.mark.parametrize("path", TESTED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_block_that_is_run_installs_anything(path: Path) -> None:
    """It would change the environment that all other tests run in."""
    blocks = find_blocks(path.read_text(encoding="utf-8"))
    assert not [b.line for b in blocks if b.mode != SKIP and re.search(r"(pip|npm) i", b.text)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_links_lead_somewhere(path: Path) -> None:
    missing = [t for t in find_links(path.read_text(encoding="utf-8")) if t]
    missing = [t for t in missing if not (path.parent / t).exists()]
    assert not missing


def test_readme_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [
        command
        for block in find_blocks(readme)
        if block.language in SHELLS
        for command in split(block.text)
    ]
    targets = {make_target(command) for command in commands}
    assert {"quickstart", "test"} <= targets


@pytest.mark.parametrize("family", listing.list_names("limbeck.models"))
def test_readme_names_every_family(family: str) -> None:
    summary = (listing.load("limbeck.models", family).__doc__ or "").partition(":")[0]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [name for name in summary.split(" and ") if name not in readme]
    assert not missing, f"README.md does not name {missing}"


def test_make_targets() -> None:
    for target in ("quickstart", "test", "install", "lint", "docs"):
        command = ["make", "--dry-run", target]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert "scripts/install.py" in done.stdout


SAMPLE = """
Words.

```console
$ limbeck distill run.toml \\
    seed=1
training: 3 steps
$ echo $HOME
```

<!-- test: skip: needs a GPU -->
```bash
limbeck pretrain
```

<!-- test: dry-run -->

```sh
# all of it
make quickstart ARGS=x
limbeck distill a=1
```

<!-- test: skip: this one is for no block -->
Words between.

<!-- test: setup
touch teacher
-->
<!-- test: setup: world -->

```toml
seed = 1
```

~~~python
print("hi")
~~~
"""


def test_blocks_are_found() -> None:
    assert find_blocks(SAMPLE) == [
        Block(5, "console", "limbeck distill run.toml \\\n    seed=1\necho $HOME"),
        Block(13, "bash", "limbeck pretrain", SKIP, "needs a GPU"),
        Block(19, "sh", "# all of it\nmake quickstart ARGS=x\nlimbeck distill a=1", DRY_RUN),
        Block(28, "bash", "touch teacher"),
        Block(30, "bash", f"python '{ROOT / 'tests/docs/world.py'}'"),
        Block(37, "python", 'print("hi")'),
    ]
    assert dry_runs(find_blocks(SAMPLE)[2].text).splitlines() == [
        "set -e",
        f"make -C '{ROOT}' --dry-run quickstart > /dev/null",
        "limbeck quickstart --dry-run",
        "limbeck distill a=1 --dry-run",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x\n<!-- test: skip -->\n", "line 2: 'test: skip' is not one of skip: REASON, dry-run"),
        ("```bash\nls\n", "line 1: what begins here has no end"),
    ],
)
def test_bad_documents(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        find_blocks(text)


def test_a_failing_block_is_noticed(tmp_path: Path) -> None:
    run_block(Block(1, "bash", "touch here && ls here"), tmp_path, "x")
    run_block(Block(1, "python", "import limbeck\nopen('here')"), tmp_path, "x")
    with pytest.raises(AssertionError, match="x:7"):
        run_block(Block(7, "bash", "false\ntrue"), tmp_path, "x")


def test_links_are_found() -> None:
    text = '[a](docs/a.md#part) ![p](p.svg) [b](https://example.org) [c](#here) <img src="q.png">'
    assert find_links(text) == ["docs/a.md", "p.svg", "q.png"]
