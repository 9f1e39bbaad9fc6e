"""A family's classes, one a kind, under the names that users know."""

from __future__ import annotations

from limbeck.models._architecture import Architecture
from limbeck.models._model import Model


def make_classes(architecture: Architecture, *, module: str) -> dict[str, type[Model]]:
    """Makes a family's classes: `BertModel`, `BertForMaskedLM` and so on, by name.

    Args:
        architecture: The family.
        module: Name of the module that is to hold them, so that they pickle.
    """
    classes = {}
    for kind in architecture.kinds:
        name = architecture.class_name(kind)
        classes[name] = type(
            name,
            (Model,),
            {
                "__doc__": kind.summary,
                "__module__": module,
                "__qualname__": name,
                "architecture": architecture,
                "kind": kind,
            },
        )
    return classes
