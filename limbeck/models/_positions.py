"""How long an input may be, told from `config.json` alone: exported files are run without torch.

A family's own module is the one that knows, and needs torch. What most families do stands here too,
and `tests/models` holds both against each other; a family that is not here is asked itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final


def read_lengths(config: Mapping[str, Any]) -> tuple[int | None, int] | None:
    """Returns the longest input in tokens, and the longest that the model was trained with.

    Args:
        config: The content of a `config.json`.

    Returns:
        The first is None where the family sets no limit. None as a whole where the file alone does
        not tell: it is of a family that is not listed here, or leaves a number out, or has a wrong
        one.
    """
    count = _RESERVED.get(str(config.get("model_type")).replace("-", "_"))
    if count is None:
        return None
    positions = config.get("max_position_embeddings", config.get("n_positions"))
    reserved = count(config)
    if not _is_count(positions) or not (reserved is None or _is_count(reserved)):
        return None
    trained = positions - (reserved or 0)
    if trained < 1:
        return None
    return (None if reserved is None else trained), trained


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _none(_: Mapping[str, Any]) -> int:
    return 0


def _up_to_padding(config: Mapping[str, Any]) -> Any:
    padding: Any = config.get("pad_token_id")
    return padding + 1 if _is_count(padding) else "unknown"


def _two(_: Mapping[str, Any]) -> int:
    return 2


def _where_biased(config: Mapping[str, Any]) -> int | None:
    return 0 if config.get("position_biased_input", True) else None


_RESERVED: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "albert": _none,
    "bert": _none,
    "camembert": _up_to_padding,
    "deberta_v2": _where_biased,
    "distilbert": _none,
    "electra": _none,
    "gpt2": _none,
    "mobilebert": _none,
    "modernbert": _none,
    "mpnet": _two,
    "roberta": _up_to_padding,
    "xlm_roberta": _up_to_padding,
}
"""How many positions no token stands at, as `ModelConfig.reserved_positions` says it."""
