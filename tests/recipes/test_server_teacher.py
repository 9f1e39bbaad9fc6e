"""A server as the teacher: a real one on this machine, with the faults that servers have."""

import email.utils
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_server import serving
from tiny_task import Lines, finetune, make_settings, read_loss, write_model

from limbeck.errors import DataError, SettingsError, TrainingError
from limbeck.recipes.finetune import plan
from limbeck.recipes.finetune.teachers.server import client as _client

KEY = "sk-very-secret-0123456789"


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return write_model(
        tmp_path_factory.mktemp("models") / "student", dropout=0.0, num_hidden_layers=1
    )


@pytest.fixture
def server():
    with serving() as found:
        yield found


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(_client, "_SECONDS_BEFORE_SECOND_TRY", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def texts_of(data, split="train"):
    lines = Path(f"{data}/{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return {json.loads(line)["sentence"] for line in lines}


def chat(server, **options):
    return {
        "teacher": "openai://tiny",
        "teacher_options": {"base_url": f"{server.url}/v1", **options},
    }


def predict(server, **options):
    return {"teacher": server.url, "teacher_options": {"batch_size": 10, **options}}


def kept_lines(folder):
    return (Path(folder) / "answers.jsonl").read_bytes().splitlines(keepends=True)


@pytest.mark.slow
def test_a_language_model_teaches_and_is_asked_once(tmp_path, data, student, server, monkeypatch):
    monkeypatch.setenv("LABELLER_KEY", KEY)
    changes = chat(server, key_variable="LABELLER_KEY", input_price=5, output_price=10)
    changes |= {"label_weight": 0.0, "teacher_cache": str(tmp_path / "kept")}
    texts = texts_of(data)
    planned = plan(make_settings(student, data, tmp_path / "run", **changes))
    assert server.num_requests == 0
    assert (planned["teacher_texts_to_ask"], planned["teacher_texts_known"]) == (len(texts), 0)
    assert planned["teacher_cost_about"] > 0
    progress = Lines()
    result = finetune(student, data, tmp_path / "run", epochs=12, progress=progress, **changes)
    assert result.seeds[0].validation["accuracy"] >= 0.9
    assert server.answered == dict.fromkeys(texts, 1)
    assert server.keys == {f"Bearer {KEY}"}
    cost = len(texts) * (100 * 5 + 2 * 10) / 1e6
    said = f"{len(texts)} texts asked of, {100 * len(texts):,} tokens read, {2 * len(texts):,} "
    assert any(f"{said}written, cost {cost:.4f}" in line for line in progress.lines)
    planned = plan(make_settings(student, data, tmp_path / "more", seeds=[1, 2], **changes))
    assert (planned["teacher_texts_to_ask"], planned["teacher_texts_known"]) == (0, len(texts))
    finetune(student, data, tmp_path / "more", epochs=1, **changes)
    assert server.num_requests == len(texts)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path
    assert not any(KEY in line for line in progress.lines)


@pytest.mark.slow
def test_a_classifier_is_asked_in_batches(tmp_path, data, student, server):
    finetune(student, data, tmp_path / "run", epochs=1, **predict(server))
    texts = texts_of(data)
    assert server.answered == dict.fromkeys(texts, 1)
    assert server.num_requests == -(-len(texts) // 10)
    said = [{"sentence": text, "probabilities": p} for text in texts
            for p in [[0.1, 0.9] if any(w in text for w in ("good", "great", "bright"))
                      else [0.9, 0.1]]]  # fmt: skip
    path = tmp_path / "said.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in said), encoding="utf-8")
    finetune(student, data, tmp_path / "file", epochs=1, teacher=str(path))
    assert read_loss(tmp_path / "run") == pytest.approx(read_loss(tmp_path / "file"), abs=1e-6)


FAULTS = [429, 500, "nonsense", "cut", 503, "timeout", 429, "cut", None, 500, 502, "nonsense"]


@pytest.mark.slow
@pytest.mark.parametrize("route", [chat, predict])
def test_faults_that_pass_cost_nothing(tmp_path, data, student, server, route):
    finetune(student, data, tmp_path / "calm", epochs=1, **route(server))
    texts, asked = texts_of(data), server.num_requests
    assert server.answered == dict.fromkeys(texts, 1)
    server.answered.clear()
    server.faults = list(FAULTS)
    options = {"timeout_seconds": 0.4, "concurrency": 3, "retries": 12}
    finetune(student, data, tmp_path / "run", epochs=1, **route(server, **options))
    assert not server.faults
    assert server.answered == dict.fromkeys(texts, 1)
    assert server.num_requests == 2 * asked + len(FAULTS) - 1
    assert read_loss(tmp_path / "run") == read_loss(tmp_path / "calm")


@pytest.mark.slow
def test_what_was_answered_before_a_fault_that_stays_is_not_asked_again(
    tmp_path, data, student, server
):
    texts = texts_of(data)
    server.faults, server.always = [None] * 20, 500
    changes = chat(server, retries=1, concurrency=4)
    message = (
        r"/v1/chat/completions has no answer to train example \d+ \('.*'\) after 2 tries: status "
        r"500 \(no: None\). What it answered so far is kept, and the same run, or one with teacher_"
    )
    with pytest.raises(TrainingError, match=message):
        finetune(student, data, tmp_path / "run", **changes)
    assert sum(server.answered.values()) == 20
    assert len(kept_lines(tmp_path / "run/teacher")) == 20
    server.always = None
    planned = plan(make_settings(student, data, tmp_path / "run", **changes))
    assert planned["teacher_texts_known"] == 20
    changes["teacher_options"]["retries"] = 3  # changes nothing that is learned
    finetune(student, data, tmp_path / "run", epochs=2, **changes)
    assert server.answered == dict.fromkeys(texts, 1)


@pytest.mark.slow
def test_a_damaged_or_cut_line_alone_is_asked_again(tmp_path, data, student, server):
    kept = tmp_path / "kept"
    changes = {**chat(server), "teacher_cache": str(kept)}
    finetune(student, data, tmp_path / "run", epochs=1, **changes)
    before, lines = server.num_requests, kept_lines(kept)
    lines[3] = lines[3].replace(b"ive", b"iwe")
    lines[-1] = lines[-1][:40]
    (kept / "answers.jsonl").write_bytes(b"".join(lines))
    progress = Lines()
    finetune(student, data, tmp_path / "again", epochs=1, progress=progress, **changes)
    assert server.num_requests == before + 2
    assert any("2 lines cut or damaged, asked again" in line for line in progress.lines)
    assert len(kept_lines(kept)) == len(lines) + 2
    finetune(student, data, tmp_path / "third", epochs=1, **changes)
    assert server.num_requests == before + 2
    assert read_loss(tmp_path / "again") == read_loss(tmp_path / "run")


@pytest.mark.slow
def test_a_killed_run_pays_for_nothing_twice(tmp_path, data, student, server):
    server.delay = 0.05
    options = [f"teacher_options.base_url={server.url}/v1", "teacher_options.concurrency=2"]
    command = [sys.executable, "-m", "limbeck", "finetune", student, "--data", data]
    command += ["--out", str(tmp_path / "run"), "--epochs", "1", "--max_length", "16"]
    command += ["--teacher", "openai://tiny", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while sum(server.answered.values()) < 12 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    time.sleep(0.2)  # what was on its way
    kept, server.delay = len(kept_lines(tmp_path / "run/teacher")), 0.0
    assert kept >= 10
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    texts = texts_of(data)
    assert set(server.answered) == texts
    # Those that were on their way to a process that is no more can't be kept by anybody.
    assert sum(server.answered.values()) <= len(texts) + 2


SAYS = r"\(no: Bearer \*\*\*\)"
REFUSALS = [
    (401, SettingsError, rf"status 401 {SAYS}.*the key in LABELLER_KEY\)"),
    (403, SettingsError, r"status 403 .*does not let us in"),
    (404, SettingsError, r"status 404 .*no such route or model; accepted: http\(s\)://HOST/pred"),
    ("redirect", SettingsError, r"sends us to 'http://elsewhere.example/predict\?with=me', where"),
    (400, DataError, rf"status 400 {SAYS} to train example \d+ \('.*'\): it can't"),
    ("huge", DataError, r"with more than 5,000 bytes; accepted: at most 5,000 \(LIMBECK_MAX_AN"),
    ("nonsense", TrainingError, r"train example \d+ .* after one try: an answer that is no JSON"),
    (500, TrainingError, r"after one try: status 500"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "error", "message"), REFUSALS)
def test_a_server_that_refuses(tmp_path, data, student, server, monkeypatch, fault, error, message):
    monkeypatch.setenv("LABELLER_KEY", KEY)
    monkeypatch.setenv("LIMBECK_MAX_ANSWER_BYTES", "5000")
    server.always = fault
    changes = chat(server, key_variable="LABELLER_KEY", retries=0, concurrency=1)
    with pytest.raises(error, match=message) as caught:
        finetune(student, data, tmp_path / "run", **changes)
    assert KEY not in str(caught.value)
    assert server.num_requests == 1
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path


def test_an_answer_that_does_not_end_is_not_waited_for(tmp_path, data, student, server):
    server.always = "trickle"
    changes = chat(server, retries=0, concurrency=1, timeout_seconds=0.4)
    with pytest.raises(TrainingError, match=r"after one try: ReadTimeout: not all of the answer w"):
        finetune(student, data, tmp_path / "run", **changes)


@pytest.mark.parametrize("given", ["sk/with+more", 'sk"quoted'])
def test_a_key_that_is_said_back_in_another_spelling(
    tmp_path, data, student, server, monkeypatch, given
):
    monkeypatch.setenv("LABELLER_KEY", given)
    spelled = "".join(f"\\u{ord(letter):04x}" for letter in given)
    server.always = f'{{"choices": [{{"message": {{"content": "{spelled}"}}}}]}}'.encode()
    changes = chat(server, key_variable="LABELLER_KEY")
    with pytest.raises(DataError, match=r"the answer '\*\*\*' is none of the labels"):
        finetune(student, data, tmp_path / "run", **changes)
    for path in tmp_path.rglob("*"):
        content = b"" if path.is_dir() else path.read_bytes()
        assert given.encode() not in content
        assert spelled.encode() not in content


NONSENSE = [
    (b'{"choices": [{"message": {"content": "no"}}], "usage": {"prompt_tokens": 1e999}}', "chat"),
    (b"[" * 10_000, "no JSON"),
    (b"\xff\xfe", "no JSON"),
    (b"", "no JSON"),
]


@pytest.mark.parametrize(("answer", "message"), NONSENSE)
def test_answers_that_are_nonsense(tmp_path, data, student, server, answer, message):
    server.always = answer
    with pytest.raises(TrainingError, match=rf"after one try: .*{message}"):
        finetune(student, data, tmp_path / "run", **chat(server, retries=0))


def test_no_server_at_all(tmp_path, data, student):
    with pytest.raises(TrainingError, match=r"after 2 tries: ConnectError"):
        finetune(student, data, tmp_path / "run", teacher="http://127.0.0.1:9/predict",
                 teacher_options={"retries": 1})  # fmt: skip


def test_answers_that_are_none_of_the_labels(tmp_path, data, student, server):
    odd = sorted(texts_of(data))[:3]
    said = server.words
    silent = {odd[0]: "I would rather not say", odd[1]: None, odd[2]: "positive or negative"}
    server.words = lambda text: silent[text] if text in silent else f"It is {said(text)}"
    message = r"train example \d+ \('.*'\): the answer '.*' is none of the "
    message += r"labels \('NEGATIVE', 'POSITIVE'\), and 2 others can't be read either. Ask another"
    with pytest.raises(DataError, match=message):
        finetune(student, data, tmp_path / "run", **chat(server))
    assert server.answered == dict.fromkeys(texts_of(data), 1)
    for missing, num_steps in (("label", 8), ("drop", 8)):
        changes = {**chat(server, missing=missing), "teacher_cache": str(tmp_path / "run/teacher")}
        progress = Lines()
        result = finetune(student, data, tmp_path / missing, epochs=1, progress=progress, **changes)
        assert result.seeds[0].num_steps == num_steps
    lines = Path(f"{data}/train.jsonl").read_text(encoding="utf-8").splitlines()
    count = sum(json.loads(line)["sentence"] in silent for line in lines)
    assert result.num_left_out == count
    assert f"{count} texts are left out, whose answers can't be read" in progress.lines
    assert server.answered == dict.fromkeys(texts_of(data), 1)
    server.words = lambda text: "no"
    options = {"long_texts": "windows", "stride": 1}  # of which a text may have several rows
    with pytest.raises(DataError, match=r"and \d+ others can't be read either, so that no text"):
        finetune(student, data, tmp_path / "none", max_length=8, task_options=options,
                 **chat(server, missing="drop"))  # fmt: skip


def test_a_server_that_does_not_take_some_texts(tmp_path, data, student, server):
    lines = Path(f"{data}/train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line)["sentence"] for line in lines]
    server.unseemly = {rows[0], rows[5]}
    with pytest.raises(DataError, match=r"status 400 \(content filter\) to train example \d"):
        finetune(student, data, tmp_path / "run", **chat(server))
    for missing in ("drop", "label"):
        changes = {**chat(server, missing=missing), "teacher_cache": str(tmp_path / "run/teacher")}
        result = finetune(student, data, tmp_path / missing, epochs=1, max_steps=1, **changes)
        count = sum(text in server.unseemly for text in rows)
        assert result.num_left_out == (count if missing == "drop" else 0)
        assert server.answered == dict.fromkeys(texts_of(data) - server.unseemly, 1)
    server.always, server.num_requests = 400, 0
    with pytest.raises(DataError, match=r"status 400 .* it can't be asked so"):
        finetune(student, data, tmp_path / "none", **chat(server, missing="drop", concurrency=2))
    assert 20 <= server.num_requests <= 22


def test_a_server_that_labels_nothing_is_not_paid_for_all(tmp_path, data, student, server):
    server.words = lambda _: "I can't say"
    with pytest.raises(DataError, match=r"and 19 others can't be read either\. Ask another ques"):
        finetune(student, data, tmp_path / "run", **chat(server, concurrency=2))
    assert 20 <= server.num_requests <= 22 < len(texts_of(data))


def find_server(student, data, folder, **changes):
    from limbeck.recipes.finetune.data import read_data
    from limbeck.recipes.finetune.teachers import find_teacher
    from limbeck.train import SilentProgress

    settings = make_settings(student, data, folder, **changes)
    return find_teacher(settings, read_data(settings, SilentProgress()))


def odds_of(teacher, words, **more):
    """Returns by how much the second label is likelier, of an answer in words."""
    said = {"choices": [{"message": {"content": words}, **more}]}
    (kept,) = teacher.route.split(said, 1)
    bad, good = teacher.route.read(kept, "row 0")
    return good - bad


SURE = 13.8  # log of a millionth, the least probability

WORDS = [
    ("Positive.", 1),
    ("NEGATIVE", -1),
    ("**positive**", 1),
    ("The label is: positive.", 1),
    ("It is negative.", -1),
    ('{"label": "negative"}', -1),
    ("positive\n\nThe film is praised, not called dull or negative at all.", 1),
    ("The film is praised, and nothing else.\n\npositive", 1),
    ("<think>It may be negative. No.</think>\n\npositive", 1),
]


@pytest.mark.parametrize(("words", "sign"), WORDS)
def test_words_that_are_a_label(tmp_path, data, student, server, words, sign):
    teacher = find_server(student, data, tmp_path / "run", **chat(server))
    assert odds_of(teacher, words) == pytest.approx(sign * SURE, abs=0.1)


NO_LABEL = [
    "not positive",
    "It isn't positive",
    "It is not positive.",
    "positive or negative",
    "positive\n\nOn second thought: negative",
    "I could call it positive, but will not",
    "<think>It is positive",
    "",
]


@pytest.mark.parametrize("words", NO_LABEL)
def test_words_that_are_no_label(tmp_path, data, student, server, words):
    teacher = find_server(student, data, tmp_path / "run", **chat(server))
    with pytest.raises(DataError, match=r"row 0: the answer .* is none of the labels \('NEG"):
        odds_of(teacher, words)


def test_an_answer_that_was_cut(tmp_path, data, student, server):
    teacher = find_server(student, data, tmp_path / "run", **chat(server))
    assert odds_of(teacher, "positive", finish_reason="length") > 1
    message = r"is none of the labels .*, and was cut; a larger teacher_options.request.max_tokens"
    with pytest.raises(DataError, match=message):
        odds_of(teacher, "First of all, it is positive", finish_reason="length")


@pytest.mark.parametrize(
    ("shares", "words", "odds"),
    [
        ([0.6, 0.2, 0.1], "positive", 1.0986),  # log(0.6 / 0.2)
        ([0.6, 0.2, 0.1], "pos", 1.0986),  # of an answer of one token
        ([0.1, 0.2, 0.7], "The label is positive", SURE),  # begins with another word
        ([0.0, 0.0, 1.0], "positive", SURE),
    ],
)
def test_log_probabilities_become_shares(tmp_path, data, student, server, shares, words, odds):
    from limbeck.recipes.finetune.teachers.server import Asked
    from limbeck.train import SilentProgress

    server.top, server.words = shares, lambda _: words
    teacher = find_server(student, data, tmp_path / "run", **chat(server, logprobs=True))
    row = Asked(texts=("a good film",), where="row 0")
    ((bad, good),) = teacher.answer([row], SilentProgress())
    assert good - bad == pytest.approx(odds, abs=0.1)


def test_answers_after_a_line_that_was_cut_are_kept(tmp_path):
    from limbeck.recipes.finetune.teachers.server.kept_answers import KeptAnswers

    KeptAnswers(tmp_path).add({"first": 1})
    path = tmp_path / "answers.jsonl"
    path.write_bytes(path.read_bytes() + b'{"request": "sec')
    kept = KeptAnswers(tmp_path)
    kept.add({"third": 3})
    kept.add({"fourth": 4})
    found = KeptAnswers(tmp_path)
    assert (dict(found), found.num_damaged) == ({"first": 1, "third": 3, "fourth": 4}, 1)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("7", 7), ("0.5", 0.5), ("-3", 0), ("soon", None), ("", None)],
)
def test_servers_say_how_long_to_wait(given, seconds):
    assert _client._asked_wait({"retry-after": given}) == seconds


def test_servers_say_until_when_to_wait():
    later = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert 25 < _client._asked_wait({"retry-after": later}) <= 30


def test_the_question_is_the_users(tmp_path, data, student, server):
    request = {"max_completion_tokens": 500, "reasoning_effort": "low"}
    prompt = "{labels}? {text} Text: {text}"
    changes = chat(server, request=request, prompt=prompt)
    finetune(student, data, tmp_path / "run", epochs=1, max_steps=1, **changes)
    asked = server.bodies[0]
    text = asked["messages"][0]["content"].rpartition("Text: ")[2]
    content = f"NEGATIVE, POSITIVE? {text} Text: {text}"
    message = {"role": "user", "content": content}
    assert asked == {"model": "tiny", "messages": [message], **request}


WRONG = [
    ("http://me:secret@host/predict", {}, r"teacher has a name, password or key in it, which"),
    ("http://host/predict?api_key=secret", {}, r"teacher has a name, password or key in it"),
    ("http://host/predict?v=1&sig=secret", {}, r"teacher has a name, password or key in it"),
    ("ftp://me:secret@host", {}, r"teacher has a name, password or key in it"),
    ("openai://m", {"base_url": "http://a:secret@h"}, r"base_url has a name, password or key"),
    ("http://host:99999/predict", {}, r"teacher = 'http://host:99999/predict' is no address"),
    ("http://host", {"prompt": "{text}?"}, r"prompt is for openai://MODEL or http.*is asked as ht"),
    (
        "openai://m",
        {"base_url": "http://h/v1", "model": "n"},
        r"teacher_options.model is for http\(s\)://HOST/.*; leave it o",
    ),
    (
        "openai://m",
        {"base_url": "http://h/v1", "prompt": "{text} {text_pair}"},
        r"has a place for a second text, but the task's rows have one; accepted: \{text\}, or",
    ),
    ("openai://m", {"base_url": "ftp://host"}, r"base_url = 'ftp://host' is no address; accepted"),
    ("openai://m", {}, r"api.openai.com.* needs a key, but OPENAI_API_KEY is not set in the env"),
    ("openai://m", {"api_key": "secret"}, r"teacher_options.api_key is no setting, since a key"),
    (
        "openai://m",
        {"request": {"api_key": "secret"}},
        r"teacher_options.request.api_key is no setting, since a key would",
    ),
    ("http://host:abc/predict", {}, r"teacher = 'http://host:abc/predict' is no address"),
    ("http://\u2603.example", {}, r"teacher = 'http://.*.example' is no address; accepted"),
    ("openai://m", {"max_tokenz": 5}, r"no setting 'max_tokenz'"),
    ("openai://m", {"key_variable": "sk-secret"}, r"key_variable is not the name of a variable"),
    ("http://host/predict", {"key_variable": "SOME"}, r"the key in SOME would go to http://host"),
    ("http://host/v1/chat/completions", {}, r"does not say which model answers; give openai://MO"),
    ("openai://m", {"base_url": "http://h/v1", "prompt": "hi"}, r"no place for the text; accepted"),
    (
        "http://host",
        {"concurrency": 0},
        r"teacher_options: concurrency = 0 is not accepted",
    ),
]


@pytest.mark.parametrize(("teacher", "options", "message"), WRONG)
def test_settings_that_can_not_be_meant(
    tmp_path, data, student, monkeypatch, teacher, options, message
):
    monkeypatch.setenv("SOME", "a-key")
    changes = {"teacher": teacher, "teacher_options": options}
    with pytest.raises(SettingsError, match=message) as caught:
        plan(make_settings(student, data, tmp_path / "run", **changes))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", [f"{KEY}\n", "sk-sécret-0123456789", "sk secret 0123"])
def test_a_key_that_no_header_can_hold(tmp_path, data, student, server, monkeypatch, key):
    monkeypatch.setenv("LABELLER_KEY", key)
    settings = make_settings(
        student, data, tmp_path / "run", **chat(server, key_variable="LABELLER_KEY")
    )
    with pytest.raises(SettingsError, match=r"key in LABELLER_KEY holds a blank, the") as caught:
        plan(settings)
    assert key.strip() not in str(caught.value)


def test_a_key_that_is_no_secret_takes_no_letters_of_answers(
    tmp_path, data, student, server, monkeypatch
):
    monkeypatch.setenv("LABELLER_KEY", "1")
    changes = chat(server, key_variable="LABELLER_KEY")
    finetune(student, data, tmp_path / "run", epochs=1, max_steps=1, **changes)
    assert server.keys == {"Bearer 1"}
    assert server.answered == dict.fromkeys(texts_of(data), 1)


def test_no_password_comes_into_what_compress_says():
    from limbeck.recipes.compress import CompressSettings

    with pytest.raises(SettingsError, match=r"model has a name, password or key in") as caught:
        CompressSettings(model="http://me:secret@host", task="sst2")
    assert "secret" not in str(caught.value)


def test_labels_that_begin_alike_have_no_log_probabilities(tmp_path, data, student, server):
    options = {"labels": ["good", "great"], "rename_labels": {"0": "good", "1": "great"}}
    options["text_column"] = "sentence"
    changes = {
        "task": "text_classification",
        "task_options": options,
    }
    settings = make_settings(
        student, data, tmp_path / "run", **chat(server, logprobs=True), **changes
    )
    with pytest.raises(SettingsError, match=r"first token, but good and great begin alike"):
        plan(settings)
