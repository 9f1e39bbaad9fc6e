"""What every method has: a name, settings, and a model that it makes of another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, SerializeAsAny

from limbeck import listing
from limbeck.config import Settings
from limbeck.errors import SettingsError
from limbeck.models import Model


class MethodSettings(Settings):
    """Base of the methods' settings; a method's module has its own as `SettingsType`.

    Beside it stands `apply(model, settings)`, which returns another model and leaves the given one
    as it is.
    """

    keeps_vocabulary: ClassVar[bool] = True
    """Whether the model's tokenizer stays the same; a student that starts so reads as its teacher
    does."""

    needs_weights: ClassVar[bool] = False
    """Whether the weights decide what is made, and not the model's shape alone."""

    method: str
    """Name of the method, as `limbeck list methods` shows it."""


def build_method(values: Mapping[str, Any], *, where: str = "method") -> MethodSettings:
    """Makes a method's settings of a table with its name as `method` and what it is told.

    Args:
        values: Such as `{"method": "keep_layers", "layers": 3}`.
        where: What the message of an error begins with.

    Raises:
        SettingsError: If the name is missing or there is no such method, or a setting is wrong.
    """
    names = listing.list_names("limbeck.methods")
    if "method" not in values:
        raise SettingsError(f"{where} = {dict(values)} names no method; accepted: {names}")
    settings_type: type[MethodSettings] = _load(str(values["method"])).SettingsType
    return settings_type.from_values(dict(values), where=where)


def apply_methods(model: Model, methods: Iterable[MethodSettings | Mapping[str, Any]]) -> Model:
    """Applies methods one after the other; the given model is left as it is.

    Args:
        model: What to start from, such as a student's teacher.
        methods: Each with its settings, or as a table such as
            `{"method": "keep_layers", "layers": 3}`.

    Raises:
        SettingsError: If a method or its settings are wrong, or it can't be applied to the model.
    """
    built = build_methods(methods, where="methods")
    given = built if _is_list(built) else (built,)
    wrong = [one for one in given if not (_is_list(built) and isinstance(one, MethodSettings))]
    if wrong:
        raise SettingsError(
            f"methods: {wrong[0]!r} is not accepted; accepted: a list of methods, each as its "
            'settings or as a table such as {"method": "keep_layers", "layers": 3}'
        )
    for settings in built:
        model = _load(settings.method).apply(model, settings)
    return model


def start_student(teacher: Model, methods: Iterable[MethodSettings]) -> Model:
    """Makes a student that reads what its teacher's tokenizer gives; the teacher is left as it is.

    Args:
        teacher: What to start from.
        methods: What is done to it.

    Raises:
        SettingsError: If a method can't be applied, or changes the vocabulary.
    """
    chosen = list(methods)
    for settings in chosen:
        if not settings.keeps_vocabulary:
            raise SettingsError(
                f"{settings.method} changes the vocabulary, and a student reads what its teacher's "
                "tokenizer gives; trim the teacher first, with limbeck trim, and give what that "
                "makes"
            )
    return apply_methods(teacher, chosen)


def build_methods(values: Any, *, where: str) -> Any:
    """Makes settings of a list of methods, and passes on what is no list for others to refuse."""
    if not _is_list(values):
        return values
    return tuple(
        build_method(value, where=f"{where}[{place}]") if isinstance(value, Mapping) else value
        for place, value in enumerate(values)
    )


def _is_list(values: Any) -> bool:
    return isinstance(values, Iterable) and not isinstance(values, str | Mapping | MethodSettings)


def _load(method: str) -> Any:
    return listing.load("limbeck.methods", method)


Start = Annotated[
    tuple[SerializeAsAny[MethodSettings], ...],
    BeforeValidator(partial(build_methods, where="start")),
]
"""A student's start in a recipe's settings: the methods that are applied to its teacher."""
