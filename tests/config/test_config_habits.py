"""Settings under the names that `transformers` and its scripts have for them."""

import pytest

import limbeck
from limbeck.cli import main
from limbeck.config._habits import _OURS
from limbeck.errors import SettingsError
from limbeck.recipes.distill import DistillSettings
from limbeck.recipes.finetune import FinetuneSettings
from limbeck.recipes.pretrain import PretrainSettings


@pytest.mark.parametrize(
    ("flag", "ours"), [("--lr", "learning_rate"), ("--num-train-epochs", "epochs")]
)
def test_the_shell_says_what_it_is_called_here(flag, ours, capsys, tmp_path):
    assert main(["finetune", "--model", "m", "--out", str(tmp_path / "o"), flag, "3"]) == 2
    assert f"It is called '{ours}' here." in capsys.readouterr().err


def test_so_does_python(tmp_path):
    rows = [{"text": "a", "label": "b"}, {"text": "c", "label": "d"}]
    with pytest.raises(SettingsError, match="It is called 'learning_rate' here"):
        limbeck.finetune("m", rows, validation=rows, out=tmp_path / "o", lr=1e-5)


@pytest.mark.parametrize("ours", sorted(set(_OURS.values())))
def test_what_is_named_is_there(ours):
    table = ours.partition(".")[0]
    classes = (FinetuneSettings, DistillSettings, PretrainSettings)
    assert any(table in cls.model_fields for cls in classes)
