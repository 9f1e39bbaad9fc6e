"""CamemBERT: RoBERTa, in French.

Source: Martin et al. 2020, https://arxiv.org/abs/1911.03894.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from limbeck.models import _fields as fields
from limbeck.models import roberta
from limbeck.models._classes import make_classes


@dataclass(frozen=True, kw_only=True)
class CamembertConfig(roberta.RobertaConfig):
    """RoBERTa's, with the default size of vocabulary that `transformers` gives this family."""

    model_type: ClassVar[str] = "camembert"

    vocab_size: int = fields.size(30522)


ARCHITECTURE = dataclasses.replace(
    roberta.ARCHITECTURE, class_prefix="Camembert", config_type=CamembertConfig
)
globals().update(make_classes(ARCHITECTURE, module=__name__))
