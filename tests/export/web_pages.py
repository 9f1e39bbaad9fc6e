"""Exported pages in a real browser: models that learned something, a server, and what was seen."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from contextlib import contextmanager
from functools import partial

import pytest
import torch
from pipeline_models import write_model

from limbeck.errors import ExportError
from limbeck.export import load_target, write_export
from limbeck.export._web import find_runtime
from limbeck.tokenizers import AutoTokenizer

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def require_runtime(folder):
    """Skips where neither cache nor npm has what runs a page."""
    try:
        find_runtime().copy_to(folder)
    except ExportError as error:
        pytest.skip(f"no runtime for a page: {error}")


@contextmanager
def start_browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser is installed; one of {', '.join(BROWSERS)}")
    with sync_api.sync_playwright() as playwright:
        # Chromium has no sandbox for root, who runs tests in most containers.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def serve(folder):
    """Serves a folder as `python -m http.server` does; yields its address."""
    handler = partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def open_page(browser, site, *, start=""):
    """Serves a folder and opens a file of it; yields the page and the server's address."""
    with serve(site) as address:
        page = browser.new_page()
        page.goto(address + start)
        yield page, address
        page.close()


@contextmanager
def visit(browser, site):
    """Opens a page that loads its model; nobody else may be asked, and nothing complain."""
    requests, complaints = [], []
    context = browser.new_context()
    context.on("request", lambda request: requests.append(request.url.removeprefix("blob:")))
    context.on("console", lambda message: complaints.append(message.text))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    with open_page(context, site) as (page, address):
        page.wait_for_selector("#answer:not([hidden])", timeout=60_000)
        yield page
        assert len(requests) > 10
        assert [url for url in requests if not url.startswith(address)] == []
        assert "\n".join(complaints) == ""
    context.close()


def type_into(page, *texts):
    """Types texts as people do and waits for their answer."""
    for place, text in enumerate(texts):
        field = page.locator("textarea").nth(place)
        field.fill("")
        field.press_sequentially(text)
    page.wait_for_timeout(200)  # longer than the page waits for the next key
    page.wait_for_selector("#answer[aria-busy=false] #timing:not(:empty)")


def read_bars(page):
    """Returns labels with their scores as they stand there."""
    labels = page.locator("#details .label").all_text_contents()
    scores = page.locator("#details .score").all_text_contents()
    return {
        label: float(score.removesuffix(" %")) / (100 if score.endswith("%") else 1)
        for label, score in zip(labels, scores, strict=True)
    }


def read_facts(site):
    return json.loads((site / "model.json").read_text(encoding="utf-8"))


def export_page(source, folder):
    """Exports a model; returns the folder to serve."""
    write_export(source, folder, load_target("web"))
    return folder / "web"


def write_trained(folder, *, auto_model, examples, labels, texts, steps=60, **changes):
    """Writes a tiny model that has learned a few examples by heart.

    Args:
        folder: Where to.
        auto_model: Its class.
        examples: Pairs of arguments of the tokenizer and what `cross_entropy` wants of each row:
            targets by output's name, made of the encoding.
        labels: Names of the labels.
        texts: What the vocabulary is made of.
        steps: Of the training.
        changes: For the configuration.
    """
    write_model(
        folder,
        auto_model=auto_model,
        labels=labels,
        texts=texts,
        model_type=changes.pop("model_type", "distilbert"),
        **{"initializer_range": 0.1, "hidden_size": 32, "intermediate_size": 64, **changes},
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = auto_model.from_pretrained(folder).train()
    rows = [tokenizer(*given, return_tensors="pt") for given, _ in examples]
    targets = [find(row) for row, (_, find) in zip(rows, examples, strict=True)]
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(steps):
        losses = []
        for row, wanted in zip(rows, targets, strict=True):
            output = model(**row)
            for name, target in wanted.items():
                scores = getattr(output, name)
                scores = scores.flatten(0, -2) if scores.dim() == 3 else scores
                losses.append(torch.nn.functional.cross_entropy(scores, target))
        optimiser.zero_grad()
        torch.stack(losses).mean().backward()
        optimiser.step()
    model.eval().save_pretrained(folder)
    return folder
