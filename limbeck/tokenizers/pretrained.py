"""A tokenizer's folder: which files it has, what they mean together, and writing them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import Unigram, WordPiece

from limbeck.errors import CheckpointError, shorten, with_article
from limbeck.files import read_text, write_json, write_text
from limbeck.tokenizers.backend import (
    add_missing_tokens,
    find_special_tokens,
    is_plain_bert,
    parse_pipeline,
    set_bert_template,
)
from limbeck.tokenizers.classes import (
    BERT_TOKENS,
    GENERIC,
    GENERIC_CLASSES,
    TokenizerClass,
    find_class,
)
from limbeck.tokenizers.config import (
    TokenizerConfig,
    named_class,
    parse_config,
    read_flag,
    read_values,
    token_content,
)
from limbeck.tokenizers.files import read_optional_json
from limbeck.tokenizers.matching import apply_layout, describe_model, find_settings
from limbeck.tokenizers.vocabulary_files import read_vocabulary


def load_folder(folder: Path) -> tuple[Tokenizer, TokenizerConfig]:
    """Reads the tokenizer of a folder.

    Raises:
        CheckpointError: If files are missing, malformed, contradict each other or are of a kind
            that is not supported.
    """
    values = read_values(folder)
    model_config = read_optional_json(folder / "config.json")
    where = str(folder / "tokenizer_config.json")
    path, backend = folder / "tokenizer.json", None
    if path.is_file():
        backend = parse_pipeline(read_text(path, error=CheckpointError), where=str(path))
    name = named_class(values, model_config, where=where)
    if name is None:
        name = _choose_class(backend, values, model_type=str(model_config.get("model_type", "")))
    elif backend is not None:
        _require_kind(backend, name, path=path)
    known = find_class(name)
    config = parse_config(
        values,
        model_config=model_config,
        class_name=name,
        usual_tokens=known.special_tokens if known else find_special_tokens(backend),
        where=where,
    )
    if backend is not None:
        _check_special_tokens(backend, config, path=path)
        # A folder that names no class at all is read by its tokenizer.json alone.
        is_named = values.get("tokenizer_class") or model_config.get("model_type")
        if known is not None:
            named = _named_settings(values, known, where=where)
            _follow_settings(backend, known, named, config, path=path, check=bool(is_named))
    else:
        known, vocabulary = read_vocabulary(folder, known, config)
        backend = Tokenizer(vocabulary.model)
        _check_special_tokens(backend, config, path=vocabulary.path)
        settings = {**known.default_settings, **_named_settings(values, known, where=where)}
        apply_layout(backend, known, settings, config.special_tokens, charsmap=vocabulary.charsmap)
    _add_tokens(backend, values, config, folder=folder, where=where)
    return backend, config


def _choose_class(backend: Tokenizer | None, values: Mapping[str, Any], *, model_type: str) -> str:
    """Returns the class of a folder that names none: by its model, or else by what is there."""
    known = find_class(model_type)
    if backend is None:
        return "BertTokenizer" if known is None else known.name
    if known is not None and known.model == type(backend.model).__name__:
        return known.name
    has_tokens = all(
        role in values or backend.token_to_id(content) is not None
        for role, content in BERT_TOKENS.items()
    )
    return "BertTokenizer" if is_plain_bert(backend) and has_tokens else GENERIC


def _require_kind(backend: Tokenizer, name: str, *, path: Path) -> None:
    known, kind = find_class(name), type(backend.model).__name__
    if known is not None and known.model != kind:
        raise CheckpointError(
            f"{path} holds {with_article(kind)} tokenizer, and the folder's tokenizer_class is "
            f"{name!r}, which is {known.model}: the files are those of two models. Copy them again "
            "from where the "
            'model came; if tokenizer.json is the right one, write "tokenizer_class": '
            f'"{GENERIC}" into tokenizer_config.json.'
        )


def save_folder(backend: Tokenizer, config: TokenizerConfig, folder: Path) -> None:
    """Writes `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json`, `vocab.txt`.

    Raises:
        CheckpointError: If the folder can't be made or written.
    """
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file; give a folder to save the tokenizer in.")
    values = config.to_dict()
    known = find_class(config.tokenizer_class)
    settings = None if known is None else find_settings(backend, known, config.special_tokens)
    if settings is None and config.tokenizer_class not in GENERIC_CLASSES:
        # transformers would build the class's own pipeline and lose this one.
        values["tokenizer_class"] = GENERIC
    elif settings is not None:
        values |= settings
        if isinstance(backend.model, Unigram):
            values["unk_id"] = describe_model(backend.model)["unk_id"]
    for name, content in (
        ("tokenizer_config.json", values),
        ("special_tokens_map.json", config.special_tokens),
    ):
        write_json(folder / name, content, error=CheckpointError, sort_keys=True)
    write_text(folder / "tokenizer.json", backend.to_str(pretty=True), error=CheckpointError)
    if not isinstance(backend.model, WordPiece):
        return
    vocab = backend.get_vocab(with_added_tokens=False)
    if sorted(vocab.values()) == list(range(len(vocab))):
        pieces = sorted(vocab, key=vocab.__getitem__)
        text = "".join(f"{piece}\n" for piece in pieces)
        write_text(folder / "vocab.txt", text, error=CheckpointError)


def _named_settings(
    values: Mapping[str, Any], known: TokenizerClass, *, where: str
) -> dict[str, bool | None]:
    """Returns the settings of a class that stand in the file."""
    return {
        key: default if values[key] is None else read_flag(values, key, default=False, where=where)
        for key, default in known.default_settings.items()
        if key in values
    }


def _follow_settings(
    backend: Tokenizer,
    known: TokenizerClass,
    named: Mapping[str, bool | None],
    config: TokenizerConfig,
    *,
    path: Path,
    check: bool,
) -> None:
    """Sets what `tokenizer_config.json` says over what `tokenizer.json` says.

    `transformers` does so too, and takes its defaults for what is not said. Where a default
    would change the ids against `tokenizer.json`, nobody can know which was meant. A pipeline that
    its class doesn't make is left as it is.
    """
    found = find_settings(backend, known, config.special_tokens)
    if found is None:
        if known.is_bert:
            set_bert_template(backend, config.special_tokens)
        return
    wanted = {**found, **named}
    for key, default in known.default_settings.items():
        if not check or key in named:
            continue
        if _effect(key, wanted) != _effect(key, wanted | {key: default}):
            raise CheckpointError(
                f"{path} was made with {key}={found[key]}, tokenizer_config.json does not say "
                f"{key}, and transformers would then use {default}. Write the right one into "
                f'tokenizer_config.json: "{key}": {json.dumps(found[key])} to follow '
                "tokenizer.json."
            )
    apply_layout(backend, known, wanted, config.special_tokens)


def _effect(key: str, settings: Mapping[str, bool | None]) -> bool | None:
    """Returns what a setting comes to; strip_accents=None means "as do_lower_case says"."""
    value = settings[key]
    return settings["do_lower_case"] if value is None else value


def _check_special_tokens(backend: Tokenizer, config: TokenizerConfig, *, path: Path) -> None:
    missing = {
        role: content
        for role, content in config.special_tokens.items()
        if backend.token_to_id(content) is None
    }
    if missing:
        names = ", ".join(f"{content} ({role})" for role, content in missing.items())
        raise CheckpointError(
            f"{path} has no {names}. If the vocabulary spells a special token in another way, name "
            'it in tokenizer_config.json, such as "cls_token": "<s>"; otherwise the file is not '
            f"the vocabulary of {with_article(config.tokenizer_class)}."
        )


def _add_tokens(
    backend: Tokenizer,
    values: Mapping[str, Any],
    config: TokenizerConfig,
    *,
    folder: Path,
    where: str,
) -> None:
    """Adds the tokens that the small files name and the pipeline does not know yet."""
    numbered = _numbered_tokens(values, where=where)
    extras = _extra_tokens(values, where=where)
    named = {content: values.get(role) for role, content in config.special_tokens.items()}
    if not numbered:
        path = folder / "added_tokens.json"
        for content, index in read_optional_json(path).items():
            if not isinstance(index, int):
                raise CheckpointError(f"{path}: {content!r} is {index!r}; accepted: its id.")
            special = content in named or content in extras
            numbered[index] = AddedToken(content, special=special, normalized=not special)
    tokens: dict[str, AddedToken | None] = {
        numbered[index].content: numbered[index] for index in sorted(numbered)
    }
    for content, value in named.items():
        given = (
            _added_token(value | {"special": True}, where=where)
            if isinstance(value, dict)
            else None
        )
        tokens.setdefault(content, given)
    for content in extras:
        tokens.setdefault(content, None)
    add_missing_tokens(backend, tokens)
    for index, token in numbered.items():
        if backend.token_to_id(token.content) != index:
            raise CheckpointError(
                f"{where} gives the added token {token.content!r} the id {index}, and by the "
                f"vocabulary it is {backend.token_to_id(token.content)}; the files of {folder} do "
                "not belong together."
            )


def _numbered_tokens(values: Mapping[str, Any], *, where: str) -> dict[int, AddedToken]:
    tokens = values.get("added_tokens_decoder") or {}
    if not isinstance(tokens, Mapping) or not all(
        key.isdecimal() and isinstance(token, Mapping) for key, token in tokens.items()
    ):
        raise CheckpointError(
            f"{where}: added_tokens_decoder is {shorten(tokens)}; accepted: an object from ids to "
            'tokens, such as {"100": {"content": "<x>"}}.'
        )
    return {int(key): _added_token(token, where=where) for key, token in tokens.items()}


def _extra_tokens(values: Mapping[str, Any], *, where: str) -> list[str]:
    key = "extra_special_tokens"
    tokens = values.get(key) or values.get("additional_special_tokens") or []
    if isinstance(tokens, Mapping):
        tokens = list(tokens.values())
    if not isinstance(tokens, list):
        raise CheckpointError(f"{where}: {key} is {tokens!r}; accepted: a list of tokens.")
    return [token_content(token, key=key, where=where) for token in tokens]


def _added_token(value: Mapping[str, Any], *, where: str) -> AddedToken:
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    given = {
        flag: read_flag(value, flag, default=False, where=where) for flag in flags if flag in value
    }
    return AddedToken(token_content(value, key="added_tokens_decoder", where=where), **given)
