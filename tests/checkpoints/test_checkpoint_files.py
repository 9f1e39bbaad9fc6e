"""JSON, safetensors, shards: what is read and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from limbeck.checkpoints import (
    read_config,
    read_safetensors,
    read_tensors,
    write_model,
    write_safetensors,
)
from limbeck.errors import CheckpointError


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", r"config.json is not JSON: Expecting value: line 1 column 1"),
        (b'{"a": 1,\n "b": }', r"config.json is not JSON: .*line 2 column 7"),
        (b"[1, 2]", r"config.json holds a JSON list; accepted: an object"),
        (b'{"a": "\xff"}', r"config.json is not UTF-8 text: byte 7"),
        (b"[" * 100_000, r"config.json is not JSON"),
    ],
)
def test_wrong_json(tmp_path, content, match):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=match):
        read_config(tmp_path)


def test_absent_json_says_what_is_there(tmp_path):
    with pytest.raises(CheckpointError, match=r"has no config.json; it holds: nothing"):
        read_config(tmp_path)
    (tmp_path / "vocab.txt").write_text("")
    with pytest.raises(CheckpointError, match=r"has no config.json; it holds: vocab.txt"):
        read_config(tmp_path)
    (tmp_path / "config.json").mkdir()
    with pytest.raises(CheckpointError, match=r"can't read .*config.json"):
        read_config(tmp_path)


def test_tensors_survive(tmp_path):
    path = tmp_path / "x.safetensors"
    shared = torch.arange(6.0)
    tensors = {
        "half": torch.randn(2, 3).half(),
        "bfloat": torch.randn(4).bfloat16(),
        "double": torch.randn(1, 1, 2, dtype=torch.float64),
        "whole": torch.tensor([-1, 2**40]),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "transposed": torch.randn(3, 4).T,
        "empty": torch.zeros(0, 3),
        "nothing": torch.zeros(0),
        "scalar": torch.tensor(3.5),
        "one": shared,
        "same": shared,
        "part": shared[2:4],
        "grad": torch.nn.Parameter(torch.ones(2)),
    }
    write_safetensors(path, tensors)
    found = read_safetensors(path)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor), name
        assert found[name].dtype == tensor.dtype
        assert found[name].is_contiguous()
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"  # or `transformers` refuses it
    path.write_bytes(b"")  # what was read is not a view of the file
    assert torch.equal(found["double"], tensors["double"])
    write_safetensors(path, tensors)
    content = path.read_bytes()
    for _ in range(4):
        write_safetensors(path, tensors)
        assert path.read_bytes() == content


def test_a_number_that_was_damaged_is_found(tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": torch.arange(6.0), "b": torch.ones(3)})
    content = path.read_bytes()
    for place in (-1, -13, -30):
        damaged = bytearray(content)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"x.safetensors is damaged: its tensors differ "):
            read_safetensors(path)
    swapped = content.replace(b'"a"', b'"?"').replace(b'"b"', b'"a"').replace(b'"?"', b'"b"')
    path.write_bytes(swapped)
    with pytest.raises(CheckpointError, match=r"their checksum. Fetch or write it again\.$"):
        read_safetensors(path)
    save_file({"a": torch.ones(2)}, path, metadata={"format": "pt"})
    assert read_safetensors(path).keys() == {"a"}  # as other libraries write it


def test_damaged_tensors(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(CheckpointError, match=r"can't read .*x.safetensors: there is no such file"):
        read_safetensors(path)
    write_safetensors(path, {"a": torch.ones(100)})
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:20], b"", b"\x80\x05pickle", whole + b"more"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"x.safetensors"):
            read_safetensors(path)


def test_model_folder(tmp_path):
    folder = tmp_path / "model"
    write_model(folder, {"model_type": "bert"}, {"a": torch.ones(2)})
    assert names_in(folder) == ["config.json", "model.safetensors"]
    assert read_config(folder) == {"model_type": "bert"}
    assert torch.equal(read_tensors(folder)["a"], torch.ones(2))
    with pytest.raises(CheckpointError, match=r"config.json: that is a file, not a folder"):
        write_model(folder / "config.json", {}, {})


# --- shards -----------------------------------------------------------------------------------


@pytest.fixture
def shards(tmp_path):
    for number in (1, 2):
        save_file(
            {f"t{number}": torch.full((2,), float(number))}, tmp_path / f"part{number}.safetensors"
        )
    write_index(tmp_path, {"t1": "part1.safetensors", "t2": "part2.safetensors"})
    return tmp_path


def write_index(folder, weight_map):
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_shards_are_joined(shards):
    found = read_tensors(shards)
    assert {name: tensor[0].item() for name, tensor in found.items()} == {"t1": 1, "t2": 2}


def test_one_file_comes_before_shards(shards):
    save_file({"t": torch.ones(1)}, shards / "model.safetensors")
    assert list(read_tensors(shards)) == ["t"]


@pytest.mark.parametrize(
    "shard",
    [
        "../part1.safetensors",
        "/etc/passwd",
        "sub/part1.safetensors",
        "..\\part1.safetensors",
        "..",
        "",
        7,
        None,
        ["part1.safetensors"],
    ],
)
def test_shard_outside_the_folder(shards, shard):
    write_index(shards, {"t1": shard, "t2": "part2.safetensors"})
    with pytest.raises(CheckpointError, match=r"puts 't1' into .*accepted: the name of a .safe"):
        read_tensors(shards)


@pytest.mark.parametrize(
    ("weight_map", "match"),
    [
        ({"t1": "part3.safetensors"}, r"names the shard 'part3.safetensors', which is not in the"),
        ({"t1": "part1.bin"}, r"puts 't1' into 'part1.bin'; accepted: the name of"),
        ({"t1": "part1.safetensors", "t5": "part1.safetensors"}, r"disagree: 't5' is not in it"),
        ({"t0": "part1.safetensors"}, r"disagree: 't0' is not in it"),
        ({}, r"has no 'weight_map'"),
        (["t1"], r"has no 'weight_map'"),
    ],
)
def test_wrong_index(shards, weight_map, match):
    write_index(shards, weight_map)
    with pytest.raises(CheckpointError, match=match):
        read_tensors(shards)


def test_shard_with_more_than_the_index_says(shards):
    save_file({"t1": torch.ones(1), "t9": torch.ones(1)}, shards / "part1.safetensors")
    with pytest.raises(CheckpointError, match=r"disagree: 't9' is in it but not listed"):
        read_tensors(shards)


def test_truncated_shard(shards):
    path = shards / "part2.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"part2.safetensors \(\d+ bytes\) is damaged"):
        read_tensors(shards)


# --- pickles ----------------------------------------------------------------------------------


class Bomb:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickle_is_refused_and_never_opened(tmp_path):
    torch.save({"a": Bomb(tmp_path / "ran")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"only as 'pytorch_model.bin'.*can run code"):
        read_tensors(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_the_way_to_convert_a_pickle_works_and_runs_nothing_of_its_name(tmp_path):
    folder = tmp_path / 'it\'s a "model" $(mkdir ran)'
    folder.mkdir()
    shared = torch.randn(2, 3)
    torch.save({"a": shared, "b": shared, "c": shared.T}, folder / "pytorch_model';`mkdir ran`.bin")
    with pytest.raises(CheckpointError, match=r"convert it: python -c") as caught:
        read_tensors(folder)
    command = str(caught.value).partition("convert it: python ")[2]
    subprocess.run(f"{sys.executable} {command}", shell=True, check=True, cwd=tmp_path)
    found = read_tensors(folder)
    assert torch.equal(found["b"], shared)
    assert torch.equal(found["c"], shared.T)
    assert load_file(folder / "model.safetensors").keys() == {"a", "b", "c"}
    assert names_in(tmp_path) == [folder.name]


@pytest.mark.slow
def test_the_way_to_convert_shards_of_pickles_works(tmp_path):
    for number in (1, 2):
        name = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({f"t{number}": torch.ones(number)}, tmp_path / name)
    torch.save({"lr": torch.ones(1)}, tmp_path / "optimizer.pt")
    with pytest.raises(CheckpointError, match=r"only as 'pytorch_model-00001-of") as caught:
        read_tensors(tmp_path)
    command = str(caught.value).partition("convert it: python ")[2]
    subprocess.run(f"{sys.executable} {command}", shell=True, check=True)
    assert read_tensors(tmp_path).keys() == {"t1", "t2"}


def test_weights_of_another_library(tmp_path):
    (tmp_path / "tf_model.h5").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"Convert 'tf_model.h5' with the library that wrote"):
        read_tensors(tmp_path)


def test_no_weights_at_all(tmp_path):
    with pytest.raises(CheckpointError, match=r"accepted: model.safetensors, .* holds: nothing\.$"):
        read_tensors(tmp_path)
    snapshot = tmp_path / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"nothing\. From the Hub only safetensors are fetch"):
        read_tensors(snapshot)


def test_weights_that_the_disk_does_not_take(tmp_path):
    """A limit on the size of files stands for a full disk, which a test can't have."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(
            CheckpointError, match=r"can't write .*x\.safetensors: it gets larger .*ulimit -f\)$"
        ):
            write_safetensors(tmp_path / "x.safetensors", {"a": torch.zeros(9999)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_a_path_that_is_not_utf8_is_no_damage(tmp_path):
    path = tmp_path / "m\udce9" / "model.safetensors"
    with pytest.raises(CheckpointError, match=r"opens no path that is not UTF-8; rename"):
        read_safetensors(path)
