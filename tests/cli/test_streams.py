"""Standard streams as callers leave them, and what the system refuses: one line, no traceback."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from limbeck.cli import main
from limbeck.cli._common import COMMON
from limbeck.cli._streams import note, write_json

Captured = pytest.CaptureFixture[str]
LIMBECK = [sys.executable, "-m", "limbeck"]
needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    line = f"{' '.join(LIMBECK)} {command}"
    return subprocess.run(
        line, shell=True, capture_output=True, check=False, env={**os.environ, **environment}
    )


@needs_dev_full
def test_output_that_is_full() -> None:
    done = shell("list tasks --json > /dev/full")
    assert done.returncode == 1
    assert done.stderr.decode().startswith(
        "limbeck: can't write standard output: no space is left on its disk; free some"
    )
    assert done.stderr.count(b"\n") == 1


def test_streams_that_are_closed(tmp_path: Path) -> None:
    done = shell("list nothing --json 2>&-")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == 2
    shell(f"init evaluate >&- 2>&- <&- ; echo $? > {tmp_path / 'code'}")
    assert (tmp_path / "code").read_text() == "0\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_text_that_the_terminal_has_no_letters_for(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.fsdecode("Käse-酒-".encode() + b"\xe9")
    streams = {n: io.TextIOWrapper(io.BytesIO(), encoding) for n in ("stdout", "stderr")}
    for stream, opened in streams.items():
        monkeypatch.setattr(sys, stream, opened)
    assert main(["init", name, "--json"]) == 2
    out, err = (stream.detach().getvalue() for stream in streams.values())
    assert err.startswith(b"limbeck: there is no recipe, preset, task or method 'K")
    said = json.loads(out.decode(encoding))["error"]["message"]
    assert said.startswith(f"there is no recipe, preset, task or method '{name}'")


def test_what_is_shown_does_not_drive_the_terminal(capsys: Captured) -> None:
    label = "\x1b[31mred\x9b2J\x7f\u202egnp\u200f"
    COMMON.tell(label)
    note(label)
    write_json({"label": label})
    shown = capsys.readouterr()
    spelt = r"\x1b[31mred\x9b2J\x7f\u202egnp\u200f" + "\n"
    assert shown.err == spelt
    plain, written = shown.out.splitlines(keepends=True)
    assert plain == spelt
    assert json.loads(written) == {"label": label}
    assert written.strip().isascii()
    assert main(["init", "\x1b[2J"]) == 2
    assert r"'\x1b[2J'" in capsys.readouterr().err


def test_an_error_with_a_surrogate_is_json(capsys: Captured) -> None:
    assert main(["init", "\udce9", "--json"]) == 2
    written = capsys.readouterr().out
    written.encode("utf-8")
    assert "'\udce9'" in json.loads(written)["error"]["message"]


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (OSError(errno.ENOSPC, "x", "a/b"), "can't write a/b: no space is left on its disk; free"),
        (
            OSError(errno.EMFILE, "x", "/"),
            "can't read /: too many files are open; .* ulimit -n 4096",
        ),
        (PermissionError(errno.EACCES, "x", "/"), r"can't read /: no permission; have its owner"),
        (OSError(errno.ENAMETOOLONG, "x", "a"), "can't open a: its name is too long for the disk"),
        (MemoryError(), "memory is short; take a smaller batch_size"),
        (
            RuntimeError(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
            ),
            "memory is short: 8 bytes more could not be had; take a smaller batch_size",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "short: 2.00 GiB more"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    raised: Exception, said: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised where a recipe opens its folder, as any of its reads and writes may."""

    def refuse(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("limbeck.recipes.evaluate.resolve_folder", refuse, raising=False)
    monkeypatch.setattr("limbeck.config.read_settings", refuse)
    assert main(["evaluate", "model=m", "out=o", "task=sst2", "data=d"]) == 1
    shown = capsys.readouterr().err
    assert re.match(f"limbeck: .*{said}", shown)
    assert shown.count("\n") == 1


def test_two_interrupts_end_without_a_traceback(tmp_path: Path) -> None:
    settings = tmp_path / "run.toml"
    os.mkfifo(settings)
    process = subprocess.Popen([*LIMBECK, "evaluate", str(settings)], stderr=subprocess.PIPE)
    writer = os.open(settings, os.O_WRONLY)  # waits until it is read
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        # Python loses an interrupt that comes while it runs a finaliser, and two that come at once
        # are one; whoever sees nothing happen presses again.
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    os.close(writer)
    assert process.returncode in (130, -signal.SIGINT)
    assert b"Traceback" not in said
    assert said.count(b"\n") <= 1
