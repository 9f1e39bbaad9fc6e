"""The base class of all settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from limbeck.config._describe import admits, settings_classes
from limbeck.config._explain import explain
from limbeck.errors import SettingsError

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)

ValueT = TypeVar("ValueT")
SHOWN = "shown in help"
Shown = Annotated[ValueT, SHOWN]
"""Type of a setting that the command's help shows, as in `epochs: Shown[float] = 3.0`: one of the
ten or so that most runs give. All settings are given and documented alike."""


class _SettingsMeta(ModelMetaclass):
    """Turns pydantic's error at construction into ours.

    The metaclass is the one place that sees the constructor call and nothing else: an own
    `__init__` would also run for nested settings and lose the place of what is wrong in them.
    """

    def __call__(cls: Any, *args: Any, **values: Any) -> Any:  # noqa: N805 - a class is its self
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            raise SettingsError(explain(cls, error, where=lambda _: cls.__name__)) from None


class Settings(BaseModel, metaclass=_SettingsMeta):
    """Base of all settings: frozen, no unknown keys, each field documented by the string under it.

    Raises:
        SettingsError: If a value is wrong; the message names every wrong setting, the value given,
            what is accepted and the nearest right name.

    Example:
        >>> class Heat(Settings):
        ...     temperature: float = 2.0
        >>> Heat(temperature=3).temperature
        3.0
        >>> Heat(temprature=3)
        Traceback (most recent call last):
        limbeck.errors.SettingsError: Heat: there is no setting 'temprature' (given: 3). Did you \
mean 'temperature'? Accepted: temperature.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )

    @classmethod
    def from_values(cls, values: dict[str, Any], *, where: str = "settings") -> Self:
        """Validates a plain dictionary, such as one read from JSON.

        Args:
            values: The settings by name; nested settings are dictionaries.
            where: What the message of an error begins with, such as a file's name.

        Raises:
            SettingsError: If a value is wrong.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(explain(cls, error, where=lambda _: where)) from None

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """Lays a partly given nested table over the default that this class has for it.

        Without this, giving one key of a nested table would send its other keys back to the
        nested class's defaults, past those which the outer class chose. Also keeps `true` from
        passing as the number 1.
        """
        if not isinstance(values, dict):
            return values
        completed = dict(values)
        for name, value in values.items():
            field = cls.model_fields.get(name)
            if field is None:
                continue
            if isinstance(value, bool) and not admits(field.annotation, bool):
                completed[name] = str(value).lower()  # text, which no number accepts
            elif not isinstance(value, dict):
                continue
            elif len(settings_classes(field.annotation)) == 1:
                default = field.get_default(call_default_factory=True, validated_data={})
                completed[name] = _lay_over(default, value)
        return completed


def _lay_over(default: Any, given: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(default, Settings):
        return given
    result = {name: getattr(default, name) for name in type(default).model_fields}
    for name, value in given.items():
        inner = result.get(name)
        result[name] = _lay_over(inner, value) if isinstance(value, dict) else value
    return result
