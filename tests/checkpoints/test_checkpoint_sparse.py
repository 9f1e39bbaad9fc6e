"""Files without zeros: read back are the numbers that were kept, and no file asks for too much."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.checkpoints import read_tensors, write_safetensors
from limbeck.checkpoints.sparse import pack, read_sparse, unpack, write_sparse
from limbeck.errors import CheckpointError


def make_matrix(rows, columns, density, seed):
    generator = np.random.default_rng(seed)
    kept = generator.random((rows, columns)) < density
    return torch.from_numpy((generator.normal(size=(rows, columns)) * kept).astype(np.float32))


def quantise(matrix):
    """int8 with a scale a row, in NumPy."""
    numbers = matrix.numpy()
    scales = np.maximum(np.abs(numbers).max(axis=1) / np.float32(127), np.finfo(np.float32).tiny)
    return np.round(numbers / scales[:, None]).astype(np.int8), scales


@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 1200),
    density=st.sampled_from([0.0, 0.002, 0.05, 0.15, 0.6, 1.0]),
    seed=st.integers(0, 9),
)
def test_what_is_read_is_what_was_kept(rows, columns, density, seed):
    matrix = make_matrix(rows, columns, density, seed)
    whole, scales = quantise(matrix)
    parts = pack(matrix)
    assert torch.equal(unpack(parts), torch.from_numpy(whole.astype(np.float32) * scales[:, None]))
    assert (unpack(parts)[matrix == 0] == 0).all()
    assert sum(part.nbytes for part in parts.values()) <= whole.nbytes + 4 * rows + 16


def test_the_parts_are_compressed_sparse_rows():
    matrix = make_matrix(40, 3000, 0.004, 1)  # with gaps of more than 256
    whole, scales = quantise(matrix)
    parts = {name: part.numpy() for name, part in pack(matrix).items()}
    columns = []
    for start, end in zip(parts["starts"], parts["starts"][1:], strict=False):
        columns.append(np.cumsum(parts["gaps"][start:end].astype(int) + 1) - 1)
    triple = (parts["values"], np.concatenate(columns), parts["starts"])
    read = scipy.sparse.csr_matrix(triple, shape=(40, int(parts["columns"][0])))
    assert (read.toarray() == whole).all()
    assert (parts["scales"] == scales).all()
    assert len(parts["values"]) > (whole != 0).sum()  # of which some bridge


def test_a_file(tmp_path):
    tensors = {
        "a.weight": make_matrix(30, 50, 0.15, 0),
        "b.weight": make_matrix(5, 7, 1, 1),
        "kept.weight": make_matrix(30, 50, 0.15, 2),
        "a.bias": torch.randn(30),
    }
    path = tmp_path / "model.sparse.safetensors"
    write_sparse(path, tensors, keep_float={"kept.weight"})
    found = read_tensors(tmp_path)
    assert found.keys() == tensors.keys()
    assert torch.equal(found["a.bias"], tensors["a.bias"])
    assert torch.equal(found["kept.weight"], tensors["kept.weight"])
    for name in ("a.weight", "b.weight"):
        bound = tensors[name].abs().amax(dim=1, keepdim=True) / 127 / 2 * 1.001
        assert ((found[name] - tensors[name]).abs() <= bound).all()
        assert torch.equal(found[name], unpack(pack(tensors[name])))


PARTS = {
    "scales": torch.ones(2),
    "values": torch.ones(3, dtype=torch.int8),
    "gaps": torch.zeros(3, dtype=torch.uint8),
    "starts": torch.tensor([0, 1, 3], dtype=torch.int32),
    "columns": torch.tensor([2]),
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"gaps": None},
            r"'w' can't be unpacked: it has the parts columns, scales, st",
        ),
        ({"starts": torch.tensor([0, 4, 3])}, r"its starts are torch\.int64 of \(3,\)"),
        ({"starts": torch.tensor([0, 4, 3], dtype=torch.int32)}, r"do not divide its 3 values"),
        ({"starts": torch.tensor([1, 2, 3], dtype=torch.int32)}, r"do not divide its 3 values"),
        ({"values": torch.ones(2, dtype=torch.int8)}, r"its rows do not divide its 2 values"),
        ({"columns": torch.tensor([1])}, r"a number stands in column 1 of 1"),
        ({"columns": torch.tensor([-1])}, r"its columns are no number"),
        ({"columns": torch.tensor([2**60])}, r"at most 10,000,000,000 \(LIMBECK_MAX_PARAMETERS"),
        ({"scales": torch.ones(2).double()}, r"its scales are torch\.float64 of \(2,\)"),
        ({"scales": torch.ones(3)}, r"it has 2 rows, and 3 scales; export the model again"),
    ],
)
def test_a_file_that_is_none(tmp_path, changes, message):
    parts = {name: part for name, part in {**PARTS, **changes}.items() if part is not None}
    path = tmp_path / "model.sparse.safetensors"
    write_safetensors(path, {f"w:{name}": part for name, part in parts.items()})
    with pytest.raises(CheckpointError, match=message):
        read_sparse(path)


def test_a_whole_matrix_of_another_shape(tmp_path):
    path = tmp_path / "model.sparse.safetensors"
    values = torch.ones(2, 3, dtype=torch.int8)
    write_safetensors(path, {"w:values": values, "w:scales": torch.ones(3)})
    with pytest.raises(CheckpointError, match=r"it has 2 rows, and 3 scales"):
        read_sparse(path)
