"""`transformers` itself: found only when it is needed, kept quiet, and its faults as ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from limbeck import checkpoints, limits
from limbeck.errors import CheckpointError, LimbeckError, require_extra, shorten
from limbeck.models._kinds import Kind

EXTRA = "transformers"
PIP_LINE = f'pip install "limbeck[{EXTRA}]"'

# What a folder may hold beside a plain model, and why it is not opened.
_REFUSED_KEYS = {
    "auto_map": "asks for code of its own. Limbeck never runs code from a model folder",
    "quantization_config": "has quantised weights. Give the model's folder as it was before",
}
_ADAPTER_NAME = "adapter_config.json"
_IMPLEMENTATIONS = (None, "eager", "sdpa")
"""Ways of computing that are the library's own; others may name code on the Hub, which it runs."""


def import_transformers(purpose: str) -> Any:
    """Returns the library.

    Raises:
        MissingExtraError: If it is not installed; `purpose` is what needs it.
    """
    return require_extra("transformers", extra=EXTRA, purpose=purpose)


def require_plain(folder: Path) -> None:
    """Refuses what would have code run or something else fetched, before the library sees it.

    Raises:
        CheckpointError: Says what the folder asks for.
    """
    values = checkpoints.read_config(folder)
    for key, reason in _REFUSED_KEYS.items():
        if values.get(key):
            raise CheckpointError(
                f"{folder / checkpoints.CONFIG_NAME} {reason} ({key}: {shorten(values[key])})."
            )
    for key, value in _flatten(values):
        if key.endswith("_implementation") and value not in _IMPLEMENTATIONS:
            raise CheckpointError(
                f"{folder / checkpoints.CONFIG_NAME} asks for the {key} {shorten(value)}, which "
                "may be code on the Hub that transformers would fetch and run; accepted: eager or "
                "sdpa. Remove the key from a copy of the folder."
            )
        limit = limits.LABELS if key == "num_labels" else limits.LAYERS if "layer" in key else None
        # The library makes lists of these lengths.
        if limit is not None and isinstance(value, int) and value > limit.value:
            raise CheckpointError(
                f"{folder / checkpoints.CONFIG_NAME}: {key} is {shorten(value)}; accepted: "
                f"{limit.describe()}"
            )
    if (folder / _ADAPTER_NAME).exists():
        raise CheckpointError(
            f"{folder} has an {_ADAPTER_NAME}: it is what was learned on top of another model. "
            "Merge the two with the library that made it, and give the folder of the result."
        )


def _flatten(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields all keys with their values, those of configurations within this one too."""
    for key, value in values.items():
        yield key, value
        if isinstance(value, dict):
            yield from _flatten(value)


def find_class_name(transformers: Any, family: str, kind: Kind) -> str | None:
    """Returns the name of the library's class for a family and kind; None if it has none."""
    mappings = transformers.models.auto.modeling_auto
    of_kind = f"FOR_{kind.name.upper()}_" if kind.has_head else ""
    name = getattr(mappings, f"MODEL_{of_kind}MAPPING_NAMES", {}).get(family)
    return name if isinstance(name, str) else None


@contextmanager
def speaking_for(transformers: Any, what: str) -> Iterator[None]:
    """Keeps the library quiet, and turns what it raises into an error that says where.

    Raises:
        CheckpointError: In place of whatever the library raises.
    """
    logging = transformers.utils.logging
    level, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except LimbeckError:
        raise
    except Exception as error:  # a library of hundreds of models raises whatever it likes
        reason = shorten(" ".join(str(error).split()), length=300, quoted=False)
        raise CheckpointError(
            f"{what}: transformers {transformers.__version__} can't read it: "
            f"{type(error).__name__}: {reason}"
        ) from error
    finally:
        logging.set_verbosity(level)
        if has_bars:
            logging.enable_progress_bar()
