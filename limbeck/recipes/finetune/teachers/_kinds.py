"""Which kind of teacher a single name is taken for."""

from __future__ import annotations

from typing import Final

from limbeck import listing
from limbeck.recipes.finetune.teachers._model import ModelTeacher
from limbeck.recipes.finetune.teachers._teacher import Teacher

_ROOM: Final = __name__.rpartition(".")[0]
_UNRECOGNISED: Final = "own_model"


def find_kind_of_one(name: str) -> type[Teacher]:
    """Returns the kind of teacher that a name is taken for.

    Files and addresses are told by their name alone, before any is looked for on the Hub.
    """
    kinds = {name: listing.load(_ROOM, name) for name in listing.list_names(_ROOM)}
    in_order = sorted(kinds.values(), key=lambda kind: issubclass(kind.TeacherType, ModelTeacher))
    fitting = (kind for kind in in_order if kind.recognises(name))
    found: type[Teacher] = next(fitting, kinds[_UNRECOGNISED]).TeacherType
    return found
