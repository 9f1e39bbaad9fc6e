"""Every family's tokenizer gives the ids, offsets, frames and words of `transformers`."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from family_tokenizers import FAMILIES, make_oracle
from tokenizer_cases import TEXTS

from limbeck.errors import CheckpointError, SettingsError
from limbeck.tokenizers import Tokenizer
from limbeck.tokenizers.windows import cut_windows

STRINGS = list(TEXTS.values())
ROLES = ("bos", "eos", "unk", "sep", "cls", "mask")


@pytest.fixture(scope="module", params=FAMILIES)
def case(request: Any) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(case: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `transformers` saves of the family's tokenizer, beside the family's `config.json`."""
    family, options = FAMILIES[case]
    path = tmp_path_factory.mktemp(family)
    make_oracle(family, **options).save_pretrained(path)
    (path / "config.json").write_text(json.dumps({"model_type": family}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def ours(folder: Path) -> Tokenizer:
    return Tokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return load_oracle(folder)


def load_oracle(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def assert_same(ours: Tokenizer, theirs: Any, *args: Any, **options: Any) -> None:
    result = ours(*args, return_offsets_mapping=True, **options)
    expected = theirs(*args, return_offsets_mapping=True, **options)
    # ALBERT's class of version 5 gives no token types by itself; the model has them.
    assert set(expected) <= set(result) <= {*expected, "token_type_ids"}
    for name in expected:
        assert result[name] == expected[name], name
    for row in range(len(result["input_ids"])):
        assert result.word_ids(row) == expected.word_ids(row)
        assert result.sequence_ids(row) == expected.sequence_ids(row)


def test_texts_and_pairs_are_encoded_as_by_the_oracle(ours: Tokenizer, theirs: Any) -> None:
    assert_same(ours, theirs, STRINGS)
    assert_same(ours, theirs, STRINGS, STRINGS[::-1])
    assert_same(ours, theirs, STRINGS, STRINGS[::-1], add_special_tokens=False)
    assert [ours.tokenize(text) for text in STRINGS] == [theirs.tokenize(text) for text in STRINGS]
    options: dict[str, Any] = {"truncation": True, "max_length": 12, "stride": 2}
    assert_same(ours, theirs, STRINGS, **options, return_overflowing_tokens=True)
    for text in STRINGS:
        ids = ours(text)["input_ids"]
        assert ours.decode(ids) == theirs.decode(ids)
        assert ours.decode(ids, skip_special_tokens=True) == theirs.decode(
            ids, skip_special_tokens=True
        )


def test_special_tokens_are_those_of_the_oracle(ours: Tokenizer, theirs: Any) -> None:
    for role in ROLES:
        expected = getattr(theirs, f"{role}_token")
        assert ours.config.special_tokens.get(f"{role}_token") == expected
        if expected is not None:
            assert getattr(ours, f"{role}_token") == expected
            assert getattr(ours, f"{role}_token_id") == getattr(theirs, f"{role}_token_id")
    assert ours.pad_token == theirs.pad_token or ours.pad_token == theirs.eos_token
    assert ours.all_special_ids == sorted(theirs.all_special_ids)
    assert ours.get_vocab() == theirs.get_vocab()


@pytest.mark.parametrize(
    "case", ["albert", "deberta-v2", "gpt2", "modernbert", "mpnet", "roberta"], indirect=True
)
def test_words_are_known_by_the_marks_of_the_vocabulary(ours: Tokenizer) -> None:
    text = "the quick foxes  unbelievably jumped"
    ids = ours(text, add_special_tokens=False)["input_ids"]
    begins = ~ours.continuation_mask[ids]
    begins[0] = True  # a text's first word may have no blank before it
    words = np.split(np.array(ids), np.flatnonzero(begins)[1:])
    found = [ours.decode(word).strip().removeprefix("##") for word in words]
    expected = ["the", "quick", "foxes", "unbelievably", "jumped"]
    unknown = "[UNK]"  # in the vocabulary of ten words that MPNet's test has
    assert [word for word in found if word] == [
        word if unknown not in found or word in ("the", "quick", "foxes") else unknown
        for word in expected
    ]
    assert not ours.continuation_mask[ours.all_special_ids].any()


def test_whole_words_of_bytes_are_masked_whole() -> None:
    from limbeck.data import MaskingSettings
    from limbeck.data.masking import Masker
    from limbeck.data.philox import row_uniforms
    from limbeck.nn.constants import IGNORE_INDEX
    from limbeck.tokenizers.config import TokenizerConfig

    oracle = make_oracle("roberta")
    special = {f"{role}_token": getattr(oracle, f"{role}_token") for role in (*ROLES, "pad")}
    config = TokenizerConfig("RobertaTokenizer", special_tokens=special)
    tokenizer = Tokenizer(oracle._tokenizer, config)
    # A text's first word has no mark, whether it begins the row or follows another text.
    texts = ["Unbelievably quick", "foxes jumped unmistakably over"]
    rows = np.array([[i for text in texts for i in tokenizer(text)["input_ids"]]] * 50)
    words = np.array([w for text in texts for w in word_numbers(tokenizer, text)])
    masker = Masker(
        MaskingSettings(whole_word=True, probability=0.5), tokenizer=tokenizer, token_counts=None
    )
    draws = row_uniforms(
        seed=0, epoch=0, first_row=0, num_rows=len(rows), num_draws=3 * rows.shape[1]
    )
    chosen = masker.mask(rows, draws)[1] != IGNORE_INDEX
    ends = np.flatnonzero(words == -1)
    assert not chosen[:, ends].any()
    for begin, end in pairwise(ends):
        for word in set(words[begin + 1 : end]):
            pieces = chosen[:, begin + 1 : end][:, words[begin + 1 : end] == word]
            assert (pieces.all(axis=1) | ~pieces.any(axis=1)).all()
            assert 0 < pieces[:, 0].sum() < len(rows)


def word_numbers(tokenizer: Tokenizer, text: str) -> list[int]:
    return [-1 if word is None else word for word in tokenizer(text).word_ids()]


def test_a_text_in_windows_has_no_blanks_about_its_tokens(ours: Tokenizer) -> None:
    """So that an answer begins with its first letter, whatever the vocabulary makes of blanks."""
    text = "the quick  brown fox jumps over\tthe lazy dog and the quick brown foxes"
    windows = cut_windows(ours, [text], max_length=14, stride=2, questions=["who jumps"])
    assert len(windows) > 1
    for window in windows:
        for start, stop in window.offsets[window.first : window.last + 1]:
            assert text[start:stop].strip() in {text[start:stop], ""}
        last = window.offsets[window.last]
        assert text[window.offsets[window.first][0] : last[1]].strip()


@pytest.mark.parametrize("family", ["roberta", "gpt2", "deberta", "albert", "mpnet"])
def test_words_are_read_as_within_a_text(family: str, tmp_path: Path) -> None:
    options = {"add_prefix_space": True} if family in ("roberta", "gpt2", "deberta") else {}
    make_oracle(family).save_pretrained(tmp_path)
    ours, theirs = Tokenizer.from_pretrained(tmp_path), make_oracle(family, **options)
    rows = [text.split() for text in STRINGS if text.split()]
    result = ours.for_words()(rows, is_split_into_words=True, return_offsets_mapping=True)
    expected = theirs(rows, is_split_into_words=True, return_offsets_mapping=True)
    assert result["input_ids"] == expected["input_ids"]
    assert result["offset_mapping"] == expected["offset_mapping"]
    for number in range(len(rows)):
        assert result.word_ids(number) == expected.word_ids(number)
    assert (ours.for_words() is ours) == (not options)
    words = ["the", "quick", "fox"]
    of_words = ours.for_words()(words, is_split_into_words=True, add_special_tokens=False)
    assert of_words["input_ids"] == ours(" the quick fox", add_special_tokens=False)["input_ids"]


def test_padding(ours: Tokenizer, theirs: Any) -> None:
    if theirs.pad_token is None:
        theirs.pad_token = theirs.eos_token
    assert_same(ours, theirs, STRINGS, STRINGS[::-1], padding=True)


def test_what_we_save_is_loaded_to_the_same_ids(
    ours: Tokenizer, theirs: Any, tmp_path: Path
) -> None:
    ours.save_pretrained(tmp_path)
    again = load_oracle(tmp_path)
    assert type(again) is type(theirs)
    for loaded in (Tokenizer.from_pretrained(tmp_path), again):
        result = loaded(STRINGS, STRINGS[::-1], return_offsets_mapping=True)
        assert dict(result) == dict(ours(STRINGS, STRINGS[::-1], return_offsets_mapping=True))
        for role in ROLES:
            if getattr(theirs, f"{role}_token") is not None:
                name = f"{role}_token_id"
                assert getattr(loaded, name) == getattr(theirs, name)
    assert len(again) == len(ours)
    assert again.get_vocab() == ours.get_vocab()
    assert Tokenizer.from_pretrained(tmp_path).fingerprint == ours.fingerprint
    assert (tmp_path / "vocab.txt").exists() == (type(ours._backend.model).__name__ == "WordPiece")


@pytest.mark.parametrize("case", [name for name in FAMILIES if "," not in name], indirect=True)
def test_the_files_need_not_name_the_class_nor_the_tokens(
    folder: Path, ours: Tokenizer, tmp_path: Path
) -> None:
    """Older folders have `tokenizer.json` and `config.json` alone."""
    for name in ("tokenizer.json", "config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    bare = Tokenizer.from_pretrained(tmp_path)
    assert bare(STRINGS)["input_ids"] == ours(STRINGS)["input_ids"]
    assert bare.config.special_tokens == ours.config.special_tokens
    # A family that nobody has heard of: what its tokenizer shows is enough for what models need.
    (tmp_path / "config.json").write_text('{"model_type": "novel"}', encoding="utf-8")
    novel = Tokenizer.from_pretrained(tmp_path)
    assert novel(STRINGS)["input_ids"] == ours(STRINGS)["input_ids"]
    needed = {"sep_token", "pad_token", "cls_token", "mask_token"} & {*ours.config.special_tokens}
    assert {role: novel.config.special_tokens[role] for role in needed} == {
        role: ours.config.special_tokens[role] for role in needed
    }
    assert novel.pad_token_id == ours.pad_token_id
    assert novel.separator_id == ours.separator_id


def test_a_setting_stands_over_the_json_file(tmp_path: Path) -> None:
    make_oracle("roberta").save_pretrained(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(values | {"add_prefix_space": True}), encoding="utf-8")
    ours, theirs = Tokenizer.from_pretrained(tmp_path), load_oracle(tmp_path)
    assert_same(ours, theirs, STRINGS)
    assert ours.tokenize("fox") == ours.tokenize(" fox") == ["Ġfox"]
    del values["add_prefix_space"]
    make_oracle("roberta", add_prefix_space=True).save_pretrained(tmp_path)
    path.write_text(json.dumps(values), encoding="utf-8")
    message = r"made with add_prefix_space=True, .*use False.*\"add_prefix_space\": true to follow"
    with pytest.raises(CheckpointError, match=message):
        Tokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "albert", "gpt2"])
def test_a_pipeline_that_the_class_does_not_make_is_kept_under_a_class_that_takes_it(
    family: str, tmp_path: Path
) -> None:
    make_oracle(family).save_pretrained(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    steps = [step for step in [content["normalizer"]] if step is not None]
    steps.insert(0, {"type": "Replace", "pattern": {"String": "fox"}, "content": "dog"})
    content["normalizer"] = {"type": "Sequence", "normalizers": steps}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    ours = Tokenizer.from_pretrained(tmp_path)
    assert ours.tokenize("fox") == ours.tokenize("dog")
    ours.save_pretrained(tmp_path / "again")
    for loaded in (Tokenizer.from_pretrained(tmp_path / "again"), load_oracle(tmp_path / "again")):
        assert_same(ours, loaded, STRINGS, STRINGS)
        assert loaded.tokenize("fox") == loaded.tokenize("dog")


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("roberta", {}),
        ("roberta", {"add_prefix_space": True, "trim_offsets": False}),
        ("gpt2", {}),
        ("deberta", {}),
        ("mpnet", {"do_lower_case": False}),
    ],
)
def test_a_vocabulary_in_files_of_its_own(
    family: str, options: dict[str, Any], tmp_path: Path
) -> None:
    made = make_oracle(family)
    if family == "mpnet":
        pieces = sorted(made.get_vocab(), key=made.get_vocab().__getitem__)
        (tmp_path / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    else:
        made._tokenizer.model.save(str(tmp_path))
    values = {"tokenizer_class": type(made).__name__, **options}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(values), encoding="utf-8")
    ours, theirs = Tokenizer.from_pretrained(tmp_path), type(made).from_pretrained(tmp_path)
    assert_same(ours, theirs, STRINGS)
    assert_same(ours, theirs, STRINGS, STRINGS[::-1])
    ours.save_pretrained(tmp_path / "again")
    assert_same(ours, load_oracle(tmp_path / "again"), STRINGS, STRINGS[::-1])
    # The family's name in config.json is as good as the class's.
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(options), encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}), encoding="utf-8")
    assert Tokenizer.from_pretrained(tmp_path).fingerprint == ours.fingerprint


def test_vocabulary_files_that_are_no_use(tmp_path: Path) -> None:
    make_oracle("roberta")._tokenizer.model.save(str(tmp_path))
    message = "vocab.json and merges.txt without.*'BertTokenizer'.*: DebertaTokenizer, GPT2Token"
    with pytest.raises(CheckpointError, match=message):
        Tokenizer.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "roberta"}', encoding="utf-8")
    merges = (tmp_path / "merges.txt").read_text(encoding="utf-8")
    (tmp_path / "merges.txt").write_text(merges + "no such\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"vocab\.json and merges\.txt are no .*copy them"):
        Tokenizer.from_pretrained(tmp_path)
    (tmp_path / "merges.txt").unlink()
    message = r"neither tokenizer\.json nor another \(vocab\.txt, vocab\.json with merges\.txt"
    with pytest.raises(CheckpointError, match=message):
        Tokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["spiece.model", "sentencepiece.bpe.model", "spm.model"])
def test_a_sentencepiece_vocabulary_is_refused_with_its_conversion(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "albert"}', encoding="utf-8")
    (tmp_path / name).write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    message = rf"(?s){name} is a SentencePiece .*pip install transformers .*python -c .*save_pretr"
    with pytest.raises(CheckpointError, match=message) as caught:
        Tokenizer.from_pretrained(tmp_path)
    assert f"T.from_pretrained('{tmp_path}').save_pretrained('{tmp_path}')" in str(caught.value)


def test_what_a_vocabulary_lacks_is_said_to_whoever_needs_it() -> None:
    from limbeck.data import MaskingSettings
    from limbeck.data.masking import Masker
    from limbeck.tokenizers.config import TokenizerConfig

    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    config = TokenizerConfig(tokenizer_class="GPT2Tokenizer", special_tokens=special)
    tokenizer = Tokenizer(make_oracle("gpt2")._tokenizer, config)
    assert tokenizer.pad_token_id == tokenizer.separator_id == tokenizer.eos_token_id == 0
    message = r"no mask_token; it has: bos_token '<\|endoftext\|>', eos_.*name it as mask_token"
    with pytest.raises(SettingsError, match=message):
        Masker(MaskingSettings(), tokenizer=tokenizer, token_counts=None)
    with pytest.raises(SettingsError, match="the tokenizer has no cls_token; it has: bos_token"):
        _ = tokenizer.cls_token
    none = Tokenizer(
        make_oracle("gpt2")._tokenizer, TokenizerConfig("GPT2Tokenizer", special_tokens={})
    )
    for options in ({"padding": True}, {"padding": "max_length", "max_length": 9}):
        with pytest.raises(SettingsError, match="no pad_token; it has: no special tokens"):
            none("a", **options)
    with pytest.raises(SettingsError, match="the tokenizer has no unk_token"):
        none.convert_tokens_to_ids("no such piece")
    with pytest.raises(SettingsError, match="the tokenizer has no sep_token"):
        _ = none.separator_id
