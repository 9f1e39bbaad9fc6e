from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data import Corpus, CorpusSettings, build_corpus
from limbeck.errors import DataError, FolderInUseError
from limbeck.files import own_folder

SCRIPT = """
import sys
from pathlib import Path
from limbeck.data import CorpusSettings, build_corpus
from limbeck.tokenizers import Tokenizer
tokenizer, out, settings, *sources = sys.argv[1:]
build_corpus(
    sources,
    tokenizer=Tokenizer.from_pretrained(tokenizer),
    out=Path(out),
    settings=CorpusSettings.model_validate_json(settings),
)
"""


class StopAfter:
    """A progress display whose user presses Ctrl-C after some records."""

    def __init__(self, records: int):
        self.left = records

    @contextlib.contextmanager
    def stage(self, description, *, total, unit):
        yield self

    def advance(self, amount=1):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def update(self, **fields):
        pass

    def log(self, message):
        pass


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def sources(tmp_path_factory, texts) -> list[Path]:
    """A JSON Lines file with malformed lines and duplicates, a compressed one, a text file."""
    folder = tmp_path_factory.mktemp("sources")
    lines = [json.dumps({"text": text}) for text in texts]
    first, second, third = folder / "a.jsonl", folder / "b.jsonl.gz", folder / "c.txt"
    first.write_text("\n".join([*lines[:6], "{", "", *lines[4:8], '{"text": "  "}']))
    second.write_bytes(gzip.compress("\n".join(lines[7:14]).encode()))
    third.write_text("\n\n".join(texts[14:22]))
    return [first, second, third]


@settings(max_examples=10)
@given(
    stops=st.lists(st.integers(0, 26), min_size=1, max_size=3),
    every=st.sampled_from([0.0, 0.002, 1e9]),
    shard_tokens=st.sampled_from([150, 400, 10**6]),
    deduplicate=st.booleans(),
)
def test_a_stopped_build_ends_as_one_without_a_stop(
    tmp_path_factory, tokenizer, sources, stops, every, shard_tokens, deduplicate
):
    folder = tmp_path_factory.mktemp("resume")
    chosen = CorpusSettings(
        heldout_ratio=0.3,
        on_error="skip",
        shard_tokens=shard_tokens,
        deduplicate=deduplicate,
        batch_characters=1000,
        save_every_seconds=every,
    )

    def build(name, **more):
        return build_corpus(
            sources, tokenizer=tokenizer, out=folder / name, settings=chosen, **more
        )

    whole = build("whole")
    for stop in stops:
        with contextlib.suppress(KeyboardInterrupt):
            build("stopped", progress=StopAfter(stop))
    assert build("stopped") == whole
    assert content_of(folder / "stopped") == content_of(folder / "whole")
    Corpus.open(folder / "stopped").verify()


@pytest.mark.slow
def test_a_killed_build_continues_to_the_same_bytes(tmp_path, tokenizer, texts):
    source = tmp_path / "a.jsonl"
    rows = [json.dumps({"text": f"{text} {i}"}) + "\n" for i in range(100) for text in texts]
    source.write_text("".join(rows))
    chosen = CorpusSettings(
        heldout_ratio=0.2, shard_tokens=5000, deduplicate=True, save_every_seconds=0
    )
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    out = tmp_path / "killed"
    arguments = [str(tmp_path / "tokenizer"), str(out), chosen.model_dump_json(), str(source)]
    root = Path(__file__).parents[2]
    reached = []
    for _ in range(2):
        command = [sys.executable, "-c", SCRIPT, *arguments]
        process = subprocess.Popen(command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)})
        before = _record(out)
        while process.poll() is None and _record(out) < before + 30:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the build ended before it could be killed"
        reached.append(_record(out))
    assert 0 < reached[0] < reached[1] < 4000
    fast = chosen.model_copy(update={"save_every_seconds": 60.0, "batch_characters": 5000})
    for folder in (out, tmp_path / "whole"):
        build_corpus([source], tokenizer=tokenizer, out=folder, settings=fast)
    assert content_of(out) == content_of(tmp_path / "whole")


@pytest.mark.parametrize("has_state", [False, True])
def test_a_file_half_written_at_the_kill_neither_stops_the_build_nor_stays(begun, has_state):
    out, build = begun
    if not has_state:  # the very first write was killed
        shutil.rmtree(out)
        out.mkdir()
    (out / ".build-state.json.0a1b2c3d.tmp").write_text('{"request"')
    build(save_every_seconds=60.0)
    assert ".build-state.json.0a1b2c3d.tmp" not in content_of(out)
    assert "build-state.json" not in content_of(out)


def test_a_state_left_beside_a_finished_corpus_goes(begun):
    out, build = begun
    state = (out / "build-state.json").read_bytes()
    info = build()
    (out / "build-state.json").write_bytes(state)  # killed between the last two writes
    assert build() == info
    assert "build-state.json" not in content_of(out)


def test_two_builds_in_one_folder_are_refused(begun):
    """The other is stopped in the middle of a record, as in another process."""
    out, build = begun
    with (
        own_folder(out, work="limbeck corpus build"),
        ThreadPoolExecutor(1) as other,
        pytest.raises(FolderInUseError, match=rf"{out} is in use .*limbeck corpus build, process"),
    ):
        other.submit(build).result()
    before = build()
    Corpus.open(out).verify()
    with own_folder(out, work="limbeck corpus build"), ThreadPoolExecutor(1) as other:
        assert other.submit(build).result() == before  # which writes nothing


def _record(folder: Path) -> int:
    path = folder / "build-state.json"
    return json.loads(path.read_text())["record"] if path.exists() else 0


@pytest.fixture
def begun(tmp_path, tokenizer, sources):
    """A folder with a build that was stopped, and a function that continues it."""
    out = tmp_path / "out"

    def build(given=sources, tokenizer=tokenizer, progress=None, **values):
        values = {"on_error": "skip", "save_every_seconds": 0.0, "shard_tokens": 100} | values
        more = {"progress": progress} if progress else {}
        chosen = CorpusSettings.from_values(values)
        return build_corpus(given, tokenizer=tokenizer, out=out, settings=chosen, **more)

    with pytest.raises(KeyboardInterrupt):
        build(progress=StopAfter(12))
    return out, build


@pytest.mark.parametrize("finished", [False, True])
def test_another_request_for_the_same_folder_names_the_difference(
    begun, tokenizer, other_tokenizer, sources, tmp_path, finished
):
    out, build = begun
    if finished:
        build()
    fingerprints = f"{tokenizer.fingerprint[:12]}, now it is {other_tokenizer.fingerprint[:12]}"
    with pytest.raises(DataError, match=f"was begun with the tokenizer {fingerprints}. Give what"):
        build(tokenizer=other_tokenizer)
    with pytest.raises(DataError, match=r"heldout_ratio=0.01, now it is heldout_ratio=0.2"):
        build(heldout_ratio=0.2)
    with pytest.raises(DataError, match=r"begun with 3 sources, now there are 2"):
        build(sources[:2])
    swapped = [sources[1], sources[0], sources[2]]
    with pytest.raises(DataError, match=r"the source .*a.jsonl of \d+ bytes, now there is .*b.jso"):
        build(swapped)
    before = content_of(out)
    info = build(batch_characters=2000)
    assert build() == info
    if finished:
        assert content_of(out) == before


@pytest.mark.parametrize("finished", [False, True])
def test_a_source_is_known_by_what_it_holds(begun, sources, tmp_path, finished):
    _, build = begun
    if finished:
        build()
    moved = [tmp_path / source.name for source in sources]
    for source, target in zip(sources, moved, strict=True):
        shutil.copy(source, target)
    text = moved[2].read_bytes()
    moved[2].write_bytes(bytes([text[0] ^ 1]) + text[1:])
    with pytest.raises(
        DataError, match=r"with the source .*c.txt of \d+ bytes, now there is .*c.t"
    ):
        build(moved)
    moved[2].write_bytes(text)
    assert build(moved) == build()


def test_a_source_that_changed_at_equal_size_under_its_name(begun, sources):
    out, build = begun
    text = sources[0].read_bytes()
    state = sources[0].stat()
    try:
        sources[0].write_bytes(text.replace(b"e", b"a", 1))
        os.utime(sources[0], ns=(state.st_atime_ns, state.st_mtime_ns))
        with pytest.raises(DataError) as caught:
            build()
    finally:
        sources[0].write_bytes(text)
    assert str(caught.value) == (
        f"the corpus folder {out} was begun with another content of {sources[0]}, which has "
        "changed since. Give what it was begun with, another folder, or delete this one"
    )


def test_lost_files_of_a_stopped_build_are_noticed(begun):
    out, build = begun
    shard = out / "train-00000.bin"
    content = shard.read_bytes()
    os.truncate(shard, len(content) - 2)
    with pytest.raises(
        DataError, match=r"train-00000.bin is missing or doesn't have the \d+ bytes"
    ):
        build()
    shards = sorted(out.glob("train-*[0-9].bin"))
    shard.write_bytes(content)
    os.truncate(shards[-1], 0)
    with pytest.raises(
        DataError, match=rf"{shards[-1].name} has 0 bytes but had \d+ when the buil"
    ):
        build()
    state = json.loads((out / "build-state.json").read_text())
    state["writers"]["train"]["shards"][0]["name"] = "../elsewhere"
    for content in (b"{", b'{"\xff": 1}', json.dumps(state).encode()):
        (out / "build-state.json").write_bytes(content)
        with pytest.raises(
            DataError, match=r"build-state.json is (damaged|not).*; delete the folder"
        ):
            build()


def test_lost_digests_of_a_stopped_build_are_noticed(tmp_path, tokenizer, sources):
    out = tmp_path / "out"
    chosen = CorpusSettings(deduplicate=True, on_error="skip", save_every_seconds=0)
    build = {"tokenizer": tokenizer, "out": out, "settings": chosen}
    with pytest.raises(KeyboardInterrupt):
        build_corpus(sources, progress=StopAfter(12), **build)
    os.truncate(out / "build-digests.bin", 16)
    with pytest.raises(
        DataError, match=r"build-digests.bin is missing or too short; delete the folder"
    ):
        build_corpus(sources, **build)


def test_a_byte_that_changed_in_a_stopped_build_is_noticed(tmp_path, tokenizer, sources):
    out = tmp_path / "out"
    chosen = CorpusSettings(
        deduplicate=True, on_error="skip", save_every_seconds=0, shard_tokens=256
    )
    build = {"tokenizer": tokenizer, "out": out, "settings": chosen}
    with pytest.raises(KeyboardInterrupt):
        build_corpus(sources, progress=StopAfter(12), **build)
    files = [path for path in sorted(out.glob("*.bin")) if path.stat().st_size]
    assert {path.name.partition("-")[0] for path in files} >= {"build", "train"}
    for path in files:
        content = path.read_bytes()
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        message = (
            rf"{path.name} is damaged: it differs from what the .*; delete the folder {out} and"
        )
        with pytest.raises(DataError, match=message):
            build_corpus(sources, **build)
        path.write_bytes(content)
    state = json.loads((out / "build-state.json").read_text())
    (out / "build-state.json").write_text(json.dumps(state | {"record": state["record"] - 1}))
    with pytest.raises(DataError, match=r"build-state.json is damaged: its values differ from its"):
        build_corpus(sources, **build)
    (out / "build-state.json").write_text(json.dumps(state))
    resumed = build_corpus(sources, **build)
    whole = build_corpus(sources, **{**build, "out": tmp_path / "whole"})
    assert resumed == whole
    Corpus.open(out).verify()
