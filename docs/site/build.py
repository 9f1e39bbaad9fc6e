"""Builds the documentation site into build/site, without a network; a broken link is an error.

    python docs/site/build.py

Its pages are those of docs/, the Markdown files at the root of the repository, and the reference,
which is written from the code: what a room offers is listed from its folder, so that a new loss,
task, method or recipe has its page without anybody naming it here.
"""

from __future__ import annotations

import inspect
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

from rooms import describe_rooms
from sphinx.cmd.build import build_main

import limbeck
from limbeck import listing
from limbeck.config import dump_toml

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "build/docs"
SITE = ROOT / "build/site"

# Files that lie where readers of the code look for them, and the page that each becomes.
PAGES = {
    "README.md": "index.md",
    "benchmarks/README.md": "benchmarks.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}

INTRODUCTIONS = {
    "recipes": """Each is a command, `limbeck NAME`, and a function of the library. Its settings are
given as `key=value`, in a TOML file that `limbeck init NAME` writes, or in Python; each stands here
with its default and what it accepts.""",
    "losses": "What a student learns from: `losses.NAME.SETTING=VALUE`, in any mixture.",
    "tasks": "What a model is fine-tuned for: `task=NAME`, its own options in `task_options`.",
    "metrics": """What a task is scored by. `task_options.metric=NAME` makes one the main metric, by
which the best epoch is chosen and models are compared.""",
    "methods": """Each takes a model and returns a smaller one; they are steps of `start`, with
which `distill` and `finetune` make a student.""",
    "sparsity": """Ways to prune weights, blocks and units while a model is fine-tuned:
`sparsify.method=NAME` and `sparsify.SETTING=VALUE` of `finetune`.""",
    "engines": """Ways to run a model: `pipeline(..., engine=NAME)` and
`limbeck predict --engine NAME`.""",
    "pipelines": """From text to answers: `limbeck.pipeline("NAME", model=...)` and
`limbeck predict MODEL --task NAME`.""",
    "models": """The families of encoders. Each has the heads that `transformers` has, under the
same class names, as attributes of `limbeck`, and reads and writes the same folders.""",
}
"""The pages of the reference, in their order; all rooms of the listing have one."""


def main() -> int:
    """Writes the sources of all pages and runs Sphinx over them."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", SOURCE, ignore=shutil.ignore_patterns("site"))
    shutil.copy(Path(__file__).parent / "conf.py", SOURCE)
    own = [path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")]
    pages = PAGES | {f"docs/{page}": page for page in own}
    for source, page in pages.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        write(page, relink(text, folder=(ROOT / source).parent, page=page, pages=pages))
    for room in INTRODUCTIONS:
        write(f"reference/{room}.md", describe_room(room))
    write("reference/python.md", describe_python())
    write("rooms.md", describe_rooms())
    append_contents()
    return build_main(["-W", "--keep-going", "-q", "-b", "html", str(SOURCE), str(SITE)])


def write(page: str, text: str) -> None:
    """Writes the source of one page."""
    path = SOURCE / page
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def relink(text: str, *, folder: Path, page: str, pages: dict[str, str]) -> str:
    """Turns links to files of the repository into links to their pages.

    Files that are no page of the site, such as the licence, are named without a link.
    """
    up = "../" * page.count("/")

    def replace(found: re.Match[str]) -> str:
        words = found[1]
        target, mark, anchor = found[2].partition("#")
        anchor = mark + anchor
        if re.match(r"[a-z]+:", target) or not target:
            return found[0]
        file = (folder / target).resolve().relative_to(ROOT).as_posix()
        return f"[{words}]({up}{pages[file]}{anchor})" if file in pages else words

    # Images, which have a mark before them, are copied with their folder.
    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", replace, text)


def describe_room(room: str) -> str:
    """Returns the page of what a room offers, each entry with its documentation and settings."""
    package = listing.ROOMS[room]
    parts = [f"# {room.capitalize()}", INTRODUCTIONS[room]]
    for name in listing.list_names(package):
        module = listing.load(package, name)
        parts += [f"## `{name}`", inspect.cleandoc(module.__doc__ or "")]
        parts += DESCRIBERS[room](module)
    return "\n\n".join(parts) + "\n"


def describe_with_settings(module: ModuleType) -> list[str]:
    """Returns the settings of a recipe or a method."""
    return describe_settings(dump_toml(module.SettingsType))


def describe_loss(module: ModuleType) -> list[str]:
    """Returns a loss's formula, where it comes from, and its settings."""
    return [inspect.getdoc(module.Loss) or "", *describe_settings(dump_toml(module.Loss))]


def describe_task(module: ModuleType) -> list[str]:
    """Returns a task's usual data set and, folded, its options."""
    hub = module.TASK.hub
    data = f"Its usual data set: `{hub}`." if hub else "It has no usual data set."
    options = describe_settings(dump_toml(module.TASK.settings))
    return [data, "<details><summary>Options</summary>", *options, "</details>"]


def describe_metric(module: ModuleType) -> list[str]:
    """Returns what predictions a metric judges."""
    docs = [sys.modules[form.of.__module__].__doc__ or "" for form in module.METRIC.forms]
    kinds = [doc.partition("\n")[0] for doc in docs]
    return ["It judges:", "\n".join(f"- {kind}" for kind in kinds)]


def describe_family(module: ModuleType) -> list[str]:
    """Returns the names of a family's classes."""
    return ["Classes: " + ", ".join(f"`{name}`" for name in module.ARCHITECTURE.class_names) + "."]


def describe_engine(module: ModuleType) -> list[str]:
    """Returns what an engine is made of, from its docstring."""
    name = f"{module.__name__}.{module.EngineType.__name__}"
    return [f"```{{eval-rst}}\n.. autoclass:: {name}\n```"]


def describe_pipeline(module: ModuleType) -> list[str]:
    """Returns a pipeline's other names, its call and its options, from their docstrings."""
    cls = module.PipelineType
    names = [f"Also as {', '.join(f'`{name}`' for name in cls.aliases)}."] if cls.aliases else []
    shown = [cls, *([] if cls.options_type.__name__ == "Options" else [cls.options_type])]
    blocks = [f".. autoclass:: {c.__module__}.{c.__name__}" for c in shown]
    blocks[0] += "\n   :special-members: __call__"
    blocks[1:] = [f"{block}\n   :members:" for block in blocks[1:]]
    return [*names, *(f"```{{eval-rst}}\n{block}\n```" for block in blocks)]


DESCRIBERS = {
    "recipes": describe_with_settings,
    "losses": describe_loss,
    "tasks": describe_task,
    "metrics": describe_metric,
    "methods": describe_with_settings,
    "sparsity": describe_with_settings,
    "models": describe_family,
    "engines": describe_engine,
    "pipelines": describe_pipeline,
}
"""What is said of an entry of each room, besides the docstring of its file."""


def describe_settings(toml: str) -> list[str]:
    """Returns the settings of a commented TOML file as a list: name, default, what it does."""
    table, comment, items = "", [], []
    for line in toml.splitlines():
        if line.startswith("[") and line.endswith("]"):
            table = f"{line[1:-1]}."
            comment = []
        elif match := re.fullmatch(r"(# )?([\w.\"-]+) =(.*)", line):
            default = match[3].partition("# required")
            shown = f" = {default[0].strip()}" if default[0].strip() else ""
            required = ", required" if default[1] else ""
            about, _, accepted = " ".join(comment).partition(" Accepted: ")
            accepted = f" *{accepted[:1].upper()}{accepted[1:]}*" if accepted else ""
            items.append(f"- **`{table}{match[2]}{shown}`**{required}<br>{about}{accepted}")
            comment = []
        elif line.startswith("# "):
            comment.append(line[2:])
    return ["\n".join(items)] if items else []


def describe_python() -> str:
    """Returns the page of the public names of `limbeck`, from their docstrings."""
    names = [name for name in limbeck.__all__ if not name.startswith("__")]
    parts = ["# Python", "What `import limbeck` offers."]
    for name in sorted(names, key=lambda name: (name[:1].isupper(), name)):
        kind = "autoclass" if inspect.isclass(getattr(limbeck, name)) else "autofunction"
        parts.append(f"## {name}\n\n```{{eval-rst}}\n.. {kind}:: limbeck.{name}\n```")
    return "\n\n".join(parts) + "\n"


def append_contents() -> None:
    """Adds the table of contents to the first page, from which the sidebar is drawn."""
    guides = [f"guides/{path.stem}" for path in sorted((SOURCE / "guides").glob("*.md"))]
    references = ["reference/python", *(f"reference/{room}" for room in INTRODUCTIONS)]
    for_developers = ["contributing", "architecture", "rooms", "log", "security", "changelog"]
    groups = {
        "Guides": [*guides, "benchmarks"],
        "Reference": references,
        "Developers": [page for page in for_developers if (SOURCE / f"{page}.md").exists()],
    }
    index = SOURCE / "index.md"
    trees = [
        f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```"
        for caption, pages in groups.items()
    ]
    write("index.md", index.read_text(encoding="utf-8") + "\n" + "\n\n".join(trees) + "\n")


if __name__ == "__main__":
    sys.exit(main())
