"""What pipelines can be told, as options of the command line: read off the pipelines themselves."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, fields, make_dataclass
from textwrap import dedent
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from limbeck.cli._outline import first_sentence
from limbeck.errors import SettingsError

if TYPE_CHECKING:
    from limbeck.inference._base import Pipeline

    AnyPipeline = Pipeline[Any]


@dataclass(frozen=True)
class TaskOption:
    """An option of one pipeline or several.

    Attributes:
        name: As it is called in Python.
        type: What the command line reads.
        about: What it is.
        tasks: The pipelines that take it.
        is_rare: Whether help leaves it out.
        is_text_too: Whether a list may be a single text as well.
    """

    name: str
    type: Any
    about: str
    tasks: Sequence[str]
    is_rare: bool
    is_text_too: bool

    @property
    def flag(self) -> str:
        """How it is written on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def help(self) -> str:
        """What it is, how several are given, and to which pipelines."""
        several = f" Once for each: {self.flag} A {self.flag} B." if self.type == list[str] else ""
        return f"{self.about}{several} ({', '.join(self.tasks)})"


@Parameter(name="*")
@dataclass(frozen=True)
class TaskOptions:
    """Base of the options of all pipelines, one field each; None of what is not given."""


NO_OPTIONS = TaskOptions()


def make_options(words: Container[str], command: str) -> type[TaskOptions]:
    """Returns a class with the options of all pipelines, unless the command was not asked for."""
    if command not in words:
        return TaskOptions
    made = [
        (
            option.name,
            Annotated[
                option.type | None,
                Parameter(
                    help=option.help,
                    show=not option.is_rare,
                    negative="",
                ),
            ],
            None,
        )
        for option in list_options().values()
    ]
    # Of a class of the module `types`, where it would be, the fields are not looked at.
    return make_dataclass(
        "AllOptions", made, bases=(TaskOptions,), namespace={"__module__": __name__}, frozen=True
    )


def list_options() -> dict[str, TaskOption]:
    """Returns the options of the pipelines that rows of a table can go through, by name."""
    found: dict[str, TaskOption] = {}
    for cls in _classes():
        for name, kind, about in _read_options(cls):
            known = found.get(name)
            found[name] = TaskOption(
                name=name,
                type=known.type if known else _find_type(kind),
                about=known.about if known else about,
                tasks=[*(known.tasks if known else ()), cls.task],
                is_rare=name in cls.options_type.rare,
                is_text_too=kind.startswith("str |"),
            )
    return found


def read_options(options: TaskOptions, cls: type[AnyPipeline], *, model: str) -> dict[str, Any]:
    """Returns what is given of the options of a pipeline.

    Raises:
        SettingsError: Names an option that it does not take, and the pipelines that do.
    """
    given = {f.name: v for f in fields(options) if (v := getattr(options, f.name)) is not None}
    known = list_options() if given else {}
    for name, value in given.items():
        option = known[name]
        if option.is_text_too and len(value) == 1:
            given[name] = value[0]
        if cls.task not in option.tasks:
            raise SettingsError(
                f"command line: {option.flag} is for {', '.join(option.tasks)}, and {model} is "
                f"read as a model for {cls.task}; leave it out"
            )
    return given


def _classes() -> Iterator[type[AnyPipeline]]:
    from limbeck.inference.pipelines import list_pipelines

    return (cls for cls in list_pipelines() if cls.found is not None)


def _read_options(cls: type[AnyPipeline]) -> Iterator[tuple[str, str, str]]:
    """Yields the name, type and first sentence of what a pipeline can be told."""
    if cls.second is not None:
        yield cls.second, "Sequence[str]" if cls.reads_list else "str", cls.second_about
    docs = _read_docs(cls.options_type)
    for field in fields(cls.options_type):
        if field.name in cls.options_type.of_lists:
            continue
        yield field.name, str(field.type), first_sentence(docs.get(field.name, ""))


def _read_docs(cls: type) -> dict[str, str]:
    """Returns the texts that stand under a class's fields."""
    (node,) = ast.parse(dedent(inspect.getsource(cls))).body
    assert isinstance(node, ast.ClassDef)
    return {
        ast.unparse(field.target): str(text.value.value)
        for field, text in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def _find_type(kind: str) -> Any:
    """Returns what the command line reads for a type as the source writes it."""
    if "Sequence" in kind:
        return list[str]
    return bool if "bool" in kind else int if "int" in kind else str
