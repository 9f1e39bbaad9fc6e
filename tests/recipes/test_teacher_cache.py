"""A teacher's logits on disk: the same training as beside the teacher, checks, and repairs."""

import json

import pytest
from tiny_task import LABELS, finetune, make_rows, read_loss, write_data, write_model

from limbeck.errors import SettingsError
from limbeck.files import sha256_of_texts
from limbeck.recipes.finetune import teacher_cache
from limbeck.recipes.finetune.teacher_cache import TeacherCache, hash_rows
from limbeck.recipes.finetune.teachers.own_model import OwnModel
from limbeck.tasks import EncodedExample, EncodedExamples
from limbeck.train import SilentProgress


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "task"
    written = write_data(folder)
    rows = [{"sentence": row["sentence"]} for row in make_rows(20, seed=9)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "transfer.jsonl").write_text(lines, encoding="utf-8")
    return written


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "teacher", head=LABELS)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return write_model(
        tmp_path_factory.mktemp("models") / "student",
        model_type="distilbert",
        head=LABELS,
        dropout=0.0,
        num_hidden_layers=1,
    )


def test_rows_are_hashed_as_the_json_of_their_ids():
    """So that caches of earlier versions stay good."""
    rows = [
        EncodedExample(index=0, input_ids=[2, 7, 3], token_type_ids=[0, 0, 1], label=1),
        EncodedExample(index=1, input_ids=[2, 3], token_type_ids=None, label=None),
    ]
    expected = sha256_of_texts(["[[2,7,3],[0,0,1]]\n", "[[2,3],[]]\n"])
    assert hash_rows(EncodedExamples.of(rows[:1])) != expected
    assert hash_rows(rows) == expected
    choices = EncodedExample(index=0, input_ids=[[2, 7], [2]], token_type_ids=None, label=0)
    found = hash_rows(EncodedExamples.of([choices]))
    assert found == sha256_of_texts(["[[[2,7],[2]],[]]\n"])


def times_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}


@pytest.fixture
def small_shards(monkeypatch):
    defaults = TeacherCache.__init__.__kwdefaults__
    monkeypatch.setattr(TeacherCache.__init__, "__kwdefaults__", {**defaults, "rows_per_shard": 30})


@pytest.mark.usefixtures("small_shards")
def test_cached_and_live_give_the_same_training(tmp_path, data, teacher, student):
    live = finetune(student, data, tmp_path / "live", teacher=teacher, accumulate=2)
    cache = tmp_path / "cache"
    changes = {"teacher": teacher, "teacher_cache": str(cache), "accumulate": 2}
    cached = finetune(student, data, tmp_path / "cached", **changes)
    assert read_loss(tmp_path / "cached") == pytest.approx(read_loss(tmp_path / "live"), abs=1e-5)
    loss = {"loss": pytest.approx(live.seeds[0].validation["loss"], abs=1e-4)}
    assert cached.seeds[0].validation == live.seeds[0].validation | loss
    (folder,) = cache.iterdir()
    names = sorted(path.name for path in folder.iterdir())
    shards = [f"logits-0000{number}.safetensors" for number in range(3)]
    assert names == ["index.json", *shards]  # 64 + 20 rows


def test_a_second_student_needs_no_teacher(tmp_path, data, teacher, student, monkeypatch):
    changes = {"teacher": teacher, "teacher_cache": str(tmp_path / "cache")}
    finetune(student, data, tmp_path / "first", **changes)
    written = times_of(tmp_path / "cache")

    def refuse(*arguments, **keywords):
        raise AssertionError("the teacher was loaded")

    monkeypatch.setattr(OwnModel, "load_model", refuse)
    deeper = write_model(tmp_path / "deeper", head=LABELS, num_hidden_layers=3)
    finetune(deeper, data, tmp_path / "second", seeds=[3], **changes)
    assert times_of(tmp_path / "cache") == written


@pytest.mark.usefixtures("small_shards")
def test_what_is_damaged_or_missing_is_computed_again(tmp_path, data, teacher, student):
    class Lines(SilentProgress):
        def __init__(self):
            self.lines = []

        def log(self, message):
            self.lines.append(message)

    cache = tmp_path / "cache"
    changes = {"teacher": teacher, "teacher_cache": str(cache)}
    finetune(student, data, tmp_path / "first", **changes)
    (folder,) = cache.iterdir()
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    damaged = bytearray(whole["logits-00000.safetensors"])
    damaged[-3] ^= 1
    (folder / "logits-00000.safetensors").write_bytes(damaged)
    (folder / "logits-00001.safetensors").write_bytes(b"short")
    (folder / "logits-00002.safetensors").unlink()
    progress = Lines()
    finetune(student, data, tmp_path / "second", progress=progress, **changes)
    assert sum("missing or damaged" in line for line in progress.lines) == 3
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert read_loss(tmp_path / "second") == read_loss(tmp_path / "first")
    index = json.loads(whole["index.json"])
    for number, content in enumerate(["{", "[]", json.dumps(index | {"shards": 5})]):
        (folder / "index.json").write_text(content, encoding="utf-8")
        progress = Lines()
        finetune(student, data, tmp_path / f"index-{number}", progress=progress, **changes)
        assert any("index.json is damaged: its logits are" in line for line in progress.lines)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


@pytest.mark.usefixtures("small_shards")
def test_an_interrupted_cache_goes_on(tmp_path, data, teacher, student, monkeypatch):
    cache = tmp_path / "cache"
    changes = {"teacher": teacher, "teacher_cache": str(cache)}
    real = teacher_cache.write_safetensors

    def stop_at_the_last(path, tensors):
        if "00002" in path.name:
            raise KeyboardInterrupt
        real(path, tensors)

    with monkeypatch.context() as patch:
        patch.setattr(teacher_cache, "write_safetensors", stop_at_the_last)
        with pytest.raises(KeyboardInterrupt):
            finetune(student, data, tmp_path / "run", **changes)
    (first,) = cache.glob("*/logits-00000.safetensors")
    written = first.stat().st_mtime_ns
    finetune(student, data, tmp_path / "run", **changes)
    finetune(student, data, tmp_path / "live", teacher=teacher)
    assert first.stat().st_mtime_ns == written
    assert read_loss(tmp_path / "run") == pytest.approx(read_loss(tmp_path / "live"), abs=1e-5)


def test_other_logits_stand_beside_them(tmp_path, data, teacher, student):
    cache = tmp_path / "cache"
    changes = {"teacher": teacher, "teacher_cache": str(cache)}
    finetune(student, data, tmp_path / "first", **changes)
    another = write_model(tmp_path / "another", head=LABELS, num_hidden_layers=1)
    for number, others in enumerate([{"max_length": 9}, {"teacher": another}], start=2):
        finetune(student, data, tmp_path / f"cached-{number}", **(changes | others))
        assert len(list(cache.iterdir())) == number
        live = changes | others | {"teacher_cache": None}
        finetune(student, data, tmp_path / f"live-{number}", **live)
        losses = [read_loss(tmp_path / f"{kind}-{number}") for kind in ("cached", "live")]
        assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_folders_that_can_not_be_used(tmp_path, data, teacher, student):
    file = tmp_path / "file"
    file.write_text("years of work", encoding="utf-8")
    with pytest.raises(
        SettingsError, match=r"teacher_cache = '.*file' is a file; accepted: a folder"
    ):
        finetune(student, data, tmp_path / "run", teacher=teacher, teacher_cache=str(file))
    assert file.read_text(encoding="utf-8") == "years of work"
    message = r"teacher_cache = '.*' keeps a teacher's logits, but there is none; give teacher="
    with pytest.raises(SettingsError, match=message):
        finetune(student, data, tmp_path / "other", teacher_cache=str(file))
