"""Configurations: Hugging Face's names in and out, common names, labels."""

from __future__ import annotations

import dataclasses
import importlib
import inspect

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from model_oracle import FAMILIES, our_config, tiny

import limbeck
from limbeck import SettingsError, listing
from limbeck.models import bert, find_architecture
from limbeck.tokenizers import train_wordpiece


@pytest.mark.parametrize("family", listing.list_names("limbeck.models"))
def test_survives_a_dump(family):
    config_type = find_architecture(family).config_type
    config = config_type(num_labels=3, problem_type="regression")
    assert config_type.from_dict(config.to_dict()) == config
    assert config.to_dict()["model_type"].replace("-", "_") == family


@pytest.mark.parametrize("family", FAMILIES)
def test_defaults_and_names_are_theirs(family):
    name = find_architecture(family).config_type.__name__
    theirs = getattr(transformers, name)()
    ours = getattr(limbeck, name)().to_dict()
    ours["id2label"] = {int(k): v for k, v in ours["id2label"].items()}
    known = theirs.to_dict()
    assert {key: known[key] for key in ours if key in known} == {
        key: value for key, value in ours.items() if key in known
    }
    # Some settings have no default there: the model reads them if a file has them.
    module = type(theirs).__module__.replace("configuration_", "modeling_")
    source = inspect.getsource(importlib.import_module(module))
    assert [key for key in ours if key not in known and f'config, "{key}"' not in source] == []


def test_common_names():
    config = limbeck.DistilBertConfig(dim=48, n_layers=3, n_heads=6, hidden_dim=96)
    assert (config.hidden_size, config.num_hidden_layers) == (48, 3)
    assert (config.num_attention_heads, config.intermediate_size) == (6, 96)
    changed = config.replace(num_hidden_layers=1, hidden_size=12, n_heads=2)
    assert (changed.n_layers, changed.dim, changed.n_heads) == (1, 12, 2)
    read = limbeck.DistilBertConfig.from_dict({"hidden_size": 12, "num_attention_heads": 3})
    assert (read.dim, read.n_heads) == (12, 3)
    both = {"dim": 24, "hidden_size": 24, "n_heads": 4}
    assert limbeck.DistilBertConfig.from_dict(both).dim == 24
    with pytest.raises(SettingsError, match=r"hidden_size is 48 and dim is 24, but they are two n"):
        limbeck.DistilBertConfig.from_dict(both | {"hidden_size": 48})


def test_replace_refuses_unknown_fields():
    with pytest.raises(
        SettingsError, match=r"no field 'num_layers' in BertConfig. Did you mean 'num"
    ):
        limbeck.BertConfig().replace(num_layers=3)


@given(st.lists(st.text(), min_size=1, max_size=6, unique=True))
def test_labels(labels):
    config = our_config("bert", id2label=dict(enumerate(labels)))
    assert config.num_labels == len(labels)
    assert config.label2id == {label: index for index, label in enumerate(labels)}
    assert type(config).from_dict(config.to_dict()) == config
    more = config.replace(num_labels=len(labels) + 1)
    assert more.id2label[len(labels)] == f"LABEL_{len(labels)}"


def test_labels_from_the_inverse_alone():
    assert our_config("bert", label2id={"b": 1, "a": 0}).id2label == {0: "a", 1: "b"}


def test_default_labels_are_two():
    assert our_config("distilbert").id2label == {0: "LABEL_0", 1: "LABEL_1"}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("wrong", [-1, "0"])
def test_a_padding_token_is_a_token(family, wrong):
    with pytest.raises(SettingsError, match=rf"pad_token_id is {wrong!r}; accepted: a whole num"):
        our_config(family, pad_token_id=wrong)


def test_auto_config(tmp_path):
    config = our_config("distilbert", num_labels=4)
    limbeck.DistilBertModel(config).save_pretrained(tmp_path)
    assert limbeck.AutoConfig.from_pretrained(tmp_path) == config


def test_bookkeeping_is_passed_over():
    values = {
        "architectures": ["BertModel"],
        "transformers_version": "4.8.2",
        "use_cache": True,
        "gradient_checkpointing": False,
        "position_embedding_type": "absolute",
        "directionality": "bidi",
        "pooler_fc_size": 768,
        "_name_or_path": "somewhere",
        "_num_labels": 5,  # beside `id2label` in many old classifiers
    }
    assert limbeck.BertConfig.from_dict(values) == limbeck.BertConfig()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offset(limbeck.BertConfig):
    """As RoBERTa's: two rows of the table of positions belong to no token."""

    reserved_positions = property(lambda _config: 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Relative(limbeck.BertConfig):
    """As T5's: distances alone count."""

    reserved_positions = property(lambda _config: None)


def test_longest_input():
    assert limbeck.BertConfig(max_position_embeddings=9).max_tokens == 9
    offset = Offset(max_position_embeddings=9)
    assert offset.max_tokens == 7
    assert offset.takes(7)
    assert not offset.takes(8)
    changed = offset.replace(max_tokens=12)
    assert (changed.max_position_embeddings, changed.max_tokens) == (14, 12)
    relative = Relative(max_position_embeddings=9)
    assert relative.max_tokens is None
    assert relative.takes(10**6)
    assert relative.replace(max_tokens=3) == relative
    assert "max_tokens" not in offset.to_dict()


def test_positions_after_the_number_of_the_padding():
    config = limbeck.RobertaConfig(max_position_embeddings=514)
    assert config.max_tokens == 512
    changed = config.replace(max_tokens=100, pad_token_id=4)
    assert (changed.max_position_embeddings, changed.max_tokens) == (105, 100)
    with pytest.raises(
        SettingsError, match=r"max_position_embeddings is 2; accepted: above 2, the number of posi"
    ):
        config.replace(max_position_embeddings=2)
    with pytest.raises(SettingsError, match=r"pad_token_id is None; accepted: a whole number from"):
        config.replace(pad_token_id=None)


@pytest.mark.parametrize("config_type", [limbeck.BertConfig, Offset, Relative])
def test_rows_up_to_the_longest_input(config_type):
    """The last row that fits finds its last position, one longer is refused by name."""
    config = config_type(**{**tiny("bert"), "max_position_embeddings": 9})

    def build_encoder(given):
        encoder = bert.build_encoder(given)
        if given.max_tokens is None:
            encoder.embeddings.position = None
        return encoder

    class Odd(limbeck.BertModel):
        architecture = dataclasses.replace(
            bert.ARCHITECTURE, config_type=config_type, build_encoder=build_encoder
        )

    model = Odd(config).eval()
    longest = config.max_tokens or 30
    ids = torch.randint(1, 50, (1, longest))
    with torch.no_grad():
        hidden = model(ids).last_hidden_state
        given = model(ids, position_ids=torch.arange(longest)[None]).last_hidden_state
    assert torch.equal(hidden, given)
    if config.max_tokens is None:
        with pytest.raises(limbeck.SettingsError, match="Odd has no position embeddings to freeze"):
            model.freeze_positions()
        return
    model.freeze_positions()
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == [
        "encoder.embeddings.position.weight"
    ]
    with pytest.raises(
        limbeck.SettingsError, match=f"has {longest + 1} tokens; Odd has {longest} p"
    ):
        model(torch.ones(1, longest + 1, dtype=torch.long))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tokenizer_gives_token_types_to_models_of_two_or_more(family):
    config = our_config(family)
    tokenizer = train_wordpiece(["a b"], vocab_size=9, min_frequency=1)
    given = tokenizer.for_model(config)("a", "b")
    assert ("token_type_ids" in given) == (getattr(config, "type_vocab_size", 0) > 1)
    if "token_type_ids" in given:
        single = config.replace(type_vocab_size=1)
        assert "token_type_ids" not in tokenizer.for_model(single)("a", "b")
