"""A student's start as a list of methods, in the recipes that make students."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_task import LABELS, finetune, write_model

from limbeck.config import dump_toml, read_settings
from limbeck.errors import SettingsError
from limbeck.methods.keep_layers import KeepLayersSettings
from limbeck.recipes import distill
from limbeck.recipes.finetune.settings import FinetuneSettings

KEPT = {"method": "keep_layers", "layers": [1]}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "teacher", head=LABELS)


def read_weights(folder: Path) -> bytes:
    return (folder / "seed-0/model/model.safetensors").read_bytes()


def test_keep_layers_is_a_short_form_of_start(tmp_path, data, teacher):
    changes = {"new_head": False, "max_steps": 2}
    short = finetune(teacher, data, tmp_path / "short", keep_layers=[1], **changes)
    general = finetune(teacher, data, tmp_path / "general", start=[KEPT], **changes)
    assert short.num_layers == general.num_layers == 1
    assert read_weights(tmp_path / "short") == read_weights(tmp_path / "general")
    card = (tmp_path / "general/seed-0/model/README.md").read_text()
    assert "| Started by | keep_layers |" in card


SETTINGS = {
    "distill": (distill.DistillSettings, {"teacher": "T", "corpus": "C", "out": "O"}),
    "finetune": (FinetuneSettings, {"model": "M", "task": "sst2", "out": "O"}),
}


@pytest.mark.parametrize("recipe", SETTINGS)
def test_start_is_read_and_written(recipe, tmp_path):
    settings_type, values = SETTINGS[recipe]
    settings = settings_type(**values, start=[KEPT])
    assert settings.start == (KeepLayersSettings(layers=(1,)),)
    assert settings.model_dump(mode="json")["start"][0]["layers"] == [1]
    (tmp_path / "run.toml").write_text(dump_toml(settings, recipe=recipe))
    again = read_settings(settings_type, tmp_path / "run.toml", recipe=recipe)
    assert again == settings
    given = [f"{k}={v}" for k, v in values.items()]
    start = 'start=[{method="keep_layers",layers=[1]}]'
    assert read_settings(settings_type, None, [*given, start]).start == settings.start


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        ("distill", {"layers": "even"}, "start and layers are both given; leave one of them out"),
        ("distill", {"student": "S"}, "start and student are both given"),
        ("finetune", {"keep_layers": 1}, "start and keep_layers are both given"),
        (
            "finetune",
            {"start": [{"method": "drop"}]},
            "'drop' among the methods; accepted: .*keep_l",
        ),
        ("distill", {"start": "keep_layers"}, "start = 'keep_layers' is not accepted.*a list"),
        ("distill", {"start": ["keep_layers"]}, r"start\[0\] = 'keep_layers' is not accepted"),
    ],
)
def test_wrong_starts(recipe, changes, message):
    settings_type, values = SETTINGS[recipe]
    with pytest.raises(SettingsError, match=message):
        settings_type(**{**values, "start": [KEPT], **changes})
