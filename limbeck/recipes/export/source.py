"""The model of an export, its targets, and the rows that it is compared and calibrated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from limbeck.checkpoints import read_inherited, resolve_folder
from limbeck.errors import DataError, ExportError, SettingsError, did_you_mean
from limbeck.export import (
    Graph,
    Target,
    find_trained_grid,
    is_on_grid,
    list_modules,
    load_graph,
    load_target,
)
from limbeck.recipes._inputs import Fingerprinted, hash_inputs
from limbeck.recipes._tasks.data import read_inputs
from limbeck.recipes._tasks.memory import read_memory
from limbeck.recipes.export.gate import Gate, TaskGate
from limbeck.recipes.export.rows import (
    Rows,
    Texts,
    encode_texts,
    measure_unknown,
    read_texts,
    take_rows,
)
from limbeck.recipes.export.settings import ExportSettings
from limbeck.report import figures
from limbeck.tokenizers import Tokenizer
from limbeck.train import Progress

REPAIRS_FOLDER = "repairs"

_USUAL_LENGTH = 128
_MOST_UNKNOWN = 0.2  # English in BERT's vocabulary has less than one in a thousand
_LEAST_TOLD = 0.005
_SENSITIVITY_ROWS = 16  # are run once for every layer, and what the model gives of them is kept
_SENSITIVITY_ROWS_OF_WORDS = 2  # whose outputs have a score for every word


@dataclass(frozen=True)
class Source:
    """What is exported, and to what.

    Attributes:
        settings: Of the run.
        folder: The model's folder.
        graph: The model.
        tokenizer: The model's tokenizer.
        targets: What it is exported to.
        texts: Running text, given or shipped.
        gate: Decides what may be used.
        keep_float: Modules that stay in float whatever is measured.
        max_length: Longest input in tokens.
        training: How `folder` came of the model that was given, in words; None for that itself.
    """

    settings: ExportSettings
    folder: Path
    graph: Graph
    tokenizer: Tokenizer
    targets: tuple[Target, ...]
    texts: Texts
    gate: Gate
    keep_float: tuple[str, ...]
    max_length: int
    training: str | None = None

    @classmethod
    def read(cls, settings: ExportSettings, progress: Progress) -> Self:
        """Reads model, texts and data, and checks that they fit.

        Raises:
            CheckpointError: If the model can't be read.
            DataError: If data or texts can't be used.
            ExportError: If the model is one that nothing here exports.
            MissingHeadError: If the model has no head for the task.
            SettingsError: If there is no such target, or no such module.
        """
        targets = tuple(load_target(name) for name in settings.to)
        folder = resolve_folder(settings.model)
        graph = load_graph(folder)
        reference = _load_reference(settings, graph)
        keep_float = find_modules(graph, settings.keep_float)
        tokenizer = read_inputs(folder)[1]
        length = _choose_length(settings, folder, graph)
        task, texts = None, read_texts(settings.texts, text_field=settings.text_field)
        if settings.is_scored:
            needs_training = settings.repair or any(t.needs_calibration for t in targets)
            task = TaskGate.read(settings, reference, progress, needs_training=needs_training)
            length = task.data.settings.max_length
        if task is not None and not texts.is_given:
            rows = take_rows(task.data, task.split, graph, count=settings.num_rows)
        else:
            rows = encode_texts(texts, graph, tokenizer, count=settings.num_rows, max_length=length)
        gate = Gate(graph=reference, rows=rows, task=task)
        return cls(settings, folder, graph, tokenizer, targets, texts, gate, keep_float, length)

    def check(self, target: Target) -> None:
        """Refuses what can't be written, or not be judged, before anything is.

        Raises:
            DataError: If it needs to be calibrated, and nothing can be on these texts.
            ExportError: If the model can't be exported so, or its rows are longer than the file
                takes.
            MissingExtraError: If a package is not installed; the message gives the pip line.
        """
        target.check(self.graph)
        longest = target.longest_row(self.graph)
        if longest is not None and self.max_length > longest:
            raise ExportError(
                f"max_length = {self.max_length:,}, by what the model was fine-tuned with or was "
                f"asked for, but a row of {target.shown_name} has {longest:,} tokens at most, as "
                "memory is set aside for the longest; accepted: another target, or max_length = "
                f"{longest}, at which texts are cut here and have to be there"
            )
        self.calibrate(target)

    def calibrate(self, target: Target) -> Rows | None:
        """Returns what a target is calibrated on; None for nothing.

        The texts that come with Limbeck are English. Of a model that reads another language, a
        target that can does without them.

        Raises:
            DataError: If the model's vocabulary does not know what is written there.
        """
        if not target.needs_calibration:
            return None
        rows, unknown = self._calibration
        if unknown > _MOST_UNKNOWN:
            if target.does_without_texts and not self._has_own_texts:
                return None
            raise DataError(
                f"{figures.percent(unknown)} of the tokens of {rows.num_rows} {rows.source} are "
                "unknown to the model's vocabulary, so that nothing can be calibrated on them; "
                f"accepted: up to {figures.percent(_MOST_UNKNOWN)}, such as texts in the language "
                "that the model reads"
            )
        if unknown < _LEAST_TOLD:
            return rows
        told = f"{rows.source} ({figures.percent(unknown)} of the tokens unknown to the vocabulary)"
        return replace(rows, source=told)

    @cached_property
    def _calibration(self) -> tuple[Rows, float]:
        """The rows to calibrate on, and the share of their tokens that the vocabulary lacks."""
        rows = self._training_rows(self.settings.calibration_rows)
        return rows, measure_unknown(rows, self.tokenizer)

    @property
    def _has_own_texts(self) -> bool:
        """Whether text is the user's, and not what comes with Limbeck."""
        task = self.gate.task
        return self.texts.is_given or (task is not None and "train" in task.data.examples)

    @cached_property
    def sensitivity_rows(self) -> Rows:
        """What it is measured on which layers are sensitive."""
        scores_words = self.graph.kind.ties_words
        most = _SENSITIVITY_ROWS_OF_WORDS if scores_words else _SENSITIVITY_ROWS
        return self._training_rows(min(most, self.settings.calibration_rows))

    def _training_rows(self, count: int) -> Rows:
        """Returns the task's training rows, or texts where those were given or there are none."""
        task = self.gate.task
        if task is not None and not self.texts.is_given and "train" in task.data.examples:
            return take_rows(task.data, "train", self.graph, count=count)
        return encode_texts(
            self.texts, self.graph, self.tokenizer, count=count, max_length=self.max_length
        )

    def explain_rows(self) -> str | None:
        """Says of a model that reads no English, if that is known, that it is compared on that."""
        if self.texts.is_given or self.gate.task is not None:
            return None
        unknown = measure_unknown(self.gate.rows, self.tokenizer)
        languages = _list_languages(self.folder)
        if languages and "en" not in languages:
            why = f"the model's card says that it reads {', '.join(languages)}"
        elif unknown >= _LEAST_TOLD:
            why = f"{figures.percent(unknown)} of their tokens are unknown to its vocabulary"
        else:
            return None
        return (
            f"outputs are compared on {self.gate.rows.source}, and {why}; texts=FILE gives some in "
            "its language, and data=FOLDER a task to score"
        )

    def list_notes(self, target: Target) -> list[str]:
        """Returns what is to be known of an export before it is made."""
        return [note for note in (self._explain_grid(target), self._explain_texts(target)) if note]

    def _explain_grid(self, target: Target) -> str | None:
        """Says of weights that were trained for another format that they are rounded once more."""
        if target.precision in ("fp32", "fp16") or self._trained_for is None:
            return None
        if is_on_grid(self.graph, target):  # its own, or one that another target has too, as `web`
            return None
        own = load_target(self._trained_for).shown_name
        return (
            f"weights are quantised already, as {own} holds them, and {target.shown_name} rounds "
            f"them once more; limbeck export --to {own} writes them as they are"
        )

    def _explain_texts(self, target: Target) -> str | None:
        """Says of a target that looks at texts that it is written without any."""
        if not target.needs_calibration or self.calibrate(target) is not None:
            return None
        rows, unknown = self._calibration
        return (
            f"{target.shown_name} is written without looking at texts, since "
            f"{figures.percent(unknown)} of the tokens of {rows.source} are unknown to the "
            "model's vocabulary; texts=FILE gives some in its language"
        )

    @cached_property
    def _trained_for(self) -> str | None:
        return find_trained_grid(self.graph)

    def hash_inputs(self) -> dict[str, str]:
        """Returns the checksums of what the run is given."""
        others: dict[str, Fingerprinted] = {}
        if self.texts.is_given:
            others["texts"] = self.texts
        if self.gate.task is not None:
            others["data"] = self.gate.task.data
        return hash_inputs(self.settings.named_models(), **others)

    def place_repair(self, target: Target) -> Path:
        """Returns the folder that keeps what a repair has found until the run is through."""
        return self.settings.out / REPAIRS_FOLDER / target.shown_name

    @property
    def compared(self) -> Path:
        """The folder of what exports are held against."""
        return resolve_folder(self.settings.compare_with or self.settings.model)

    def place(self, target: Target) -> Path:
        """Returns where a target's folder stands in the end."""
        if len(self.targets) == 1:
            return self.settings.out / "model"
        return self.settings.out / "models" / target.shown_name


def _list_languages(folder: Path) -> list[str]:
    """Returns the languages that a model's card names; none where nobody says, or it has many."""
    found = read_inherited(folder).get("language", [])
    names = [found] if isinstance(found, str) else [str(name) for name in found]
    return [] if "multilingual" in names else names


def find_modules(graph: Graph, names: Sequence[str]) -> tuple[str, ...]:
    """Returns modules with weights by their names, or by those of modules that they are in.

    Raises:
        SettingsError: If there is none of a name.
    """
    known = list(list_modules(graph))
    found: dict[str, None] = {}
    for name in names:
        inside = [module for module in known if module == name or module.startswith(f"{name}.")]
        if not inside:
            raise SettingsError(
                f"keep_float names '{name}', and {graph.class_name} has no such module with weights"
                f" to keep; accepted: names such as {known[-1]}, or of what these are in."
                + did_you_mean(name, known)
            )
        found |= dict.fromkeys(inside)
    return tuple(found)


def _load_reference(settings: ExportSettings, graph: Graph) -> Graph:
    """Returns what the export is held against.

    Raises:
        SettingsError: If it reads other inputs than the model, or gives other outputs.
    """
    if settings.compare_with is None:
        return graph
    other = load_graph(resolve_folder(settings.compare_with))
    for what in (_describe_words, _describe_outputs):
        own, given = what(graph), what(other)
        if own != given:
            raise SettingsError(
                f"compare_with = {settings.compare_with} has {given}, and model = "
                f"{settings.model} has {own}; accepted: a model that it can stand in for"
            )
    return other


def _describe_words(graph: Graph) -> str:
    return f"{graph.config.vocab_size:,} words as inputs {', '.join(graph.input_names)}"


def _describe_outputs(graph: Graph) -> str:
    labels = getattr(graph.config, "id2label", None) or {}
    names = f" of labels {', '.join(map(str, labels.values()))}" if graph.kind.has_head else ""
    return f"outputs {', '.join(graph.output_names)}{names}"


def _choose_length(settings: ExportSettings, folder: Path, graph: Graph) -> int:
    memory = read_memory(folder)
    length = settings.max_length or (_USUAL_LENGTH if memory is None else memory.max_length)
    return min(length, graph.config.max_tokens or length)
