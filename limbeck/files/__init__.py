"""Our own files: whole or not at all, JSON, JSON Lines, checksums; one owner a folder."""

from limbeck.files.atomic import (
    flush_to_disk,
    is_leftover,
    partial_path,
    replace_file,
    replace_folder,
    write_text,
)
from limbeck.files.checksums import crc32_of, sha256_of, sha256_of_files, sha256_of_texts
from limbeck.files.json_lines import read_json_lines, write_json_lines
from limbeck.files.json_objects import read_json, write_json
from limbeck.files.ownership import own_folder, remove_if_bare
from limbeck.files.reading import parse_json, read_text

__all__ = [
    "crc32_of",
    "flush_to_disk",
    "is_leftover",
    "own_folder",
    "parse_json",
    "partial_path",
    "read_json",
    "read_json_lines",
    "read_text",
    "remove_if_bare",
    "replace_file",
    "replace_folder",
    "sha256_of",
    "sha256_of_files",
    "sha256_of_texts",
    "write_json",
    "write_json_lines",
    "write_text",
]
