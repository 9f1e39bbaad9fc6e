"""What a few bytes from outside may ask for: limits that are stated, settable, and hold first."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from limbeck import limits
from limbeck.config import Settings, read_settings
from limbeck.errors import CheckpointError, DataError, SettingsError
from limbeck.files import parse_json, read_json
from limbeck.models import AutoConfig
from limbeck.sources import open_file
from limbeck.tokenizers.backend import parse_pipeline

ROOT = Path(__file__).parents[2]


class Anything(Settings):
    names: str = ""


def test_every_limit_stands_in_the_documentation() -> None:
    stated = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for limit in limits.LIMITS:
        assert f"| `{limit.name}` | {limit.default:,} | {limit.about} |" in stated
    assert len({limit.name for limit in limits.LIMITS}) == len(limits.LIMITS)


def test_a_limit_is_set_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    name = limits.LAYERS.name
    monkeypatch.setenv(name, "5000")
    assert limits.LAYERS.value == 5000
    for wrong in ("", "0", "-1", "many", "1e9", "9" * 5000):
        monkeypatch.setenv(name, wrong)
        with pytest.raises(SettingsError, match=rf"{name} is '.{{0,60}}' in the environment; acc"):
            _ = limits.LAYERS.value


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        (
            {"num_labels": 10**9},
            r"num_labels is 1,000,000,000; accepted: at most 100,000 \(LIMBECK",
        ),
        (
            {"num_hidden_layers": 100_000},
            r"it has 100,000 layers; accepted: at most 1,000 \(LIMBEC",
        ),
        ({"vocab_size": 10**18}, r"its sizes make some 10\^21 parameters; accepted: at most 10,"),
        ({"hidden_size": 10**18, "num_attention_heads": 1}, r"its sizes make some 10\^38 param"),
        ({"type_vocab_size": 10**18}, r"its sizes make some 10\^21 parameters"),
        ({"vocab_size": int("9" * 4000)}, r"its sizes make some 10\^4003 parameters"),
        (
            {"model_type": "electra", "embedding_size": 10**7, "hidden_size": 4},
            r"its sizes make some 100,\d{3},\d{3},\d{3},\d{3} parameters",
        ),
        (
            {"model_type": "mobilebert", "num_feedforward_networks": 10**6},
            r"it has 24,000,000 feed-forwards; accepted: at most 1,000 \(LIMBECK_MAX_LAYERS",
        ),
    ],
)
def test_a_model_of_no_size(tmp_path: Path, asked: dict[str, Any], match: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **asked}))
    with pytest.raises(CheckpointError, match=match):
        AutoConfig.from_pretrained(tmp_path)


def test_a_model_larger_than_the_limit_is_read_when_that_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"model_type": "bert", "num_hidden_layers": 1500}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv(limits.LAYERS.name, "1500")
    monkeypatch.setenv(limits.PARAMETERS.name, str(10**12))
    assert AutoConfig.from_pretrained(tmp_path).num_hidden_layers == 1500


def test_a_configuration_that_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match=r"can't read .*config\.json: that is a pipe or dev"):
        AutoConfig.from_pretrained(tmp_path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match=r"that is a pipe or device; accepted: a file"):
        AutoConfig.from_pretrained(tmp_path)


def test_a_file_that_is_too_long_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"a": "' + "b" * 2000 + '"}')
    monkeypatch.setenv(limits.FILE_BYTES.name, "1000")
    with pytest.raises(
        CheckpointError, match=r"config\.json has 2,009 bytes; accepted: at most 1,"
    ):
        read_json(path, error=CheckpointError)


def test_json_within_the_depth_and_numbers_that_python_reads() -> None:
    deepest = "[" * 100 + "]" * 100
    assert str(parse_json(deepest)).replace(" ", "") == deepest
    for deeper in (f"[{deepest}]", '{"a":' * 101 + "1" + "}" * 101, "[" * 100_000):
        with pytest.raises(ValueError, match=r"brackets stand too deep .* accepted: at most 100 "):
            parse_json(deeper)
    with pytest.raises(ValueError, match=r"a number has more than 4300 digits"):
        parse_json("1" * 5000)
    assert parse_json(json.dumps([[1]] * 1000)) == [[1]] * 1000


def test_a_line_that_a_small_file_unpacks_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bound by the limit, not by what the file unpacks to."""
    monkeypatch.setenv(limits.LINE_BYTES.name, str(2**20))
    monkeypatch.setenv(limits.DOCUMENT_BYTES.name, str(2**20))
    content = b'{"text": "' + b"a" * 2**26 + b'"}'
    for ending, match in (
        (
            "jsonl.gz",
            r"jsonl\.gz, line 1 is too long; accepted: at most 1,048,576 \(LIMBECK_MAX_LI",
        ),
        ("csv.bz2", r"csv\.bz2, line 1 is too long; .* bytes\. Is it a table\?"),
        ("json.gz", r"json\.gz is too long for one JSON document; .* Give JSON Lines"),
    ):
        path = tmp_path / f"a.{ending}"
        pack = bz2.compress if ending.endswith("bz2") else gzip.compress
        path.write_bytes(pack(content, 1))
        source = open_file(path, reader="tasks")
        tracemalloc.start()
        with pytest.raises(DataError, match=match):
            list(source.rows())
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
        tracemalloc.stop()


def test_a_compressed_table_is_unpacked_to_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(limits.UNPACKED_BYTES.name, str(2**20))
    path = tmp_path / "a.parquet.gz"
    path.write_bytes(gzip.compress(bytes(2**23)))
    with pytest.raises(DataError, match=r"too large to be unpacked; accepted: at most 1,048,576 "):
        list(open_file(path, reader="tasks").rows())


def _tokenizer(**parts: object) -> str:
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {"[UNK]": 0, "a": 1},
    }
    return json.dumps({"version": "1.0", "added_tokens": [], "model": model, **parts})


def _replace(found: str, by: str, kind: str = "String") -> dict[str, object]:
    return {"type": "Replace", "pattern": {kind: found}, "content": by}


def test_a_chain_of_replacements() -> None:
    chain = [_replace("a", "a" * 10)] * 8
    nested = {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": chain}]}
    table = base64.b64encode(bytes(4) + b"a" * 5000 + b"\0").decode()
    for parts, growth in (
        ({"normalizer": nested}, "100,000,000"),
        ({"decoder": {"type": "Sequence", "decoders": chain}}, "100,000,000"),
        ({"normalizer": _replace("", "a" * 200)}, "201"),
        ({"normalizer": _replace(".", "a" * 200, "Regex")}, "201"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": table}}, "5,000"),
    ):
        with pytest.raises(
            CheckpointError, match=rf"can make {growth} characters of one; accepted: at most 100 "
        ):
            parse_pipeline(_tokenizer(**parts), where="tokenizer.json")
    usual = {"type": "Sequence", "normalizers": [_replace("``", '"'), _replace(" ", "▁")] * 20}
    assert parse_pipeline(_tokenizer(normalizer=usual), where="tokenizer.json")


def test_brackets_and_numbers_beyond_reading_in_settings(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    for content in ("names = " + "[" * 5000, f"names = {'1' * 5000}"):
        path.write_text(content)
        with pytest.raises(SettingsError, match=r"run\.toml: TOML that Python can't read: "):
            read_settings(Anything, path)
    with pytest.raises(SettingsError, match=r"there is no setting|tables stand too deep"):
        read_settings(Anything, None, ["a." * 3000 + "b=1"])
    assert read_settings(Anything, None, ["names=" + "[" * 1000]).names == "[" * 1000
