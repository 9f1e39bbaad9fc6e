"""What sentence-transformers calls things that `SentenceEncoder` has under another name, or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from limbeck.errors import SettingsError, did_you_mean

ENCODE_HABITS: Final = {
    "precision": "vectors are float32; quantise them where they are kept",
    "output_value": "it gives vectors of texts alone; limbeck.AutoModel gives those of tokens",
    "device": "give it when the encoder is made",
    "pool": "one process runs the model, and all cores the tokenizer",
    "chunk_size": "texts are read in chunks anyway",
    "inputs": "give the texts first, without a name",
}
MAKE_HABITS: Final = {
    "model_name_or_path": "give it first, without a name",
    "trust_remote_code": "no code of a model folder is ever run",
    "cache_folder": "it is cache_dir here",
    "local_files_only": "it is offline here",
    "use_auth_token": "it is token here",
    "similarity_fn_name": "it is similarity here",
    "backend": "it is engine here, as limbeck list engines shows them",
    "modules": "build a limbeck.models.SentenceModel and give it first, with tokenizer=",
    "model_kwargs": "give dtype=",
    "tokenizer_kwargs": "give max_seq_length=, or a tokenizer of your own",
    "torch_dtype": "it is dtype here",
}
METHOD_HABITS: Final = {
    "encode_multi_process": "encode",
    "start_multi_process_pool": "encode, which needs none",
    "save": "save_pretrained",
    "push_to_hub": "save_pretrained, then: hf upload REPO FOLDER",
    "save_to_hub": "save_pretrained, then: hf upload REPO FOLDER",
    "fit": "limbeck distill-embeddings, which trains",
    "preprocess": "tokenize",
    "similarity_fn_name": "similarity_name",
    "truncate_sentence_embeddings": "encode(..., truncate_dim=...)",
    "truncate_embeddings": "encode(..., truncate_dim=...)",
    "get_max_seq_length": "max_seq_length",
    "evaluate": "limbeck.evaluate(model=FOLDER, task='sts', ...)",
}


def refuse(name: str, habits: Mapping[str, str], *, of: Callable[..., Any]) -> NoReturn:
    """Refuses an option that a function does not have, and says what it is here.

    Raises:
        SettingsError: Always.
    """
    where = "SentenceEncoder" if of.__name__ == "__init__" else of.__name__
    accepted = [n for n in of.__annotations__ if n not in ("options", "return")]
    if name in habits:
        raise SettingsError(
            f"{where} has no option '{name}': {habits[name]}; accepted: {', '.join(accepted)}"
        )
    raise SettingsError(
        f"{where} has no option '{name}'; accepted: {', '.join(accepted)}."
        + did_you_mean(name, accepted)
    )
