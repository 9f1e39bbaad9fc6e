"""Settings written as flags: `--learning-rate 1e-4` is `learning_rate=1e-4`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from limbeck.errors import SettingsError, did_you_mean

_YES_OR_NO = ("true", "false")


def flags_to_settings(
    arguments: Sequence[str],
    *,
    own_flags: Sequence[str],
    switches: Collection[str] = (),
    lists: Collection[str] = (),
) -> list[str]:
    """Returns arguments with each `--name value` and `--name=value` as `name=value`.

    Dashes in a name are underscores, as in the settings. A switch needs no value, and the flag of a
    list of names may be given several times.

    Args:
        arguments: What stands after the command, its own flags taken out.
        own_flags: These, such as `--dry-run`, for a misspelt one.
        switches: Settings that are true or false.
        lists: Settings that are lists of names.

    Raises:
        SettingsError: If a flag has no value or no name.

    Example:
        >>> flags_to_settings(["m", "--task", "sst2", "--a.top-k=-3", "c=1"], own_flags=[])
        ['m', 'task=sst2', 'a.top_k=-3', 'c=1']
        >>> given = ["m", "--repair", "--to", "onnx", "--to", "litert"]
        >>> flags_to_settings(given, own_flags=[], switches=["repair"], lists=["to"])
        ['m', 'repair=true', 'to=onnx,litert']
    """
    found: list[str] = []
    places: dict[str, int] = {}
    waiting = list(reversed(arguments))
    while waiting:
        argument = waiting.pop()
        if not argument.startswith("-"):
            found.append(argument)
            continue
        flag, equals, value = argument.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--") or not name:
            raise SettingsError(
                f"command line: '{argument}' is not understood; accepted: --NAME VALUE, --NAME="
                f"VALUE, NAME=VALUE, and the flags {', '.join(own_flags)}"
            )
        if not equals and name in switches and (not waiting or waiting[-1] not in _YES_OR_NO):
            value = "true"
        elif not equals:
            if not waiting or waiting[-1].startswith("-"):
                raise SettingsError(
                    f"command line: '{flag}' has no value.{did_you_mean(flag, own_flags)} "
                    f"Accepted: {flag} VALUE; true or false where it is a switch; {flag}=VALUE "
                    "where the value starts with a dash"
                )
            value = waiting.pop()
        if name in lists and name in places:
            found[places[name]] += f",{value}"
            continue
        places[name] = len(found)
        found.append(f"{name}={value}")
    return found
