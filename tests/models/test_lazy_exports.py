"""`import limbeck` is quick, and gives every public name on its first use."""

from __future__ import annotations

import subprocess
import sys

import limbeck


def test_import_is_light():
    code = (
        "import sys, limbeck; print(limbeck.__version__);"
        "heavy = {'torch', 'numpy', 'tokenizers', 'huggingface_hub'} & sys.modules.keys();"
        "assert not heavy, heavy; assert 'BertModel' in dir(limbeck); limbeck.BertModel;"
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    assert limbeck.__all__ == sorted(limbeck.__all__, key=lambda n: (n[0] in "_p", n))
    for name in limbeck.__all__:
        value = getattr(limbeck, name)
        assert value.__name__ == name if hasattr(value, "__name__") else name == "__version__"
