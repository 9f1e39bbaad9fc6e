"""`SentenceEncoder` beside sentence-transformers: the same vectors, and the same habits."""

from __future__ import annotations

import itertools
import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, trainers

import limbeck
from limbeck.errors import CheckpointError, SettingsError
from limbeck.export import load_target, write_export
from limbeck.models import (
    DenseConfig,
    NormalizeConfig,
    PoolingConfig,
    SentenceConfig,
    SentenceModel,
)
from limbeck.models.bert import BertConfig, BertModel
from limbeck.models.gpt2 import GPT2Config, GPT2Model
from limbeck.tokenizers import train_wordpiece

TEXTS = [
    "the cat sleeps",
    "",
    "a dog runs over the green hill and back again " * 6,
    "Rain",
    "the cat runs",
    "find: the green hill",
]
PROMPTS = {"query": "find: ", "document": "the text "}
WIDTH = 8


def write_folder(folder, **values):
    torch.manual_seed(0)
    tokenizer = train_wordpiece(TEXTS, vocab_size=90, min_frequency=1)
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=48,
        initializer_range=0.5,
    )
    settings = SentenceConfig(hidden_size=WIDTH, **values)
    SentenceModel(BertModel(config, add_pooling_layer=False), settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def train_byte_level(folder):
    """Writes a tokenizer as `transformers` saves GPT-2's."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=280,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    backend.train_from_iterator(TEXTS, trainer)
    token = "<|endoftext|>"
    transformers.GPT2TokenizerFast(
        tokenizer_object=backend, bos_token=token, eos_token=token, unk_token=token
    ).save_pretrained(folder)
    return limbeck.AutoTokenizer.from_pretrained(folder)


def load_theirs(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(
        tmp_path_factory.mktemp("encoder"),
        layers=(DenseConfig(in_features=WIDTH, out_features=6), NormalizeConfig()),
        prompts=PROMPTS,
        max_seq_length=20,
    )


@pytest.fixture(scope="module")
def encoder(folder):
    return limbeck.SentenceEncoder(folder, device="cpu")


@pytest.fixture(scope="module")
def theirs(folder):
    return load_theirs(folder)


def close(found, expected):
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 2},
        {"prompt": "a "},
        {"prompt_name": "query"},
        {"truncate_dim": 3, "normalize_embeddings": True},
        {"truncate_dim": 60},
        {"convert_to_tensor": True},
    ],
    ids=str,
)
def test_vectors_are_theirs(options, encoder, theirs):
    found, expected = encoder.encode(TEXTS, **options), theirs.encode(TEXTS, **options)
    assert type(found) is type(expected)
    assert found.shape == expected.shape
    close(found, expected)


def test_questions_and_documents_have_their_prompts(encoder, theirs):
    close(encoder.encode_query(TEXTS), theirs.encode_query(TEXTS))
    close(encoder.encode_document(TEXTS), theirs.encode_document(TEXTS))
    close(encoder.encode_query(TEXTS), encoder.encode([PROMPTS["query"] + t for t in TEXTS]))
    close(encoder.encode_query(TEXTS, prompt=""), encoder.encode(TEXTS))


def test_the_default_prompt_is_for_texts_that_nobody_says_are_questions(tmp_path):
    write_folder(tmp_path, prompts={"cluster": "find: "}, default_prompt_name="cluster")
    ours, theirs = limbeck.SentenceEncoder(tmp_path, device="cpu"), load_theirs(tmp_path)
    close(ours.encode(TEXTS), theirs.encode(TEXTS))
    close(ours.encode_query(TEXTS), theirs.encode_query(TEXTS))
    close(ours.encode_document(TEXTS), theirs.encode_document(TEXTS))
    close(ours.encode_query(TEXTS), ours.encode(TEXTS, prompt=""))


def test_a_document_s_prompt_may_be_called_a_passage_s(folder):
    """As the library says of itself; its 6.2 finds its own empty `document` before that."""
    model = SentenceModel.from_pretrained(folder)
    model.config = replace(model.config, prompts={"passage": "the text "})
    encoder = limbeck.SentenceEncoder(model, tokenizer=folder, device="cpu")
    close(encoder.encode_document(TEXTS), encoder.encode(TEXTS, prompt="the text "))


def test_a_prompt_that_does_not_count(tmp_path):
    write_folder(
        tmp_path,
        pooling=PoolingConfig(modes=("mean", "cls"), include_prompt=False),
        prompts=PROMPTS,
        default_prompt_name="query",
        truncate_dim=11,
        similarity="dot",
    )
    encoder, theirs = limbeck.SentenceEncoder(tmp_path, device="cpu"), load_theirs(tmp_path)
    close(encoder.encode(TEXTS), theirs.encode(TEXTS))
    close(encoder.encode(TEXTS, truncate_dim=16), theirs.encode(TEXTS, truncate_dim=16))
    assert encoder.get_sentence_embedding_dimension() == theirs.get_embedding_dimension() == 11
    assert encoder.similarity_name == "dot"


def test_one_text_is_a_vector_many_are_a_matrix(encoder):
    matrix = encoder.encode(TEXTS)
    assert (matrix.shape, matrix.dtype) == ((len(TEXTS), 6), np.float32)
    close(encoder.encode(TEXTS[2]), matrix[2])
    assert encoder.encode(TEXTS[2], convert_to_tensor=True).shape == (6,)
    assert encoder.encode([]).shape == (0, 6)
    rows = encoder.encode(TEXTS, convert_to_numpy=False)
    assert isinstance(rows, list)
    close(torch.stack(rows), matrix)
    close(encoder.encode(np.array(TEXTS)), matrix)


def test_a_generator_is_read_as_it_is_needed_and_order_stays(encoder):
    taken = 0

    def read():
        nonlocal taken
        for text in itertools.islice(itertools.cycle(TEXTS), 300):
            taken += 1
            yield text

    found = encoder.encode(read(), batch_size=1)
    close(found, encoder.encode(TEXTS * 50))
    taken = 0
    next(encoder._pipeline(read()))
    assert taken == 16 + 32  # a window and the next, not all


def test_progress_is_shown_when_it_is_asked_for(encoder, capsys):
    encoder.encode(TEXTS)
    assert capsys.readouterr().err == ""
    encoder.encode(TEXTS, show_progress_bar=True)
    assert "encoding" in capsys.readouterr().err


def test_texts_are_cut_at_max_seq_length(folder, encoder, theirs):
    assert encoder.max_seq_length == theirs.max_seq_length == 20
    other = limbeck.SentenceEncoder(folder, device="cpu", max_seq_length=5)
    assert other.tokenize(TEXTS)["input_ids"].shape == (len(TEXTS), 5)
    other.max_seq_length = 40
    theirs_longer = load_theirs(folder)
    theirs_longer.max_seq_length = 40
    close(other.encode(TEXTS), theirs_longer.encode(TEXTS))
    with pytest.raises(SettingsError, match="max_length = 49, but the model takes 48 tokens"):
        other.max_seq_length = 49


@pytest.mark.parametrize("kind", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarities_are_theirs(kind, folder):
    encoder = limbeck.SentenceEncoder(folder, device="cpu", similarity=kind)
    theirs = load_theirs(folder)
    theirs.similarity_fn_name = kind
    random = np.random.default_rng(0)
    first, second = random.standard_normal((2, 4, 6)).astype(np.float32)
    close(encoder.similarity(first, second[:3]), theirs.similarity(first, second[:3]))
    close(encoder.similarity_pairwise(first, second), theirs.similarity_pairwise(first, second))
    assert encoder.similarity(first[0], list(torch.tensor(second))).shape == (1, 4)
    assert encoder.similarity(first[0].tolist(), second.tolist()).shape == (1, 4)


def test_what_is_saved_is_the_encoder(folder, tmp_path, encoder):
    other = limbeck.SentenceEncoder(
        folder, device="cpu", truncate_dim=4, prompts={"query": "q: "}, default_prompt_name="query"
    )
    other.save_pretrained(tmp_path)
    again = limbeck.SentenceEncoder(tmp_path, device="cpu")
    assert (again.prompts, again.truncate_dim) == ({**PROMPTS, "query": "q: "}, 4)
    close(again.encode(TEXTS), other.encode(TEXTS))
    close(load_theirs(tmp_path).encode(TEXTS), other.encode(TEXTS))
    close(encoder.encode(["q: " + text for text in TEXTS])[:, :4], other.encode(TEXTS))


def test_a_model_that_is_given_stays_as_it_is(folder):
    model = SentenceModel.from_pretrained(folder)
    config = model.config
    encoder = limbeck.SentenceEncoder(model, tokenizer=folder, device="cpu", truncate_dim=2)
    assert encoder.encode(TEXTS).shape == (len(TEXTS), 2)
    assert model.config is config
    with pytest.raises(SettingsError, match=r"does not say what its tokenizer is; give tokenizer="):
        limbeck.SentenceEncoder(model)


def test_several_threads_at_once(encoder):
    expected = encoder.encode(TEXTS)
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: encoder.encode(TEXTS, batch_size=2), range(8)):
            close(found, expected)


def test_small_letters_where_the_folder_says_so(tmp_path):
    write_folder(tmp_path, do_lower_case=True)
    encoder = limbeck.SentenceEncoder(tmp_path, device="cpu")
    close(encoder.encode("The CAT"), encoder.encode("the cat"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.encode(["a", None]), "sentence 1 is None; accepted: a text"),
        (lambda e: e.encode(7), "sentence 0 is 7; accepted: a text"),
        (lambda e: e.encode("a", prompt_name="quary"), "no prompt 'quary'; .* mean 'query'"),
        (lambda e: e.encode("a", prompt="x", prompt_name="query"), "both given; accepted: one"),
        (lambda e: e.encode("a", truncate_dim=0), "truncate_dim is 0; accepted: a whole number"),
        (lambda e: e.encode("a", batch_size=0), "batch_size = 0"),
        (lambda e: e.encode("a", precision="int8"), "no option 'precision': vectors are float32"),
        (lambda e: e.encode("a", batchsize=3), "no option 'batchsize'; .* mean 'batch_size'"),
        (lambda e: e.similarity(np.ones(3), np.ones(4)), "of 3 numbers .* vectors of 4"),
        (lambda e: e.similarity(np.ones((1, 1, 1)), np.ones(1)), r"shape \(1, 1, 1\); accepted"),
        (lambda e: e.encode("a", prompt=3), "prompt = 3; accepted: a text"),
        (lambda e: e.encode("a", prompt_name=["query"]), r"no prompt \['query'\]; accepted: query"),
        (lambda e: e.similarity("a", "b"), "'a' are no vectors; accepted: a matrix"),
        (lambda e: e.similarity([[1.0, 2.0], [3.0]], [[1.0]]), "are no vectors; .* all as wide"),
        (lambda e: e.similarity(None, None), "None are no vectors"),
        (
            lambda e: e.similarity_pairwise(np.ones((2, 3)), np.ones((3, 3))),
            "2 vectors are compared with 3, each with the one at its place",
        ),
    ],
)
def test_errors_of_calls(call, message, encoder):
    with pytest.raises(SettingsError, match=message):
        call(encoder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trust_remote_code": True}, "no option 'trust_remote_code': no code of a model folder"),
        ({"cache_folder": "x"}, "no option 'cache_folder': it is cache_dir here"),
        ({"truncatedim": 3}, "no option 'truncatedim'; .* Did you mean 'truncate_dim'"),
        ({"default_prompt_name": "no"}, "default_prompt_name is 'no'; .* query, document"),
        ({"similarity": "cosin"}, "similarity is 'cosin'; .* Did you mean 'cosine'"),
        ({"truncate_dim": -1}, "truncate_dim is -1; accepted: a whole number from 1"),
        ({"default_prompt_name": ["query"]}, r"default_prompt_name is \['query'\]; .* query, doc"),
        ({"prompts": "query: "}, "prompts are 'query: '; accepted: texts by name"),
        ({"prompts": {"query": 3}}, r"prompts\['query'\] is 3; accepted: texts by name"),
        ({"dtype": "float16"}, "dtype = 'float16'; accepted: a floating-point type such as torch"),
        ({"dtype": torch.int8}, "dtype = torch.int8; accepted: a floating-point type such as to"),
        ({"max_seq_length": 49}, "max_length = 49, but the model takes 48 tokens"),
        ({"backend": "onnx"}, "no option 'backend': it is engine here"),
        ({"engine": "onnx"}, "onnxruntime"),
        ({"precision": "int8"}, "For int8, export the model"),
        (
            {"dtype": torch.float16, "precision": "fp32"},
            r"dtype = torch\.float16 and precision = 'fp32' are both given; accepted: one of them",
        ),
        (
            {"dtype": torch.float16, "engine": "onnxruntime"},
            r"dtype = torch\.float16: it is for weights that torch runs, and onnxruntime runs ",
        ),
    ],
)
def test_errors_when_it_is_made(options, message, folder):
    with pytest.raises(SettingsError, match=message):
        limbeck.SentenceEncoder(folder, **options)


@pytest.mark.slow
def test_an_exported_folder_gives_the_same(tmp_path):
    """All but the model in memory; a prompt whose tokens don't count needs torch."""
    source = write_folder(
        tmp_path / "source",
        layers=(DenseConfig(in_features=WIDTH, out_features=6), NormalizeConfig()),
        prompts=PROMPTS,
        max_seq_length=20,
        truncate_dim=5,
        similarity="dot",
    )
    folder = tmp_path / "onnx"
    write_export(source, folder, load_target("onnx"))
    theirs = limbeck.SentenceEncoder(source, device="cpu", engine="torch", num_threads=1)
    encoder = limbeck.SentenceEncoder(folder)
    close(encoder.encode(TEXTS), theirs.encode(TEXTS))
    close(encoder.encode_query(TEXTS, truncate_dim=3), theirs.encode_query(TEXTS, truncate_dim=3))
    close(encoder.encode(TEXTS, convert_to_tensor=True), theirs.encode(TEXTS))
    assert (encoder.similarity_name, encoder.max_seq_length) == ("dot", 20)
    assert repr(encoder) == "SentenceEncoder(fp32 by onnxruntime, 5 numbers a text, on cpu)"
    # The file holds no more of them than the folder said, where the weights do.
    assert encoder.encode(TEXTS, truncate_dim=6).shape == (len(TEXTS), 5)
    assert encoder.encode([], truncate_dim=6).shape == (0, 5)
    assert theirs.encode(TEXTS, truncate_dim=6).shape == (len(TEXTS), 6)
    pooling = folder / "1_Pooling/config.json"
    without = {**json.loads(pooling.read_text()), "include_prompt": False}
    pooling.write_text(json.dumps(without))
    left_out = limbeck.SentenceEncoder(folder)
    close(left_out.encode(TEXTS, prompt=""), theirs.encode(TEXTS))
    expected = (
        r"prompt = 'query: ': the model leaves .* \(include_prompt is false in its pooling\), "
        r"which an exported file can't, and onnxruntime runs one; .*engine='torch', or prompt=''"
    )
    with pytest.raises(SettingsError, match=expected):
        left_out.encode(TEXTS, prompt="query: ")
    saved = tmp_path / "saved"
    with pytest.raises(SettingsError, match=r"onnxruntime runs an exported file, .* accepted: the"):
        encoder.save_pretrained(saved)
    assert not saved.exists()


@pytest.mark.parametrize("option", [{"engine": "onnxruntime"}, {"precision": "fp16"}])
def test_a_model_in_memory_is_run_as_it_is(option, folder):
    model = SentenceModel.from_pretrained(folder)
    (name,) = option
    with pytest.raises(SettingsError, match=rf"{name} = .* a model object is given, which is run"):
        limbeck.SentenceEncoder(model, tokenizer=folder, **option)


def test_the_wider_type_of_both_sides_counts(encoder):
    whole, parts = np.array([[1, 2]]), np.array([[0.9, 0.1]], dtype=np.float32)
    expected = torch.tensor([[1.1 / (5 * 0.82) ** 0.5]])
    torch.testing.assert_close(encoder.similarity(whole, parts), expected)
    torch.testing.assert_close(encoder.similarity(parts, whole), expected)
    torch.testing.assert_close(encoder.similarity_pairwise(whole, parts), expected[0])


def test_no_texts_have_no_inputs(encoder):
    with pytest.raises(SettingsError, match=r"texts = \[\]; accepted: one text or more"):
        encoder.tokenize([])


@pytest.mark.parametrize("name", [3, "", None])
def test_what_names_no_model(name):
    with pytest.raises(CheckpointError, match=f"{name!r} names no model; accepted: a folder"):
        limbeck.SentenceEncoder(name)


def test_what_is_not_here_is_answered_with_ours(encoder):
    assert not hasattr(encoder, "fit")
    with pytest.raises(AttributeError, match="no attribute 'encode_multi_process'; here it is enc"):
        _ = encoder.encode_multi_process
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        _ = encoder.nothing
    assert repr(encoder) == "SentenceEncoder(bert, 6 numbers a text, on cpu)"


def test_numbers_that_are_not_finite(folder):
    model = SentenceModel.from_pretrained(folder)
    model.encoder.encoder.embeddings.word.weight.data.fill_(torch.inf)
    encoder = limbeck.SentenceEncoder(model, tokenizer=folder, device="cpu")
    with pytest.raises(CheckpointError, match="sentence_embedding that are not finite"):
        encoder.encode(TEXTS)


def test_a_text_without_tokens_is_named(tmp_path):
    """GPT-2 frames texts with nothing, and has no token for padding."""
    tokenizer = train_byte_level(tmp_path)
    config = GPT2Config(
        vocab_size=tokenizer.vocab_size, n_embd=8, n_layer=1, n_head=2, n_positions=32
    )
    GPT2Model(config).save_pretrained(tmp_path)
    encoder = limbeck.SentenceEncoder(tmp_path, device="cpu")
    close(encoder.encode(TEXTS[2:4])[1], encoder.encode(TEXTS[3]))
    with pytest.raises(
        SettingsError, match=r"input 1: .* makes no tokens of ''; accepted: texts with some"
    ):
        encoder.encode(TEXTS[:2])
