"""No key in a setting: settings stand in records, and messages say them again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from limbeck.errors import SettingsError

KEY_HELP: Final = (
    "put the key into the environment, and its variable's name, such as OPENAI_API_KEY, into "
    "teacher_options.key_variable"
)
_NAMES = re.compile(
    r"(key|token|secret|password|passwd|pwd|signature|sig|auth|authorization|code|credentials?)\Z",
    re.IGNORECASE,
)
"""What names of keys end with, in settings and in addresses: `api_key`, `?sig=`."""


def names_secret(name: str) -> bool:
    """Tells whether something of that name is a key.

    Example:
        >>> names_secret("api_key"), names_secret("api-version"), names_secret("max_tokens")
        (True, False, False)
    """
    return _NAMES.search(name) is not None


def refuse_secrets(names: Iterable[str]) -> None:
    """Refuses settings of a teacher that are meant for a key, which is not said again.

    Args:
        names: Names that are no settings.

    Raises:
        SettingsError: Says where the key belongs.
    """
    for name in filter(names_secret, names):
        raise SettingsError(
            f"teacher_options.{name} is no setting, since a key would stand in records; {KEY_HELP}"
        )


def without_secret(address: str, *, setting: str) -> str:
    """Returns what a setting holds, unless it is an address with a key in it.

    Raises:
        SettingsError: If it is; without saying it.
    """
    if "://" not in address:
        return address
    rest = address.partition("://")[2]
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    try:
        query = urlsplit(address).query
    except ValueError:
        query = rest.partition("?")[2]
    if "@" in host or any(names_secret(name) for name, _ in parse_qsl(query)):
        raise SettingsError(
            f"{setting} has a name, password or key in it, which would stand in records; {KEY_HELP}"
        )
    return address
