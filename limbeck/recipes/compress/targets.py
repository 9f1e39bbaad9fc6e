"""Formats that a search tries, each with the engine that runs it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from limbeck import listing
from limbeck.errors import ExportError, SettingsError, require_extra
from limbeck.export import Graph, Target, load_target
from limbeck.inference.engines import find_engine
from limbeck.recipes.compress.settings import CompressSettings

TORCH = "torch"
"""What a model that is not exported is called among the formats, and what runs it."""
_USUAL = ("onnx", "onnx_int8", "onnx_int4", "openvino", "openvino_int8")
"""What runs on a processor and is worth a try; the others of an engine are asked for by name."""


def choose_targets(settings: CompressSettings) -> tuple[Target | None, ...]:
    """Returns the formats that are tried, None for the model in torch.

    Raises:
        MissingExtraError: If what was asked for is not installed; the message gives the pip line.
        SettingsError: If there is no such target or engine, or none that fits the other.
    """
    engine = settings.engine
    if engine is not None:
        find_engine(engine)
    if settings.targets is not None:
        return tuple(_take(name, engine) for name in settings.targets)
    if engine == TORCH:
        return (None,)
    usual = [target for target in map(load_target, _USUAL) if engine in (None, target.engine)]
    if engine is None:
        return (None, *(target for target in usual if _is_installed(target)))
    found = usual or [target for target in _list_all() if target.engine == engine]
    if not found:
        raise SettingsError(
            f"engine = '{engine}' runs no format that a model is exported to; accepted: "
            f"{', '.join(_list_engines())}"
        )
    return tuple(found)


def drop_refused(
    targets: Sequence[Target | None], graph: Graph, settings: CompressSettings
) -> tuple[tuple[Target | None, ...], dict[str, str]]:
    """Returns the formats that take the model, and why others don't, by their names.

    Raises:
        ExportError: If one that was asked for by name does not take it, or none is left.
        MissingExtraError: If a package is not installed; the message gives the pip line.
    """
    refused: dict[str, str] = {}
    left: list[Target | None] = []
    for target in targets:
        try:
            if target is not None:
                target.check(graph)
                _require_engine(target)
        except ExportError as error:
            if settings.targets is not None or len(targets) == 1:
                raise
            refused[name_target(target)] = str(error)
        else:
            left.append(target)
    if not left:
        raise ExportError("; ".join(refused.values()))
    return tuple(left), refused


def name_target(target: Target | None) -> str:
    """Returns a format's name, as users write it."""
    return TORCH if target is None else target.shown_name


def name_engine(target: Target | None) -> str:
    """Returns the name of what runs a format."""
    return TORCH if target is None else str(target.engine)


def _take(name: str, engine: str | None) -> Target | None:
    target = None if name == TORCH else load_target(name)
    if target is not None and target.engine is None:
        raise SettingsError(
            f"targets: nothing here runs {target.shown_name}, so that it can't be measured; "
            f"accepted: {', '.join([TORCH, *(t.shown_name for t in _list_all())])}"
        )
    if engine is not None and name_engine(target) != engine:
        every = [None, *_list_all()]
        fitting = [name_target(t) for t in every if name_engine(t) == engine]
        raise SettingsError(
            f"targets: {name_target(target)} is run by {name_engine(target)}, and engine = "
            f"'{engine}'; accepted: {', '.join(fitting)}, or no engine"
        )
    return target


def _list_all() -> list[Target]:
    """Returns all formats that something here runs."""
    names = listing.list_names(listing.ROOMS["targets"])
    return [target for target in map(load_target, names) if target.engine is not None]


def _list_engines() -> list[str]:
    return sorted({TORCH, *(str(target.engine) for target in _list_all())})


def _is_installed(target: Target) -> bool:
    """Tells whether all is there that writes and runs a format."""
    packages = {*target.packages, *find_engine(str(target.engine)).packages}
    return all(find_spec(package) is not None for package in packages)


def _require_engine(target: Target) -> None:
    engine = find_engine(str(target.engine))
    for package in engine.packages:
        require_extra(package, extra=engine.extra, purpose=f"engine {target.engine}")
