"""Students of other sizes than their teachers', with weights of their own."""

import pytest
import torch
import transformers

from limbeck import AutoModelForMaskedLM, BertConfig, BertForMaskedLM, ModernBertConfig
from limbeck.methods import apply_methods
from limbeck.models import find_class

TINY = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
}


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    return BertForMaskedLM(BertConfig(**TINY))


def shape(model, **sizes):
    return apply_methods(model, [{"method": "new_shape", **sizes}])


def test_sizes_are_those_given_and_else_the_teachers(teacher, tmp_path):
    student = shape(teacher, hidden_size=8, num_hidden_layers=5, intermediate_size=12)
    student.save_pretrained(tmp_path / "student")
    read = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "student")
    config = read.config
    sizes = config.hidden_size, config.num_hidden_layers, config.intermediate_size
    assert sizes == (8, 5, 12)
    assert (config.num_attention_heads, config.vocab_size) == (4, 50)
    assert config.max_position_embeddings == 20
    assert AutoModelForMaskedLM.from_pretrained(tmp_path / "student").config == student.config


def test_weights_are_new_and_drawn_by_the_seed(teacher):
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(shape(teacher).state_dict())
    name = "encoder.layers.0.attention.query.weight"
    assert drawn[0].keys() == teacher.state_dict().keys()
    assert all(torch.equal(tensor, drawn[1][key]) for key, tensor in drawn[0].items())
    assert not torch.equal(drawn[0][name], drawn[2][name])
    assert not torch.equal(drawn[0][name], teacher.state_dict()[name])
    assert float(drawn[0][name].std()) == pytest.approx(0.02, rel=0.3)


def test_tinybert4_has_as_many_parameters_as_the_article_says():
    with torch.device("meta"):
        teacher = find_class("bert", AutoModelForMaskedLM.kind)(BertConfig())
        sizes = {"hidden_size": 312, "num_hidden_layers": 4, "intermediate_size": 1200}
        student = shape(teacher, **sizes)
    encoder = sum(parameter.numel() for parameter in student.encoder.parameters())
    pooler = 312 * 312 + 312
    assert round((encoder + pooler) / 1e6, 2) == 14.35


def test_a_student_may_be_of_another_family(teacher):
    student = shape(teacher, model_type="distilbert", num_hidden_layers=1, hidden_size=8)
    assert (student.config.model_type, student.config.hidden_size) == ("distilbert", 8)
    assert (student.config.num_hidden_layers, student.config.vocab_size) == (1, 50)


@pytest.mark.parametrize("depth", [2, 5])
def test_layers_that_are_not_all_alike_stay_a_pattern(depth):
    teacher = find_class("modernbert", AutoModelForMaskedLM.kind)(
        ModernBertConfig(**TINY, pad_token_id=0)
    )
    student = shape(teacher, num_hidden_layers=depth, hidden_size=8)
    ids = torch.randint(1, 50, (2, 7))
    assert student(ids).logits.shape == (2, 7, 50)
