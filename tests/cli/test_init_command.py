"""Settings files that `init` writes, and presets: each reads back."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from limbeck import listing
from limbeck.cli import main
from limbeck.tasks import load_task

Captured = pytest.CaptureFixture[str]
REQUIRED = {"stages": "stages.first.recipe=trim"}


@pytest.mark.parametrize("name", listing.list_names("limbeck.tasks"))
def test_init_of_every_task_shows_its_options(name: str, capsys: Captured) -> None:
    assert main(["init", name]) == 0
    shown = capsys.readouterr().out
    settings_type = load_task(name).settings
    options = tomllib.loads(shown)["task_options"]
    assert settings_type.from_values(options) == settings_type()
    assert all(f"{option} =" in shown for option in settings_type.model_fields)


@pytest.mark.parametrize("name", listing.list_names("limbeck.methods"))
def test_init_of_every_method_is_a_step_of_a_start(
    name: str, tmp_path: Path, capsys: Captured
) -> None:
    from limbeck.config import read_settings

    assert main(["init", name]) == 0
    path = tmp_path / "run.toml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    finetune = listing.load("limbeck.recipes", "finetune").SettingsType
    settings = read_settings(finetune, path, ["model=M", "task=sst2", "out=O"])
    assert settings.start == (listing.load("limbeck.methods", name).SettingsType(),)
    assert settings.methods == settings.start


@pytest.mark.parametrize("name", listing.list_names("limbeck.sparsity"))
def test_init_of_every_way_to_prune(name: str, tmp_path: Path, capsys: Captured) -> None:
    from limbeck.config import read_settings

    assert main(["init", name]) == 0
    path = tmp_path / "run.toml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    finetune = listing.load("limbeck.recipes", "finetune").SettingsType
    given = ["model=M", "task=sst2", "out=O", "sparsify.density=0.2"]
    settings = read_settings(finetune, path, given)
    assert settings.sparsify == listing.load("limbeck.sparsity", name).SettingsType(density=0.2)


@pytest.mark.parametrize("name", listing.list_names("limbeck.recipes"))
def test_init_of_every_recipe_reads_back(name: str, tmp_path: Path, capsys: Captured) -> None:
    from limbeck.config import dump_toml, read_settings
    from limbeck.errors import SettingsError

    assert main(["init", name]) == 0
    path = tmp_path / "run.toml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    settings_type = listing.load("limbeck.recipes", name).SettingsType
    recipe = name.replace("_", "-")  # as users write it
    required = [n for n, field in settings_type.model_fields.items() if field.is_required()]
    overrides = [REQUIRED.get(n, f"{n}=x") for n in required]
    settings = read_settings(settings_type, path, overrides, recipe=recipe)
    assert settings == read_settings(settings_type, None, overrides)
    path.write_text(dump_toml(settings, recipe=recipe), encoding="utf-8")
    assert read_settings(settings_type, path, recipe=recipe) == settings
    undocumented = [n for n, f in settings_type.model_fields.items() if not f.description]
    assert not undocumented, "a setting is documented by the string under it"
    if required:
        with pytest.raises(SettingsError, match=f"'{required[0]}' is required"):
            read_settings(settings_type, None, overrides[1:])


def test_presets_are_complete_settings(capsys: Captured) -> None:
    from limbeck.config import read_settings
    from limbeck.recipes._presets import list_presets

    for preset in list_presets().values():
        assert main(["init", preset.name]) == 0
        assert f'recipe = "{preset.recipe}"' in capsys.readouterr().out
        settings_type = listing.load("limbeck.recipes", preset.recipe).SettingsType
        fields = settings_type.model_fields.items()
        missing = [n for n, f in fields if f.is_required()]
        overrides = [f"{name}=x" for name in missing]
        assert read_settings(settings_type, preset.path, overrides, recipe=preset.recipe)
