"""The public names, and that functions and recipes have one definition of every setting."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import limbeck
from limbeck import api
from limbeck.config import SHOWN
from limbeck.data import CorpusSettings
from limbeck.recipes import (
    chain,
    compress,
    distill,
    distill_embeddings,
    early_exit,
    evaluate,
    export,
    finetune,
    pretrain,
    prune,
    quantise,
    suite,
    trim,
)

SNAPSHOT = Path(__file__).parent / "public_api.txt"
SETTINGS = {
    "build_corpus": CorpusSettings,
    "chain": chain.SettingsType,
    "compress": compress.SettingsType,
    "distill": distill.SettingsType,
    "distill_embeddings": distill_embeddings.SettingsType,
    "early_exit": early_exit.SettingsType,
    "evaluate": evaluate.SettingsType,
    "export_model": export.SettingsType,
    "finetune": finetune.SettingsType,
    "finetune_steps": finetune.SettingsType,
    "pretrain": pretrain.SettingsType,
    "prune": prune.SettingsType,
    "quantise_model": quantise.SettingsType,
    "suite": suite.SettingsType,
    "trim": trim.SettingsType,
}
OWN = {"train", "validation", "test", "transfer", "data", "tokenizer", "out", "progress", "texts"}


def test_what_functions_return_is_public():
    assert set(api.CLASSES) <= set(dir(limbeck))
    assert {*api.CLASSES, *api.FUNCTIONS} == set(api.__all__) - {"CLASSES", "FUNCTIONS"}


def test_every_function_is_public_and_tested_here():
    assert set(api.FUNCTIONS) == set(SETTINGS)
    assert set(api.FUNCTIONS) <= set(dir(limbeck))


@pytest.mark.parametrize("name", SETTINGS)
def test_every_keyword_is_a_setting(name):
    fields = SETTINGS[name].model_fields
    parameters = dict(inspect.signature(getattr(limbeck, name)).parameters)
    assert parameters.pop("settings").kind is inspect.Parameter.VAR_KEYWORD
    assert set(parameters) - OWN <= set(fields)
    shown = {name for name, field in fields.items() if SHOWN in field.metadata}
    assert shown <= set(parameters)


@pytest.mark.parametrize("name", SETTINGS)
def test_defaults_stand_in_the_settings_alone(name):
    public = getattr(limbeck, name)
    function = inspect.unwrap(public)
    code = function.__code__
    own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    written = dict(
        zip(
            own[code.co_argcount - len(function.__defaults__ or ()) :],
            [*(function.__defaults__ or ()), *([None] * code.co_kwonlyargcount)],
            strict=False,
        )
    )
    written |= function.__kwdefaults__ or {}
    assert set(written.values()) <= {None}
    for parameter in inspect.signature(public).parameters.values():
        if parameter.name not in own and parameter.name in SETTINGS[name].model_fields:
            field = SETTINGS[name].model_fields[parameter.name]
            assert parameter.default == field.get_default(call_default_factory=True)


@pytest.mark.parametrize("name", SETTINGS)
def test_help_names_every_setting(name):
    text = inspect.getdoc(getattr(limbeck, name))
    own = inspect.signature(getattr(limbeck, name)).parameters
    for setting in SETTINGS[name].model_fields:
        assert setting in text or setting in own


def test_import_is_quick():
    """Neither the package nor the names of its functions need torch."""
    code = "import limbeck, limbeck.api, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match=r"limbeck.api' has no attribute 'nothing'"):
        _ = api.nothing


def describe():
    """Words the public names: signatures of functions, public attributes of results."""
    lines = []
    for name in dir(limbeck):
        value = getattr(limbeck, name)
        if inspect.isfunction(value):
            lines.append(f"{name}{inspect.signature(value)}")
        else:
            lines.append(name)
    for name in sorted(api.CLASSES):
        lines.append(f"{name}:")
        for attribute in sorted(n for n in dir(getattr(api, name)) if not n.startswith("_")):
            member = inspect.getattr_static(getattr(api, name), attribute)
            words = inspect.signature(member) if inspect.isfunction(member) else ""
            lines.append(f"    {attribute}{words}")
    return "\n".join(lines) + "\n"


def test_the_public_names_are_changed_on_purpose():
    """Where this fails and the change is meant: python tests/api/test_api_signatures.py."""
    assert SNAPSHOT.read_text(encoding="utf-8") == describe()


if __name__ == "__main__":
    SNAPSHOT.write_text(describe(), encoding="utf-8")
