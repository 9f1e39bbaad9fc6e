"""A trimmed vocabulary: the same pieces, and hidden states equal to the bit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.models import Unigram

sys.path.append(str(Path(__file__).parents[1] / "tokenizers"))
from family_tokenizers import CORPUS, FAMILIES, make_oracle

from limbeck import AutoModel, AutoModelForMaskedLM, AutoTokenizer, listing
from limbeck.errors import SettingsError
from limbeck.methods.trim_vocabulary import trim
from limbeck.models import find_architecture, find_class
from limbeck.tokenizers import Tokenizer, train_bpe
from limbeck.tokenizers.backend import build_pipeline
from limbeck.tokenizers.config import TokenizerConfig
from limbeck.tokenizers.training import ROBERTA_TOKENS, SPECIAL_TOKENS, _make
from limbeck.tokenizers.trimming import choose_pieces, count_pieces, keep_pieces

CASES = [name for name, (_, options) in FAMILIES.items() if not options]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    found = {}
    for name in CASES:
        family, options = FAMILIES[name]
        folder = tmp_path_factory.mktemp(family)
        make_oracle(family, **options).save_pretrained(folder)
        found[name] = AutoTokenizer.from_pretrained(folder)
    return found


texts = st.lists(
    st.one_of(st.sampled_from(CORPUS), st.text("abcdeé fox东quick.,☃\n", max_size=30)),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("case", CASES)
@given(texts=texts)
@settings(max_examples=40, deadline=None)
def test_kept_texts_have_the_same_pieces(case, tokenizers, texts):
    whole = tokenizers[case]
    ids = choose_pieces(whole, count_pieces(whole, texts))
    small = keep_pieces(whole, ids.tolist())
    assert small.vocab_size == len(ids) < whole.vocab_size
    for text in texts:
        first, second = whole(text, text), small(text, text)
        assert [ids[i] for i in second["input_ids"]] == first["input_ids"]
        assert second.tokens() == first.tokens()
        assert second.get("token_type_ids") == first.get("token_type_ids")
        assert small.decode(second["input_ids"]) == whole.decode(first["input_ids"])
    assert small.config == whole.config
    roles = {role: small._ids[role] for role in small.config.special_tokens}
    assert {r: ids[i] for r, i in roles.items()} == {r: whole._ids[r] for r in roles}


def trim_to(whole, texts):
    return keep_pieces(whole, choose_pieces(whole, count_pieces(whole, texts)).tolist())


def test_an_unknown_word_stays_unknown():
    """WordPiece takes `ab` of `abd` and finds no `##d`; without `ab` it would take `a`, `##bd`."""
    pieces = [*SPECIAL_TOKENS, "a", "x", "ab", "##bd", "z"]
    backend = build_pipeline({piece: i for i, piece in enumerate(pieces)}, lowercase=True)
    whole = Tokenizer(backend, TokenizerConfig())
    small = trim_to(whole, ["abd xbd a"])
    assert whole.tokenize("abd xbd a") == ["[UNK]", "x", "##bd", "a"]
    assert small.tokenize("abd xbd a") == ["[UNK]", "x", "##bd", "a"]
    assert "z" not in small.get_vocab()


def test_what_is_unknown_is_weighed_as_before():
    """Unigram scores it by the least likely piece, here `q`, which no text has."""
    scores = {"▁": -1, "xy": -14, "zw": -14, "x": -27.5, "yzw": -1, "q": -40, "w": -9}
    special = [(token, 0.0) for token in ROBERTA_TOKENS]
    model = Unigram([*special, *scores.items()], unk_id=3)
    settings = {"add_prefix_space": True}
    whole = _make("XLMRobertaTokenizer", model, settings, model_max_length=9)
    small = trim_to(whole, ["xyzw yzw"])
    assert whole.tokenize("xyzw yzw") == ["▁", "xy", "zw", "▁", "yzw"]
    assert small.tokenize("xyzw yzw") == ["▁", "xy", "zw", "▁", "yzw"]
    assert not {"x", "w"} & small.get_vocab().keys()


@pytest.mark.parametrize("case", CASES)
def test_a_trimmed_tokenizer_is_saved_as_any_is(case, tokenizers, tmp_path):
    from transformers import AutoTokenizer as Oracle

    whole, text = tokenizers[case], "the quick brown foxes, 1839"
    small = keep_pieces(whole, choose_pieces(whole, count_pieces(whole, [text])).tolist())
    small.save_pretrained(tmp_path)
    theirs = Oracle.from_pretrained(tmp_path)
    for loaded in (AutoTokenizer.from_pretrained(tmp_path), theirs):
        assert loaded(text, text)["input_ids"] == small(text, text)["input_ids"]
    assert len(theirs) == small.vocab_size
    assert theirs.tokenize(text) == small.tokenize(text)


def make_config(family, tokenizer):
    torch.manual_seed(3)
    config_type = find_architecture(family).config_type
    own = config_type()
    named = [n for n, v in vars(own).items() if n.endswith("_token_id") and v is not None]
    shape = {
        "vocab_size": tokenizer.vocab_size + 3,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 40,
        "initializer_range": 0.3,
        **config_type.tiny_values,
        **dict.fromkeys(named, 2),
        "pad_token_id": tokenizer.pad_token_id,
    }
    return own.replace(**shape)


@pytest.fixture(scope="module")
def trained():
    return train_bpe(CORPUS, vocab_size=600)


@pytest.mark.parametrize("family", listing.list_names("limbeck.models"))
def test_every_family_can_be_trimmed_with_every_head(family, trained):
    config = make_config(family, trained)
    counts = count_pieces(trained, ["the quick brown fox"])
    for kind in find_architecture(family).kinds:
        model = find_class(family, kind)(config).eval()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        trimmed, small = trim(model, trained, counts)
        assert trimmed.num_parameters < model.num_parameters
        inputs = [
            t.for_model(config)(["the quick brown fox"], ["fox"], return_tensors="pt")
            for t in (trained, small)
        ]
        if kind.name == "multiple_choice":
            inputs = [{name: ids[None] for name, ids in given.items()} for given in inputs]
        with torch.no_grad():
            outputs = [m(**given) for m, given in zip((model, trimmed), inputs, strict=True)]
        for name in ("last_hidden_state", "start_logits", "end_logits", "logits"):
            found = [getattr(output, name) for output in outputs]
            if found[0] is not None and found[0].shape == found[1].shape:
                assert torch.equal(*found), name
        assert all(torch.equal(before[n], tensor) for n, tensor in model.state_dict().items())


def test_a_token_that_the_vocabulary_does_not_have(trained):
    config = make_config("gpt2", trained).replace(eos_token_id=50256)
    model = find_class("gpt2", find_architecture("gpt2").kinds[0])(config)
    trimmed, small = trim(model, trained, count_pieces(trained, ["the quick brown fox"]))
    assert trimmed.config.vocab_size == small.vocab_size
    assert trimmed.config.eos_token_id == 50256


@pytest.mark.parametrize("family", ["albert", "camembert", "mpnet", "roberta", "xlm-roberta"])
def test_hidden_states_are_the_same_to_the_bit(family, tokenizers, tmp_path):
    whole = tokenizers[family]
    config = make_config(family.replace("-", "_"), whole)
    kept = [*CORPUS[40:46], "the quick brown fox"]
    for kind in (AutoModel, AutoModelForMaskedLM):
        model = kind.from_config(config).eval()
        trimmed, small = trim(model, whole, count_pieces(whole, kept))
        assert trimmed.config.vocab_size == small.vocab_size < whole.vocab_size
        assert not trimmed.training
        for text in kept:
            ids = (
                whole.for_model(config)(text, truncation=True, max_length=32, return_tensors="pt"),
                small.for_model(config)(text, truncation=True, max_length=32, return_tensors="pt"),
            )
            with torch.no_grad():
                before, after = (m(**i) for m, i in zip((model, trimmed), ids, strict=True))
            assert torch.equal(before.last_hidden_state, after.last_hidden_state)
            if kind is AutoModelForMaskedLM:
                rows = whole.convert_tokens_to_ids(
                    small.convert_ids_to_tokens(range(small.vocab_size))
                )
                torch.testing.assert_close(before.logits[..., rows], after.logits)
        trimmed.save_pretrained(tmp_path / kind.__name__)
        again = kind.from_pretrained(tmp_path / kind.__name__)
        assert all(
            torch.equal(tensor, again.state_dict()[name])
            for name, tensor in trimmed.state_dict().items()
        )


def test_the_most_frequent_pieces_and_those_that_occur_often_enough(tokenizers):
    whole = tokenizers["roberta"]
    counts = count_pieces(whole, ["fox fox fox quick quick over"])
    pieces = [
        {whole.convert_ids_to_tokens(i) for i in choose_pieces(whole, counts, min_count=n).tolist()}
        for n in (1, 2, 3)
    ]
    assert pieces[2] < pieces[1] < pieces[0]
    assert "Ġfox" in pieces[1]
    assert "Ġover" not in pieces[1]
    base = len(choose_pieces(whole, counts, max_pieces=len(choose_pieces(whole, counts * 0))))
    assert base == 256 + 5
    one_more = choose_pieces(whole, counts, max_pieces=base + 4)
    assert base < len(one_more) <= base + 4
    message = rf"max_pieces = {base - 1}, but .*special tokens.* are {base} .*accepted: {base} and"
    with pytest.raises(SettingsError, match=message):
        choose_pieces(whole, counts, max_pieces=base - 1)
    with pytest.raises(SettingsError, match=r"the pieces to keep lack '</s>'; accepted"):
        keep_pieces(whole, [0, 1, 3, 4, *range(5, 300)])


def test_a_tokenizer_of_another_model(tokenizers):
    whole = tokenizers["roberta"]
    config = make_config("roberta", whole).replace(vocab_size=300)
    model = AutoModel.from_config(config)
    with pytest.raises(SettingsError, match=rf"has {whole.vocab_size} pieces, but .* embeds 300"):
        trim(model, whole, count_pieces(whole, ["a"]))
