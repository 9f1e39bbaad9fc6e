"""`pretrain objective=replaced_tokens`: both models are trained, saved and gone on from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from tiny_language_runs import run

from limbeck import ElectraForMaskedLM, ElectraForPreTraining, Tokenizer
from limbeck.checkpoints import read_safetensors
from limbeck.errors import CheckpointError, SettingsError
from limbeck.recipes import pretrain
from limbeck.runs import PretrainRecord

SHAPE = {
    "objective": "replaced_tokens",
    "model_type": "electra",
    "embedding_size": 12,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
}


def values(corpus: Path, out: Path, **changes: object) -> dict[str, object]:
    return {
        "corpus": str(corpus),
        "out": str(out),
        "sequence_length": 16,
        "batch_size": 16,
        "max_steps": 40,
        "learning_rate": 3e-3,
        "log_every": 1,
        "save_every": 20,
        "evaluate_every": 20,
        **SHAPE,
        **changes,
    }


@pytest.fixture(scope="module")
def finished(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    run(pretrain, **values(corpus_folder, out))
    return out


def test_both_losses_fall(finished: Path) -> None:
    record = PretrainRecord.read(finished)
    before, after = record.held_out_before, record.held_out_after
    assert after["mlm_loss"] < before["mlm_loss"] - 0.3
    assert after["rtd_loss"] < before["rtd_loss"] - 0.1
    assert record.objective == "replaced_tokens"
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").open(encoding="utf-8")]
    (first, *_) = [line for line in lines if line["kind"] == "train"]
    weighed = first["loss_masked_lm"] + 50 * first["loss_replaced_tokens"]
    assert first["loss"] == pytest.approx(weighed, rel=1e-5)


@pytest.mark.parametrize(
    ("folder", "theirs", "ours"),
    [
        ("model", transformers.ElectraForPreTraining, ElectraForPreTraining),
        ("generator", transformers.ElectraForMaskedLM, ElectraForMaskedLM),
    ],
)
def test_transformers_loads_both(folder, theirs, ours, finished: Path) -> None:
    path = finished / folder
    loaded, info = theirs.from_pretrained(path, output_loading_info=True)
    assert not any(info.values()), info
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    inputs = tokenizer(["the small still"], return_tensors="pt")
    with torch.no_grad():
        expected = loaded.eval()(**inputs).logits
        torch.testing.assert_close(ours.from_pretrained(path)(**inputs).logits, expected)


def test_embeddings_stay_shared(finished: Path) -> None:
    model, generator = (
        read_safetensors(finished / name / "model.safetensors") for name in ("model", "generator")
    )
    names = [name for name in model if name.startswith("electra.embeddings.")]
    assert len(names) == 5
    assert all(torch.equal(model[name], generator[name]) for name in names)
    record = PretrainRecord.read(finished)
    assert pretrain.summarise(record).endswith(f"The generator: {finished / 'generator'}")
    folders = [str(finished / name) for name in ("model", "generator")]
    assert [record.model, record.generator] == folders
    config = json.loads((finished / "generator/config.json").read_text())
    assert (config["hidden_size"], config["num_attention_heads"]) == (4, 1)
    assert config["intermediate_size"] == 8


def test_a_stopped_run_ends_with_the_same_bits(finished: Path, tmp_path: Path) -> None:
    """Dropout is on, and what is sampled counts too."""
    again = tmp_path / "run"
    shutil.copytree(finished, again)
    (again / "result.json").unlink()
    for name in ("model", "generator", "checkpoints/step-00000040"):
        shutil.rmtree(again / name)
    record = json.loads((again / "run.json").read_text())
    corpus = record["settings"]["corpus"]
    run(pretrain, **values(Path(corpus), again))
    for name in ("model", "generator"):
        expected, found = (
            read_safetensors(out / name / "model.safetensors") for out in (finished, again)
        )
        assert expected.keys() == found.keys()
        for tensor, weight in expected.items():
            assert torch.equal(weight, found[tensor]), tensor


def test_going_on_from_both_models(finished: Path, corpus_folder: Path, tmp_path: Path) -> None:
    given = {"model": str(finished / "model"), "generator": str(finished / "generator")}
    settings = values(corpus_folder, tmp_path / "run", max_steps=1, **given)
    record = run(pretrain, **settings)
    ended = PretrainRecord.read(finished).held_out_after
    assert record.held_out_before == pytest.approx(ended, rel=1e-5)


def test_a_plan_tells_the_generators_size(corpus_folder: Path, tmp_path: Path) -> None:
    settings = pretrain.SettingsType.from_values(values(corpus_folder, tmp_path / "run"))
    plan = pretrain.plan(settings)
    assert plan["student_num_layers"] == plan["generator_num_layers"] == 2
    assert 0 < plan["generator_num_own_parameters"] < plan["student_num_parameters"]


def test_a_damaged_generator_is_named(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    (out / "generator/config.json").write_text("{}")
    corpus = json.loads((out / "run.json").read_text())["settings"]["corpus"]
    with pytest.raises(CheckpointError, match=r"generator/config\.json.*remove .*result\.json"):
        run(pretrain, **values(Path(corpus), out))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "distilbert"},
            r"'replaced_tokens', but distilbert has no head that finds .*; accepted: .*'electra'",
        ),
        (
            {"objective": "language_model", "generator_ratio": 0.5},
            r"generator_ratio is for objective = 'replaced_tokens'; leave it out",
        ),
        (
            {"generator": "somewhere", "generator_ratio": 0.5},
            r"generator_ratio is for a new generator; leave it or generator out",
        ),
        ({"generator_ratio": 0}, r"generator_ratio = 0 is not accepted"),
        (
            {"model": "somewhere", "freeze_body": True},
            r"freeze_body = true trains a masked-LM head alone, and objective = 'replaced_tokens'",
        ),
        ({"objective": "tokens"}, r"objective = 'tokens' is not accepted.*'replaced_tokens'"),
    ],
)
def test_what_does_not_go_together(changes, message, corpus_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        run(pretrain, **values(corpus_folder, tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_families_without_a_width_of_embeddings(corpus_folder: Path, tmp_path: Path) -> None:
    changes = {"objective": "language_model", "model_type": "bert"}
    with pytest.raises(SettingsError, match=r"no field 'embedding_size' in BertConfig"):
        run(pretrain, **values(corpus_folder, tmp_path / "run", **changes))


def test_a_generator_of_another_shape(
    finished: Path, corpus_folder: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    other = ElectraForMaskedLM.from_pretrained(finished / "generator").config.replace(
        embedding_size=20
    )
    ElectraForMaskedLM(other).save_pretrained(tmp_path / "other")
    tokenizer.save_pretrained(tmp_path / "other")
    changes = {"generator": str(tmp_path / "other")}
    with pytest.raises(
        SettingsError,
        match=r"word\.weight of shape \(\d+, 20\), and the discriminator's of \(",
    ):
        run(pretrain, **values(corpus_folder, tmp_path / "run", **changes))
