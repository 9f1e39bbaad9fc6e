"""Folders by path, and by Hub id: from the cache, from a small server here, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlparse

import pytest

from limbeck.checkpoints import resolve_folder
from limbeck.errors import CheckpointError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": b"weights",
    "vocab.txt": b"[PAD]\n",
    "pytorch_model.bin": b"pickle",
    "modeling_own.py": b"raise SystemExit",
    "onnx/model.onnx": b"graph",
    "half/model.safetensors": b"another model",
    "2_Dense/model.safetensors": b"a layer",
}


def test_a_folder_is_itself(tmp_path, monkeypatch):
    assert resolve_folder(tmp_path) == tmp_path
    assert resolve_folder(str(tmp_path)) == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    assert resolve_folder("~/model") == tmp_path / "model"


def test_no_such_folder(tmp_path):
    (tmp_path / "teacher").mkdir()
    with pytest.raises(CheckpointError, match=r"no folder '.*/techer'. Did you mean 'teacher'"):
        resolve_folder(tmp_path / "techer")
    with pytest.raises(CheckpointError, match=r"no folder '.*/zzz'\.$"):
        resolve_folder(str(tmp_path / "zzz"))
    with pytest.raises(CheckpointError, match=r"no folder '.*/zzz/y'. Nor is there '.*/zzz'"):
        resolve_folder(tmp_path / "zzz" / "y")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"file' is a file; give its folder, "):
        resolve_folder(tmp_path / "file")


@pytest.mark.parametrize("name", ["", "a/b/c", "two words", "./nowhere", "../nowhere", "a--b", "/"])
def test_neither_path_nor_id(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name == "/":
        assert resolve_folder(name).is_dir()
        return
    if not name:
        with pytest.raises(CheckpointError, match="'' names no model; accepted: a folder or"):
            resolve_folder(name)
        return
    with pytest.raises(CheckpointError, match=rf"there is no folder '{Path(name)}'"):
        resolve_folder(name, offline=True, cache_dir=tmp_path / "cache")


def fill_cache(cache: Path, name: str) -> Path:
    """Lays out a snapshot as the Hub's library does."""
    repo = cache / f"models--{name.replace('/', '--')}"
    snapshot = repo / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_bytes(FILES["config.json"])
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    return snapshot


def test_offline_from_the_cache(tmp_path):
    snapshot = fill_cache(tmp_path, "someone/encoder")
    arguments = {"cache_dir": tmp_path, "offline": True}
    assert resolve_folder("someone/encoder", **arguments) == snapshot
    assert resolve_folder("someone/encoder", revision=COMMIT, **arguments) == snapshot
    with pytest.raises(CheckpointError, match=r"'someone/encoder' at revision 'v9' .*offline=True"):
        resolve_folder("someone/encoder", revision="v9", **arguments)


def test_offline_and_not_in_the_cache(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"no folder 'someone/other' here, and the Hub cache does not have it"
    ):
        resolve_folder("someone/other", cache_dir=tmp_path, offline=True)


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as one download asks for."""

    seen: ClassVar[list[tuple[str, str, str | None]]] = []

    def do_GET(self):
        path = urlparse(self.path).path
        type(self).seen.append((self.command, path, self.headers.get("Authorization")))
        if not path.startswith(("/api/models/someone/encoder/", "/someone/encoder/")):
            self.reply(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif "/v9" in path:
            self.reply(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif "/api/" in path and "/tree/" in path:
            self.reply(200, json.dumps([self.describe(name) for name in FILES]).encode())
        elif "/api/" in path:
            siblings = [{"rfilename": name} for name in FILES]
            info = {"id": "someone/encoder", "sha": COMMIT, "siblings": siblings}
            self.reply(200, json.dumps(info).encode())
        else:
            name = path.split("/", 5)[5]
            content = FILES[name]
            etag = hashlib.sha1(content).hexdigest()
            self.reply(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

    do_HEAD = do_GET  # noqa: N815

    def describe(self, name):
        content = FILES[name]
        return {
            "type": "file",
            "path": name,
            "size": len(content),
            "oid": hashlib.sha1(content).hexdigest(),
        }

    def reply(self, status, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    Hub.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


SCRIPT = """
import json, sys
from limbeck.checkpoints import resolve_folder
from limbeck.errors import CheckpointError
for arguments in json.loads(sys.argv[1]):
    try:
        print(resolve_folder(**arguments))
    except CheckpointError as error:
        print("refused:", error)
"""


def resolve_with(endpoint, *calls):
    """Resolves in a process of its own: the Hub's library reads its address when imported."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(calls)],
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def names_under(folder):
    return {p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file()}


def test_fetched_from_the_hub(hub, tmp_path):
    call = {"name_or_path": "someone/encoder", "cache_dir": str(tmp_path), "token": "hf_secret"}
    light, exported, folder, offline, revision, absent = resolve_with(
        hub,
        {**call, "cache_dir": str(tmp_path / "light"), "weights": False},
        {
            **call,
            "cache_dir": str(tmp_path / "exported"),
            "weights": False,
            "files": ["onnx/model.onnx", "onnx/model.onnx_data"],
        },
        call,
        {**call, "offline": True},
        {**call, "revision": "v9"},
        {**call, "name_or_path": "someone/absent"},
    )
    assert names_under(light) == {"config.json", "vocab.txt"}
    assert names_under(exported) == {"config.json", "vocab.txt", "onnx/model.onnx"}
    weights = {"model.safetensors", "2_Dense/model.safetensors"}
    assert names_under(folder) == {"config.json", "vocab.txt", *weights}
    assert (Path(folder) / "model.safetensors").read_bytes() == b"weights"
    assert offline == folder
    assert revision == "refused: the Hub's 'someone/encoder' has no revision 'v9'."
    assert "no folder 'someone/absent' here and no such model on the Hub" in absent
    tokens = {token for _, path, token in Hub.seen if "/someone/" in path}
    assert tokens == {"Bearer hf_secret"}


def test_hub_out_of_reach(tmp_path):
    call = {"name_or_path": "someone/encoder", "cache_dir": str(tmp_path)}
    (line,) = resolve_with("http://127.0.0.1:9", call)
    assert line.startswith(
        "refused: there is no folder 'someone/encoder' here, and it could not be"
    )
