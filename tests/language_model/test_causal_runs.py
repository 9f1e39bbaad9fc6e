"""`limbeck pretrain` and `distill` of causal models, against `transformers` and by themselves."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import transformers
from test_distill_formulas import RATE, STEPS
from tiny_language_runs import run, values
from tiny_teacher import make_causal_teacher

from limbeck import AutoModelForCausalLM, Tokenizer
from limbeck.checkpoints import read_safetensors
from limbeck.config import read_settings
from limbeck.data import Corpus, MaskedBatches
from limbeck.data.masking import MaskingSettings
from limbeck.errors import SettingsError
from limbeck.recipes import distill, pretrain
from limbeck.recipes._language_model import make_batches, make_held_out_batches
from limbeck.recipes._presets import list_presets
from limbeck.train import SilentProgress, read_metrics

KIND = AutoModelForCausalLM.kind


def plain_loss(student: torch.nn.Module, teacher: torch.nn.Module, ids: torch.Tensor, real: bool):
    """5 L_ce + 2 L_clm + 1 L_cos, of which L_clm is what `transformers` makes of labels."""
    ours = student(input_ids=ids, labels=ids, output_hidden_states=True)
    with torch.no_grad():
        theirs = teacher(input_ids=ids, output_hidden_states=True)
    end = None if real else -1
    z_s, z_t = ours.logits[:, :end], theirs.logits[:, :end]
    t_probability = (z_t / 2).softmax(-1)
    row_kl = (t_probability * ((z_t / 2).log_softmax(-1) - (z_s / 2).log_softmax(-1))).sum(-1)
    h_s, h_t = ours.hidden_states[-1], theirs.hidden_states[-1]
    l_cos = (1 - F.cosine_similarity(h_s, h_t, dim=-1)).mean()
    return 5 * 4 * row_kl.mean() + 2 * ours.loss + l_cos


@pytest.mark.slow
@pytest.mark.parametrize(("accumulate", "positions"), [(1, "real"), (3, "real"), (1, "masked")])
def test_same_loss_step_by_step(
    tmp_path: Path,
    causal_corpus_folder: Path,
    sober_causal_teacher_folder: Path,
    accumulate: int,
    positions: str,
) -> None:
    settings = distill.SettingsType.from_values(
        values(
            causal_corpus_folder,
            sober_causal_teacher_folder,
            tmp_path / "run",
            batch_size=12,
            accumulate=accumulate,
            max_steps=STEPS,
            learning_rate=RATE,
            chunk_rows=7,
            losses={
                "soft_targets": {"weight": 5, "positions": positions},
                "causal_lm": {"weight": 2},
                "cosine": {"weight": 1},
            },
        )
    )
    corpus, _, student = distill._prepare(settings)
    student.save_pretrained(tmp_path / "start")
    distill.run(settings, progress=SilentProgress())
    ours = [line.values["loss"] for line in read_metrics(tmp_path / "run") if line.kind == "train"]

    auto = transformers.AutoModelForCausalLM
    plain, teacher = (auto.from_pretrained(f) for f in (tmp_path / "start", settings.teacher))
    optimizer = torch.optim.AdamW(
        plain.train().parameters(), lr=RATE, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.0
    )
    batches = make_batches(corpus, settings, kind=KIND)
    expected = []
    for step in range(STEPS):
        done, warm_up = (step + 1) / (STEPS + 1), settings.schedule.warmup_ratio
        factor = done / warm_up if done < warm_up else (1 - done) / (1 - warm_up)
        for group in optimizer.param_groups:
            group["lr"] = RATE * factor
        loss = plain_loss(plain, teacher.eval(), batches.batch(step).input_ids, positions == "real")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 5.0)
        optimizer.step()
        expected.append(loss.item())
    assert ours == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert ours[-1] < ours[0]


def test_held_out_figures_are_theirs(
    tmp_path: Path, causal_corpus_folder: Path, sober_causal_teacher_folder: Path
) -> None:
    """Of a student of all layers, which is its teacher; perplexity by `transformers`' own loss."""
    given = values(
        causal_corpus_folder,
        sober_causal_teacher_folder,
        tmp_path / "run",
        layers=[0, 1, 2, 3],
        max_steps=1,
    )
    before = run(distill, **given).held_out_before
    assert before["kl_to_teacher"] == pytest.approx(0, abs=1e-5)
    assert before["teacher_agreement"] == 1
    assert before["cosine"] == pytest.approx(1, abs=1e-5)
    settings = distill.SettingsType.from_values(given)
    batches = make_held_out_batches(Corpus.open(causal_corpus_folder), settings, kind=KIND)
    ids = torch.cat([batch.input_ids for batch in batches])
    model = transformers.AutoModelForCausalLM.from_pretrained(settings.teacher).eval()
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids).loss.item()
    for who in ("", "teacher_"):
        assert before[f"{who}clm_loss"] == pytest.approx(loss, rel=1e-5)
        assert before[f"{who}perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)
    assert 0 <= before["clm_accuracy"] == before["teacher_clm_accuracy"] <= 1
    assert not [name for name in before if "mlm" in name]


@pytest.mark.slow
def test_a_distilled_student_predicts_held_out_text_better(
    tmp_path: Path, causal_corpus_folder: Path, causal_teacher_folder: Path
) -> None:
    """By default, with DistilBERT's losses, and as a model that `transformers` goes on with."""
    result = run(
        distill,
        **values(causal_corpus_folder, causal_teacher_folder, tmp_path / "run", learning_rate=1e-2),
    )
    assert result.held_out_after["clm_loss"] < result.held_out_before["clm_loss"] - 0.3
    assert result.held_out_after["perplexity"] < result.held_out_before["perplexity"]
    theirs, info = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "run/model", output_loading_info=True
    )
    assert not any(info.values()), info
    assert type(theirs).__name__ == "GPT2LMHeadModel"
    assert theirs.config.n_layer == 2
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "run/model")
    assert tokenizer.pad_token is None  # a causal model has no use for one
    card = (tmp_path / "run/model/README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: text-generation" in card
    assert "causal_lm" in card


@pytest.mark.slow
def test_accumulation_changes_nothing(
    tmp_path: Path, causal_corpus_folder: Path, sober_causal_teacher_folder: Path
) -> None:
    made = []
    for parts in (1, 2, 4):
        out = tmp_path / str(parts)
        given = {"accumulate": parts, "max_steps": 4, "chunk_rows": 5 * parts}
        run(distill, **values(causal_corpus_folder, sober_causal_teacher_folder, out, **given))
        made.append(read_safetensors(out / "model/model.safetensors"))
    for other in made[1:]:
        for name, tensor in made[0].items():
            torch.testing.assert_close(other[name], tensor, rtol=1e-4, atol=2e-5, msg=name)


@pytest.mark.slow
def test_pretrain_from_scratch_learns(
    tmp_path: Path, causal_corpus_folder: Path, causal_tokenizer: Tokenizer
) -> None:
    given = {
        "corpus": causal_corpus_folder,
        "sequence_length": 16,
        "batch_size": 16,
        "max_steps": 40,
        "learning_rate": 1e-2,
    }
    result = run(
        pretrain,
        **given,
        out=tmp_path / "run",
        model_type="gpt2",
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    assert result.held_out_after["clm_loss"] < result.held_out_before["clm_loss"] - 0.3
    config = transformers.AutoConfig.from_pretrained(tmp_path / "run/model")
    end = causal_tokenizer.eos_token_id
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (end, end, None)
    more = run(pretrain, **given, out=tmp_path / "more", model=str(tmp_path / "run/model"))
    assert more.held_out_before["clm_loss"] == pytest.approx(result.held_out_after["clm_loss"])


def make(corpus: Corpus, **changes: object) -> MaskedBatches:
    given = {"masking": None, "batch_size": 4, "sequence_length": 64, "seed": 1, **changes}
    return MaskedBatches(
        corpus.split("train"), tokenizer=corpus.tokenizer, token_counts=None, **given
    )


def test_rows_are_packed_as_gpt2s(causal_corpus_folder: Path) -> None:
    """The stream as it is, each document ended by its token; a label is the token after."""
    corpus = Corpus.open(causal_corpus_folder)
    batches = make(corpus, shuffle=False)
    batch = batches.batch(0)
    stream = torch.from_numpy(corpus.split("train").read(0, 4 * 64).astype("int64"))
    assert torch.equal(batch.input_ids.flatten(), stream)
    assert torch.equal(batch.labels[:, :-1], batch.input_ids[:, 1:])
    assert (batch.labels[:, -1] == -100).all()
    assert batch.num_masked == 4 * 63
    end = corpus.tokenizer.eos_token_id
    assert corpus.info.separator_id == end
    assert int((stream == end).sum()) == len(corpus.split("train").document_ends(0, 4 * 64))
    assert torch.equal(make(corpus).batch(3).input_ids, make(corpus).batch(3).input_ids)


def test_a_confined_document_does_not_predict_the_next(causal_corpus_folder: Path) -> None:
    corpus = Corpus.open(causal_corpus_folder)
    batch = make(corpus, shuffle=False, confine_attention=True).batch(0)
    is_end = batch.input_ids == corpus.tokenizer.eos_token_id
    assert is_end.any()
    assert (batch.labels[is_end] == -100).all()
    inner = ~is_end
    inner[:, -1] = False
    assert torch.equal(batch.labels[inner], batch.input_ids.roll(-1, dims=1)[inner])


@pytest.mark.slow
def test_preset(tmp_path: Path, causal_corpus_folder: Path, causal_tokenizer: Tokenizer) -> None:
    """DistilGPT2's recipe, shrunk in size alone, on a teacher of twelve layers."""
    make_causal_teacher(causal_tokenizer.vocab_size, num_layers=12).save_pretrained(
        tmp_path / "teacher"
    )
    causal_tokenizer.save_pretrained(tmp_path / "teacher")
    overrides = [
        f"teacher={tmp_path / 'teacher'}",
        f"corpus={causal_corpus_folder}",
        f"out={tmp_path / 'run'}",
        "sequence_length=32",
        "batch_size=8",
        "accumulate=2",
        "max_steps=2",
    ]
    path = list_presets()["distilgpt2"].path
    settings = read_settings(distill.SettingsType, path, overrides)
    weights = {name: loss.weight for name, loss in settings.losses.items()}
    assert weights == {"soft_targets": 5, "causal_lm": 2, "cosine": 1}
    assert settings.losses["soft_targets"].positions == "real"
    _, teacher, student = distill._prepare(settings)
    for own, theirs in enumerate((0, 2, 4, 7, 9, 11)):
        kept, original = student.encoder.layers[own], teacher.encoder.layers[theirs]
        for name, tensor in original.state_dict().items():
            assert torch.equal(kept.state_dict()[name], tensor), name
    assert torch.equal(student.encoder.norm.weight, teacher.encoder.norm.weight)
    distill.run(settings, progress=SilentProgress())
    trained = AutoModelForCausalLM.from_pretrained(tmp_path / "run/model")
    assert torch.equal(
        trained.encoder.embeddings.position.weight, teacher.encoder.embeddings.position.weight
    )


def test_what_is_for_masked_models_is_refused(
    tmp_path: Path,
    causal_corpus_folder: Path,
    causal_teacher_folder: Path,
    corpus_folder: Path,
    teacher_folder: Path,
) -> None:
    given = values(causal_corpus_folder, causal_teacher_folder, tmp_path / "run")
    with pytest.raises(SettingsError, match=r"masking is given, but the model is causal: .* leave"):
        run(distill, **given, masking={"probability": 0.3})
    with pytest.raises(SettingsError, match=r"losses.masked_lm is .*GPT2LMHeadModel.*\.causal_lm"):
        run(distill, **given, losses={"masked_lm": {}})
    masked = values(corpus_folder, teacher_folder, tmp_path / "run")
    with pytest.raises(SettingsError, match=r"causal_lm is .*DistilBertForMaskedLM.*\.masked_lm"):
        run(distill, **masked, losses={"causal_lm": {}})
    with pytest.raises(SettingsError, match=r"freeze_body = true .* the head of a GPT2LMHeadModel"):
        run(
            pretrain,
            model=str(causal_teacher_folder),
            corpus=causal_corpus_folder,
            out=tmp_path / "run",
            sequence_length=16,
            batch_size=4,
            freeze_body=True,
        )
    assert not (tmp_path / "run").exists()
    assert MaskingSettings() == MaskingSettings.from_values({"probability": 0.15})


def test_teacher_and_student_predict_alike(
    tmp_path: Path, causal_corpus_folder: Path, causal_teacher_folder: Path, tokenizer: Tokenizer
) -> None:
    from limbeck import BertConfig, BertForMaskedLM

    causal = Tokenizer.from_pretrained(causal_teacher_folder)
    config = BertConfig(
        vocab_size=causal.vocab_size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    BertForMaskedLM(config).save_pretrained(tmp_path / "student")
    causal.save_pretrained(tmp_path / "student")
    given = values(causal_corpus_folder, causal_teacher_folder, tmp_path / "run")
    with pytest.raises(
        SettingsError, match="teacher is a GPT2LMHeadModel and the student a BertForMaskedLM: one"
    ):
        run(distill, **given, student=str(tmp_path / "student"))
