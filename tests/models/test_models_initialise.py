"""New weights: every one is set, and what nobody knows how to set is refused."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import pytest
import torch
from model_oracle import CASE_IDS, CASES, FAMILIES, our_class, our_config
from torch import nn

from limbeck import SettingsError
from limbeck.models._kinds import ENCODER
from limbeck.nn import initialise

EMPTY = nn.Module.to_empty


def fill_with_nan(self, *, device, recurse=True):
    """`to_empty` whose memory is known to hold nothing of use."""
    EMPTY(self, device=device, recurse=recurse)
    with torch.no_grad():
        for tensor in itertools.chain(self.parameters(), self.buffers()):
            tensor.fill_(torch.nan)
    return self


@pytest.mark.parametrize(("family", "kind"), CASES, ids=CASE_IDS)
def test_every_weight_is_set(family, kind, monkeypatch):
    monkeypatch.setattr(nn.Module, "to_empty", fill_with_nan)
    model = our_class(family, kind)(our_config(family))
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    assert tensors.keys() >= model.state_dict().keys()
    assert [name for name, tensor in tensors.items() if not tensor.isfinite().all()] == []


class ScaledNorm(nn.Module):
    """A norm that this library has never met."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.empty(4))
        self.register_buffer("scale", torch.empty(1))


class DrawnNorm(ScaledNorm):
    def draw(self, *, std: float) -> None:
        nn.init.constant_(self.gain, std)
        self.scale.fill_(2.0)


class WiderLinear(nn.Linear):
    """A known module's child that holds more than its parent."""

    def __init__(self) -> None:
        super().__init__(4, 4)
        self.extra = nn.Parameter(torch.empty(1))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            ScaledNorm,
            r"norm is a ScaledNorm and holds gain, scale, .*; accepted: Embedding, .* draw\(std",
        ),
        (lambda: nn.RMSNorm(4), r"1\.norm is an RMSNorm and holds weight"),
        (WiderLinear, r"1\.norm is a WiderLinear and holds weight, bias, extra"),
    ],
)
def test_unknown_modules_are_refused(part, message):
    stack = nn.Sequential(nn.Linear(4, 4), nn.ModuleDict({"norm": part()}))
    with pytest.raises(SettingsError, match=message):
        initialise(stack, std=0.1)


def test_an_unknown_module_stops_a_model():
    """With a part built as models build theirs: without memory."""
    family = our_class("bert", ENCODER)

    def build_encoder(config):
        encoder = family.architecture.build_encoder(config)
        encoder.norm = ScaledNorm()
        return encoder

    class Odd(family):
        architecture = dataclasses.replace(family.architecture, build_encoder=build_encoder)

    with pytest.raises(SettingsError, match=r"encoder\.norm is a ScaledNorm and holds gain"):
        Odd(our_config("bert"))


def test_a_module_may_draw_itself():
    norm = DrawnNorm()
    initialise(nn.Sequential(norm), std=0.25)
    assert norm.gain.tolist() == [0.25] * 4
    assert norm.scale.item() == 2


def test_what_a_known_module_leaves_out():
    parts = nn.Sequential(
        nn.Linear(3, 3, bias=False),
        nn.LayerNorm(3, bias=False),
        nn.LayerNorm(3, elementwise_affine=False),
    )
    initialise(parts, std=0.1)
    assert [tuple(p.shape) for p in parts.parameters()] == [(3, 3), (3,)]
    assert parts[1].weight.tolist() == [1, 1, 1]


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_keep_their_order(family):
    """One seed gives one model, drawn from the embeddings up, and the generator moves on."""
    torch.manual_seed(5)
    model = our_class(family, ENCODER)(our_config(family))
    torch.manual_seed(5)
    again = copy.deepcopy(model.encoder.embeddings)
    initialise(again, std=0.02, cut=model.config.weight_cut)
    drawn = again.state_dict()
    for name, tensor in model.encoder.embeddings.state_dict().items():
        assert torch.equal(tensor, drawn[name]), name
