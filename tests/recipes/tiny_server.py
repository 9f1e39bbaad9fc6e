"""A real server on this machine that labels texts as servers do, and fails where it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tiny_task import LABELS, WORDS

POSITIVE = 0.9
"""Probability of the label that it gives."""


def label_of(text):
    return int(any(word in text.split() for word in WORDS[1]))


def vector_of(text):
    """Three numbers, of which the first two tell what the text is."""
    label = label_of(text)
    return [1.0 - label, float(label), len(text) / 400]


class LabelServer(ThreadingHTTPServer):
    """Speaks `/predict`, `/embed`, `/v1/embeddings` and `/v1/chat/completions`.

    Attributes:
        faults: What happens to the next requests, one each: a status, `timeout`, `trickle`,
            `nonsense`, `cut`, the bytes of an answer, or None for one. Afterwards all are answered.
        always: A fault of every request.
        answered: How often each text was answered, fully and well.
        num_requests: All of them.
        top: Probabilities of the first token: of the label, of the other one, of a word.
        unseemly: Texts of which it takes no question.
        words: What a language model says of a text, by default its label.
        keys: Authorisations that came along.
        delay: Seconds that an answer takes.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.faults, self.always, self.delay = [], None, 0.0
        self.answered, self.num_requests, self.keys = Counter(), 0, set()
        self.unseemly = set()
        self.top = [0.6, 0.2, 0.1]
        self.words = lambda text: LABELS[label_of(text)].lower() + "."
        self.bodies = []
        self.guard = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """Says nothing of connections that a client has closed."""


@contextmanager
def serving():
    server = LabelServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        """Logs nothing."""

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.guard:
            server.num_requests += 1
            server.bodies.append(body)
            server.keys.add(self.headers.get("Authorization"))
            fault = server.faults.pop(0) if server.faults else server.always
        if server.delay:
            time.sleep(server.delay)
        if fault == "timeout":
            time.sleep(1.0)
            return None
        if isinstance(fault, bytes):
            return self._send(200, fault)
        if fault == "nonsense":
            return self._send(200, b"<html>busy</html>")
        if fault == "trickle":
            return self._trickle()
        if fault == "huge":
            return self._send(200, b"[" + b"1," * 3000 + b"1]")
        if fault == "redirect":
            return self._send(307, b"", Location="http://elsewhere.example/predict?with=me")
        if isinstance(fault, int):
            said = {"error": {"message": f"no: {self.headers.get('Authorization')}"}}
            more = {"Retry-After": "0.01"} if fault == 429 else {}
            return self._send(fault, json.dumps(said).encode(), **more)
        texts, answer = self._answer(body)
        if not server.unseemly.isdisjoint(texts):
            return self._send(400, b'{"error": {"message": "content filter"}}')
        content = json.dumps(answer).encode()
        if fault == "cut":
            self._send(200, content[: len(content) // 2], length=len(content))
            self.close_connection = True
            return None
        with server.guard:
            server.answered.update(texts)
        return self._send(200, content)

    def _trickle(self):
        """Sends a byte, and then the next, for longer than anybody should wait."""
        self._send(200, b" ", length=100)
        with suppress(OSError):
            for _ in range(40):
                time.sleep(0.05)
                self.wfile.write(b" ")
        self.close_connection = True

    def _answer(self, body):
        if self.path == "/predict":
            texts = [" ".join(row) for row in body["inputs"]]
            return texts, [_scores(label_of(text)) for text in texts]
        if self.path == "/embed":
            return body["inputs"], [vector_of(text) for text in body["inputs"]]
        if self.path == "/v1/embeddings":
            rows = [{"index": i, "embedding": vector_of(t)} for i, t in enumerate(body["input"])]
            return body["input"], {"data": rows[::-1], "usage": {"prompt_tokens": 7 * len(rows)}}
        assert self.path == "/v1/chat/completions"
        text = body["messages"][0]["content"].rpartition("Text: ")[2]
        choice = {"message": {"content": self.server.words(text)}}
        if body.get("logprobs"):
            import math

            tokens = (LABELS[label_of(text)][:3].lower(), LABELS[1 - label_of(text)][:2], "the")
            # Servers say -9999 of what is next to impossible.
            logs = [math.log(share) if share else -9999.0 for share in self.server.top]
            top = [{"token": t, "logprob": p} for t, p in zip(tokens, logs, strict=True)]
            choice["logprobs"] = {"content": [{"top_logprobs": top}]}
        usage = {"prompt_tokens": 100, "completion_tokens": 2}
        return [text], {"choices": [choice], "usage": usage}

    def _send(self, status, content, *, length=None, **headers):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)


def _scores(label):
    scores = [POSITIVE if i == label else 1 - POSITIVE for i in range(2)]
    found = [{"label": n, "score": s} for n, s in zip(LABELS, scores, strict=True)]
    return sorted(found, key=lambda one: -one["score"])
