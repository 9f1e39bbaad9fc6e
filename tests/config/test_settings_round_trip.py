"""A file that is written of settings gives back every one of them, whatever was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limbeck import listing
from limbeck.config import Settings, dump_changes, dump_toml, read_settings
from limbeck.config._describe import admits
from limbeck.errors import LimbeckError

RECIPES = listing.list_names("limbeck.recipes")
TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    [
        "none",
        '"none"',
        "None",
        "true",
        "1",
        "[1, 2]",
        "a,b",
        "a = 1\nb",
        "'\"\\",
        "",
        "\x7f\x00\u2028",
    ]
)
PLAIN = st.recursive(
    TEXT | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
NONES: list[Any] = [
    None,
    "none",
    '"none"',
    ["none"],
    {"a": None},
    {"a": [None, "none"]},
    {"a": [{"b": None, "c": '"none"'}]},
    {"a": {"none": "none"}},
]
REQUIRED: dict[str, Any] = {"models": ["a", "b"], "stages": {"first": {"recipe": "trim"}}}


def values_of(settings_type: type[Settings], name: str) -> st.SearchStrategy[Any]:
    """Returns values for a setting, most of which it accepts."""
    kinds = dict.fromkeys(
        kind
        for kind in (bool, int, float)
        if admits(settings_type.model_fields[name].annotation, kind)
    )
    lists = st.lists(st.integers(0, 9), max_size=4) | st.lists(TEXT, max_size=3)
    tables = st.dictionaries(TEXT, TEXT, max_size=2)
    found = TEXT | PLAIN | lists | tables
    for kind in kinds:
        found |= {bool: st.booleans(), int: st.integers(1, 9), float: st.floats(0, 1)}[kind]
    return found


@pytest.mark.parametrize("recipe", RECIPES)
@given(data=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_written_file_reads_back(
    recipe: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings_type = listing.load("limbeck.recipes", recipe).SettingsType
    fields = settings_type.model_fields
    values = {n: REQUIRED.get(n, "x") for n, field in fields.items() if field.is_required()}
    for name in data.draw(st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=3)):
        given_value = data.draw(values_of(settings_type, name), label=name)
        try:
            settings_type.from_values({**values, name: given_value})
        except LimbeckError:
            continue
        values[name] = given_value
    made = settings_type.from_values(values)
    path = tmp_path_factory.getbasetemp() / f"{recipe}.toml"
    for text in (dump_toml(made, recipe=recipe), dump_changes(made)):
        path.write_text(text, encoding="utf-8", newline="")
        assert read_settings(settings_type, path, recipe=recipe) == made


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_word_for_none_is_told_from_the_text(recipe: str, tmp_path: Path) -> None:
    settings_type = listing.load("limbeck.recipes", recipe).SettingsType
    fields = settings_type.model_fields
    required = {n: REQUIRED.get(n, "x") for n, field in fields.items() if field.is_required()}
    path = tmp_path / "run.toml"
    for name in fields:
        for value in NONES:
            try:
                made = settings_type.from_values({**required, name: value})
            except LimbeckError:
                continue
            path.write_text(dump_toml(made, recipe=recipe), encoding="utf-8")
            assert read_settings(settings_type, path, recipe=recipe) == made, (name, value)
