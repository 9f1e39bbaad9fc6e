"""Files whole or not at all, JSON, JSON Lines, checksums: what survives and what is refused."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limbeck.errors import CheckpointError, DataError, SettingsError
from limbeck.files import (
    read_json,
    read_json_lines,
    replace_file,
    replace_folder,
    sha256_of,
    sha256_of_files,
    sha256_of_texts,
    write_json,
    write_json_lines,
    write_text,
)
from limbeck.files.atomic import remove_leftovers

NOBODY = 65534  # the user's number, on every Unix


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="has no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_file_is_for_whom_the_umask_allows_whoever_wrote_it(tmp_path, umask, mode):
    """Safetensors writes for the owner alone."""
    before = os.umask(umask)
    try:
        with replace_file(tmp_path / "file", error=CheckpointError) as temporary:
            temporary.unlink()
            temporary.touch(mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.name == "nt", reason="has no modes")
def test_a_file_that_may_only_be_read_is_put_in_place_with_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    is_root = os.geteuid() == 0
    if is_root:  # who may write everything
        os.chown(tmp_path, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        for text in ("first", "second"):
            with replace_folder(Path("model")) as partial:
                (partial / "notes").write_text(text)
                (partial / "notes").chmod(0o444)
    finally:
        if is_root:
            os.seteuid(0)
    assert (tmp_path / "model/notes").read_text() == "second"
    assert names_in(tmp_path) == ["model"]


def test_a_folder_is_there_until_the_new_one_is(tmp_path, monkeypatch):
    """Killed where it changes places: one of the two is whole."""
    target = tmp_path / "model"
    target.mkdir()
    (target / "notes").write_text("old")

    def stop(*_arguments, **_keywords):
        raise KeyboardInterrupt

    def replace():
        with replace_folder(target) as partial:
            (partial / "notes").write_text("new")
            monkeypatch.setattr(os, "rmdir", stop)  # where a folder's removal ends

    with pytest.raises(KeyboardInterrupt):
        replace()
    assert (target / "notes").read_text() in ("old", "new")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="tells what a descriptor opens")
def test_all_that_is_in_a_folder_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    target, before, flush = tmp_path / "model", set(), os.fsync

    def note(descriptor):
        if not target.exists():
            before.add(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    with replace_folder(target) as partial:
        (partial / "onnx").mkdir()
        for name in ("config.json", "onnx/model.onnx"):
            (partial / name).write_text("{}")
    assert before == {"config.json", "onnx", "model.onnx", ".partial-model"}


def test_replaced_whole(tmp_path):
    path = tmp_path / "new" / "value.txt"
    with replace_file(path, error=CheckpointError) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    with replace_file(path, error=CheckpointError) as temporary:
        temporary.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second"
    assert names_in(path.parent) == ["value.txt"]


def test_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "value.txt"
    path.write_text("old")

    def write_half():
        with replace_file(path, error=CheckpointError) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["value.txt"]


def test_unwritable_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"can't write .*file/a/value.json: "):
        write_json(tmp_path / "file" / "a" / "value.json", {}, error=CheckpointError)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_survives(tmp_path, value):
    write_json(tmp_path / "value.json", value, error=DataError)
    assert read_json(tmp_path / "value.json", error=DataError) == value


def test_a_run_folder_is_told_from_the_model_folder_in_it(tmp_path: Path) -> None:
    (tmp_path / "run/model").mkdir(parents=True)
    (tmp_path / "run/model/config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"run has no config.json.*mean '.*run/model'\?"):
        read_json(tmp_path / "run/config.json", error=CheckpointError)


def test_an_object_that_is_no_json_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"b": 1, "a": "é"}, error=SettingsError)
    assert path.read_bytes() == '{\n  "b": 1,\n  "a": "é"\n}\n'.encode()
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"a": object()}, error=SettingsError)
    assert read_json(path, error=SettingsError) == {"b": 1, "a": "é"}
    assert names_in(tmp_path) == ["result.json"]
    write_json(path, {"b": 1, "a": 2}, error=SettingsError, sort_keys=True)
    assert list(json.loads(path.read_text())) == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"scores": {"f1": math.nan}}, r"scores\.f1 is nan"),
        ({"seeds": [{"loss": 1.0}, {"loss": math.inf}]}, r"seeds\[1\]\.loss is inf"),
        ({"a": None, "sizes": (1, -math.inf)}, r"sizes\[1\] is -inf"),
    ],
)
def test_a_number_that_json_has_no_word_for_is_refused_by_its_key(tmp_path, value, place):
    path = tmp_path / "result.json"
    write_json(path, {"before": True}, error=DataError)
    match = rf"can't write .*result\.json: {place}; accepted: finite numbers, and null for none$"
    with pytest.raises(DataError, match=match):
        write_json(path, value, error=DataError)
    with pytest.raises(ValueError, match=match):
        write_json(path, value, error=None)
    assert read_json(path, error=DataError) == {"before": True}


def test_the_error_is_of_the_class_that_the_caller_wants(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"can't write .*file/x: "):
        write_text(tmp_path / "file" / "x", "", error=SettingsError)
    with pytest.raises(OSError, match=r"\[Errno"):
        write_text(tmp_path / "file" / "x", "", error=None)
    with pytest.raises(DataError, match=r"has no x.json; it holds: file\.$"):
        read_json(tmp_path / "x.json", error=DataError)


def test_what_a_killed_process_left_goes(tmp_path):
    left = replace_file(tmp_path / "state.json", error=None)
    temporary = left.__enter__()
    temporary.write_text("half")
    (tmp_path / "other.tmp").write_text("not ours")
    begun = replace_folder(tmp_path / "model")
    begun.__enter__().joinpath("config.json").write_text("{")
    for name in ("mine", "others"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".run.json.0a1b2c3d.tmp").write_text("half")
    (tmp_path / "away").symlink_to(tmp_path / "others", target_is_directory=True)
    remove_leftovers(tmp_path, belongs_to_others=lambda folder: folder.name == "others")
    assert names_in(tmp_path) == ["away", "mine", "other.tmp", "others"]
    assert names_in(tmp_path / "mine") == []
    assert names_in(tmp_path / "others") == [".run.json.0a1b2c3d.tmp"]


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "step-1"
    (tmp_path / ".partial-step-1").mkdir()
    (tmp_path / ".partial-step-1" / "of-a-killed-process").write_text("")
    with replace_folder(target) as folder:
        (folder / "a").write_text("1")
        assert not target.exists()
    with replace_folder(target) as folder:
        (folder / "b").write_text("2")
        assert names_in(target) == ["a"]
    assert names_in(target) == ["b"]
    assert names_in(tmp_path) == ["step-1"]


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=4))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_survive(tmp_path, rows):
    path = tmp_path / "rows.jsonl"
    write_json_lines(path, rows, error=DataError)
    assert list(read_json_lines(path, error=DataError)) == rows
    assert path.read_bytes().count(b"\n") == len(rows)


def test_lines_end_at_line_feeds_only(tmp_path):
    row = {"text": "a\u2028b\u0085c\x0bd"}
    write_json_lines(tmp_path / "rows.jsonl", [row, row], error=DataError)
    assert list(read_json_lines(tmp_path / "rows.jsonl", error=DataError)) == [row, row]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b'{"a": 1}\n[2]\n', r"rows.jsonl, line 2: not a JSON object: '\[2\]'"),
        (b'{"a": 1}\n{"a": ', r"rows.jsonl, line 2: not a JSON object: '\{\"a\":'"),
        (b'{"a": 1}\n\n', r"rows.jsonl, line 2: not a JSON object: ''"),
        (b'{"a": "\xff"}\n', r"rows.jsonl, line 1: not UTF-8 text: invalid start byte"),
    ],
)
def test_wrong_lines(tmp_path, content, match):
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=match):
        list(read_json_lines(tmp_path / "rows.jsonl", error=DataError))


def test_a_file_that_may_be_cut_ends_at_its_last_whole_line(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a": 2}\n{"a"')
    found = read_json_lines(tmp_path / "rows.jsonl", error=DataError, may_be_cut=True)
    assert list(found) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("content", ['{"a": 1}\n{"a"\n{"a": 3}\n', '{"a": 1}\n{"b": ☃\n'])
def test_only_the_last_line_may_be_cut(tmp_path, content):
    (tmp_path / "rows.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"rows.jsonl, line 2: not a JSON object: .*; look at it$"):
        list(
            read_json_lines(
                tmp_path / "rows.jsonl", error=DataError, may_be_cut=True, remedy="look at it"
            )
        )


def test_a_line_cut_within_a_character_is_left_out(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'{"a": 1}\n' + '{"b": "☃'.encode()[:-1])
    found = read_json_lines(tmp_path / "rows.jsonl", error=DataError, may_be_cut=True)
    assert list(found) == [{"a": 1}]


def test_lines_hold_finite_numbers(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_json_lines(path, [{"a": 1}], error=DataError)
    match = (
        r"can't write .*rows\.jsonl: line 2, b\.c\[1\] is nan; accepted: finite numbers, and null"
    )
    with pytest.raises(DataError, match=match):
        write_json_lines(path, [{"a": 2}, {"b": {"c": [0.5, math.nan]}}], error=DataError)
    assert list(read_json_lines(path, error=DataError)) == [{"a": 1}]


def test_lines_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match=r"can't read .*rows.jsonl: there is no such file"):
        list(read_json_lines(tmp_path / "rows.jsonl", error=DataError))
    with pytest.raises(DataError, match=r"can't read .*: that is a folder"):
        list(read_json_lines(tmp_path, error=DataError))


def test_checksums(tmp_path):
    (tmp_path / "x").write_bytes("aé".encode())
    expected = hashlib.sha256("aé".encode()).hexdigest()
    assert sha256_of(tmp_path / "x") == sha256_of_texts(["a", "é"]) == expected
    (tmp_path / "in").mkdir()
    for name in ("in/y", "README.md", ".hidden"):
        (tmp_path / name).write_text("y")
    found = sha256_of_files(tmp_path, but=("README.md",))
    assert found == {"in/y": sha256_of_texts(["y"]), "x": expected}


def test_names_that_are_not_unicode_come_back_from_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9/\xff")
    write_json(tmp_path / "a.json", {"path": name}, error=DataError)
    write_json_lines(tmp_path / "a.jsonl", [{"path": name}], error=DataError)
    assert read_json(tmp_path / "a.json", error=DataError) == {"path": name}
    assert list(read_json_lines(tmp_path / "a.jsonl", error=DataError)) == [{"path": name}]


def test_what_is_in_the_way_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, match in (
        (
            tmp_path / "file/a/b",
            r"can't write .*b: a part of its path is a file, not a folder: .*file;",
        ),
        (
            tmp_path / ("a" * 300),
            r"can't write .*aaa: its name is too long .*; give a shorter one$",
        ),
        (Path("/proc/none/a"), r"can't write /proc/none/a: there is no such file; check its name$"),
    ):
        with pytest.raises(CheckpointError, match=match):
            write_json(path, {}, error=CheckpointError)
