"""XLM-RoBERTa: RoBERTa, in a hundred languages.

Source: Conneau et al. 2020, https://arxiv.org/abs/1911.02116.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from limbeck.models import _fields as fields
from limbeck.models import roberta
from limbeck.models._classes import make_classes


@dataclass(frozen=True, kw_only=True)
class XLMRobertaConfig(roberta.RobertaConfig):
    """RoBERTa's, with the default size of vocabulary that `transformers` gives this family."""

    model_type: ClassVar[str] = "xlm-roberta"

    vocab_size: int = fields.size(30522)


ARCHITECTURE = dataclasses.replace(
    roberta.ARCHITECTURE, class_prefix="XLMRoberta", config_type=XLMRobertaConfig
)
globals().update(make_classes(ARCHITECTURE, module=__name__))
