"""Methods that take a model and return a smaller one; each public module is one.

A method's module has `SettingsType` and `apply(model, settings)`: see `keep_layers.py`.
"""

from limbeck.methods._method import (
    MethodSettings,
    Start,
    apply_methods,
    build_method,
    start_student,
)

__all__ = ["MethodSettings", "Start", "apply_methods", "build_method", "start_student"]
