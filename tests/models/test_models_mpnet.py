"""MPNet's own: distances beyond the exact buckets, where they are cut logarithmically."""

import pytest
import torch
import transformers
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

import limbeck
from limbeck.errors import CheckpointError
from limbeck.models.mpnet import DistanceBias


def test_distances_far_away_are_theirs():
    bias = DistanceBias(torch.nn.Embedding(32, 4))
    theirs = MPNetEncoder(
        transformers.MPNetConfig(hidden_size=16, num_attention_heads=4, num_hidden_layers=0)
    )
    theirs.relative_attention_bias.load_state_dict(bias.table.state_dict())
    hidden = torch.zeros(1, 300, 1)
    torch.testing.assert_close(bias(hidden), theirs.compute_position_bias(hidden))


@pytest.mark.parametrize("number", [16, 64, 512])
def test_other_numbers_of_buckets_are_refused(number, tmp_path):
    """`transformers` puts distances in 32 whatever the file says, and fails where it says fewer."""
    config = transformers.MPNetConfig(relative_attention_num_buckets=number)
    config.save_pretrained(tmp_path)
    with pytest.raises(
        CheckpointError, match=rf"relative_attention_num_buckets is {number}; accepted: 32\."
    ):
        limbeck.AutoConfig.from_pretrained(tmp_path)
