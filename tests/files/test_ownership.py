"""One owner a folder: who is refused, what a killed owner leaves, and what is cleared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limbeck.errors import DataError, FolderInUseError
from limbeck.files import own_folder
from limbeck.files.ownership import LOCK_FILE, OwnerRecord

HOLD = """
import sys
from pathlib import Path
from limbeck.files import own_folder
with own_folder(Path(sys.argv[1]), work="limbeck distill"):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """Starts a process that owns a folder until it is killed or its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_another_process_is_refused_until_the_owner_ends(tmp_path):
    out = tmp_path / "deep" / "run"
    with hold(out) as process:
        owner = OwnerRecord.read(out)
        expected = (
            f"{out} is in use (limbeck distill, process {process.pid} on {owner.host}, since "
            f"{owner.since}); wait for its end, stop it (kill {process.pid}), or give another "
            "out=..."
        )
        with pytest.raises(FolderInUseError) as caught, own_folder(out, work="limbeck distill"):
            pass
        assert str(caught.value) == expected
    with own_folder(out, work="limbeck pretrain"):
        assert OwnerRecord.read(out).work == "limbeck pretrain"
    assert not OwnerRecord.exists(out)


def test_the_lock_of_a_killed_process_is_taken_over_with_what_it_left(tmp_path):
    process = hold(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert OwnerRecord.read(tmp_path).process == process.pid
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / ".model.safetensors.0a1b2c3d.tmp").write_text("half")
    (tmp_path / ".partial-model").mkdir()
    (tmp_path / ".partial-model" / "config.json").write_text("{}")
    (tmp_path / "notes.tmp").write_text("not ours")
    with own_folder(tmp_path, work="limbeck distill"):
        assert OwnerRecord.read(tmp_path).process == os.getpid()
        assert visible(tmp_path) == ["model", "notes.tmp"]
        assert not list((tmp_path / "model").iterdir())
        assert not (tmp_path / ".partial-model").exists()


def test_a_lock_is_not_its_file(tmp_path):
    """What a dead process's files say counts for nothing, nor does a process of its number."""
    (tmp_path / LOCK_FILE).write_text("")
    alive = OwnerRecord(work="x", process=os.getppid(), host="here", since="now")
    alive.write(tmp_path)
    with own_folder(tmp_path, work="limbeck distill"):
        pass


def test_what_another_owner_is_writing_in_a_folder_within_stays(tmp_path):
    inner = tmp_path / "students" / "half"
    with hold(inner):
        (inner / ".run.json.0a1b2c3d.tmp").write_text("half")
        with own_folder(tmp_path, work="limbeck compress"):
            assert (inner / ".run.json.0a1b2c3d.tmp").exists()
    with own_folder(inner, work="limbeck finetune"):
        assert not (inner / ".run.json.0a1b2c3d.tmp").exists()


def test_blocks_of_one_thread_are_nested_and_another_thread_is_refused(tmp_path):
    def claim() -> None:
        with own_folder(tmp_path, work="limbeck evaluate"):
            pass

    with ThreadPoolExecutor(1) as other, own_folder(tmp_path, work="limbeck finetune"):
        claim()
        assert OwnerRecord.read(tmp_path).work == "limbeck finetune"
        with pytest.raises(FolderInUseError, match=r"is in use by this very process .*close\(\)"):
            other.submit(claim).result()
        (tmp_path / OwnerRecord.FILE_NAME).unlink()
        with pytest.raises(FolderInUseError, match=r"in use by another process; wait for its end"):
            other.submit(claim).result()
    claim()


def test_a_block_that_another_thread_ends_gives_the_folder_back(tmp_path):
    block = own_folder(tmp_path, work="limbeck finetune")
    block.__enter__()
    with ThreadPoolExecutor(1) as other:
        other.submit(block.__exit__, None, None, None).result()
    with hold(tmp_path):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_does_not_own_what_its_parent_does(tmp_path):
    with own_folder(tmp_path, work="limbeck finetune"):
        child = os.fork()
        if not child:
            try:
                with own_folder(tmp_path, work="limbeck finetune"):
                    os._exit(1)
            except FolderInUseError:
                os._exit(0)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert OwnerRecord.read(tmp_path).process == os.getpid()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(
            DataError,
            match=r"can't write .*file/run: a part of its path is a file, not a folder: .*file;",
        ),
        own_folder(tmp_path / "file" / "run", work="limbeck distill"),
    ):
        pass


def test_the_record_of_an_owner_is_json(tmp_path):
    with own_folder(tmp_path, work="limbeck distill"):
        record = json.loads((tmp_path / ".owner.json").read_text())
    assert record["work"] == "limbeck distill"
    assert record["since"].endswith("+00:00")
