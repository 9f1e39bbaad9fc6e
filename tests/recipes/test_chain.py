"""`limbeck chain`: stages that take each other's models, checked before the first is begun."""

from __future__ import annotations

import json
import random

import pytest
import torch
from tiny_embeddings import write_rows, write_sentence_model
from tiny_task import (
    FILLER,
    WORDS,
    Lines,
    assert_same_weights,
    make_tokenizer,
    write_model,
)

import limbeck
from limbeck import AutoConfig, AutoModelForMaskedLM, AutoTokenizer
from limbeck.cli import main
from limbeck.data import Corpus, CorpusSettings, build_corpus
from limbeck.errors import (
    CheckpointError,
    MissingHeadError,
    SettingsError,
    TrainingError,
)
from limbeck.recipes import chain, distill, finetune
from limbeck.runs import RunRecord
from limbeck.train import SilentProgress

TEXT = {
    "sequence_length": 16,
    "batch_size": 4,
    "max_steps": 3,
    "save_every": 1,
    "evaluate_rows": 4,
}
TASK = {"max_length": 16, "batch_size": 8, "learning_rate": 3e-3, "epochs": 1}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    source = random.Random(0)
    words = [*FILLER, *WORDS[0], *WORDS[1]]
    lines = [" ".join(source.choices(words, k=source.randint(5, 40))) for _ in range(60)]
    (folder / "text.txt").write_text("\n".join(lines))
    build_corpus(
        [folder / "text.txt"],
        tokenizer=make_tokenizer(),
        out=folder / "corpus",
        settings=CorpusSettings(heldout_ratio=0.2, documents="line"),
    )
    return str(folder / "corpus")


@pytest.fixture(scope="module")
def masked_lm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masked-lm")
    write_model(folder / "encoder", num_hidden_layers=4)
    torch.manual_seed(3)
    model = AutoModelForMaskedLM.from_pretrained(folder / "encoder", new_head=True)
    model.save_pretrained(folder / "model")
    AutoTokenizer.from_pretrained(folder / "encoder").save_pretrained(folder / "model")
    return str(folder / "model")


def make(corpus, data, out, stages, **shared):
    values = {"stages": stages, "out": out}
    values["shared"] = {"device": "cpu", "corpus": corpus, "data": data, **shared}
    if not any(s.get("recipe") in ("distill", "pretrain") for s in stages.values()):
        del values["shared"]["corpus"]
    if not any(s.get("recipe") in ("finetune", "compress") for s in stages.values()):
        del values["shared"]["data"]
    return chain.SettingsType.from_values(values)


def assistant_stages(masked_lm, **changes):
    """MiniLM's teacher assistant: a student of the teacher, then one of that."""
    return {
        "assistant": {"recipe": "distill", "teacher": masked_lm, "num_student_layers": 2, **TEXT},
        "student": {
            "recipe": "distill",
            "teacher": "assistant",
            "layers": "lower",
            "num_student_layers": 1,
            **TEXT,
            **changes,
        },
    }


def test_a_teacher_assistant_is_what_two_runs_by_hand_are(corpus, data, masked_lm, tmp_path):
    settings = make(corpus, data, tmp_path / "run", assistant_stages(masked_lm))
    planned = chain.plan(settings)
    assert not (tmp_path / "run").exists()
    assert planned["stages"]["assistant"]["student_num_layers"] == 2
    assert planned["stages"]["student"]["takes"] == {"teacher": "assistant"}
    assert planned["stages"]["student"]["teacher_num_layers"] == 2
    assert planned["stages"]["student"]["student_num_layers"] == 1
    assert planned["stages"]["student"]["run"] == "a new run"
    out = tmp_path / "run/stages/student"
    assert planned["stages"]["student"]["out"] == str(out)

    progress = Lines()
    result = chain.run(settings, progress=progress)
    assert [(stage.name, stage.recipe, stage.takes) for stage in result.stages] == [
        ("assistant", "distill", {}),
        ("student", "distill", {"teacher": "assistant"}),
    ]
    assert result.model == str(tmp_path / "run/model")
    by_hand = assistant_stages(masked_lm)
    for name, values in by_hand.items():
        given = {**values, "out": tmp_path / name, "corpus": corpus, "device": "cpu"}
        del given["recipe"]
        if name == "student":
            given["teacher"] = str(tmp_path / "assistant/model")
        distill.run(distill.SettingsType.from_values(given), progress=SilentProgress())
    assert_same_weights(tmp_path / "student/model", tmp_path / "run/model")
    card = (tmp_path / "run/model/README.md").read_text()
    assert "1. `assistant`: `limbeck distill`" in card
    assert "2. `student`: `limbeck distill`, teacher = the model of `assistant`" in card
    assert "Stages of" not in (out / "model/README.md").read_text()
    assert "student: limbeck distill, teacher = assistant" in chain.summarise(result)

    again = Lines()
    assert chain.run(settings, progress=again) == result
    assert again.lines == [f"{tmp_path / 'run'} is already complete"]


@pytest.mark.slow
def test_a_general_stage_goes_before_the_task(corpus, data, masked_lm, deep_teacher, tmp_path):
    stages = {
        "general": {"recipe": "distill", "teacher": masked_lm, "num_student_layers": 2, **TEXT},
        "task": {"recipe": "finetune", "model": "general", "teacher": deep_teacher, **TASK},
        "small": {"recipe": "compress", "model": "task", "depths": [1], "retain": 0.1, **TASK},
    }
    settings = make(corpus, data, tmp_path / "run", stages)
    planned = chain.plan(settings)
    assert planned["stages"]["task"]["num_layers"] == 2
    assert planned["stages"]["small"]["students"] == {
        "1 layer": "1 of the teacher's 2 layers, distilled on the task"
    }
    del stages["small"]
    chain.run(make(corpus, data, tmp_path / "run", stages), progress=SilentProgress())
    assert AutoConfig.from_pretrained(tmp_path / "run/model").num_hidden_layers == 2
    record = RunRecord.read(tmp_path / "run/stages/task")
    assert record.settings["model"] == str(tmp_path / "run/stages/general/model")
    by_hand = {**stages["task"], "model": str(tmp_path / "run/stages/general/model")}
    del by_hand["recipe"]
    finetune.run(
        finetune.SettingsType.from_values(
            {**by_hand, "out": tmp_path / "hand", "data": data, "device": "cpu"}
        ),
        progress=SilentProgress(),
    )
    assert_same_weights(tmp_path / "hand/model", tmp_path / "run/model")


@pytest.mark.slow
def test_a_stopped_chain_goes_on_to_the_same_weights(corpus, data, masked_lm, tmp_path):
    stages = assistant_stages(masked_lm)
    whole = make(corpus, data, tmp_path / "whole", stages)
    chain.run(whole, progress=SilentProgress())
    settings = make(corpus, data, tmp_path / "run", stages)
    with pytest.raises(KeyboardInterrupt):
        chain.run(settings, progress=Lines(stop_at="run 2 of 2: student"))
    assert not (tmp_path / "run/result.json").exists()
    assert chain.plan(settings)["stages"]["assistant"] == {"recipe": "distill", "run": "finished"}
    progress = Lines()
    chain.run(settings, progress=progress)
    assert "assistant: finished before" in progress.lines
    assert_same_weights(tmp_path / "whole/model", tmp_path / "run/model")


@pytest.mark.slow
def test_a_chain_gets_longer_and_a_made_stage_stays(corpus, data, masked_lm, tmp_path):
    stages = assistant_stages(masked_lm)
    first = {"assistant": stages["assistant"]}
    chain.run(make(corpus, data, tmp_path / "run", first), progress=SilentProgress())
    assert AutoConfig.from_pretrained(tmp_path / "run/model").num_hidden_layers == 2
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    chain.run(make(corpus, data, moved, stages), progress=(progress := Lines()))
    assert "assistant: finished before" in progress.lines
    assert AutoConfig.from_pretrained(moved / "model").num_hidden_layers == 1
    stages["assistant"]["max_steps"] = 4
    expected = "stages.assistant: .*other settings: max_steps was 3, now 4"
    with pytest.raises(SettingsError, match=expected):
        chain.plan(make(corpus, data, moved, stages))
    with pytest.raises(
        SettingsError, match=r"a stage failed: assistant: .* max_steps was 3, now 4"
    ):
        chain.run(make(corpus, data, moved, stages), progress=SilentProgress())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"recipe": None},
            r"stages\.b does not say what it runs; give stages\.b\.recipe",
        ),
        ({"recipe": "distil"}, r"stages\.b\.recipe = 'distil' is no recipe\. .*'distill'"),
        ({"recipe": "suite"}, r"stages\.b: limbeck suite makes no model .*accepted: compress, "),
        ({"teacher": "c"}, r"stages\.b\.teacher = 'c' is a stage that comes after it; .*\(a\)"),
        (
            {"teacher": "b"},
            r"stages\.b\.teacher = 'b' is the stage itself; .* before it \(a\)",
        ),
        ({"out": "x"}, r"stages\.b\.out is for the chain to decide"),
        ({"max_step": 3}, r"stages\.b: there is no setting '.*max_step' .*'.*max_steps'"),
        ({"max_steps": 0}, r"stages\.b: max_steps = 0 is not accepted"),
    ],
)
def test_stages_that_can_not_be(corpus, data, masked_lm, tmp_path, changes, message):
    of = {"recipe": "distill", "teacher": masked_lm, **TEXT}
    stages = {"a": of, "b": {**of, "teacher": "a", **changes}, "c": of}
    settings = make(corpus, data, tmp_path / "run", stages)
    with pytest.raises(SettingsError, match=message):
        chain.plan(settings)
    with pytest.raises(SettingsError, match=message):
        chain.run(settings, progress=SilentProgress())
    assert list(tmp_path.iterdir()) == []


def test_settings_of_the_chain(corpus, data, masked_lm, tmp_path, monkeypatch):
    stages = assistant_stages(masked_lm)
    with pytest.raises(SettingsError, match=r"stages = \{\}"):
        make(corpus, data, tmp_path / "run", {})
    settings = make(corpus, data, tmp_path / "run", stages, sede=1)
    with pytest.raises(
        SettingsError, match=r"shared\.sede is a setting of none .*\(distill\)\. Did"
    ):
        chain.plan(settings)
    settings = make(corpus, data, tmp_path / "run", {"a b": stages["assistant"], "a-b": {}})
    with pytest.raises(SettingsError, match="stages: 'a b' and 'a-b' would share the folder 'a-b'"):
        chain.plan(settings)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "assistant").mkdir()
    settings = make(corpus, data, tmp_path / "run", stages)
    with pytest.raises(
        SettingsError, match=r"'assistant' is a stage, and there is a folder .*'\./"
    ):
        chain.plan(settings)


def test_stages_that_do_not_fit_are_refused_before_a_folder_is_begun(
    corpus, data, masked_lm, tmp_path
):
    def expect(error_type, message, stages):
        settings = make(corpus, data, tmp_path / "run", stages)
        for go in (chain.plan, lambda s: chain.run(s, progress=SilentProgress())):
            with pytest.raises(error_type, match=message):
                go(settings)
        assert not (tmp_path / "run").exists()

    general = {"recipe": "distill", "teacher": masked_lm, "num_student_layers": 2, **TEXT}
    task = {"recipe": "finetune", "model": "general", **TASK}
    model = tmp_path / "run/stages/task/model"
    expect(
        MissingHeadError,
        f"stages.student: the teacher {model} has no masked-LM head",
        {"general": general, "task": task, "student": {**general, "teacher": "task"}},
    )
    expect(
        SettingsError,
        r"stages\.student: num_student_layers = 3: the teacher has 2 layers; accepted: 1 to 2",
        {"general": general, "student": {**general, "teacher": "general", "num_student_layers": 3}},
    )
    expect(
        MissingHeadError,
        r"stages\.task: .*run/stages/general/model has no",
        {"general": general, "task": {**task, "new_head": False}},
    )
    expect(
        SettingsError,
        r"stages\.student\.teacher = 'asistant' is no stage .* Did you mean 'assistant'",
        {"assistant": general, "student": {**general, "teacher": "asistant"}},
    )


def test_a_stage_that_fails_ends_the_chain(corpus, data, masked_lm, tmp_path):
    stages = assistant_stages(masked_lm, learning_rate=1e30, max_grad_norm=None)
    settings = make(corpus, data, tmp_path / "run", stages)
    with pytest.raises(TrainingError, match=r"a stage failed: student: .*loss is nan"):
        chain.run(settings, progress=SilentProgress())
    assert (tmp_path / "run/stages/assistant/result.json").exists()
    assert not (tmp_path / "run/model").exists()


def test_a_model_that_was_changed_is_noticed(corpus, data, masked_lm, tmp_path):
    stages = {"assistant": assistant_stages(masked_lm)["assistant"]}
    settings = make(corpus, data, tmp_path / "run", stages)
    chain.run(settings, progress=SilentProgress())
    weights = tmp_path / "run/model/model.safetensors"
    content = bytearray(weights.read_bytes())
    weights.unlink()
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors.*remove .*run/result\.json"):
        chain.run(settings, progress=SilentProgress())
    (tmp_path / "run/result.json").unlink()
    chain.run(settings, progress=SilentProgress())
    assert_same_weights(tmp_path / "run/model", tmp_path / "run/stages/assistant/model")


def test_from_the_shell(corpus, masked_lm, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chain.toml").write_text(
        f"""
        recipe = "chain"
        out = "run"
        shared = {{ corpus = "{corpus}", device = "cpu", sequence_length = 16, batch_size = 4 }}
        [stages.assistant]
        recipe = "distill"
        teacher = "{masked_lm}"
        num_student_layers = 2
        max_steps = 2
        [stages.student]
        recipe = "distill"
        teacher = "assistant"
        layers = "lower"
        max_steps = 2
        """
    )
    command = ["chain", "chain.toml", "stages.student.num_student_layers=1"]
    assert main([*command, "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["plan"]["stages"]
    assert planned["student"]["student_num_layers"] == 1
    assert main([*command, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["model"] == "run/model"
    assert shown["folders"] == {"run": "run", "model": "run/model"}
    assert RunRecord.read(tmp_path / "run/stages/student").settings["num_student_layers"] == 1
    assert main(["chain", "chain.toml", "stages.student.teacher=student", "--dry-run"]) == 2
    assert "stages.student.teacher = 'student' is the stage itself" in capsys.readouterr().err


def test_from_python(corpus, masked_lm, tmp_path):
    teacher = (
        AutoModelForMaskedLM.from_pretrained(masked_lm),
        AutoTokenizer.from_pretrained(masked_lm),
    )
    stages = assistant_stages(teacher)
    result = limbeck.chain(
        stages, out=tmp_path / "run", progress=False, shared={"corpus": Corpus.open(corpus)}
    )
    assert result.model.config.num_hidden_layers == 1
    assert "assistant -> student" in repr(result)
    given = RunRecord.read(tmp_path / "run/stages/assistant").settings["teacher"]
    assert given == str(tmp_path / "run/given/stages-assistant-teacher")


def test_sentence_encoders_are_stages_too(tmp_path):
    teacher = write_sentence_model(tmp_path / "teacher")
    texts = write_rows(tmp_path / "texts.jsonl", 30)
    of = {"recipe": "distill-embeddings", "texts": texts, "max_steps": 2, "max_length": 16}
    of |= {"num_held_out": 4, "batch_size": 8, "device": "cpu"}
    stages = {
        "assistant": {**of, "teacher": teacher, "num_student_layers": 2},
        "student": {**of, "teacher": "assistant", "num_student_layers": 1},
    }
    settings = chain.SettingsType.from_values({"stages": stages, "out": tmp_path / "run"})
    planned = chain.plan(settings)["stages"]
    assert (planned["student"]["teacher_num_layers"], planned["student"]["student_num_layers"]) == (
        2,
        1,
    )
    chain.run(settings, progress=SilentProgress())
    again = Lines()
    chain.run(settings, progress=again)
    assert again.lines == [f"{tmp_path / 'run'} is already complete"]
    assert (tmp_path / "run/model/modules.json").exists()
