"""All commands, put together."""

from __future__ import annotations

from collections.abc import Container

from cyclopts import App

from limbeck.cli import _bench, _corpus, _embed, _lists, _predict, _recipes, _report
from limbeck.version import __version__

_HELP = """Distil BERT and its relatives into small, fast text encoders, with the proof beside them.

`limbeck init RECIPE > run.toml` writes a settings file with everything that can be set, and
`limbeck RECIPE run.toml [key=value ...]` runs it.
"""


def build_app(words: Container[str]) -> App:
    """Builds the command line; every recipe in `limbeck.recipes` becomes a command.

    Args:
        words: What was typed. Of the recipes that are not among it no settings are looked up, which
            is half of the time that `limbeck --help` would take.
    """
    app = App(
        name="limbeck",
        help=_HELP,
        version=__version__,
        help_format="plaintext",
        suppress_keyboard_interrupt=False,  # `main` words it
    )
    for command in _recipes.recipe_commands(words):
        app.command(command.function, name=command.name, help=command.help)
    app.command(_corpus.build_corpus_app())
    app.command(_report.report)
    app.command(_predict.predict_command(words))
    app.command(_embed.embed)
    app.command(_bench.bench)
    app.command(_lists.list_room, name="list")
    app.command(_lists.init)
    return app
