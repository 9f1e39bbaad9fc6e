"""Model folders pushed to a Hub: to a small server here, which may refuse."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlparse

import pytest

from limbeck import BertConfig, BertModel

pytestmark = pytest.mark.slow  # processes of their own

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_secretsecretsecret"


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as one upload asks for; owners other than `me` are refused."""

    repositories: ClassVar[dict[str, dict]] = {}
    files: ClassVar[dict[str, bytes]] = {}
    messages: ClassVar[list[str]] = []

    def do_POST(self):
        path = urlparse(self.path).path
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.reply(401, {"error": f"Invalid credentials {self.headers.get('Authorization')}"})
        elif path == "/api/repos/create":
            self.create(json.loads(body))
        elif path == "/api/validate-yaml":
            self.reply(200, {"errors": [], "warnings": []})
        elif path.endswith("/preupload/main"):
            given = json.loads(body)["files"]
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            self.reply(200, {"files": [{"path": file["path"], **modes} for file in given]})
        elif path.endswith("/commit/main"):
            self.commit([json.loads(line) for line in body.splitlines()])
        else:
            self.reply(500, {"error": f"not expected: {path} {self.headers['Authorization']}"})

    def create(self, given):
        name = f"{given.get('organization')}/{given['name']}"
        url = f"http://{self.headers['Host']}/{name}"
        if given.get("organization") != "me":
            self.reply(403, {"error": "You don't have the rights to create a model there"})
        elif name in self.repositories:
            self.reply(409, {"error": "You already created this model repo", "url": url})
        else:
            self.repositories[name] = given
            self.reply(200, {"url": url, "name": name})

    def commit(self, lines):
        for line in lines:
            if line["key"] == "header":
                self.messages.append(line["value"]["summary"])
            else:
                self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        url = f"http://{self.headers['Host']}/me/small/commit/{COMMIT}"
        self.reply(200, {"success": True, "commitOid": COMMIT, "commitUrl": url})

    def reply(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    for seen in (Hub.repositories, Hub.files, Hub.messages):
        seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


SCRIPT = """
import json, logging, sys
from pathlib import Path
from limbeck.checkpoints import push_folder
from limbeck.errors import CheckpointError
logging.basicConfig(level=logging.DEBUG)
for arguments in json.loads(sys.argv[1]):
    try:
        print(push_folder(Path(arguments.pop("folder")), **arguments))
    except CheckpointError as error:
        print("refused:", error)
"""


def push_with(endpoint, *calls):
    """Pushes in a process of its own: the Hub's library reads its address when imported."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(calls)],
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert TOKEN not in run.stderr + run.stdout
    return run.stdout.splitlines()


@pytest.fixture
def folder(tmp_path):
    BertModel(
        BertConfig(
            vocab_size=9,
            hidden_size=4,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=4,
        )
    ).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("---\ntags: [limbeck]\n---\n\n# Small\n")
    return tmp_path / "model"


def test_a_folder_is_one_commit(hub, folder):
    call = {"folder": str(folder), "repo_id": "me/small", "token": TOKEN}
    first, again = push_with(
        hub, {**call, "private": True}, {**call, "commit_message": "Better weights"}
    )
    assert first == again == f"{hub}/me/small/commit/{COMMIT}"
    assert Hub.repositories["me/small"]["visibility"] == "private"
    assert Hub.files == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "limbeck" in Hub.messages[0]
    assert Hub.messages[1] == "Better weights"


def test_what_the_hub_refuses(hub, folder):
    call = {"folder": str(folder), "repo_id": "me/small", "token": TOKEN}
    wrong, other, no_name = push_with(
        hub,
        {**call, "token": "hf_wrong"},
        {**call, "repo_id": "others/small"},
        {**call, "repo_id": "no name at all"},
    )
    assert wrong.startswith("refused: the Hub does not know who pushes to 'me/small': pass token=")
    assert "hf_wrong" not in wrong
    assert other.startswith("refused: the Hub refuses to write to 'others/small': the token has no")
    assert "'no name at all' is no name on the Hub; accepted: owner/name" in no_name
    assert not Hub.files


def test_an_error_of_the_server_shows_no_token(hub, folder):
    call = {"folder": str(folder), "repo_id": "me/../api/x", "token": TOKEN}
    (line,) = push_with(hub, call)
    assert line.startswith("refused: ")


def test_hub_out_of_reach(folder):
    call = {"folder": str(folder), "repo_id": "me/small", "token": TOKEN}
    (line,) = push_with("http://127.0.0.1:9", call)
    assert line.startswith("refused: 'me/small' could not be pushed to the Hub: ")


MODEL_SCRIPT = """
import sys
import limbeck
model = limbeck.AutoModel.from_pretrained(sys.argv[1])
print(model.push_to_hub("me/small", token=sys.argv[2], private=False))
"""


def test_a_model_is_pushed(hub, folder):
    run = subprocess.run(
        [sys.executable, "-c", MODEL_SCRIPT, str(folder), TOKEN],
        env={**os.environ, "HF_ENDPOINT": hub, "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert run.stdout.strip() == f"{hub}/me/small/commit/{COMMIT}"
    assert set(Hub.files) == {"config.json", "model.safetensors"}
    assert Hub.repositories["me/small"]["visibility"] == "public"
