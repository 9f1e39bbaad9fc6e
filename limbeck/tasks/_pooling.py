"""How a folder of sentence-transformers says that one vector is made of a text."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from limbeck.errors import CheckpointError
from limbeck.files import read_json
from limbeck.nn import MeanPooler

Pooling: TypeAlias = Literal["mean", "cls", "max"]

_CONFIG: Final = Path("1_Pooling/config.json")
# A mean that is divided by the root of the length has the same direction, and so the same cosine.
_MODES: Final[dict[str, Pooling]] = {
    "mean": "mean",
    "mean_tokens": "mean",
    "mean_sqrt_len_tokens": "mean",
    "cls": "cls",
    "cls_token": "cls",
    "max": "max",
    "max_tokens": "max",
}


def read_pooling(folder: Path) -> Pooling:
    """Returns the pooling of a model folder; the mean where it says nothing.

    Raises:
        CheckpointError: If it has another one, several, or a layer after it.
    """
    if not (folder / _CONFIG).is_file():
        return "mean"
    values = read_json(folder / _CONFIG, error=CheckpointError)
    prefix = "pooling_mode_"
    modes = [name.removeprefix(prefix) for name in values if name.startswith(prefix)]
    modes = [mode for mode in modes if values[prefix + mode] is True]
    named = values.get("pooling_mode")  # as newer versions write it
    if named is not None:
        modes = [str(mode) for mode in named] if isinstance(named, list) else [str(named)]
    dense = sorted(path.parent.name for path in folder.glob("*_Dense/config.json"))
    if dense or len(modes) != 1 or modes[0] not in _MODES:
        found = f"a layer after the pooling ({dense[0]})" if dense else f"pooling by {modes}"
        raise CheckpointError(
            f"{folder / _CONFIG}: the model has {found}, which is not done here; accepted: "
            f"{', '.join(get_args(Pooling))} alone. To score it by one of these all the same, set "
            "task_options.pooling=mean, for example"
        )
    return _MODES[modes[0]]


def pool(hidden: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Makes one vector of each text.

    Shape:
        hidden: (batch, sequence, hidden_size).
        mask: (batch, sequence), 1 where real.
        Returns (batch, hidden_size).

    Source:
        Reimers, Gurevych, "Sentence-BERT", EMNLP 2019, section 3: CLS, MEAN and MAX.
    """
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "max":
        return hidden.masked_fill(mask[:, :, None] == 0, -torch.inf).amax(dim=1)
    mean: Tensor = MeanPooler()(hidden, attention_mask=mask)
    return mean
