"""Model folders and the Hub: files, JSON and tensors; no architecture is known here."""

from limbeck.checkpoints.files import read_json, replace_file, write_json
from limbeck.checkpoints.folder import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    read_config,
    read_tensors,
    write_model,
)
from limbeck.checkpoints.hub import resolve_folder
from limbeck.checkpoints.tensors import read_safetensors, write_safetensors

__all__ = [
    "CONFIG_NAME",
    "WEIGHTS_NAME",
    "read_config",
    "read_json",
    "read_safetensors",
    "read_tensors",
    "replace_file",
    "resolve_folder",
    "write_json",
    "write_model",
    "write_safetensors",
]
