"""Pages: nothing that is filled in is read as HTML, Markdown or Jinja; the colours of drawings."""

import dataclasses
import html
import re
from functools import cache
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from markdown_it import MarkdownIt

from limbeck.report.drawing import INK, SERIES, Drawing, draw, embed, point_style
from limbeck.report.page import (
    Finding,
    Fold,
    Items,
    Page,
    Paragraph,
    Picture,
    Plot,
    Plots,
    Section,
    Table,
    Terms,
    Tile,
)
from limbeck.report.plots import label_row
from limbeck.report.render import escape_markdown, render_html, render_markdown, write_page

PAYLOADS = [
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "' onclick='x",
    "</style></title><b>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &amp;",
    "**a** `b` ~~c~~ _d_ | e",
    "[a](javascript:b) ![c](d)",
    "# a",
    "- a",
    "1. a",
    "> a",
    "---",
    "a\n\n# b\n\n    c",
    "    a",
    "\\",
    "a | b |\n| --- |",
]


@cache
def make_drawing(text="word"):
    text = " ".join(text.split())  # each line of a label is an element of its own

    def paint(axes):
        axes.plot([1, 2], [1, 2], **point_style(0), label=text)
        axes.set_xlabel(text)
        axes.text(1, 1, text, color=INK)

    return draw("name", paint, height=2.0, describe=text)


@cache
def make_page(text="word"):
    """A page with a part of every kind, each string the same."""
    drawing = make_drawing(text)
    table = Table(title=text, columns=(text, text), rows=((text, text), (text, text)), note=text)
    plot = Plot(title=text, drawing=drawing, caption=text)
    blocks = (
        table,
        Paragraph(text=text),
        Plots(plots=(plot,), has_legend=True),
        Fold(title=text, block=table, is_open=True),
        Fold(title=text, block=Items(items=(text, text))),
        Fold(title=text, block=Terms(terms=((text, text),))),
    )
    return Page(
        title=text,
        headline=text,
        remarks=(text, text),
        tiles=(Tile(figure=text, name=text, more=text),),
        findings=(Finding(verdict=text, text=text),),
        sections=(Section(title=text, blocks=blocks),),
        models=(text,),
        marked=text,
        picture=Picture(file="picture.svg", drawing=drawing),
    )


class Structure(HTMLParser):
    """Tags with the names of their attributes, and the text between."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *sorted(name for name, _ in attrs)))

    def handle_endtag(self, tag):
        self.tags.append(f"/{tag}")

    def handle_data(self, data):
        self.texts.append(data)


def list_tokens(markdown):
    """The structure that a Markdown reader sees, and the text that it shows."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    flat = [part for token in tokens for part in (token.children or [token])]
    shown = "".join(part.content for part in flat if part.type.startswith("text"))
    return [part.type for part in flat if not part.type.startswith("text")], shown


def test_the_page_has_every_kind_of_part():
    """So that what is fuzzed here is all there is: a new kind fails until it is in `make_page`."""
    kinds = {Table, Paragraph, Plots, Fold, Items, Terms}
    blocks = make_page().sections[0].blocks
    seen = {type(block) for block in blocks} | {type(b.block) for b in blocks if type(b) is Fold}
    assert seen == kinds
    template = (render_html.__globals__["_TEMPLATES"] / "page.html").read_text()
    assert set(re.findall(r'part\.kind == "(\w+)"', template)) == {kind.kind for kind in kinds}


def test_every_string_of_a_page_is_shown():
    """A field that no template shows would escape the fuzzing too."""
    number = 0

    def numbered(value):
        nonlocal number
        if isinstance(value, Drawing):
            return value
        if dataclasses.is_dataclass(value):
            names = [f.name for f in dataclasses.fields(value) if f.name not in ("marked", "file")]
            return dataclasses.replace(value, **{n: numbered(getattr(value, n)) for n in names})
        if isinstance(value, tuple):
            return tuple(numbered(item) for item in value)
        if isinstance(value, str):
            number += 1
            return f"word{number}."
        return value

    page = numbered(make_page())
    assert number > 30
    text = html.unescape(render_html(page))
    assert [n for n in range(1, number + 1) if f"word{n}." not in text.lower()] == []


@pytest.mark.parametrize("payload", PAYLOADS)
def test_html_holds_markup_as_text(payload):
    plain, fuzzed = (Structure(render_html(make_page(text))) for text in ("word", payload))
    assert fuzzed.tags == plain.tags
    shown = [text for text in fuzzed.texts if text.split() == payload.split()]
    assert len(shown) >= sum(text == "word" for text in plain.texts) - 2  # svg drops blank ends


@pytest.mark.parametrize("payload", PAYLOADS)
def test_markdown_holds_markup_as_text(payload):
    plain, fuzzed = (
        list_tokens(render_markdown("page.md", page=make_page(text))) for text in ("word", payload)
    )
    assert fuzzed[0] == plain[0]
    assert fuzzed[1].count(" ".join(payload.split())) >= plain[1].count("word")


def test_undefined_names_are_errors():
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError, match="'page' is undefined"):
        render_markdown("page.md")


def test_figures_stay_as_they_are_in_markdown():
    for text in ("83.4", "−0.6", "–", "12 % (11.9 to 12.1)", "2.5 M", "snake_case", "1.90×"):
        assert escape_markdown(text) == text


def test_a_drawing_takes_its_colours_from_the_page():
    drawing = make_drawing()
    inside = embed(drawing, "")
    assert "var(--series-0)" in inside
    assert "var(--ink)" in inside
    assert not [color for color in (INK, *SERIES) if color in inside]
    assert "var(" not in drawing.svg
    assert SERIES[0] in drawing.svg
    light, dark = re.findall(r"--series-0: (#\w{6})", render_html(make_page()))
    assert light == SERIES[0] != dark


def test_a_colour_in_a_label_stays():
    assert f">{INK}<" in embed(make_drawing(INK), "")


def test_a_drawing_is_named_and_the_same_each_time():
    before = dict(mpl.rcParams)
    drawing = make_drawing("what it shows")
    assert drawing == make_drawing("what it shows")
    root = ElementTree.fromstring(embed(drawing, "wide"))
    assert root.attrib.keys() == {"viewBox", "role", "class"}
    assert root.find("title").text == "what it shows"
    assert dict(mpl.rcParams) == before


def test_the_picture_stands_beside_the_page(tmp_path):
    files = write_page(make_page(), tmp_path / "new", name="report")
    assert {kind: path.name for kind, path in files.items()} == {
        "md": "report.md",
        "html": "report.html",
        "svg": "picture.svg",
    }
    assert ElementTree.parse(files["svg"]).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert "![word](picture.svg)" in files["md"].read_text()


def test_drawings_take_nothing_from_a_matplotlibrc(monkeypatch):
    """One may lie in the working folder, and `text.usetex` runs LaTeX with a preamble from it."""
    import matplotlib as mpl

    def redraw():
        return draw("a", lambda axes: axes.set_xlabel("b"), height=1, describe="c").svg

    before = redraw()
    for name, value in (("text.usetex", True), ("axes.titlepad", 99), ("font.size", 30)):
        monkeypatch.setitem(mpl.rcParams, name, value)
    assert redraw() == before
    assert mpl.rcParams["font.size"] == 30


def test_what_a_terminal_would_obey_is_spelt_out() -> None:
    assert escape_markdown("label \x1b[31mred\x07") == r"label \\x1b\[31mred\\x07"


def test_no_line_strikes_the_name_of_a_row() -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    axes.axvline(0, zorder=1)
    label_row(axes, 0, "against copied layers", value="−0.4")
    assert len(axes.texts) == 2
    for text in axes.texts:
        patch = text.get_bbox_patch()
        assert patch is not None
        assert patch.get_facecolor()[3] == 1
        assert text.get_zorder() > 1
