"""Which layers a student keeps, and that what it starts from is its teacher's."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    MPNetConfig,
    MPNetForMaskedLM,
)
from limbeck.errors import SettingsError
from limbeck.methods.keep_layers import KeepLayersSettings, apply, can_hold, choose_layers
from limbeck.models import Model


def test_known_choices() -> None:
    assert choose_layers("every_other", num_teacher_layers=12) == (0, 2, 4, 6, 8, 10)
    assert choose_layers("original", num_teacher_layers=12) == (0, 2, 4, 7, 9, 11)
    assert choose_layers("every_other", num_teacher_layers=6) == (0, 2, 4)
    assert choose_layers("original", num_teacher_layers=6) == (0, 2, 5)
    assert choose_layers([1, 5], num_teacher_layers=6) == (1, 5)
    assert choose_layers("even", num_teacher_layers=6, num_student_layers=1) == (0,)
    assert choose_layers("lower", num_teacher_layers=6, num_student_layers=4) == (0, 1, 3, 4)
    assert choose_layers(4, num_teacher_layers=6) == (0, 1, 3, 4)


@given(teacher=st.integers(1, 48), data=st.data())
def test_even_spacing(teacher: int, data: st.DataObject) -> None:
    depth = data.draw(st.integers(1, teacher))
    chosen = choose_layers("even", num_teacher_layers=teacher, num_student_layers=depth)
    assert len(chosen) == depth
    assert list(chosen) == sorted(set(chosen))
    assert chosen[0] == 0
    if depth > 1:
        assert chosen[-1] == teacher - 1
        gaps = [b - a for a, b in itertools.pairwise(chosen)]
        assert max(gaps) - min(gaps) <= 1


@given(teacher=st.integers(1, 48), data=st.data())
def test_lower_spacing_leaves_the_top_out(teacher: int, data: st.DataObject) -> None:
    depth = data.draw(st.integers(1, teacher))
    chosen = choose_layers("lower", num_teacher_layers=teacher, num_student_layers=depth)
    assert len(chosen) == depth
    ends = [*chosen, teacher]  # the layer that would come next is the one above the top
    gaps = [b - a for a, b in itertools.pairwise(ends)]
    assert chosen[0] == 0
    assert min(gaps) >= 1
    assert max(gaps) - min(gaps) <= 1
    if teacher == 2 * depth:
        every_other = choose_layers("every_other", num_teacher_layers=teacher)
        assert chosen == every_other


@pytest.mark.parametrize(
    ("layers", "depth", "message"),
    [
        (
            "evry_other",
            None,
            r"layers = 'evry_other'; accepted: every_other, original, lower, even",
        ),
        ("every_other", 4, r"'every_other' gives 3 of 6 layers, not 4; use 'lower'"),
        ("original", 5, r"no entry for 6 -> 5; it has 6 -> 1.*12 -> 6"),
        ([0, 6], None, r"layers = \[0, 6\]: the teacher's layers are 0 to 5"),
        ([2, 1], None, r"layers = \[2, 1\]: must ascend"),
        ([1, 1], None, r"must ascend, each layer once"),
        ([0, 1], 3, r"are 2, but num_student_layers = 3"),
        ("even", 0, r"num_student_layers = 0: the teacher has 6 layers; accepted: 1 to 6"),
        (7, None, r"layers = 7: the teacher has 6 layers; accepted: 1 to 6"),
        ("even", 7, r"num_student_layers = 7: the teacher has 6 layers; accepted: 1 to 6"),
    ],
)
def test_wrong_choices(layers: object, depth: int | None, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        choose_layers(layers, num_teacher_layers=6, num_student_layers=depth)


def make_bert(cls: type = BertForMaskedLM) -> BertForMaskedLM:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=24,
        max_position_embeddings=20,
        hidden_act="relu",
        initializer_range=0.3,
    )
    return cls(config).double().eval()


def keep_layers(teacher: Model, layers: object, **changes: object) -> Model:
    settings = {"model_type": "distilbert", "layers": layers, **changes}
    return apply(teacher, KeepLayersSettings(**settings))


@pytest.mark.parametrize("model_type", ["distilbert", "bert"])
def test_all_layers_make_the_teacher_again(model_type: str) -> None:
    """With the type-0 row folded into the positions nothing is lost."""
    teacher = make_bert()
    student = keep_layers(teacher, (0, 1, 2, 3), model_type=model_type).double().eval()
    ids = torch.randint(0, 50, (3, 11), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(student(ids).logits, teacher(ids).logits, rtol=0, atol=1e-6)


def test_a_student_of_another_family_knows_its_teacher_s_labels() -> None:
    names = {0: "animal", 1: "mineral", 2: "vegetable"}
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=24,
        id2label=names,
        problem_type="multi_label_classification",
    )
    teacher = BertForSequenceClassification(config)
    student = keep_layers(teacher, 1)
    assert student.config.id2label == names
    assert student.config.problem_type == "multi_label_classification"
    torch.testing.assert_close(student.head.output.weight, teacher.head.output.weight)


def test_kept_layers_follow_each_other() -> None:
    teacher = make_bert()
    student = keep_layers(teacher, (1, 3)).double().eval()
    ids = torch.randint(0, 50, (2, 7), generator=torch.Generator().manual_seed(1))
    embedded = teacher(ids, collect={"hidden_states"}).hidden_states[0]
    own = student(ids, collect={"hidden_states"}).hidden_states
    torch.testing.assert_close(own[0], embedded, rtol=0, atol=1e-6)
    for index, layer in enumerate((1, 3)):
        for name, tensor in teacher.encoder.layers[layer].state_dict().items():
            kept = student.encoder.layers[index].state_dict()[name]
            torch.testing.assert_close(kept.double(), tensor, rtol=0, atol=1e-7)


def test_without_folding_and_transform() -> None:
    teacher = make_bert()
    student = keep_layers(teacher, (0,), fold_token_types=False, copy_transform=False)
    positions = student.encoder.embeddings.position.weight
    torch.testing.assert_close(
        positions.double(), teacher.encoder.embeddings.position.weight, rtol=0, atol=1e-7
    )
    dense = student.head.transform.dense.weight
    assert not torch.allclose(dense.double(), teacher.head.transform.dense.weight)
    assert torch.allclose(student.head.bias.double(), teacher.head.bias)


def test_classifier_keeps_what_both_families_have() -> None:
    teacher = make_bert(BertForSequenceClassification)
    student = keep_layers(teacher, (0, 2))
    output = student.head.output.weight.double()
    torch.testing.assert_close(output, teacher.head.output.weight, rtol=0, atol=1e-7)
    assert student.config.activation == "relu"


SIZES = {
    "vocab_size": 30,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}


def test_a_family_that_lacks_what_the_teacher_has_is_refused() -> None:
    mpnet = MPNetForMaskedLM(MPNetConfig(**SIZES, max_position_embeddings=18))
    message = (
        r"model_type = 'distilbert' has no place for the teacher's embeddings\.position\.weight, "
        r"position_bias\.table\.weight; accepted: model_type = 'mpnet'"
    )
    with pytest.raises(SettingsError, match=message):
        apply(mpnet, KeepLayersSettings(layers=1, model_type="distilbert"))
    bert = BertForMaskedLM(BertConfig(**SIZES, max_position_embeddings=16))
    with pytest.raises(SettingsError, match=r"'mpnet' has no place for .*position.*'bert'"):
        apply(bert, KeepLayersSettings(layers=1, model_type="mpnet"))
    assert apply(mpnet, KeepLayersSettings(layers=1)).config.num_hidden_layers == 1


def test_no_family_takes_another_ones_layers_for_its_own() -> None:
    """GPT-2's have the same parts as BERT's, and compute another thing."""
    gpt2 = GPT2ForSequenceClassification(GPT2Config().replace(**SIZES))
    with pytest.raises(SettingsError, match=r"'distilbert' has no place for .*norm\.weight"):
        apply(gpt2, KeepLayersSettings(layers=1, model_type="distilbert"))
    bert = BertForSequenceClassification(BertConfig(**SIZES))
    with pytest.raises(SettingsError, match=r"'gpt2' has no place for .*embeddings\.norm\.weight"):
        apply(bert, KeepLayersSettings(layers=1, model_type="gpt2"))
    causal = GPT2LMHeadModel(GPT2Config().replace(**SIZES))
    assert not can_hold("distilbert", causal)
    assert can_hold("gpt2", causal)
    with pytest.raises(SettingsError, match="distilbert has no DistilBertLMHeadModel; accepted: "):
        apply(causal, KeepLayersSettings(layers=1, model_type="distilbert"))


def test_which_families_can_hold_a_teacher() -> None:
    """It draws no number: what is random in a student stays what it was."""
    mpnet = MPNetForMaskedLM(MPNetConfig(**SIZES, max_position_embeddings=18))
    bert = BertForMaskedLM(BertConfig(**SIZES, max_position_embeddings=16))
    before = torch.get_rng_state()
    found = {
        (name, teacher.config.model_type)
        for name in ("bert", "distilbert", "mpnet")
        for teacher in (bert, mpnet)
        if can_hold(name, teacher)
    }
    assert found == {("bert", "bert"), ("distilbert", "bert"), ("mpnet", "mpnet")}
    assert torch.equal(torch.get_rng_state(), before)
