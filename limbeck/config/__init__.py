"""Settings: TOML and `key=value` overrides in, frozen and validated objects out.

A run is described by a class derived from `Settings`. Defaults stand in that class only; the
string under a field is its documentation, on the command line and in generated files.
"""

from __future__ import annotations

from limbeck.config._dump import dump_changes, dump_toml
from limbeck.config._read import is_override, read_options, read_settings
from limbeck.config._settings import SHOWN, Settings, Shown

__all__ = [
    "SHOWN",
    "Settings",
    "Shown",
    "dump_changes",
    "dump_toml",
    "is_override",
    "read_options",
    "read_settings",
]
