"""Replaced tokens against a plain loop over the models of `transformers`; what is sampled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import transformers
from hypothesis import given
from hypothesis import strategies as st

import limbeck
from limbeck.data import MaskedBatch
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.objectives import ReplacedTokensObjective
from limbeck.objectives.replaced_tokens import draw_uniforms, sample_tokens
from limbeck.recipes._replaced_tokens import build_generator

WEIGHT = 7.0
SEED = 5


def make_models():
    config = limbeck.ElectraConfig(
        vocab_size=12,  # few, so that some samples are the text's own
        embedding_size=12,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=24,
        max_position_embeddings=8,
        initializer_range=0.3,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(2)
    discriminator = limbeck.ElectraForPreTraining(config)
    generator = build_generator(discriminator, ratio=0.5)
    return discriminator.double(), generator.double()


def make_objective(**changes):
    models = make_models()
    given = {"weight": WEIGHT, "seed": SEED, "chunk_rows": 3, **changes}
    return ReplacedTokensObjective(*models, **given)


@pytest.fixture
def batch() -> MaskedBatch:
    generator = torch.Generator().manual_seed(3)
    originals = torch.randint(5, 12, (4, 8), generator=generator)
    is_masked = torch.rand(4, 8, generator=generator) < 0.4
    mask = torch.ones_like(originals)
    mask[1, 5:] = mask[3, 3:] = 0
    is_masked &= mask == 1
    labels = originals.masked_fill(~is_masked, IGNORE_INDEX)
    return MaskedBatch(originals.masked_fill(is_masked, 4), labels, mask)


def compute(objective, *parts):
    """Adds micro-batches up to the loss and gradients of a step."""
    objective.zero_grad()
    prepared = [objective.prepare(part) for part in parts]
    counts: Counter[str] = Counter()
    for part in prepared:
        counts.update(part.counts)
    total, terms = 0.0, Counter()
    for part in prepared:
        loss, of_part = objective(part, counts)
        loss.backward()
        total += loss.item()
        terms.update({name: value.item() for name, value in of_part.items()})
    return total, terms


def load_theirs(objective, folder: Path):
    """The same two models in `transformers`, on the same embeddings."""
    found = []
    for name, model, cls in (
        ("model", objective.student, transformers.ElectraForPreTraining),
        ("generator", objective.generator, transformers.ElectraForMaskedLM),
    ):
        model.save_pretrained(folder / name)
        found.append(cls.from_pretrained(folder / name, dtype=torch.float64).eval())
    discriminator, generator = found
    generator.electra.embeddings = discriminator.electra.embeddings
    generator.generator_lm_head.weight = discriminator.electra.embeddings.word_embeddings.weight
    return discriminator, generator


def test_loss_and_gradients_are_those_of_a_plain_loop(batch, tmp_path) -> None:
    objective = make_objective()
    total, terms = compute(objective, batch)
    discriminator, generator = load_theirs(objective, tmp_path)
    mask = batch.attention_mask
    output = generator(batch.input_ids, attention_mask=mask, labels=batch.labels)
    uniforms = iter(draw_uniforms(batch, seed=SEED).tolist())
    given = batch.input_ids.clone()
    replaced = torch.zeros_like(given)
    for row, column in (batch.labels != IGNORE_INDEX).nonzero().tolist():
        point, token = next(uniforms), 0
        probabilities = output.logits[row, column].softmax(-1).tolist()
        while point > probabilities[token]:
            point -= probabilities[token]
            token += 1
        given[row, column] = token
        replaced[row, column] = int(token != batch.labels[row, column])
    assert 0 < replaced.sum() < (batch.labels != IGNORE_INDEX).sum()
    found = discriminator(given, attention_mask=mask, labels=replaced)
    assert terms["replaced_tokens"] == pytest.approx(found.loss.item(), rel=1e-6)
    kept = mask == 1  # once more, since `transformers` takes this loss in float32
    exact = F.binary_cross_entropy_with_logits(found.logits[kept], replaced[kept].double())
    expected = output.loss + WEIGHT * exact
    assert terms["masked_lm"] == pytest.approx(output.loss.item(), rel=1e-9)
    assert terms["replaced_tokens"] == pytest.approx(exact.item(), rel=1e-9)
    assert total == pytest.approx(expected.item(), rel=1e-9)
    expected.backward()
    for ours, theirs in ((objective.student, discriminator), (objective.generator, generator)):
        gradients = ours.architecture.names.write(
            {name: weight.grad for name, weight in ours.named_parameters()}, head=ours.kind.name
        )
        wanted = dict(theirs.named_parameters())
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, wanted[name].grad, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_change_nothing(batch, parts) -> None:
    objective = make_objective()
    total, terms = compute(objective, batch)
    whole = {name: weight.grad.clone() for name, weight in objective.named_parameters()}
    again, of_parts = compute(objective, *batch.split(parts))
    assert again == pytest.approx(total, rel=1e-9)
    assert of_parts == pytest.approx(terms, rel=1e-9)
    for name, weight in objective.named_parameters():
        torch.testing.assert_close(weight.grad, whole[name], rtol=1e-9, atol=1e-12)


def test_the_generator_learns_nothing_of_the_discriminator(batch) -> None:
    """But for the embeddings that they share."""
    gradients = []
    for weight in (1.0, 1000.0):
        objective = make_objective(weight=weight)
        compute(objective, batch)
        gradients.append({name: p.grad for name, p in objective.generator.named_parameters()})
    light, heavy = gradients
    for name, gradient in light.items():
        assert torch.equal(gradient, heavy[name]) != name.startswith("encoder.embeddings."), name


def test_both_models_are_one_module(batch) -> None:
    objective = make_objective()
    embeddings = objective.student.encoder.embeddings
    assert objective.generator.encoder.embeddings is embeddings
    shared = {id(weight) for weight in embeddings.parameters()}
    trained = [id(weight) for weight in objective.parameters()]
    assert len(trained) == len(set(trained))
    assert shared < set(trained)


def test_rows_without_a_masked_token(batch) -> None:
    whole = MaskedBatch(batch.input_ids, torch.full_like(batch.labels, IGNORE_INDEX))
    objective = make_objective()
    _, terms = compute(objective, whole)
    scores = objective.student(whole.input_ids).logits
    expected = F.binary_cross_entropy_with_logits(scores, torch.zeros_like(scores))
    assert terms["masked_lm"] == 0
    assert terms["replaced_tokens"] == pytest.approx(expected.item(), rel=1e-9)


def test_figures_on_held_out_text(batch) -> None:
    objective = make_objective().train()
    figures = objective.measure(batch.split(2), device=torch.device("cpu"))
    assert objective.training
    _, terms = compute(objective.eval(), batch)
    assert figures["mlm_loss"] == pytest.approx(terms["masked_lm"], rel=1e-6)
    assert figures["rtd_loss"] == pytest.approx(terms["replaced_tokens"], rel=1e-6)
    num_tokens = int(batch.is_real.sum())
    assert 0 < figures["replaced_share"] * num_tokens < batch.num_masked + 0.5
    assert all(0 <= figures[name] <= 1 for name in ("mlm_accuracy", "rtd_accuracy", "rtd_recall"))


@given(st.lists(st.floats(-4, 4), min_size=1, max_size=9), st.floats(0, 1, exclude_max=True))
def test_a_token_is_sampled_where_its_share_lies(logits, point) -> None:
    scores = torch.tensor([logits], dtype=torch.float64)
    (token,) = sample_tokens(scores, torch.tensor([point], dtype=torch.float64)).tolist()
    upper = scores.softmax(-1)[0].cumsum(0)
    assert upper[token] >= point - 1e-12
    assert token == 0 or upper[token - 1] <= point + 1e-12


def test_tokens_are_sampled_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0, -30.0])
    uniforms = torch.rand(200_000, generator=torch.Generator().manual_seed(0))
    found = sample_tokens(logits.expand(len(uniforms), -1), uniforms)
    shares = found.bincount(minlength=5) / len(found)
    torch.testing.assert_close(shares, logits.softmax(-1), rtol=0.0, atol=4e-3)


def test_numbers_belong_to_rows(batch) -> None:
    whole = draw_uniforms(batch, seed=SEED)
    assert len(whole) == batch.num_masked
    assert ((whole > 0) & (whole < 1)).all()
    parts = [draw_uniforms(part, seed=SEED) for part in batch.split(4)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(draw_uniforms(batch, seed=SEED + 1), whole)
    others = MaskedBatch(batch.input_ids.flip(1), batch.labels)
    assert not (draw_uniforms(others, seed=SEED) == whole).any()
