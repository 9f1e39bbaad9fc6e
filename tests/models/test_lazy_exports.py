"""`import limbeck` is quick, and gives every public name on its first use."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import limbeck
from limbeck import listing
from limbeck.models import Model, find_architecture, find_kind

pytestmark = pytest.mark.slow  # processes of their own

ROOT = Path(limbeck.__file__).parents[1]


def run(code: str, **options: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, **options
    )
    return done.stdout


@pytest.mark.slow
def test_import_is_light():
    run(
        "import sys, limbeck; print(limbeck.__version__); from limbeck import version\n"
        "assert not hasattr(limbeck, 'nothing') and not hasattr(limbeck, '__wrapped__')\n"
        "heavy = {'torch', 'numpy', 'tokenizers', 'huggingface_hub'} & sys.modules.keys()\n"
        "assert not heavy, heavy; assert 'BertModel' in dir(limbeck); limbeck.BertModel\n"
        "assert 'transformers' not in sys.modules"
    )


def test_every_public_name_is_there():
    assert limbeck.__all__ == dir(limbeck) == sorted(set(dir(limbeck)))
    for name in dir(limbeck):
        value = getattr(limbeck, name)
        assert value.__name__ == name if hasattr(value, "__name__") else name == "__version__"
    everything = run("from limbeck import *; print(*sorted(set(dir())))").split()
    assert set(everything) >= set(dir(limbeck))
    with pytest.raises(AttributeError, match="module 'limbeck' has no attribute 'BertForNothing'"):
        limbeck.BertForNothing  # noqa: B018


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        pytest.param(family, kind, id=f"{family}-{kind.name}")
        for family in listing.list_names("limbeck.models")
        for kind in find_architecture(family).kinds
    ],
)
def test_a_class_for_every_kind(family, kind):
    architecture = find_architecture(family)
    name = architecture.class_name(kind)
    cls = getattr(limbeck, name)
    module = importlib.import_module(f"limbeck.models.{family}")
    assert getattr(module, name) is cls
    assert (cls.__module__, cls.__qualname__) == (module.__name__, name)
    assert cls.__doc__ == kind.summary
    assert (cls.architecture, cls.kind, cls.__bases__) == (architecture, kind, (Model,))
    assert find_kind(name) is kind
    assert pickle.loads(pickle.dumps(cls)) is cls
    assert inspect.getmodule(cls) is module
    assert getattr(limbeck, kind.auto_name).kind is kind
    namespace: dict[str, object] = {}
    exec(f"from limbeck.models.{family} import *", namespace)
    assert namespace[name] is cls


def test_a_model_pickles():
    model = limbeck.BertModel(
        limbeck.BertConfig(
            vocab_size=9,
            hidden_size=4,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=4,
        )
    )
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert again.num_parameters == model.num_parameters
        assert again.kind is model.kind


def test_type_checkers_see_what_there_is():
    """The stub is what the script writes: run scripts/write_stub.py where this fails."""
    printed = subprocess.run(
        [sys.executable, ROOT / "scripts" / "write_stub.py", "--print"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert (ROOT / "limbeck" / "__init__.pyi").read_text(encoding="utf-8") == printed


FAMILY = '''"""A family that nobody had heard of: BERT under another name."""

from dataclasses import dataclass, replace
from typing import ClassVar

from limbeck.models import bert
from limbeck.models._classes import make_classes
from limbeck.models._kinds import ENCODER, MASKED_LM


@dataclass(frozen=True, kw_only=True)
class NovelConfig(bert.BertConfig):
    """As BERT's."""

    model_type: ClassVar[str] = "novel"


ARCHITECTURE = replace(
    bert.ARCHITECTURE,
    class_prefix="Novel",
    config_type=NovelConfig,
    kinds=(ENCODER, MASKED_LM),
)
globals().update(make_classes(ARCHITECTURE, module=__name__))
'''


def test_a_family_is_one_file(tmp_path):
    """A module that joins the room is listed and public, without a word anywhere else."""
    (tmp_path / "novel.py").write_text(FAMILY)
    shown = run(
        "import limbeck, limbeck.models\n"
        f"limbeck.models.__path__.append({str(tmp_path)!r})\n"
        "from limbeck import NovelConfig, NovelForMaskedLM, AutoModelForMaskedLM\n"
        "from limbeck import AutoModelForTokenClassification, SettingsError\n"
        "model = AutoModelForMaskedLM.from_config(NovelConfig(num_hidden_layers=1, vocab_size=9))\n"
        "assert type(model) is NovelForMaskedLM and model.config.pad_token_id == 0\n"
        "print(*(name for name in dir(limbeck) if 'Novel' in name))\n"
        "try:\n"
        "    AutoModelForTokenClassification.from_config(NovelConfig())\n"
        "except SettingsError as error:\n"
        "    print(error)"
    )
    names, lacking = shown.splitlines()
    assert set(names.split()) == {"NovelConfig", "NovelForMaskedLM", "NovelModel"}
    assert lacking == (
        "novel has no NovelForTokenClassification; accepted: NovelModel, NovelForMaskedLM"
    )
