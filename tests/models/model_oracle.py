"""What the model tests share: tiny configurations, wide random weights, `transformers` beside.

A family is tested by being in the listing. What is its own comes from its configuration
(`tiny_values`) and its architecture, what is the own of `transformers` from looking at its classes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import safetensors.torch  # noqa: F401 - here, since it makes tables of types, which are patched
import torch
import transformers

from limbeck import listing
from limbeck.models import Kind, Model, find_architecture, find_class

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

# By BERT's names, as every family reads them.
SIZES = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
}
MAX_TOKENS = 16
ODD_EPS = 1e-3  # nobody's default: where the setting is forgotten, it shows
FAMILIES = listing.list_names("limbeck.models")
CASES = [(family, kind) for family in FAMILIES for kind in find_architecture(family).kinds]
CASE_IDS = [f"{family}-{kind.name}" for family, kind in CASES]
LANGUAGE_MODELS = [(family, kind) for family, kind in CASES if kind.ties_words]
LANGUAGE_MODEL_IDS = [f"{family}-{kind.name}" for family, kind in LANGUAGE_MODELS]
EXACT = {"rtol": 0.0, "atol": 1e-9}
COLLECT = frozenset({"hidden_states", "attentions"})


def num_labels(kind: Kind) -> int:
    return 2 if kind.name == "question_answering" else 5


def our_class(family: str, kind: Kind) -> type[Model]:
    return find_class(family, kind)


def tiny(family: str) -> dict[str, Any]:
    """The fields of a tiny model, by the family's own names."""
    config_type = find_architecture(family).config_type
    own = config_type.common_names
    sizes = {own.get(name, name): size for name, size in SIZES.items()}
    positions_name = own.get("max_position_embeddings", "max_position_embeddings")
    positions = {positions_name: MAX_TOKENS + (config_type().reserved_positions or 0)}
    odd: dict[str, Any] = {}
    for field in dataclasses.fields(config_type):
        if field.name.endswith("_eps"):
            odd[field.name] = ODD_EPS
        elif field.name == "type_vocab_size" and field.default:
            odd[field.name] = 3
    return {**sizes, **positions, **odd, **config_type.tiny_values}


def our_config(family: str, **changes: Any) -> Any:
    config_type = find_architecture(family).config_type
    named = {config_type.common_names.get(name, name): value for name, value in changes.items()}
    return config_type(**{**tiny(family), **named})


def their_class(family: str, kind: Kind) -> Any:
    return getattr(transformers, find_architecture(family).class_name(kind))


def their_config(family: str, **changes: Any) -> Any:
    """The same configuration in `transformers`, which reads what ours writes."""
    values = our_config(family, **changes).to_dict()
    return getattr(transformers, find_architecture(family).config_type.__name__)(
        **{name: value for name, value in values.items() if name != "model_type"}
    )


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    """What `transformers` always does in float32 it does in float64 here."""
    patches = (
        mock.patch.object(torch, "float32", torch.float64),
        mock.patch.object(torch, "float", torch.float64),
        mock.patch.object(torch.Tensor, "float", torch.Tensor.double),
    )
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


def their_model(family: str, kind: Kind, *, seed: int = 0, **changes: Any) -> Any:
    """A `transformers` model in float64 with weights, biases and norms drawn wide."""
    config = their_config(family, **{"num_labels": num_labels(kind), **changes})
    with in_float64():
        model = their_class(family, kind)(config).double()
    draw_wide(model, seed=seed)
    return model.eval()


def draw_wide(model: torch.nn.Module, *, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)


def ours_from(theirs: Any, folder: Path, kind: Kind) -> Model:
    """The same model as Limbeck loads it from what `transformers` saved."""
    theirs.save_pretrained(folder)
    family = theirs.config.model_type.replace("-", "_")
    return our_class(family, kind).from_pretrained(folder, dtype=torch.float64)


def theirs_from(folder: Path, family: str, kind: Kind) -> Any:
    """The model that `transformers` loads, with nothing missing and nothing left over."""
    with in_float64():
        model, info = their_class(family, kind).from_pretrained(
            folder, output_loading_info=True, dtype=torch.float64
        )
    assert not any(info.values()), info
    return model.eval()


def make_inputs(family: str, kind: Kind, *, padded: bool = True) -> dict[str, torch.Tensor]:
    """A padded batch with segments other than 0, and positions that do not start at 0."""
    config = our_config(family)
    generator = torch.Generator().manual_seed(1)
    shape = (3, 2, 11) if kind.has_choices else (3, 11)
    lengths = torch.tensor([11, 4, 8] if padded else [11, 11, 11])
    mask = (torch.arange(11) < lengths[:, None]).long()
    inputs = {
        "input_ids": torch.randint(2, 50, shape, generator=generator),
        "attention_mask": mask[:, None].expand(shape).contiguous() if kind.has_choices else mask,
        "position_ids": (torch.arange(11) + 3).expand(shape).contiguous(),
    }
    if num_types := getattr(config, "type_vocab_size", 0):
        inputs["token_type_ids"] = torch.randint(0, num_types, shape, generator=generator)
    padding = config.pad_token_id or 0
    ids = inputs["input_ids"]
    ids[ids == padding] = padding + 1
    ids.masked_fill_(inputs["attention_mask"] == 0, padding)
    return inputs


def their_inputs(theirs: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """The same inputs as `transformers` takes and counts them."""
    family = theirs.config.model_type.replace("-", "_")
    reserved = our_config(family).reserved_positions or 0
    given = dict(inputs)
    if "position_ids" in inputs:
        positions = inputs["position_ids"] + reserved
        # Some of its models do not flatten the positions of choices; one row serves all.
        given["position_ids"] = positions[:1, 0] if positions.dim() == 3 else positions
    taken = inspect.signature(theirs.forward).parameters
    return {name: value for name, value in given.items() if name in taken}


def run_theirs(theirs: Any, inputs: dict[str, Any], **arguments: Any) -> Any:
    with in_float64():
        return theirs(**their_inputs(theirs, inputs), **arguments)


FIELDS = ("last_hidden_state", "pooler_output", "logits", "start_logits", "end_logits")
_OF_TOKENS = ("last_hidden_state", "start_logits", "end_logits", "hidden_states")


def tensors_of(output: Any, mask: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """Every tensor of an output under a name of its own, 0 in the rows of padding if told.

    What stands there is each family's own, and nobody reads it.
    """
    found = {name: getattr(output, name, None) for name in FIELDS}
    for name in ("hidden_states", "attentions"):
        for index, tensor in enumerate(getattr(output, name, None) or ()):
            found[f"{name}.{index}"] = tensor
    there = {name: tensor for name, tensor in found.items() if tensor is not None}
    if mask is None:
        return there
    kept = mask.flatten(0, -2).double()
    return {name: _without_padding(name, tensor, kept) for name, tensor in there.items()}


def _without_padding(name: str, tensor: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    if name.startswith("attentions"):
        return tensor * kept[:, None, :, None]
    if name.startswith(_OF_TOKENS) or (
        name == "logits" and kept.shape in (tensor.shape, tensor.shape[:-1])
    ):
        return tensor * kept.reshape(kept.shape + (1,) * (tensor.dim() - 2))
    return tensor


def assert_same(given: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Everything that `transformers` gives; ours may have the bare encoder's outputs beside it."""
    assert given.keys() >= expected.keys()
    assert given.keys() - expected.keys() <= {"last_hidden_state", "pooler_output"}
    for name, tensor in expected.items():
        torch.testing.assert_close(given[name], tensor, msg=lambda m, n=name: f"{n}: {m}", **EXACT)


def assert_parity(family: str, kind: Kind, folder: Path, **changes: Any) -> None:
    """Outputs, collected tensors and gradients, with a padded batch.

    For the settings of a family that its tiny model leaves as they are.
    """
    theirs = their_model(family, kind, **changes)
    ours = ours_from(theirs, folder, kind)
    theirs.set_attn_implementation("eager")
    inputs = make_inputs(family, kind)
    mask = inputs["attention_mask"]
    asked = {"output_hidden_states": True, "output_attentions": True}
    expected = tensors_of(run_theirs(theirs, inputs, **asked), mask)
    given = tensors_of(ours(**inputs, collect=COLLECT), mask)
    assert_same(given, expected)
    fused = tensors_of(ours(**inputs), mask)
    assert_same(fused, {name: tensor for name, tensor in expected.items() if name in fused})
    assert_same_gradients(ours, theirs, given, expected)


def assert_same_gradients(
    ours: Model, theirs: Any, given: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]
) -> None:
    """Gradients of a sum that weighs each number of the outputs differently."""
    for outputs in (expected, given):
        total = torch.zeros((), dtype=torch.float64)
        for index, name in enumerate(sorted(expected.keys() & given.keys())):
            generator = torch.Generator().manual_seed(index)
            drawn = torch.randn(outputs[name].shape, generator=generator, dtype=torch.float64)
            total = total + (drawn * outputs[name]).sum()
        total.backward()
    names, head = ours.architecture.names, ours.kind.name
    found = names.write(
        {name: p.grad for name, p in ours.named_parameters() if p.grad is not None}, head=head
    )
    # Each name of a tied tensor: which comes first depends on the order of their modules.
    theirs_all = theirs.named_parameters(remove_duplicate=False)
    wanted = {name: p.grad for name, p in theirs_all if p.grad is not None}
    assert found.keys() - wanted.keys() == set()
    assert wanted.keys() - found.keys() <= names.tied.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(
            gradient, wanted[name], msg=lambda m, n=name: f"{n}: {m}", **EXACT
        )
