"""What every method keeps to, and a student's start as a list of them."""

from __future__ import annotations

import copy

import pytest
import torch

from limbeck import AutoModelForMaskedLM, BertConfig, BertForMaskedLM, listing
from limbeck.data import CorpusSettings, build_corpus
from limbeck.errors import SettingsError
from limbeck.methods import MethodSettings, apply_methods, build_method, start_student
from limbeck.methods.keep_layers import KeepLayersSettings
from limbeck.tokenizers import train_wordpiece

METHODS = listing.list_names("limbeck.methods")


def give_corpus(folder):
    """Settings of a method that goes by a corpus; its tokenizer has at most the teacher's 50."""
    tokenizer = train_wordpiece(["abcdefghij bed cab"], vocab_size=50, min_frequency=1)
    (folder / "a.txt").write_text("a bed\n\na cab", encoding="utf-8")
    settings = CorpusSettings(heldout_ratio=0)
    build_corpus([folder / "a.txt"], tokenizer=tokenizer, out=folder / "c", settings=settings)
    return {"corpus": str(folder / "c")}


NEEDED = {
    "new_shape": lambda _: {"hidden_size": 8},
    "prune_units": lambda _: {"heads": 0.5, "neurons": 0.5},
    "prune_width": lambda _: {"width": 0.75},
    "trim_positions": lambda _: {"max_tokens": 12},
    "trim_vocabulary": give_corpus,
}
"""What makes the settings that a method can't do without."""


@pytest.fixture
def teacher() -> BertForMaskedLM:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=24,
        max_position_embeddings=20,
    )
    return BertForMaskedLM(config).eval()


@pytest.mark.parametrize("method", METHODS)
def test_every_method(method, teacher, tmp_path):
    """Its defaults make another model, which is saved and read as any is."""
    module = listing.load("limbeck.methods", method)
    settings = module.SettingsType()
    assert isinstance(settings, MethodSettings)
    assert settings.method == method
    assert all(f.description for name, f in type(settings).model_fields.items() if name != "method")
    before = copy.deepcopy(teacher.state_dict())
    values = {"method": method, **NEEDED.get(method, lambda _: {})(tmp_path)}
    made = apply_methods(teacher, [values])
    assert made is not teacher
    assert made.num_parameters < teacher.num_parameters
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
    made.save_pretrained(tmp_path / "made")
    again = AutoModelForMaskedLM.from_pretrained(tmp_path / "made")
    ids = torch.randint(1, made.config.vocab_size, (2, 7))
    with torch.no_grad():
        torch.testing.assert_close(again(ids).logits, made.eval()(ids).logits)
    assert build_method(settings.model_dump()) == settings


def test_methods_follow_each_other(teacher):
    """The second is given what the first made: layer 2 of layers 0, 2, 3 is the teacher's 3."""
    student = apply_methods(
        teacher,
        [
            {"method": "keep_layers", "layers": [0, 2, 3]},
            KeepLayersSettings(layers=(2,), model_type="distilbert"),
        ],
    )
    assert student.config.model_type == "distilbert"
    assert student.config.num_hidden_layers == 1
    for name, tensor in student.encoder.layers[0].state_dict().items():
        assert torch.equal(tensor, teacher.encoder.layers[3].state_dict()[name])


def test_a_student_starts_with_the_vocabulary_of_its_teacher(teacher):
    trimming = build_method({"method": "trim_vocabulary", "corpus": "c"})
    with pytest.raises(SettingsError, match=r"trim_vocabulary changes the voc.*limbeck trim"):
        start_student(teacher, [KeepLayersSettings(), trimming])
    assert start_student(teacher, [KeepLayersSettings()]).config.num_hidden_layers == 2


def test_no_method_changes_nothing(teacher):
    assert apply_methods(teacher, []) is teacher


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"layers": 3},
            r"methods\[1\] = \{'layers': 3\} names no method; accepted: .*'keep_layers', 'n",
        ),
        (
            {"method": "keep_layer"},
            r"no 'keep_layer' among the methods; accepted: .*keep_layers.*mean 'keep_layers'",
        ),
        (
            {"method": "keep_layers", "layer": 3},
            r"methods\[1\]: there is no setting 'layer' .* Did you mean 'layers'",
        ),
        (
            {"method": "keep_layers", "num_student_layers": 0},
            r"methods\[1\]: num_student_layers = 0 is not accepted.*>= 1",
        ),
        ({"method": "keep_layers", "layers": 9}, r"layers = 9: the teacher has 4 lay"),
        (
            {"method": "new_shape", "hidden_size": 18},
            r"new_shape: BertConfig: hidden_size 18 is not divisible by 4, the number of attention",
        ),
        ({"method": "new_shape", "model_type": "bret"}, r"new_shape: .*bret.*bert"),
        ({"method": "new_shape", "hidden_size": 0}, r"methods\[1\]: hidden_size = 0.*>= 1"),
        ({"method": "trim_vocabulary"}, r"trim_vocabulary keeps the pieces of a corpus; give corp"),
    ],
)
def test_wrong_methods(values, message, teacher):
    with pytest.raises(SettingsError, match=message):
        apply_methods(teacher, [KeepLayersSettings(layers=4), values])


@pytest.mark.parametrize(
    "methods", [{"method": "keep_layers"}, ["keep_layers"], "keep_layers", KeepLayersSettings()]
)
def test_what_is_no_list_of_methods(methods, teacher):
    with pytest.raises(
        SettingsError,
        match=r"methods: .*keep_layers.* is not accepted; accepted: a list of methods, each as",
    ):
        apply_methods(teacher, methods)
