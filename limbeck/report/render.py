"""Renders a page with one template a format; what is filled in is always escaped."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from limbeck.errors import DataError
from limbeck.files import write_text
from limbeck.printable import printable
from limbeck.report.drawing import MARKERS, embed
from limbeck.report.page import Page

if TYPE_CHECKING:
    from limbeck.report.summary import Summary

_ANYWHERE = re.compile(r"([\\|*`\[\]~]|(?<!\w)_|_(?!\w))")
_AT_THE_START = re.compile(r"^(\d*)(#+(?= |$)|>|[-+](?= |$)|[-=]+$|(?<=\d)[.)](?= |$))")
_TEMPLATES = Path(__file__).parent / "templates"


def render_html(page: Page) -> str:
    """Returns a page as HTML that loads nothing."""
    template = _environment().get_template("page.html")
    return template.render(page=page, embed=embed, markers=MARKERS)


def render_markdown(template: str, **values: Any) -> str:
    """Returns a Markdown template, filled in.

    Args:
        template: Name of its file.
        values: By the names that stand in it.
    """
    text = _environment(escape_markdown).get_template(template).render(values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def render_summary(summary: Summary) -> str:
    """Returns what a notebook shows of a result or a report."""
    return _environment().get_template("summary.html").render(summary=summary)


def write_page(page: Page, out: Path, *, name: str) -> dict[str, Path]:
    """Writes a page as HTML and Markdown, with its picture; returns the path of each kind.

    Args:
        page: The page.
        out: Folder to write to; made if it does not exist.
        name: Of the files, without their endings.
    """
    texts = {
        f"{name}.md": render_markdown("page.md", page=page),
        f"{name}.html": render_html(page),
    }
    if page.picture is not None:
        texts[page.picture.file] = page.picture.drawing.svg
    for file, text in texts.items():
        write_text(out / file, text, error=DataError)
    return {file.rpartition(".")[2]: out / file for file in texts}


def escape_markdown(text: str) -> str:
    r"""Returns text on one line, with what Markdown or HTML would read made plain.

    Example:
        >>> print(escape_markdown("a|b *c* <d>"))
        a\|b \*c\* &lt;d>
        >>> print(escape_markdown("# 1"), escape_markdown("1. snake_case _x_"))
        \# 1 1\. snake_case \_x\_
    """
    plain = printable(" ".join(text.split()))
    plain = _ANYWHERE.sub(r"\\\1", plain).replace("&", "&amp;").replace("<", "&lt;")
    return _AT_THE_START.sub(r"\1\\\2", plain)


@cache
def _environment(escape: Callable[[str], str] | None = None) -> Environment:
    """Returns an environment that escapes all that is filled in, as HTML unless told how."""

    def finalize(value: Any) -> Any:
        if escape is None or hasattr(value, "__html__"):
            return value
        return Markup(escape(str(value)))  # noqa: S704  # escaped just now

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _keep_units
    return environment


def _keep_units(text: str) -> str:
    """Returns text in which figures stay on one line with their units."""
    return re.sub(r" (?=%|=|ms\b|MB\b)|(?<==) ", "\u00a0", text)
