"""The chunked sum equals the plain formula in value and in every gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.losses import Compared, Views, build_loss, sum_over_chunks


class Head(nn.Module):
    """A transform and a tied decoder, as in a masked-LM head."""

    def __init__(self, hidden: int, vocabulary: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, hidden, dtype=torch.float64)
        self.decoder = nn.Parameter(torch.randn(vocabulary, hidden, dtype=torch.float64))
        self.unused = nn.Parameter(torch.randn(3, dtype=torch.float64))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.dense(hidden)) @ self.decoder.T


@pytest.mark.parametrize("num_rows", [0, 1, 5, 12])
@pytest.mark.parametrize("chunk_rows", [1, 5, 100])
def test_equals_plain_sum(num_rows: int, chunk_rows: int) -> None:
    torch.manual_seed(num_rows)
    head, teacher_head = Head(6, 20), Head(6, 20)
    hidden = torch.randn(num_rows, 6, dtype=torch.float64, requires_grad=True)
    teacher_hidden = torch.randn(num_rows, 6, dtype=torch.float64)
    labels = torch.randint(0, 20, (num_rows,))
    soft_targets, masked_lm = build_loss("soft_targets", {}), build_loss("masked_lm", {})

    def loss(chunk: torch.Tensor, rows: slice) -> torch.Tensor:
        with torch.no_grad():
            teacher = teacher_head(teacher_hidden[rows])
        student = Views(logits=head(chunk))
        both = Compared(student=student, teacher=Views(logits=teacher), labels=labels[rows])
        return 5 * soft_targets.sum(both) + 2 * masked_lm.sum(both)

    def run(value: torch.Tensor) -> list[torch.Tensor | None]:
        for tensor in (hidden, *head.parameters()):
            tensor.grad = None
        (0.3 * value).backward()
        return [value.detach(), hidden.grad, *(p.grad for p in head.parameters())]

    plain = run(loss(hidden, slice(None)) + 0 * head.dense.weight.sum())
    chunked = run(
        sum_over_chunks(loss, hidden, parameters=list(head.parameters()), chunk_rows=chunk_rows)
    )
    for expected, actual in zip(plain, chunked, strict=True):
        if expected is None or actual is None:
            assert expected is None or not expected.any()
            assert actual is None or not actual.any()
        else:
            torch.testing.assert_close(actual.double(), expected, rtol=1e-12, atol=1e-12)


def test_never_holds_more_rows_than_a_chunk() -> None:
    head, seen = Head(6, 20), []

    def loss(chunk: torch.Tensor, rows: slice) -> torch.Tensor:
        logits = head(chunk)
        seen.append(logits.shape[0])
        return logits.square().sum()

    hidden = torch.randn(11, 6, dtype=torch.float64, requires_grad=True)
    sum_over_chunks(loss, hidden, parameters=list(head.parameters()), chunk_rows=4).backward()
    assert seen == [4, 4, 3]


def test_without_gradient_gives_the_same_value() -> None:
    head, hidden = Head(6, 20), torch.randn(11, 6, dtype=torch.float64)

    def loss(chunk: torch.Tensor, rows: slice) -> torch.Tensor:
        return head(chunk).square().sum()

    with torch.no_grad():
        value = sum_over_chunks(loss, hidden, parameters=list(head.parameters()), chunk_rows=4)
        torch.testing.assert_close(value, loss(hidden, slice(None)))


def test_half_precision_gradients_keep_small_values() -> None:
    """In fp16 the gradient of one of many rows would vanish without a scale."""
    head = nn.Linear(4, 3).half()
    hidden = torch.randn(6, 4, dtype=torch.float16, requires_grad=True)

    def loss(chunk: torch.Tensor, rows: slice) -> torch.Tensor:
        return head(chunk).float().sum() * 1e-8

    value = sum_over_chunks(loss, hidden, parameters=list(head.parameters()), chunk_rows=2)
    (value * 65536).backward()
    expected = head.weight.detach().sum(0).float() * 1e-8 * 65536
    torch.testing.assert_close(hidden.grad[0].float(), expected, rtol=0.05, atol=1e-6)


def test_fp16_autocast_keeps_small_gradients_of_float32_rows() -> None:
    """Layer norm gives float32 rows under autocast; the head's own gradients are still fp16."""
    torch.manual_seed(0)
    head = nn.Linear(4, 3)
    hidden = torch.randn(6, 4, requires_grad=True)

    def loss(chunk: torch.Tensor, rows: slice) -> torch.Tensor:
        return head(chunk).float().sum() * 1e-8

    with torch.autocast("cpu", dtype=torch.float16):
        value = sum_over_chunks(loss, hidden, parameters=list(head.parameters()), chunk_rows=2)
    (value * 65536).backward()
    expected = head.weight.detach().sum(0) * 1e-8 * 65536
    torch.testing.assert_close(hidden.grad[0], expected, rtol=0.05, atol=1e-6)
