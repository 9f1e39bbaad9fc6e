"""What a function of this room shows of its recipe's settings: in its signature and its help."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any, TypeVar

from pydantic.fields import FieldInfo

from limbeck.config import SHOWN, Settings
from limbeck.config._describe import alternatives
from limbeck.system_errors import machine_errors

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def takes_settings(settings: type[Settings]) -> Callable[[FunctionT], FunctionT]:
    """Makes a function with `**settings` show those of its recipe, with their defaults.

    What the system refuses on the way, and nobody below has put in words, it raises as
    `MachineError`.

    Args:
        settings: Class of the recipe's settings; the function has parameters of its own for those
            that are required.
    """

    def show(inner: FunctionT) -> FunctionT:
        function = machine_errors()(inner)  # which keeps name and signature
        own = inspect.signature(inner)
        *first, rest = own.parameters.values()
        open_fields = {
            name: field
            for name, field in settings.model_fields.items()
            if name not in own.parameters
        }
        shown = {n: f for n, f in open_fields.items() if SHOWN in f.metadata}
        parameters = [*first, *(_parameter(n, f) for n, f in shown.items()), rest]
        function.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        others = ", ".join(name for name in open_fields if name not in shown)
        lines = [f"    {name}: {_describe(field)}" for name, field in shown.items()]
        function.__doc__ = "\n".join(
            [
                inspect.cleandoc(function.__doc__ or ""),
                "",
                "Settings:",
                *lines,
                "",
                f"Further settings, as `limbeck init` describes them: {others}.",
            ]
        )
        return function

    return show


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.get_default(call_default_factory=True, validated_data={}),
        annotation=_name_types(field.annotation),
    )


def _name_types(annotation: Any) -> Any:
    """Returns an annotation without what checks and converts values, which no reader looks for."""
    members = list(alternatives(annotation))
    if not any(metadata for _, metadata in members):
        return annotation
    return reduce(or_, [member for member, _ in members])


def _describe(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())
