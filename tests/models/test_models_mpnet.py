"""MPNet's own: distances beyond the exact buckets, where they are cut logarithmically."""

import torch
import transformers
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

from limbeck.models.mpnet import DistanceBias


def test_distances_far_away_are_theirs():
    bias = DistanceBias(torch.nn.Embedding(32, 4))
    theirs = MPNetEncoder(
        transformers.MPNetConfig(hidden_size=16, num_attention_heads=4, num_hidden_layers=0)
    )
    theirs.relative_attention_bias.load_state_dict(bias.table.state_dict())
    hidden = torch.zeros(1, 300, 1)
    torch.testing.assert_close(bias(hidden), theirs.compute_position_bias(hidden))
