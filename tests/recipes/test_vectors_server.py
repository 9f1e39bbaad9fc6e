"""A server of vectors as the teacher: a real one on this machine."""

import json

import pytest
from tiny_server import serving, vector_of
from tiny_task import finetune, make_rows, make_settings, read_loss, write_model

from limbeck.errors import SettingsError, TrainingError
from limbeck.recipes import compress
from limbeck.recipes.finetune import plan
from limbeck.recipes.finetune.teachers.server import client
from limbeck.train import SilentProgress


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return write_model(
        tmp_path_factory.mktemp("models") / "student", dropout=0.0, num_hidden_layers=1
    )


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(client, "_SECONDS_BEFORE_SECOND_TRY", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving() as found:
        yield found


def embed(server, **options):
    return {
        "teacher": f"{server.url}/embed",
        "teacher_options": {"dimensions": 3, "batch_size": 10, **options},
    }


def openai(server, **options):
    return {
        "teacher": f"{server.url}/v1/embeddings",
        "teacher_options": {"dimensions": 3, "batch_size": 10, "model": "tiny", **options},
    }


def write_splits(folder, **splits):
    folder.mkdir()
    for split, rows in splits.items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return str(folder)


@pytest.mark.slow
def test_vectors_of_unlabelled_text_help_few_labels(tmp_path, student, server):
    data = write_splits(
        tmp_path / "few",
        train=make_rows(8, seed=0),
        transfer=make_rows(120, seed=9, labelled=False),
        validation=make_rows(40, seed=1),
    )
    few_alone = write_splits(
        tmp_path / "alone_data", train=make_rows(8, seed=0), validation=make_rows(40, seed=1)
    )
    changes = embed(server) | {"teacher_cache": str(tmp_path / "kept")}
    planned = plan(make_settings(student, data, tmp_path / "run", **changes))
    assert (planned["teacher_texts_to_ask"], server.num_requests) == (128, 0)
    taught = finetune(student, data, tmp_path / "run", epochs=12, label_weight=16.0, **changes)
    alone = finetune(student, few_alone, tmp_path / "alone", epochs=100)
    scores = [record.best.validation["accuracy"] for record in (taught, alone)]
    assert scores[0] >= 0.9
    assert scores[0] > scores[1]
    assert set(server.answered.values()) == {1}
    assert len(server.answered) == 128
    planned = plan(make_settings(student, data, tmp_path / "more", **changes))
    assert planned["teacher_texts_known"] == 128


@pytest.mark.slow
def test_both_routes_teach_the_same_whatever_fails(tmp_path, data, student, server):
    finetune(student, data, tmp_path / "calm", epochs=1, **embed(server))
    server.answered.clear()
    server.faults = [429, "cut", "nonsense", None, 500, "timeout", 503]
    options = {"timeout_seconds": 0.4, "retries": 12, "concurrency": 3}
    finetune(student, data, tmp_path / "run", epochs=1, **openai(server, **options))
    assert not server.faults
    assert set(server.answered.values()) == {1}
    assert read_loss(tmp_path / "run") == read_loss(tmp_path / "calm")


ANSWERS = [
    ([[1.0, 2.0, 3.0]], r"an answer of 1 vectors for 10 texts"),
    ([["one", 2.0, 3.0]] * 10, r"\['one', 2.0, 3.0\] where a vector belongs"),
    ([[]] * 10, r"\[\] where a vector belongs"),
    ([[1e300, 0.0, 0.0]] * 10, r"\[1e\+300, 0.0, 0.0\] where a vector belongs"),
    ([[10**400, 0, 0]] * 10, r"\[1000+.* where a vector belongs"),
    ({"error": "busy"}, r"an answer of .*busy.* for 10 texts"),
]


@pytest.mark.parametrize(("answer", "message"), ANSWERS)
def test_answers_that_are_no_vectors(tmp_path, data, student, server, monkeypatch, answer, message):
    handler = server.RequestHandlerClass
    monkeypatch.setattr(handler, "_answer", lambda self, body: (body["inputs"], answer))
    with pytest.raises(TrainingError, match=rf"after one try: {message}"):
        finetune(student, data, tmp_path / "run", **embed(server, retries=0))


def test_vectors_of_another_width_are_kept_and_refused(tmp_path, data, student, server):
    message = r"have 3 numbers, but teacher_options.dimensions = 4; give dimensions=3"
    with pytest.raises(SettingsError, match=message):
        finetune(
            student, data, tmp_path / "run", epochs=1, **embed(server, dimensions=4, concurrency=2)
        )
    assert server.num_requests <= 4  # of 7, with two at a time
    finetune(student, data, tmp_path / "run", epochs=1, **embed(server))
    assert set(server.answered.values()) == {1}


REFUSALS = [
    ({"dimensions": None}, {}, r"how wide its vectors are; give teacher_options.dimensions, such"),
    ({}, {"losses": {"soft_targets": {}}}, r"a server of vectors, which gives pooled only; accep"),
    ({"api_key": "sk-1"}, {}, r"teacher_options.api_key is no setting, since a key would stand"),
    ({"prompt": "what?"}, {}, r"teacher_options.*prompt"),
]


@pytest.mark.parametrize(("options", "changes", "message"), REFUSALS)
def test_refusals(tmp_path, data, student, server, options, changes, message):
    settings = make_settings(student, data, tmp_path / "run", **embed(server, **options), **changes)
    with pytest.raises(SettingsError, match=message):
        plan(settings)
    assert server.num_requests == 0


def test_openais_route_needs_a_model(tmp_path, data, student, server):
    settings = make_settings(student, data, tmp_path / "run", **openai(server, model=None))
    with pytest.raises(SettingsError, match=r"which model embeds; give teacher_options.model"):
        plan(settings)


def test_pairs_are_refused(tmp_path, student, server):
    rows = [{"sentence1": "a", "sentence2": "b", "label": 1}]
    data = write_splits(tmp_path / "pairs", train=rows, validation=rows)
    settings = make_settings(student, data, tmp_path / "run", task="rte", **embed(server))
    with pytest.raises(SettingsError, match=r"vectors of single texts, but task = rte is over pai"):
        plan(settings)


def test_compress_says_what_it_can_take(tmp_path, data, student, server):
    values = {"model": f"{server.url}/embed", "student": student, "data": data}
    settings = compress.CompressSettings.from_values({**values, "out": str(tmp_path / "run")})
    message = r"/embed is a server of vectors, which has no score to keep a share of; accepted: a m"
    with pytest.raises(SettingsError, match=message):
        compress.run(settings, progress=SilentProgress())


def test_the_vectors_tell_what_the_texts_are():
    assert vector_of("a good film")[:2] == [0.0, 1.0]
