"""Distilling an encoder that has no masked-LM head, such as one of sentences."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file
from tiny_language_runs import run, values

from limbeck import AutoConfig, AutoModel, BertModel, Tokenizer
from limbeck.data import Corpus, MaskedBatches, MaskingSettings
from limbeck.errors import MissingHeadError
from limbeck.recipes import distill
from limbeck.recipes._presets import list_presets
from limbeck.report.distillation_page import write_distillation_report
from limbeck.train import SilentProgress

LOSSES = {"relations": {"num_relation_heads": 8, "teacher_layers": [3]}, "cosine": {"weight": 0.5}}
SHORT = {"losses": LOSSES, "max_steps": 24, "evaluate_every": 10}
POOLING = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]


@pytest.fixture(scope="module")
def encoder_folder(teacher_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence encoder's folder: no head, and how its states become a text's vector."""
    folder = tmp_path_factory.mktemp("encoder")
    AutoModel.from_pretrained(teacher_folder, add_pooling_layer=False).save_pretrained(folder)
    Tokenizer.from_pretrained(teacher_folder).save_pretrained(folder)
    (folder / "modules.json").write_text(json.dumps(MODULES), encoding="utf-8")
    (folder / "limbeck.json").write_text("{}", encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps(POOLING), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def result(
    corpus_folder: Path, encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> object:
    out = tmp_path_factory.mktemp("headless") / "run"
    return run(distill, **values(corpus_folder, encoder_folder, out, **SHORT))


def test_the_losses_themselves_are_measured(result: object, tmp_path: Path) -> None:
    before, after = result.held_out_before, result.held_out_after
    assert before.keys() == after.keys() == {"relations_loss", "cosine_loss", "cosine"}
    assert after["relations_loss"] < 0.8 * before["relations_loss"]
    assert after["cosine"] > before["cosine"]
    for figures in (before, after):
        assert figures["cosine"] == pytest.approx(1 - figures["cosine_loss"], abs=1e-5)
    headline, files = write_distillation_report(Path(result.model).parent, out=tmp_path)
    assert f"cosine of {after['cosine']:.3f} to its teacher's" in headline
    assert "Loss relations" in files["md"].read_text(encoding="utf-8")


def test_the_student_is_an_encoder_that_others_load(result: object) -> None:
    folder = Path(result.model)
    assert not any(
        "vocab" in name or "head" in name
        for name in load_file(next(iter(folder.glob("*.safetensors"))))
    )
    ours = AutoModel.from_pretrained(folder)
    theirs = transformers.AutoModel.from_pretrained(folder)
    ids = torch.randint(5, 40, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        states = ours(ids).last_hidden_state
        torch.testing.assert_close(states, theirs(ids).last_hidden_state, atol=1e-5, rtol=1e-5)
    assert not (folder / "limbeck.json").exists()  # which says of what task a head is
    for name in ("modules.json", "1_Pooling/config.json"):
        assert (folder / name).is_file()  # what they say, test_distill_sentences.py looks at
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Held out: Loss relations" in card


def test_the_student_is_encoded_as_sentence_transformers_does(result: object) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = sentence_transformers.SentenceTransformer(result.model, device="cpu")
    found = model.encode(["the old river", "a bright stone"], convert_to_tensor=True)
    ours, tokenizer = (
        AutoModel.from_pretrained(result.model),
        Tokenizer.from_pretrained(result.model),
    )
    for text, vector in zip(["the old river", "a bright stone"], found, strict=True):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            expected = ours(ids).last_hidden_state[0].mean(dim=0)
        torch.testing.assert_close(vector, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_bits(
    result: object, corpus_folder: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    class Stop(SilentProgress):
        def log(self, message: str) -> None:
            if message.startswith("step 20:"):
                raise RuntimeError(message)

    given = values(corpus_folder, encoder_folder, tmp_path / "run", **SHORT)
    with pytest.raises(RuntimeError, match="step 20"):
        distill.run(distill.SettingsType.from_values(given), progress=Stop())
    resumed = run(distill, **given)
    whole, again = (load_file(Path(r.model) / "model.safetensors") for r in (result, resumed))
    assert whole.keys() == again.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())


def test_a_given_student_of_another_width_learns_relations_alone(
    corpus_folder: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    config = AutoConfig.from_pretrained(encoder_folder)
    small = config.replace(hidden_size=24, num_attention_heads=3, num_hidden_layers=1)
    torch.manual_seed(0)
    student = BertModel(small)
    student.save_pretrained(tmp_path / "student")
    Tokenizer.from_pretrained(encoder_folder).save_pretrained(tmp_path / "student")
    given = values(
        corpus_folder,
        encoder_folder,
        tmp_path / "run",
        student=str(tmp_path / "student"),
        losses={"relations": {"num_relation_heads": 2}},
        max_steps=4,
    )
    found = run(distill, **given)
    assert found.held_out_after.keys() == {"relations_loss"}
    assert not (Path(found.model) / "modules.json").exists()
    headline, _ = write_distillation_report(tmp_path / "run", out=tmp_path / "report")
    assert "its loss relations on held-out text is" in headline


def test_losses_on_logits_are_refused_with_those_that_would_do(
    corpus_folder: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    message = (
        r"has no masked-LM head, .*at which losses\.soft_targets looks\. .*new_head=true.* no "
        r"logits: attention_kl, .*relations, as the preset minilm-v2 does"
    )
    losses = {"soft_targets": {}, "relations": {}}
    with pytest.raises(MissingHeadError, match=message):
        run(distill, **values(corpus_folder, encoder_folder, tmp_path / "run", losses=losses))
    assert not (tmp_path / "run").exists()


def test_held_out_losses_are_means_over_all_rows(
    result: object, corpus_folder: Path, encoder_folder: Path
) -> None:
    """Of text as it was written: nothing is masked."""
    corpus = Corpus.open(corpus_folder)
    batch = MaskedBatches(
        corpus.split("heldout"),
        tokenizer=corpus.tokenizer,
        token_counts=None,
        masking=MaskingSettings(),
        batch_size=256,
        sequence_length=16,
        seed=0,
        keep_last=True,
    ).batch(0)
    ids = torch.where(batch.labels >= 0, batch.labels, batch.input_ids)
    models = [
        AutoModel.from_pretrained(folder, add_pooling_layer=False)
        for folder in (result.model, encoder_folder)
    ]
    with torch.no_grad():
        ours, theirs = (
            model(ids, batch.attention_mask, position_ids=batch.position_ids).last_hidden_state
            for model in models
        )
    cosine = F.cosine_similarity(ours, theirs, dim=-1)[batch.is_real].mean()
    assert result.held_out_after["cosine"] == pytest.approx(cosine.item(), abs=1e-5)


@pytest.mark.parametrize("name", ["minilm", "minilm-v2"])
def test_a_preset_learns_from_an_encoder_alone(
    name: str, corpus_folder: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    preset = tomllib.loads(list_presets()[name].path.read_text(encoding="utf-8"))
    assert preset.pop("recipe") == "distill"
    given = values(corpus_folder, encoder_folder, tmp_path / "run", max_steps=20)
    if name == "minilm-v2":  # 48 relation heads do not divide a width of 16
        preset["losses"]["relations"]["num_relation_heads"] = 16
    found = run(distill, **{**preset, **given})
    expected = {f"{loss}_loss" for loss in preset["losses"]}
    assert found.held_out_after.keys() == {*expected, "cosine"}
    for loss in expected:
        assert found.held_out_after[loss] < found.held_out_before[loss]
