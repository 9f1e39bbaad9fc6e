"""Where a server is, and which key is sent there; neither has a secret that a record would keep."""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx2

from limbeck.errors import SettingsError, shorten
from limbeck.recipes._secrets import KEY_HELP
from limbeck.recipes.finetune.teachers.server.options import AskingOptions, ServerOptions

_OPENAI: Final = "openai://"
_SCHEMES: Final = (_OPENAI, "https://", "http://")
_OPENAI_URL: Final = "https://api.openai.com/v1"
_OPENAI_KEY: Final = "OPENAI_API_KEY"
CHAT: Final = "/chat/completions"
EMBEDDINGS: Final = "/embeddings"
_OF_VECTORS: Final = ("/embed", EMBEDDINGS)
_FORMS: Final = {
    "openai": "openai://MODEL",
    "chat": "http(s)://HOST/.../chat/completions",
    "predict": "http(s)://HOST/predict",
}
_USES: Final = {
    "base_url": ("openai",),
    "model": ("chat",),
    "batch_size": ("predict",),
    **dict.fromkeys(("prompt", "logprobs", "request", "confidence"), ("openai", "chat")),
}
"""Which addresses have a use for a setting that not all have."""
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_KEY = re.compile(r"[\x21-\x7e]+")
"""What a header can hold."""


def is_address(name: str) -> bool:
    """Tells whether that is an address of a server that labels."""
    return name.startswith(_SCHEMES) and not is_address_of_vectors(name)


def is_address_of_vectors(name: str) -> bool:
    """Tells whether that is an address of a route that answers vectors of texts."""
    route = re.split(r"[?#]", name, maxsplit=1)[0].rstrip("/")
    return name.startswith(_SCHEMES[1:]) and route.endswith(_OF_VECTORS)


def find_model(name: str) -> str | None:
    """Returns the model that an address `openai://MODEL` names, None for other addresses."""
    return name.removeprefix(_OPENAI) if name.startswith(_OPENAI) else None


def find_url(name: str, options: ServerOptions) -> str:
    """Returns the address of the route of a server that labels.

    Raises:
        SettingsError: If it is none.
    """
    is_openai = name.startswith(_OPENAI)
    parts = _parse_address(
        options.base_url or _OPENAI_URL if is_openai else name,
        given="teacher_options.base_url" if is_openai else "teacher",
    )
    route = parts.path.rstrip("/")
    if is_openai:
        route += "" if route.endswith(CHAT) else CHAT
    elif not route.endswith((CHAT, "/predict")):
        route += "/predict"
    return parts._replace(path=route, fragment="").geturl()


def find_url_of_vectors(name: str) -> str:
    """Returns the address of the route of a server of vectors.

    Raises:
        SettingsError: If it is none.
    """
    parts = _parse_address(name, given="teacher")
    return parts._replace(path=parts.path.rstrip("/"), fragment="").geturl()


def _parse_address(address: str, *, given: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        is_host = bool(parts.hostname) and parts.port != 0
        httpx2.URL(address)  # which looks at how names are spelled
    except (ValueError, httpx2.InvalidURL):
        parts, is_host = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not is_host:
        raise SettingsError(
            f"{given} = {shorten(address)} is no address; accepted: http://HOST/..., "
            "https://HOST/..."
        )
    return parts


def find_key(url: str, options: AskingOptions) -> str | None:
    """Returns the variable of the environment that has the key for an address, if one is sent.

    OpenAI's own key goes to OpenAI alone, unless its variable is named.

    Raises:
        SettingsError: If there is none where one is needed, or it would cross a network in clear.
    """
    name = options.key_variable or (_OPENAI_KEY if url.startswith(_OPENAI_URL) else None)
    if name is None:
        return None
    if not _VARIABLE.fullmatch(name):  # may be the key itself, which is not said again
        raise SettingsError(
            "teacher_options.key_variable is not the name of a variable, in capitals; " + KEY_HELP
        )
    key = os.environ.get(name)
    if not key:
        raise SettingsError(
            f"{url} needs a key, but {name} is not set in the environment; {KEY_HELP}"
        )
    if not _KEY.fullmatch(key):
        raise SettingsError(
            f"the key in {name} holds a blank, the end of a line or a letter that is not ASCII, "
            "which no header can hold; was it copied whole, and nothing beside it?"
        )
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise SettingsError(
            f"the key in {name} would go to {url} unencrypted; accepted: https, or this machine"
        )
    return name


def require_use(options: ServerOptions, name: str, url: str) -> None:
    """Refuses settings that an address has no use for.

    Args:
        options: Those that were given.
        name: The address as it was given.
        url: That of the route.

    Raises:
        SettingsError: Names the setting, and what it is for.
    """
    own = "predict"
    if url.endswith(CHAT):
        own = "chat" if find_model(name) is None else "openai"
    for option, forms in _USES.items():
        if option in options.model_fields_set and own not in forms:
            shown = " or ".join(_FORMS[form] for form in forms)
            raise SettingsError(
                f"teacher_options.{option} is for {shown}, but teacher = {name} is asked as "
                f"{_FORMS[own]}; leave it out"
            )
