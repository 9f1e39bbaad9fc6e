"""Sentence models: folders of sentence-transformers, both ways, with equal vectors."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from model_oracle import FAMILIES, draw_wide, our_class, our_config

from limbeck.checkpoints import copy_beside, hash_model
from limbeck.errors import CheckpointError, SettingsError
from limbeck.models import (
    DenseConfig,
    NormalizeConfig,
    PoolingConfig,
    SentenceConfig,
    SentenceModel,
    read_sentence_config,
    read_sentence_head,
)
from limbeck.models._kinds import ENCODER, MASKED_LM
from limbeck.models._sentence.config import DENSE_ACTIVATIONS
from limbeck.nn import POOLING_MODES
from limbeck.tokenizers import train_wordpiece

WIDTH = 24
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
DENSE = DenseConfig(in_features=WIDTH, out_features=7)


@pytest.fixture(scope="module")
def library():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sentence_transformers
        import sentence_transformers.base.modules
        import sentence_transformers.sentence_transformer.modules
    return sentence_transformers


@pytest.fixture(scope="module")
def tokenizer():
    return train_wordpiece(["one two three four five"], vocab_size=50, min_frequency=1)


def build(family="bert", **values):
    torch.manual_seed(3)
    encoder = our_class(family, ENCODER)(our_config(family), add_pooling_layer=False)
    model = SentenceModel(encoder, SentenceConfig(hidden_size=WIDTH, **values))
    draw_wide(model)
    return model.eval()


def inputs():
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 50, (3, 9), generator=generator)
    mask = torch.tensor([[1] * n + [0] * (9 - n) for n in (9, 4, 6)])
    return {"input_ids": ids * mask, "attention_mask": mask}


def saved(model, folder, tokenizer):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def encode_theirs(theirs, *, prompt_length=None):
    given = inputs() if prompt_length is None else {**inputs(), "prompt_length": prompt_length}
    with torch.no_grad():
        return theirs(given)["sentence_embedding"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_library_loads_ours_and_we_load_theirs(family, tmp_path, library, tokenizer):
    layers = (DENSE, NormalizeConfig())
    ours = build(family, layers=layers)
    folder = saved(ours, tmp_path / "ours", tokenizer)
    theirs = library.SentenceTransformer(str(folder), device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(ours(**inputs()), encode_theirs(theirs), **CLOSE)
    theirs.save(str(tmp_path / "theirs"), create_model_card=False)
    again = SentenceModel.from_pretrained(tmp_path / "theirs")
    assert (again.config.width, again.training) == (7, False)
    with torch.no_grad():
        torch.testing.assert_close(again(**inputs()), ours(**inputs()), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "modes", [*[(mode,) for mode in POOLING_MODES], ("mean", "cls"), POOLING_MODES], ids="+".join
)
@pytest.mark.parametrize("include_prompt", [True, False])
def test_every_pooling_both_ways(modes, include_prompt, tmp_path, library, tokenizer):
    pooling = PoolingConfig(modes=modes, include_prompt=include_prompt)
    ours = build(pooling=pooling, layers=(NormalizeConfig(),))
    theirs = library.SentenceTransformer(str(saved(ours, tmp_path, tokenizer)), device="cpu")
    with torch.no_grad():
        found = ours(**inputs(), num_prompt_tokens=2)
    torch.testing.assert_close(found, encode_theirs(theirs, prompt_length=2), **CLOSE)
    theirs.save(str(tmp_path / "theirs"), create_model_card=False)
    again = SentenceModel.from_pretrained(tmp_path / "theirs")
    assert again.config.pooling == pooling
    assert again.config.width == len(modes) * WIDTH


@pytest.mark.parametrize("activation", DENSE_ACTIVATIONS)
def test_every_activation_of_a_dense_layer(activation, tmp_path, library, tokenizer):
    layer = replace(DENSE, activation=activation, bias=activation != "Tanh")
    ours = build(layers=(layer, DenseConfig(in_features=7, out_features=5, use_residual=True)))
    theirs = library.SentenceTransformer(str(saved(ours, tmp_path, tokenizer)), device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(ours(**inputs()), encode_theirs(theirs), **CLOSE)
    theirs.save(str(tmp_path / "theirs"), create_model_card=False)
    assert SentenceModel.from_pretrained(tmp_path / "theirs").config.layers == ours.config.layers


def test_float64_is_the_plain_computation(tmp_path):
    ours = build(pooling=PoolingConfig(modes=("max", "mean")), layers=()).double()
    layer = DenseConfig(in_features=2 * WIDTH, out_features=7)
    config = SentenceConfig(
        hidden_size=WIDTH,
        pooling=ours.config.pooling,
        layers=(layer, NormalizeConfig()),
        truncate_dim=4,
    )
    model = SentenceModel(ours.encoder, config)
    assert (model.config.width, model.config.whole_width) == (4, 7)
    draw_wide(model.head)
    model.save_pretrained(tmp_path)
    model = SentenceModel.from_pretrained(tmp_path, dtype=torch.float64)
    assert model.config == replace(config, max_seq_length=None)
    given = inputs()
    with torch.no_grad():
        hidden = model.encoder.encode(**given).last_hidden_state.numpy()
        found = model(**given).numpy()
    weights = {name: tensor.numpy() for name, tensor in model.head.state_dict().items()}
    for row, length in enumerate((9, 4, 6)):
        tokens = hidden[row, :length]
        vector = np.concatenate([tokens.max(axis=0), tokens.mean(axis=0)])
        vector = np.tanh(
            weights["layers.0.linear.weight"] @ vector + weights["layers.0.linear.bias"]
        )
        vector /= np.sqrt((vector**2).sum())
        np.testing.assert_allclose(found[row], vector[:4], rtol=0, atol=1e-9)


def test_what_is_said_of_use_survives_both_ways(tmp_path, library, tokenizer):
    values = {
        "truncate_dim": 5,
        "max_seq_length": 12,
        "prompts": {"query": "query: ", "document": ""},
        "default_prompt_name": "query",
        "similarity": "dot",
    }
    ours = build(**values)
    folder = saved(ours, tmp_path, tokenizer)
    assert SentenceModel.from_pretrained(folder).config == ours.config
    theirs = library.SentenceTransformer(str(folder), device="cpu")
    assert theirs.prompts == values["prompts"]
    found = (theirs.default_prompt_name, theirs.truncate_dim, theirs.max_seq_length)
    assert found == ("query", 5, 12)
    assert theirs.similarity_fn_name == "dot"
    theirs.save(str(tmp_path / "theirs"), create_model_card=False)
    again = SentenceModel.from_pretrained(tmp_path / "theirs").config
    # Where texts are cut, newer versions write into the tokenizer's configuration.
    assert replace(again, max_seq_length=12) == ours.config


def test_a_folder_without_modules_is_the_mean_as_the_library_has_it(tmp_path, library, tokenizer):
    ours = build()
    ours.encoder.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    theirs = library.SentenceTransformer(str(tmp_path), device="cpu")
    loaded = SentenceModel.from_pretrained(tmp_path)
    assert loaded.config == SentenceConfig(hidden_size=WIDTH)
    with torch.no_grad():
        torch.testing.assert_close(loaded(**inputs()), encode_theirs(theirs), **CLOSE)


def test_half_precision_gives_float32_vectors(tmp_path):
    ours = build(layers=(DENSE,))
    ours.save_pretrained(tmp_path)
    half = SentenceModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
    with torch.no_grad():
        found, expected = half(**inputs()), ours(**inputs())
    assert (half.dtype, found.dtype) == (torch.bfloat16, torch.float32)
    assert torch.nn.functional.cosine_similarity(found, expected).min() > 0.95


def test_gradients_reach_encoder_and_layers():
    model = build(layers=(DENSE, NormalizeConfig())).train()
    model(**inputs()).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert not without
    assert model.num_parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"pooling": {"modes": ("men",)}},
            r"pooling by 'men'; accepted: cls, .* Did you mean 'mean'",
        ),
        ({"pooling": {"modes": ()}}, "no pooling at all; accepted: cls"),
        ({"dense": {"in_features": 25}}, r"layers\[0\] takes vectors of 25 .* accepted: 24"),
        ({"dense": {"out_features": 0}}, "out_features is 0; accepted: a whole number from 1"),
        ({"dense": {"activation": "Tan"}}, "activation is 'Tan'; .* Did you mean 'Tanh'"),
        ({"truncate_dim": 0}, "truncate_dim is 0; accepted: a whole number from 1"),
        ({"default_prompt_name": ["q"]}, r"default_prompt_name is \['q'\]; .* there are none"),
        ({"prompts": {"q": None}}, r"prompts\['q'\] is None; accepted: texts by name"),
        ({"default_prompt_name": "q"}, "default_prompt_name is 'q'; .* there are none"),
        ({"similarity": "cosin"}, "similarity is 'cosin'; .* Did you mean 'cosine'"),
    ],
)
def test_a_configuration_that_does_not_fit_itself(values, message):
    with pytest.raises(SettingsError, match=message):
        SentenceConfig(
            hidden_size=WIDTH,
            pooling=PoolingConfig(**values.pop("pooling", {})),
            layers=(replace(DENSE, **values.pop("dense", {})),),
            **values,
        )


def test_an_encoder_that_does_not_fit():
    encoder = our_class("bert", ENCODER)(our_config("bert"))
    with pytest.raises(SettingsError, match=r"hidden_size is 25, .* have 24 numbers; accepted: 24"):
        SentenceModel(encoder, SentenceConfig(hidden_size=25))
    headed = our_class("bert", MASKED_LM)(our_config("bert"))
    with pytest.raises(SettingsError, match=r"has a head \(masked_lm\); accepted: a bare encoder"):
        SentenceModel(headed)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sentence")
    build(layers=(DENSE, NormalizeConfig())).save_pretrained(folder)
    return folder


def change(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}), encoding="utf-8")


def module(place, **values):
    def act(folder):
        path = folder / "modules.json"
        entries = json.loads(path.read_text())
        entries[place] |= values
        path.write_text(json.dumps(entries), encoding="utf-8")

    return act


def file(name, **values):
    return lambda folder: change(folder / name, **values)


def write(name, text):
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


POOLING = "1_Pooling/config.json"
USAGE = "config_sentence_transformers.json"


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (module(2, type="os.system"), r"module 2 is 'os.system'; accepted: Transformer, .* never"),
        (module(2, type="evil.Dense"), "module 2 is 'evil.Dense'; accepted"),
        (
            module(2, type="sentence_transformers.models.Dens"),
            "module 2 is .*Dens'; accepted: .* Did you mean 'Dense'",
        ),
        (module(2, type=None), "module 2 is None; accepted"),
        (module(2, path="../2_Dense"), r"module 2 \(Dense\) stands in '../2_Dense'; accepted"),
        (module(2, path="/etc"), r"stands in '/etc'; accepted: a folder in the model's that has"),
        (module(2, path=".."), r"stands in '..'; accepted: .* such as '2_Dense'"),
        (module(2, path="Dense"), r"stands in 'Dense'; accepted: .* such as '2_Dense'"),
        (module(2, path="3_Dense"), "3_Dense"),
        (module(0, path="0_Transformer"), r"the encoder, stands in '0_Transformer'; accepted: ''"),
        (
            module(1, type="sentence_transformers.models.Dense"),
            "has the modules Transformer, Dense, Dense, Normalize; accepted: Transformer, Pooling",
        ),
        (write("modules.json", "{}"), r"modules.json holds \{\}; accepted: a list"),
        (write("modules.json", "[1]"), r"modules.json holds \[1\]; accepted: a list of objects"),
        (write("modules.json", "["), "modules.json is not JSON"),
        (lambda folder: (folder / "modules.json").unlink(), "but no modules.json that names it"),
        (lambda folder: (folder / POOLING).unlink(), "1_Pooling has no config.json"),
        (file(POOLING, word_embedding_dimension=768), r"of 768 numbers, but the encoder's have 24"),
        (file(POOLING, pooling_mode="cls"), "pooling_mode is 'cls', but pooling_mode_mean_tokens"),
        (file(POOLING, pooling_mode=[["mean"]]), "pooling_mode is .*, but pooling_mode_mean"),
        (file(POOLING, pooling_mode=7, pooling_mode_mean_tokens=False), "pooling by 7; accepted"),
        (file(POOLING, pooling_mode_mean_tokens=False), "no pooling at all; accepted: cls"),
        (file(POOLING, pooling_mode_attention=True), "pooling_mode_attention is not done here"),
        (file("2_Dense/config.json", in_features=25), r"takes vectors of 25 .* accepted: 24"),
        (
            file("2_Dense/config.json", out_features=8),
            r"'linear.weight' has shape \(7, 24\), .* \(8, 24\)",
        ),
        (file("2_Dense/config.json", out_features="x"), "out_features is 'x'; accepted"),
        (file("2_Dense/config.json", bias=False), "has in excess 'linear.bias'"),
        (file("2_Dense/config.json", use_residual=True), "lacks 'residual.weight'"),
        (
            file("2_Dense/config.json", activation_function="os.Tanh"),
            "activation_function is 'os.Tanh'; accepted, of torch.nn: CELU",
        ),
        (
            file("2_Dense/config.json", activation_function="torch.nn.modules.activation.Softmax"),
            "activation_function is .*Softmax'; accepted",
        ),
        (
            file("2_Dense/config.json", module_input_name="token_embeddings"),
            "module_input_name is 'token_embeddings'; accepted: sentence_embedding",
        ),
        (
            file("3_Normalize/config.json", module_output_name="token_embeddings"),
            "module_output_name is 'token_embeddings'; accepted: sentence_embedding",
        ),
        (file(USAGE, model_type="CrossEncoder"), "the model is a CrossEncoder; accepted"),
        (file(USAGE, prompts=["a"]), r"prompts are \['a'\]; accepted: names and texts"),
        (file(USAGE, default_prompt_name=["q"]), r"default_prompt_name is \['q'\]"),
        (
            file(POOLING, pooling_mode=[["mean"]]),
            r"pooling_mode is \[\['mean'\]\], but pooling_mode_mean_tokens is true",
        ),
        (  # 24 TB, if it were made before the file is looked at
            file("2_Dense/config.json", out_features=10**11),
            r"'linear.weight' has shape \(7, 24\), .* \(100000000000, 24\)",
        ),
        (file(USAGE, default_prompt_name="q"), "default_prompt_name is 'q'"),
        (file(USAGE, default_prompt_name=["q"]), r"default_prompt_name is \['q'\]; accepted"),
        (file(USAGE, similarity_fn_name="maxsim"), "similarity is 'maxsim'; accepted: cosine"),
        (file("sentence_bert_config.json", max_seq_length="x"), "max_seq_length is 'x'; accepted"),
        (
            file("sentence_bert_config.json", transformer_task="fill-mask"),
            "transformer_task is 'fill-mask'; accepted: feature-extraction",
        ),
    ],
)
def test_what_a_folder_asks_for_and_is_not_done(act, message, whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "model")
    act(folder)
    with pytest.raises(CheckpointError, match=message):
        SentenceModel.from_pretrained(folder)


def test_a_pickle_is_never_opened(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "model")
    (folder / "2_Dense/model.safetensors").rename(folder / "2_Dense/pytorch_model.bin")
    with pytest.raises(
        CheckpointError, match=r"only as 'pytorch_model.bin'.* can run code.*convert"
    ):
        SentenceModel.from_pretrained(folder)


def test_damaged_weights_of_a_layer(tmp_path):
    model = build(layers=(DENSE,))
    model.head.layers[0].linear.bias.data[0] = torch.nan
    model.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"NaN or infinite in 'linear.bias'"):
        SentenceModel.from_pretrained(tmp_path)


def test_every_folder_of_a_model_is_a_part_of_it_and_goes_along(tmp_path):
    """Also from the tenth on, whose name has one figure more."""
    layers = (NormalizeConfig(),) * 8 + (DENSE,)
    build(layers=layers).save_pretrained(tmp_path / "model")
    assert (tmp_path / "model/10_Dense/model.safetensors").is_file()
    before = hash_model(tmp_path / "model")
    copy_beside(tmp_path / "model", tmp_path / "copy")
    config = read_sentence_config(tmp_path / "copy", hidden_size=WIDTH)
    assert config.layers == layers
    read_sentence_head(tmp_path / "copy", config)
    change(tmp_path / "model/10_Dense/config.json", activation_function="torch.nn.ReLU")
    assert hash_model(tmp_path / "model") != before


def test_how_vectors_are_made_is_a_part_of_what_a_model_is(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "model")
    before = hash_model(folder)
    change(folder / POOLING, include_prompt=False)
    changed = hash_model(folder)
    assert changed != before
    (folder / "modules.json").unlink()
    assert hash_model(folder) not in (before, changed)
    bare = hash_model(folder)
    change(folder / POOLING, include_prompt=True)
    assert hash_model(folder) == bare  # nobody reads it now
