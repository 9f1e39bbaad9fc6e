"""From a model folder to an exported one: whole, with all that its users need beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch

from limbeck.checkpoints import CONFIG_NAME, copy_beside, read_config, require_no_exits, short_name
from limbeck.checkpoints.exported import ExportInfo
from limbeck.errors import CheckpointError, ExportError, LimbeckError, shorten
from limbeck.export._graph import Graph
from limbeck.export._target import Calibration, Target
from limbeck.files import sha256_of, write_json
from limbeck.models import (
    Model,
    SentenceModel,
    find_class,
    find_foreign_family,
    find_own_kind,
)
from limbeck.system_errors import is_out_of_memory, raised_as
from limbeck.tokenizers import AutoTokenizer
from limbeck.version import __version__


def load_graph(folder: Path) -> Graph:
    """Reads a model folder with the head that it names, or as a sentence model.

    Raises:
        CheckpointError: If the folder can't be read.
        ExportError: If it does not say which head it has, has early exits, is run by another
            library, or is an export itself.
    """
    if ExportInfo.exists(folder) and not any(folder.glob("*.safetensors")):
        info = ExportInfo.read(folder)
        raise ExportError(
            f"{folder} holds an export already, {info.target.replace('_', '-')} ({info.precision}),"
            " and no weights to export; accepted: the folder of the model that it was made of"
        )
    require_no_exits(folder, "an exported file runs all layers on every input", error=ExportError)
    config = read_config(folder)
    family, names = str(config.get("model_type")), config.get("architectures") or [""]
    if find_foreign_family(folder) is not None:
        raise ExportError(
            f"{folder} holds a model of the family {family!r}, which transformers runs and Limbeck "
            "can't export; accepted: the families of limbeck list models. A student of one of them "
            "learns what it knows (limbeck finetune STUDENT --teacher MODEL)"
        )
    kind = find_own_kind(family, str(names[0]))
    # An encoder of sentences is often named after the language model that it was trained from, but
    # has no such head.
    reads_texts = kind is None or not kind.has_head or kind.ties_words
    if reads_texts and (folder / "modules.json").is_file():
        return Graph(SentenceModel.from_pretrained(folder), name=_name(folder))
    if kind is None:
        raise ExportError(
            f"{folder / CONFIG_NAME} names the architecture {names[0]!r}; accepted: one of the "
            "family's own, such as DistilBertForSequenceClassification"
        )
    model: Model = find_class(family, kind).from_pretrained(folder)
    return Graph(model, name=_name(folder))


def _name(folder: Path) -> str:
    """Returns what a folder's model is called; in the Hub's cache, what its repository is."""
    is_snapshot = folder.parent.name == "snapshots"
    return folder.parents[1].name.rpartition("--")[2] if is_snapshot else short_name(folder)


@contextmanager
def _in_words(target: Target) -> Iterator[None]:
    """Raises what a converter raises as an `ExportError`; its own errors have no common base."""
    try:
        yield
    except (LimbeckError, OSError, MemoryError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        said = shorten(" ".join(str(error).split()), length=300, quoted=False)
        raise ExportError(
            f"{target.shown_name}: what converts the model has failed: "
            f"{type(error).__name__}: {said}"
        ) from error


def write_export(
    source: Path,
    folder: Path,
    target: Target,
    *,
    graph: Graph | None = None,
    calibration: Calibration = (),
    keep_float: Sequence[str] = (),
) -> ExportInfo:
    """Writes an exported model into a folder that does not exist yet, or is empty.

    Args:
        source: The model folder.
        folder: Where to; what stands there at an error is for the caller to remove.
        target: The format.
        graph: The folder's model, if it is loaded already.
        calibration: As in `Target.write`.
        keep_float: As in `Target.write`.

    Raises:
        CheckpointError: If the model can't be read, or the folder can't be written.
        ExportError: If the model can't be exported so.
        MissingExtraError: If a package is not installed.
    """
    graph = graph or load_graph(source)
    target.check(graph)
    with raised_as(CheckpointError, folder, writes=True):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / CONFIG_NAME, read_config(source), error=CheckpointError)
    AutoTokenizer.from_pretrained(source).for_model(graph.config).save_pretrained(folder)
    copy_beside(source, folder)
    # Other libraries write as well, and say of a full disk what they like.
    with torch.no_grad(), raised_as(CheckpointError, folder, writes=True), _in_words(target):
        written = target.write(graph, folder, calibration=calibration, keep_float=keep_float)
    info = ExportInfo(
        target=target.name,
        engine=target.engine,
        precision=target.precision,
        kind=graph.kind.name,
        inputs=graph.input_names,
        outputs=graph.output_names,
        max_tokens=graph.config.max_tokens,
        token_buckets=written.token_buckets,
        files={name: sha256_of(folder / name) for name in written.files},
        made_with={
            "limbeck": __version__,
            "torch": version("torch"),
            **written.made_with,
        },
        options=dict(written.options),
    )
    return info.write(folder, error=CheckpointError)
