"""Questions to a server over HTTP: limits, tries, waits, and errors that name what was asked."""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from limbeck import limits
from limbeck.errors import DataError, LimbeckError, SettingsError, TrainingError, shorten
from limbeck.files import parse_json

_SECONDS_BEFORE_SECOND_TRY = 1.0
_LONGEST_WAIT_SECONDS = 60.0
"""Also where a server asks for more: it is asked again, and may then say so again."""
_OF_THE_MOMENT = (408, 409, 425, 429)
"""Refusals that another try may not meet; so may all from 500 on."""
_SHORTEST_SECRET = 8
"""Servers on one's own machine take keys such as `x` or `none`, which are no secret, and which an
answer may hold by right."""

ReadT = TypeVar("ReadT")


class AnswerError(ValueError):
    """An answer is not what such a server answers."""


class RefusedError(DataError):
    """A server takes no such question, as one whose text its filter finds unseemly."""


class StoppedError(Exception):
    """A question was not asked any more, since another has failed."""


class Client:
    """Asks one address, from several threads at once.

    Redirects are not followed: the texts, and the key, are for the address that was given.

    Args:
        url: The address.
        key: Sent along, and never shown; None for none.
        key_name: The variable that it is in, for messages.
        timeout_seconds: For an answer.
        retries: Further tries where a fault may be one of the moment.
        concurrency: Questions at a time.
        kept_in: Where answers are kept, for messages.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None,
        key_name: str | None,
        timeout_seconds: float,
        retries: int,
        concurrency: int,
        kept_in: Path,
    ) -> None:
        self.url = url
        self._kept_in = kept_in
        self._key, self._key_name = key, key_name
        self._secret = key if key is not None and len(key) >= _SHORTEST_SECRET else None
        self._timeout_seconds = timeout_seconds
        self._retries = retries
        self._stopped = threading.Event()
        self._client = httpx2.Client(
            headers={} if key is None else {"Authorization": f"Bearer {key}"},
            timeout=timeout_seconds,
            limits=httpx2.Limits(max_connections=concurrency),
            follow_redirects=False,
        )

    def stop(self) -> None:
        """Ends all waits; a question that is on its way still gets its answer, which is paid."""
        self._stopped.set()

    def close(self) -> None:
        """Ends all connections."""
        self._client.close()

    def ask(self, body: Mapping[str, Any], read: Callable[[Any], ReadT], *, about: str) -> ReadT:
        """Returns what a question is answered.

        Args:
            body: The question.
            read: Takes the JSON of the answer, raises `AnswerError` where that is nonsense.
            about: What is asked, for messages.

        Raises:
            SettingsError: If the server does not know the key, the address or the model.
            RefusedError: If it refuses the question itself.
            DataError: If its answer is larger than any should be.
            TrainingError: If there is no answer after all tries.
            StoppedError: If the client was stopped before there was one.
        """
        fault = ""
        for number in range(self._retries + 1):
            if self._stopped.is_set():
                raise StoppedError
            wait = min(_SECONDS_BEFORE_SECOND_TRY * 2**number, _LONGEST_WAIT_SECONDS)
            try:
                status, headers, content = self._post(body)
                if status == 200:
                    return read(self._parse(content))
                if status not in _OF_THE_MOMENT and status < 500:
                    raise self._refused(status, headers, content, about=about)
                fault = f"status {status} ({self._words(content)})"
                wait = min(_asked_wait(headers) or wait, _LONGEST_WAIT_SECONDS)
            except AnswerError as error:
                fault = str(error)
            except httpx2.HTTPError as error:
                fault = self._hide_key(f"{type(error).__name__}: {error}")
            if number < self._retries:  # not all threads at once
                self._stopped.wait(wait * random.uniform(1.0, 1.25))  # noqa: S311
        tries = f"{self._retries + 1} tries" if self._retries else "one try"
        raise TrainingError(
            f"{self.url} has no answer to {about} after {tries}: {fault}. What it answered so far "
            f"is kept, and the same run, or one with teacher_cache={self._kept_in}, asks for the "
            "rest alone. teacher_options.retries, timeout_seconds and concurrency may help"
        )

    def _hide_key(self, text: str) -> str:
        """Returns a text without the key, should the server have said it back."""
        return text.replace(self._secret, "***") if self._secret else text

    def _post(self, body: Mapping[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        limit = limits.ANSWER_BYTES
        # That of `httpx2` is for each part, and a server may send one byte at a time for ever.
        deadline = time.monotonic() + self._timeout_seconds
        with self._client.stream("POST", self.url, json=dict(body)) as response:
            content = bytearray()
            for part in response.iter_bytes():
                content += part
                if time.monotonic() > deadline:
                    raise httpx2.ReadTimeout(
                        f"not all of the answer within {self._timeout_seconds:g} s"
                    )
                if len(content) > limit.value:
                    raise DataError(
                        f"{self.url} answers with more than {limit.value:,} bytes; accepted: "
                        f"{limit.describe()}. Is it the address of such a server?"
                    )
            return response.status_code, response.headers, bytes(content)

    def _parse(self, content: bytes) -> Any:
        """Returns the JSON of an answer, without the key, since it is shown and kept.

        Raises:
            AnswerError: If it is none.
        """
        try:
            return self._hide_key_within(parse_json(content.decode()))
        except ValueError:
            text = self._hide_key(content.decode("utf-8", "replace"))
            raise AnswerError(f"an answer that is no JSON: {shorten(text, length=80)}") from None

    def _hide_key_within(self, value: Any) -> Any:
        """Returns JSON without the key, which may have been spelled with escapes."""
        match value:
            case str():
                return self._hide_key(value)
            case list():
                return [self._hide_key_within(one) for one in value]
            case dict():
                return {
                    self._hide_key(name): self._hide_key_within(one) for name, one in value.items()
                }
        return value

    def _refused(
        self, status: int, headers: Mapping[str, str], content: bytes, *, about: str
    ) -> LimbeckError:
        says = f"{self.url} answers with status {status} ({self._words(content)})"
        if status in (401, 403):
            given = f"the key in {self._key_name}" if self._key else "no key was sent"
            return SettingsError(
                f"{says}: it does not let us in ({given}). Put a key that may use it into the "
                "environment, under the name that teacher_options.key_variable gives"
            )
        if 300 <= status < 400:
            place = shorten(self._hide_key(headers.get("location", "")), length=200)
            return SettingsError(
                f"{says}: it sends us to {place}, where texts and keys do not follow; give that "
                "address if it is the right one"
            )
        if status in (404, 405):
            return SettingsError(
                f"{says}: there is no such route or model; accepted: http(s)://HOST/predict, "
                ".../v1/chat/completions, or openai://MODEL with teacher_options.base_url"
            )
        return RefusedError(
            f"{says} to {about}: it can't be asked so. teacher_options.request has the further "
            "fields of a question to a language model, and batch_size how many texts one to "
            "/predict has"
        )

    def _words(self, content: bytes) -> str:
        """Returns what the server says of a fault, as short as a message can have it."""
        text: Any = self._hide_key(content.decode("utf-8", "replace"))
        with suppress(AnswerError):
            found = self._parse(content)
            while isinstance(found, dict):
                found = found.get("error", found.get("message", found.get("detail", "")))
            text = found
        text = str(text).strip()
        return shorten(text, length=200, quoted=False) if text else "no word of why"


def _asked_wait(headers: Mapping[str, str]) -> float | None:
    """Returns how many seconds a server asks to wait, by number or date; None if it does not."""
    given = headers.get("retry-after", "")
    with suppress(ValueError, OverflowError):
        return max(0.0, float(given))
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - time.time())
    return None
