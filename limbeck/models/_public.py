"""What users import from `limbeck` itself: the listing of this room decides."""

from __future__ import annotations

from typing import Any

from limbeck import listing
from limbeck.models import _auto
from limbeck.models._architecture import Architecture
from limbeck.models._kinds import KINDS


def public_names() -> dict[str, Any]:
    """Returns the `Auto...` classes, and each family's configuration and models, by name."""
    names = ["AutoConfig", *(kind.auto_name for kind in KINDS)]
    found = {name: getattr(_auto, name) for name in names}
    for family in listing.list_names("limbeck.models"):
        module = listing.load("limbeck.models", family)
        found |= {name: getattr(module, name) for name in family_names(module.ARCHITECTURE)}
    return found


def family_names(architecture: Architecture) -> list[str]:
    """Returns the names of a family's configuration and classes, as its module has them."""
    return [architecture.config_type.__name__, *architecture.class_names]
