"""What runs a page comes from npm, is what was published, or an error says how to get it."""

import shutil
import tarfile
from pathlib import Path

import pytest
from exported_models import make_graph, make_tokenizer
from web_pages import require_runtime

from limbeck.errors import ExportError
from limbeck.export import Graph, load_target
from limbeck.export._web import find_runtime
from limbeck.export._web.runtime import COMMAND, PACKAGES, Runtime
from limbeck.export.web import WebTarget
from limbeck.models import SentenceModel, find_architecture


@pytest.mark.parametrize(
    ("family", "kind", "expected"),
    [
        ("distilbert", "encoder", r"bare encoder.*modules\.json"),
        ("gpt2", "causal_lm", "grow token by token"),
        ("electra", "replaced_tokens", "pretraining only"),
    ],
)
def test_models_without_a_page(family, kind, expected):
    (kind,) = (k for k in find_architecture(family).kinds if k.name == kind)
    with pytest.raises(ExportError, match=f"can't be exported to web: .*{expected}"):
        load_target("web").check(make_graph(family, kind))


def test_a_sentence_model_has_a_page():
    (kind,) = (k for k in find_architecture("distilbert").kinds if k.name == "encoder")
    graph = Graph(SentenceModel(make_graph("distilbert", kind).model))
    assert load_target("web").refuse(graph) is None


def test_without_npm_the_command_to_run_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        ExportError, match=r"npm, which is not installed.*LIMBECK_WEB_RUNTIME"
    ) as caught:
        Runtime(tmp_path, is_given=False).check()
    assert COMMAND in str(caught.value)
    assert all(package.archive in str(caught.value) for package in PACKAGES)


def test_a_folder_that_is_given_is_never_filled(tmp_path, monkeypatch):
    monkeypatch.setenv("LIMBECK_WEB_RUNTIME", str(tmp_path))
    with pytest.raises(ExportError, match=r"has no huggingface-transformers-.*\.tgz.*run this"):
        find_runtime().copy_to(tmp_path / "site")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("LIMBECK_WEB_RUNTIME", str(tmp_path / "nowhere"))
    with pytest.raises(ExportError, match=r"no folder .*nowhere, which LIMBECK_WEB_RUNTIME names"):
        find_runtime()


def test_a_package_that_is_another_than_was_published(tmp_path):
    for package in PACKAGES:
        (tmp_path / "package").mkdir(exist_ok=True)
        with tarfile.open(tmp_path / package.archive, "w:gz") as archive:
            for name in package.files:
                (tmp_path / "forged").write_bytes(b"alert(1)")
                archive.add(tmp_path / "forged", f"package/{name}")
    with pytest.raises(ExportError, match=r"LICENSE in .*\.tgz is not that of @huggingface/transf"):
        Runtime(tmp_path, is_given=True).copy_to(tmp_path / "site")
    (tmp_path / PACKAGES[0].archive).write_bytes(b"no archive")
    with pytest.raises(ExportError, match=r"4\.3\.2\.tgz can't be read .*; remove it"):
        Runtime(tmp_path, is_given=True).copy_to(tmp_path / "site")


def test_a_dry_run_says_what_would_be_fetched_and_from_where(tmp_path):
    runtime = Runtime(tmp_path, is_given=False)
    assert runtime.describe() == (
        "fetched from npm, once: @huggingface/transformers@4.3.2 and "
        f"onnxruntime-web@{PACKAGES[1].version}, 35 MB, of which 15 MB are kept in {tmp_path}"
    )
    (tmp_path / PACKAGES[0].archive).touch()
    expected = f"once: onnxruntime-web@{PACKAGES[1].version}, 33 MB, of which 14 MB are"
    assert expected in runtime.describe()
    assert expected in WebTarget(tmp_path).describe_runtime()
    for package in PACKAGES:
        for name in package.files:
            (tmp_path / Path(name).name).touch()
    assert runtime.describe() == f"in {tmp_path}, nothing is fetched"


def test_npm_without_a_network(tmp_path, monkeypatch):
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    with pytest.raises(
        ExportError, match=r"npm could not fetch .*without a network here, run this"
    ):
        Runtime(tmp_path, is_given=False).copy_to(tmp_path / "site")


def test_files_of_a_cache_serve_as_archives_do(tmp_path):
    require_runtime(tmp_path / "cache")
    Runtime(tmp_path / "cache", is_given=True).copy_to(tmp_path / "site")
    names = {path.name for path in (tmp_path / "site").iterdir()}
    assert names == {name.rpartition("/")[2] for p in PACKAGES for name in p.files}
    path = tmp_path / "cache" / "transformers.min.js"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ExportError, match=r"transformers\.min\.js in .*cache is not that of"):
        Runtime(tmp_path / "cache", is_given=True).copy_to(tmp_path / "site")


def test_templates_of_special_tokens():
    tokenizer = make_tokenizer()
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert tokenizer.read_template() == [(cls, 0), (None, 0), (sep, 0)]
    pair = [(cls, 0), (None, 0), (sep, 0), (None, 1), (sep, 1)]
    assert tokenizer.read_template(pair=True) == pair
