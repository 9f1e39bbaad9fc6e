"""What is told of positions without torch is what each family's own configuration says."""

from __future__ import annotations

import dataclasses

import pytest

from limbeck import listing
from limbeck.models import find_architecture
from limbeck.models._positions import read_lengths

FAMILIES = listing.list_names(listing.ROOMS["models"])


def variants(config):
    """The configuration, and others that move where tokens begin."""
    yield config
    names = {field.name for field in dataclasses.fields(config)}
    if "pad_token_id" in names:
        yield config.replace(pad_token_id=3)
    if "position_biased_input" in names:
        yield config.replace(position_biased_input=not config.position_biased_input)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_tells_what_its_family_knows(family):
    config_type = find_architecture(family).config_type
    for config in (config_type(), config_type().replace(**config_type.tiny_values)):
        for one in variants(config):
            longest = one.max_position_embeddings - (one.reserved_positions or 0)
            assert read_lengths(one.to_dict()) == (one.max_tokens, longest)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"model_type": "convbert", "max_position_embeddings": 512},
        {"model_type": "bert"},
        {"model_type": "bert", "max_position_embeddings": "512"},
        {"model_type": "bert", "max_position_embeddings": True},
        {"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": None},
        {"model_type": "roberta", "max_position_embeddings": 514},
        {"model_type": "mpnet", "max_position_embeddings": 2},
    ],
)
def test_a_file_that_does_not_tell(values):
    assert read_lengths(values) is None
