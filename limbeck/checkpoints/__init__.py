"""Model folders and the Hub: files, JSON and tensors; no architecture is known here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_names

if TYPE_CHECKING:
    from limbeck.checkpoints.beside import copy_beside, read_task_length, read_task_name
    from limbeck.checkpoints.card import (
        CARD_NAME,
        extend_readme,
        has_foreign_card,
        read_base_model,
        read_inherited,
        write_readme,
    )
    from limbeck.checkpoints.download import push_folder
    from limbeck.checkpoints.exits import ExitInfo, holds_exits, require_no_exits
    from limbeck.checkpoints.folder import (
        CONFIG_NAME,
        SPARSE_NAME,
        WEIGHTS_NAME,
        holds_weights,
        read_config,
        read_tensors,
        require_weights,
        write_model,
    )
    from limbeck.checkpoints.hub import resolve_folder, short_name
    from limbeck.checkpoints.identity import hash_model, is_model_file
    from limbeck.checkpoints.tensors import (
        map_safetensors,
        read_checksum,
        read_safetensors,
        write_safetensors,
    )
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "beside": ["copy_beside", "read_task_length", "read_task_name"],
            "card": [
                "CARD_NAME",
                "extend_readme",
                "has_foreign_card",
                "read_base_model",
                "read_inherited",
                "write_readme",
            ],
            "exits": ["ExitInfo", "holds_exits", "require_no_exits"],
            "folder": [
                "CONFIG_NAME",
                "SPARSE_NAME",
                "WEIGHTS_NAME",
                "holds_weights",
                "read_config",
                "read_tensors",
                "require_weights",
                "write_model",
            ],
            "download": ["push_folder"],
            "hub": ["resolve_folder", "short_name"],
            "identity": ["hash_model", "is_model_file"],
            "tensors": [
                "map_safetensors",
                "read_checksum",
                "read_safetensors",
                "write_safetensors",
            ],
        },
    )

__all__ = [
    "CARD_NAME",
    "CONFIG_NAME",
    "SPARSE_NAME",
    "WEIGHTS_NAME",
    "ExitInfo",
    "copy_beside",
    "extend_readme",
    "has_foreign_card",
    "hash_model",
    "holds_exits",
    "holds_weights",
    "is_model_file",
    "map_safetensors",
    "push_folder",
    "read_base_model",
    "read_checksum",
    "read_config",
    "read_inherited",
    "read_safetensors",
    "read_task_length",
    "read_task_name",
    "read_tensors",
    "require_no_exits",
    "require_weights",
    "resolve_folder",
    "short_name",
    "write_model",
    "write_readme",
    "write_safetensors",
]
