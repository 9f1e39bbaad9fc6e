"""What those who come from `transformers` write: labels and losses, outputs by place and name."""

import pytest
import torch
from model_oracle import (
    EXACT,
    FAMILIES,
    make_inputs,
    num_labels,
    ours_from,
    run_theirs,
    their_model,
)

from limbeck.errors import SettingsError
from limbeck.models import _kinds as kinds
from limbeck.models import find_architecture

FAMILY = "bert"


def make_targets(kind, inputs, problem):
    batch, length = inputs["input_ids"].shape[0], inputs["input_ids"].shape[-1]
    count = num_labels(kind)
    generator = torch.Generator().manual_seed(0)

    def draw(high, shape):
        return torch.randint(high, shape, generator=generator)

    if kind is kinds.QUESTION_ANSWERING:
        starts = draw(length, (batch,))
        starts[0] = length + 3  # outside: no answer
        return {"start_positions": starts, "end_positions": draw(length, (batch,))}
    if kind is kinds.MULTIPLE_CHOICE:
        return {"labels": draw(inputs["input_ids"].shape[1], (batch,))}
    if kind in (kinds.TOKEN_CLASSIFICATION, kinds.MASKED_LM, kinds.CAUSAL_LM):
        labels = draw(count if kind is kinds.TOKEN_CLASSIFICATION else 20, (batch, length))
        labels[:, :2] = -100
        return {"labels": labels}
    if kind is kinds.REPLACED_TOKENS:
        return {"labels": draw(2, (batch, length))}
    if problem == "multi_label_classification":
        return {"labels": draw(2, (batch, count)).double()}
    if problem == "regression":
        return {"labels": torch.rand(batch, count, generator=generator, dtype=torch.float64)}
    return {"labels": draw(count, (batch,))}


CASES = [(kind, None) for kind in kinds.KINDS if kind.has_head]
CASES += [
    (kinds.SEQUENCE_CLASSIFICATION, problem)
    for problem in ("single_label_classification", "multi_label_classification", "regression")
]


@pytest.mark.parametrize(("kind", "problem"), CASES, ids=lambda case: getattr(case, "name", case))
def test_losses_are_theirs(kind, problem, tmp_path):
    family = next(name for name in FAMILIES if kind in find_architecture(name).kinds)
    theirs = their_model(family, kind, **({"problem_type": problem} if problem else {}))
    ours = ours_from(theirs, tmp_path, kind)
    inputs = make_inputs(family, kind)
    targets = make_targets(kind, inputs, problem)
    del inputs["position_ids"]
    expected = run_theirs(theirs, inputs, **targets)
    found = ours(**inputs, **targets)
    torch.testing.assert_close(found.loss, expected.loss, **EXACT)
    found.loss.backward()
    assert ours.encoder.embeddings.word.weight.grad is not None
    assert ours(**inputs).loss is None


def test_outputs_are_read_by_place_and_by_name(tmp_path):
    kind = kinds.SEQUENCE_CLASSIFICATION
    theirs = their_model(FAMILY, kind)
    ours = ours_from(theirs, tmp_path, kind)
    inputs = make_inputs(FAMILY, kind)
    labels = torch.zeros(len(inputs["input_ids"]), dtype=torch.int64)
    asked = {"labels": labels, "output_hidden_states": True, "output_attentions": True}
    theirs.set_attn_implementation("eager")
    expected = run_theirs(theirs, inputs, **asked)
    found = ours(**inputs, **asked)
    loss, logits, hidden, attentions = found
    assert loss is found.loss is found["loss"] is found[0]
    assert logits is found["logits"]
    for ours_, theirs_ in zip((hidden, attentions), expected[2:], strict=True):
        assert len(ours_) == len(theirs_)
        torch.testing.assert_close(ours_, theirs_, **EXACT)
    assert len(found[:2]) == 2
    assert "logits" in found
    assert "start_logits" not in found
    with pytest.raises(KeyError, match=r"no 'pooled'; it has: last_hidden_state, .*loss, logits"):
        found["pooled"]


def test_a_bare_encoder_unpacks_as_theirs(tmp_path):
    ours = ours_from(their_model(FAMILY, kinds.ENCODER), tmp_path, kinds.ENCODER)
    inputs = make_inputs(FAMILY, kinds.ENCODER)
    last, pooled = ours(**inputs)
    assert last.shape[:2] == inputs["input_ids"].shape
    assert pooled.dim() == 2
    with pytest.raises(SettingsError, match="was given labels, and has no head, and so no loss"):
        ours(**inputs, labels=torch.zeros(2))


def test_labels_that_do_not_fit_are_refused(tmp_path):
    kind = kinds.QUESTION_ANSWERING
    ours = ours_from(their_model(FAMILY, kind), tmp_path / "a", kind)
    inputs = make_inputs(FAMILY, kind)
    with pytest.raises(SettingsError, match=r"given labels, .*; accepted: start_positions, end_"):
        ours(**inputs, labels=torch.zeros(2))
    kind = kinds.SEQUENCE_CLASSIFICATION
    ours = ours_from(their_model(FAMILY, kind), tmp_path / "b", kind)
    inputs = make_inputs(FAMILY, kind)
    count = len(inputs["input_ids"])
    with pytest.raises(SettingsError, match=rf"labels have the shape \({count}, 7\); expected"):
        ours(**inputs, labels=torch.zeros(count, 7, dtype=torch.int64))


def test_the_older_name_of_dtype(tmp_path):
    kind = kinds.SEQUENCE_CLASSIFICATION
    cls = type(ours_from(their_model(FAMILY, kind), tmp_path, kind))
    assert cls.from_pretrained(tmp_path, torch_dtype=torch.bfloat16).dtype == torch.bfloat16
    with pytest.raises(SettingsError, match="which are one thing; give dtype"):
        cls.from_pretrained(tmp_path, torch_dtype=torch.bfloat16, dtype=torch.float16)
