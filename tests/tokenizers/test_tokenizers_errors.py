"""Every wrong use of a tokenizer has an error that names the value and the fix."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizer_cases import KINDS, NOT_UNICODE

from limbeck.errors import CheckpointError, DataError, SettingsError
from limbeck.tokenizers import Tokenizer
from limbeck.tokenizers.config import TokenizerConfig

WINDOWS: dict[str, Any] = {"truncation": True, "return_overflowing_tokens": True}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truncation": "longest"}, r"truncation is 'longest'; accepted: False, True \(which "),
        ({"truncation": "only_frist"}, "'only_frist'.*'only_second'.*Did you mean 'only_first'"),
        ({"padding": "maxlength"}, "padding is 'maxlength'.*Did you mean 'max_length'"),
        ({"padding": 7}, "padding is 7; accepted"),
        ({"truncation": True}, "truncation='longest_first' needs a length.*not set.*max_length="),
        ({"padding": "max_length"}, "padding='max_length' needs a length"),
        ({"truncation": "only_second", "max_length": 9}, "'only_second' needs text_pair"),
        ({"truncation": True, "max_length": 2}, "max_length=2 leaves no room.*2 special.*least 3"),
        ({"truncation": True, "max_length": 0}, "max_length is 0; accepted: a whole number.* 1"),
        ({"truncation": True, "max_length": 9.0}, r"max_length is 9\.0; accepted"),
        ({"truncation": True, "max_length": True}, "max_length is True; accepted"),
        ({"max_length": 9}, "max_length=9 has no effect without truncation=True"),
        ({"max_length": 9, "padding": True}, "max_length=9 has no effect"),
        ({"pad_to_multiple_of": 8}, "pad_to_multiple_of=8 has no effect without padding"),
        ({"padding": True, "pad_to_multiple_of": 0}, "pad_to_multiple_of is 0; accepted"),
        ({"stride": 2}, "stride=2 has no effect without truncation=True and return_overflowing"),
        ({"truncation": True, "max_length": 9, "stride": 2}, "stride=2 has no effect"),
        (WINDOWS | {"max_length": 9, "stride": 7}, "stride=7 must be smaller than the 7.*most 6"),
        (WINDOWS | {"max_length": 9, "stride": 20}, "stride=20 must be smaller than the 7"),
        (WINDOWS | {"max_length": 9, "stride": -1}, "stride is -1; accepted"),
        (WINDOWS | {"max_length": 9, "stride": None}, "stride is None; accepted"),
        ({"return_tensors": "tf"}, "return_tensors is 'tf'; accepted: None, 'pt', 'np'"),
        ({"return_tensors": "pt"}, "one length, and these have 3 to 5 tokens; add padding=True"),
        (
            {"truncation": True, "padding": True, "max_length": 30, "pad_to_multiple_of": 8},
            "max_length=30 is not a multiple of pad_to_multiple_of=8.*max_length=24",
        ),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(SettingsError, match=message):
        tokenizer(["a", "a b c"], **options)


def test_no_room_in_a_pair_for_special_tokens(tokenizer: Tokenizer) -> None:
    with pytest.raises(SettingsError, match=r"max_length=3 leaves no room.*3 special.*at least 4"):
        tokenizer("a", "b", truncation=True, max_length=3)
    assert len(tokenizer("a", "b", truncation=True, max_length=4)["input_ids"]) == 4
    options: dict[str, Any] = {"truncation": True, "max_length": 1, "add_special_tokens": False}
    assert len(tokenizer("a b", **options)["input_ids"]) == 1


@pytest.mark.parametrize(
    ("text", "pair", "message"),
    [
        (None, None, r"text is None \(NoneType\); accepted: a str or a list of str"),
        (7, None, r"text is 7 \(int\); accepted"),
        (b"a", None, r"text is b'a' \(bytes\)"),
        (["a", None], None, r"text\[1\] is None \(NoneType\); every text must be a str"),
        (["a", "b", 3], None, r"text\[2\] is 3 \(int\)"),
        (["a", b"b"], None, r"text\[1\] is b'b' \(bytes\).*Decode it first"),
        ([["a"]], None, r"text\[0\] is \['a'\] \(list\)"),
        ({"a": 1}, None, r"text is \{'a': 1\} \(dict\).*list\("),
        ((str(i) for i in range(2)), None, r"\(generator\).*Wrap it in list\("),
        (["a", "b"], ["c"], "text has 2 items and text_pair has 1"),
        (["a"], "c", "text is a batch and text_pair is a single text"),
        ("a", ["c"], "text is a single text and text_pair is a batch"),
        (["a"], [None], r"text_pair\[0\] is None"),
        ("a", 7, r"text_pair is 7 \(int\)"),
        (np.array([1.5]), None, r"text\[0\] is .*1\.5.*float64"),
    ],
)
def test_wrong_texts(text: Any, pair: Any, message: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match=message):
        tokenizer(text, pair)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b", r"text is 'a b' \(str\); accepted: a list of words or a list of such lists"),
        ([["a"], "b"], r"text\[1\] is 'b' \(str\); accepted: a list of words"),
        ([["a"], ["b", 3]], r"text\[1\]\[1\] is 3 \(int\)"),
        (["a", None], r"text\[0\] is 'a' \(str\); accepted: a list of words"),
    ],
)
def test_wrong_words(text: Any, message: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match=message):
        tokenizer(text, is_split_into_words=True)


@pytest.mark.parametrize("name", NOT_UNICODE)
def test_lone_surrogates(name: str, tokenizer: Tokenizer) -> None:
    text = NOT_UNICODE[name]
    place = next(i for i, c in enumerate(text) if 0xD800 <= ord(c) < 0xE000)
    code = f"{ord(text[place]):04X}"
    message = rf"text 1 has a lone surrogate U\+{code} at character {place}.*errors='replace'"
    with pytest.raises(DataError, match=message):
        tokenizer(["fine", text])
    with pytest.raises(DataError, match=message):
        tokenizer(["fine", "fine"], ["fine", text])
    with pytest.raises(DataError, match=message):
        tokenizer([["fine"], ["fine", text]], is_split_into_words=True)
    with pytest.raises(DataError, match=message):
        tokenizer.encode_batch_ids(["fine", text], add_special_tokens=False)
    repaired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert tokenizer(repaired)["input_ids"]


@pytest.mark.parametrize(
    ("strategy", "stride", "message"),
    [
        ("only_first", 0, "pair 1 can't be cut by truncation='only_first' to max_length=8: text_p"),
        ("only_second", 0, "pair 2 can't be cut.*text has 9 tokens of the 5.*text_pair .1 tokens"),
        ("only_first", 3, r"pair 1.*\(9 tokens\) and a stride of 3.*smaller stride"),
        ("longest_first", 3, r"pair 3 can't.*text_pair has 4 tokens of the 5.*text \(4 tokens\)"),
    ],
)
def test_pairs_that_cannot_be_cut(
    strategy: Any, stride: int, message: str, tokenizer: Tokenizer
) -> None:
    nine, four = "a b c d e f g h i", "a b c d"
    first, second = ["a", nine, nine, four], ["b", nine, "b", four]
    if strategy == "only_first":
        second[2] = "b"
    if strategy == "only_second":
        first[1] = "a"
    if strategy == "longest_first":
        first, second = ["a", "a", "a", four], ["b", "b", "b", four]
    with pytest.raises(DataError, match=message):
        tokenizer(
            first,
            second,
            truncation=strategy,
            max_length=8,
            stride=stride,
            return_overflowing_tokens=stride > 0,
        )


def test_wrong_ids(tokenizer: Tokenizer) -> None:
    size = tokenizer.vocab_size
    with pytest.raises(DataError, match=f"id {size} at position 1 is outside the .* of {size} "):
        tokenizer.decode([0, size])
    with pytest.raises(DataError, match=r"id -100 at position 0 is outside.*labels use -100"):
        tokenizer.decode(np.array([-100, 5]))
    with pytest.raises(DataError, match=r"'\[0\.5\]'; accepted: whole numbers"):
        tokenizer.decode([0.5])  # type: ignore[list-item]
    with pytest.raises(DataError, match="use batch_decode"):
        tokenizer.decode([[1], [2]])  # type: ignore[list-item]
    with pytest.raises(DataError, match="accepted: whole numbers"):
        tokenizer.convert_ids_to_tokens([[1], [2, 3]])  # type: ignore[list-item]
    with pytest.raises(DataError, match="'5'; accepted: whole numbers"):
        tokenizer.decode(5)  # type: ignore[arg-type]


def test_wrong_batches_of_the_fast_path(tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match="single str"):
        tokenizer.encode_batch_ids("abc", add_special_tokens=False)
    with pytest.raises(DataError, match=r"texts\[1\] is None"):
        tokenizer.encode_batch_ids(["a", None], add_special_tokens=False)  # type: ignore[list-item]


def test_no_tokenizer_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=re.escape(f"{tmp_path} has no tokenizer: neither")):
        Tokenizer.from_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="no folder"):
        Tokenizer.from_pretrained(tmp_path / "absent")


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json"])
def test_malformed_json(name: str, make_folder: Any) -> None:
    folder = make_folder(KINDS["uncased"])
    for content, message in (
        ('{"a": 1', "JSON|expected `,` or `}` at line 1 column"),
        ("[]", "tokenizers library can read" if name == "tokenizer.json" else "JSON list"),
        ("", "JSON|EOF while parsing"),
        (b"\xff", "not UTF-8"),
    ):
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)
        with pytest.raises(CheckpointError, match=message) as caught:
            Tokenizer.from_pretrained(folder)
        assert str(folder / name) in str(caught.value)


def test_unsupported_models(make_folder: Any) -> None:
    from tokenizers import Tokenizer as Backend
    from tokenizers.models import BPE, WordLevel

    folder = make_folder(KINDS["uncased"])
    Backend(WordLevel()).save(str(folder / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="holds a WordLevel tokenizer; supported: BPE, Unig"):
        Tokenizer.from_pretrained(folder)
    Backend(BPE(dropout=0.5)).save(str(folder / "tokenizer.json"))
    with pytest.raises(CheckpointError, match=r"dropout=0\.5, with which a text gets other ids ea"):
        Tokenizer.from_pretrained(folder)
    Backend(BPE()).save(str(folder / "tokenizer.json"))
    message = "holds a BPE .*'BertTokenizer', which is WordPiece: .* two models.*PreTrainedTokeni"
    with pytest.raises(CheckpointError, match=message):
        Tokenizer.from_pretrained(folder)
    (folder / "tokenizer.json").write_text('{"model": {"type": "Nonsense"}}', encoding="utf-8")
    with pytest.raises(CheckpointError, match="not a tokenizer that the tokenizers library can"):
        Tokenizer.from_pretrained(folder)


def test_vocab_without_special_tokens(make_folder: Any) -> None:
    folder = make_folder(KINDS["uncased"])
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    without = [line for line in lines if line not in ("[UNK]", "[CLS]")]
    (folder / "vocab.txt").write_text("\n".join(without), encoding="utf-8")
    with pytest.raises(
        CheckpointError, match=r"vocab.txt has no \[UNK\] \(unk_token\), \[CLS\] \(cls_token\)\."
    ):
        Tokenizer.from_pretrained(folder)
    (folder / "vocab.txt").write_text("", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"vocab\.txt is empty"):
        Tokenizer.from_pretrained(folder)
    (folder / "vocab.txt").write_bytes(b"[PAD]\n\xff\xfe\n")
    with pytest.raises(CheckpointError, match=r"vocab\.txt is not UTF-8 text: byte 6"):
        Tokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"auto_map": {"AutoTokenizer": ["code.Mine", None]}}, "auto_map.*code.Mine.*never runs"),
        ({"tokenizer_class": "BertJapaneseTokenizer"}, "'BertJapaneseTokenizer'.*BertTokenizer,"),
        ({"tokenizer_class": 5}, "tokenizer_class is 5, and a value of type str"),
        ({"model_max_length": "long"}, "model_max_length is 'long'"),
        ({"model_max_length": -1}, "model_max_length is -1"),
        ({"padding_side": "top"}, "padding_side is 'top'; accepted: 'right', 'left'"),
        ({"truncation_side": 3}, "truncation_side is 3; accepted"),
        ({"do_lower_case": "yes"}, "do_lower_case is 'yes', and a value of type bool"),
        ({"cls_token": 5}, "cls_token is 5, and a value of type str"),
        ({"cls_token": "<s>"}, r"vocab.txt has no <s> \(cls_token\)"),
        ({"model_input_names": ["ids"]}, r"model_input_names is \['ids'\]; accepted"),
        ({"model_input_names": "input_ids"}, "model_input_names is 'input_ids'; accepted"),
        ({"added_tokens_decoder": {"x": {"content": "a"}}}, "added_tokens_decoder.*'x'"),
        ({"added_tokens_decoder": {"9": "a"}}, "added_tokens_decoder.*'a'"),
        ({"extra_special_tokens": 5}, "extra_special_tokens is 5"),
    ],
)
def test_wrong_configs(values: dict[str, Any], message: str, make_folder: Any) -> None:
    folder = make_folder(values)
    with pytest.raises(CheckpointError, match=message):
        Tokenizer.from_pretrained(folder)


def test_wrong_added_tokens_json(make_folder: Any) -> None:
    folder = make_folder(KINDS["uncased"])
    (folder / "added_tokens.json").write_text('{"<x>": "7"}', encoding="utf-8")
    with pytest.raises(
        CheckpointError, match=r"added_tokens\.json: '<x>' is '7'; accepted: its id"
    ):
        Tokenizer.from_pretrained(folder)


def test_code_in_a_folder_is_never_run(make_folder: Any, tmp_path: Path) -> None:
    folder = make_folder(KINDS["uncased"] | {"auto_map": {"AutoTokenizer": ["mine.Mine", None]}})
    trace = tmp_path / "trace"
    (folder / "mine.py").write_text(f"open({str(trace)!r}, 'w')\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match="never runs code"):
        Tokenizer.from_pretrained(folder)
    assert not trace.exists()


def test_a_pipeline_without_the_named_tokens() -> None:
    from limbeck.tokenizers.backend import build_pipeline

    backend = build_pipeline({"[UNK]": 0, "a": 1}, lowercase=True)
    with pytest.raises(SettingsError, match=r"no '\[SEP\]', which the config names as sep_token"):
        Tokenizer(backend, TokenizerConfig())


def test_a_folder_that_cannot_be_written(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(CheckpointError, match="file is a file; give a folder"):
        tokenizer.save_pretrained(tmp_path / "file")


def test_an_attribute_that_is_not_there(tokenizer: Tokenizer) -> None:
    encoding = tokenizer("a")
    assert encoding.input_ids == encoding["input_ids"]
    with pytest.raises(AttributeError, match="no 'labels'; it has: input_ids, token_type_ids, att"):
        _ = encoding.labels
    assert json.dumps(dict(encoding))
