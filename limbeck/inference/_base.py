"""What all pipelines share: an engine, a tokenizer, options, and rows run in batches."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding

from limbeck.errors import CheckpointError, SettingsError, shorten, with_article
from limbeck.inference._batches import choose_budget, divide
from limbeck.inference._options import Options, require_positive
from limbeck.inference._stream import (
    OnError,
    Steps,
    check_on_error,
    is_many,
    is_stream,
    read_each,
    run_stream,
)
from limbeck.inference.engines import Engine, Outputs
from limbeck.inference.engines._engine import engine_name
from limbeck.models import Kind
from limbeck.tokenizers import Tokenizer

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float32]
ResultT = TypeVar("ResultT")
OptionsT = TypeVar("OptionsT", bound=Options)


def advise_finetuning(name: str, options: str) -> str:
    """Says how a model of this name gets a head for a task, given options of `finetune`."""
    return (
        f"fine-tune it first: limbeck finetune model={name} {options}data=... out=RUN, then give "
        "RUN/model"
    )


class Pipeline(Generic[OptionsT]):
    """Base of the pipelines.

    Each call takes `batch_size` and `max_length` of its own, and `on_error`, what becomes of a bad
    input: `raise`, or `skip`, which gives None in the place of its result, or a function that is
    told its number and its error.

    Args:
        engine: Runs a model with the head that the pipeline reads.
        tokenizer: The model's tokenizer.
        batch_size: Most texts, or windows of them, that go through the model at a time; by default
            as many as have about as many tokens as the device does best at a time. With 1 each
            input is answered before the next is read.
        max_length: Longest input in tokens; by default the longest that the engine takes, or that
            models for the task are fine-tuned with. A model that takes any length gets by default
            what it was trained with, `max_position_embeddings`.
        options: Those of `options_type`; what is given with a call counts for that call.

    Raises:
        SettingsError: If the model has another head, there is no such option, or a number is out
            of range.
    """

    task: ClassVar[str]
    """The pipeline's name in `pipeline`: that of its file, with hyphens."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names of it."""
    is_usual: ClassVar[bool] = True
    """Whether models with the head go to it where no task is named."""
    reads_below: ClassVar[bool] = False
    """Whether it takes the encoder below whatever head a folder has."""
    reads_vectors: ClassVar[bool] = False
    """Whether it takes one vector a text, not the states of its tokens."""
    default_model: ClassVar[str | None] = None
    """The Hub's model that it takes where none is named."""
    found: ClassVar[str | None] = None
    """What is found in a row of a table is called; None where `limbeck embed` is for it."""
    headline: ClassVar[str | None] = None
    """What of a result is the prediction, beside its score."""
    second: ClassVar[str | None] = None
    """What stands beside a row's text: `limbeck predict` has an option of this name, and reads a
    column."""
    reads_list: ClassVar[bool] = False
    """Whether it is a list of texts, not one."""
    second_about: ClassVar[str] = ""
    """What it is, in a line of help."""
    needs_second: ClassVar[bool] = False
    """Whether a row can't do without."""
    row_options: ClassVar[Mapping[str, Any]] = {}
    """Options of a call with rows of a table where nobody says otherwise."""
    kind: ClassVar[Kind]
    """Which head its models have."""
    options_type: ClassVar[type[Options]] = Options
    """What can be chosen, with defaults."""
    usual_length: ClassVar[int | None] = None
    """Longest input in tokens that models for the task are fine-tuned with, if that is usual."""
    finetune_options: ClassVar[str] = ""
    """What `limbeck finetune` needs to be told to make such a model."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        *,
        batch_size: int | None = None,
        max_length: int | None = None,
        **options: Any,
    ) -> None:
        if engine.kind != self.kind:
            raise SettingsError(
                f"the {self.task} pipeline was given {with_article(engine.facts.class_name)}; "
                f"accepted: {with_article(engine.facts.class_name_of(self.kind))}"
            )
        self.engine = engine
        self.facts = engine.facts
        self.tokenizer = tokenizer
        shortage = tokenizer.describe_shortage(self.facts.vocab_size)
        if shortage is not None:
            logger.warning("%s", shortage)
        self.options = cast(OptionsT, self.options_type().override(options, task=self.task))
        self._batch_size = self._choose_batch_size(batch_size)
        self._max_length = self._choose_max_length(max_length)
        self._counts = Counter[str]()  # of the copies too that calls make

    @classmethod
    def advise(cls, name: str) -> str:
        """Says how a model with the head is made of one without, for messages."""
        return advise_finetuning(name, cls.finetune_options)

    @classmethod
    def read_row(cls, text: str, second: Any) -> Any:
        """Returns the input that a row of a table makes.

        Args:
            text: Its text.
            second: What stands beside it, as `second` says; None for nothing.
        """
        return text if second is None else {"text": text, str(cls.second): second}

    @classmethod
    def list_results(cls, result: Any) -> list[dict[str, Any]]:
        """Returns the result of a row as a list whatever its number."""
        return [result] if isinstance(result, dict) else list(result)

    @classmethod
    def recognises(cls, folder: Path, kind: Kind | None) -> bool:  # noqa: ARG003 - for those that look
        """Tells whether a model folder says by more than its head that it is for this pipeline.

        Args:
            folder: The folder.
            kind: Which head its model has, None where nobody knows.
        """
        return False

    def __repr__(self) -> str:
        engine = f"engine={engine_name(type(self.engine))!r}, precision={self.engine.precision!r}"
        return f"{type(self).__name__}({self.facts.class_name}, {engine}, device={self.device!r})"

    @property
    def device(self) -> str:
        """Where the model runs, such as `cpu` or `cuda:0`."""
        return self.engine.device

    @property
    def model(self) -> Any:
        """The model that PyTorch runs.

        Raises:
            SettingsError: If an exported file is run, of which there is no such object.
        """
        if not hasattr(self.engine, "model"):
            raise SettingsError(
                f"{engine_name(type(self.engine))} runs a file, and there is no model object; "
                "accepted: a pipeline of the folder that was exported"
            )
        return self.engine.model

    @property
    def max_length(self) -> int:
        """Longest input in tokens, or longest window of one."""
        return self._max_length

    @property
    def most_tokens(self) -> int:
        """Longest input in tokens that both tokenizer and engine take."""
        lengths = (self.tokenizer.model_max_length, self.engine.limits.max_tokens)
        return min(length for length in lengths if length is not None)

    @property
    def num_cut(self) -> int:
        """How many inputs were longer than `max_length` tokens so far, and were cut there."""
        return self._counts["cut"]

    def _count_cut(self, rows: Sequence[Encoding], owners: Iterable[int] | None = None) -> None:
        """Counts the inputs of which something was left out.

        Args:
            rows: Their tokens.
            owners: Which input each row is of; by default each of its own.
        """
        each = zip(range(len(rows)) if owners is None else owners, rows, strict=True)
        # What was left out is copied to be looked at, so the length is looked at first.
        cut = {owner for owner, row in each if len(row) >= self._max_length and row.overflowing}
        self._counts["cut"] += len(cut)

    def _choose_batch_size(self, given: int | None) -> int | None:
        limit = self.engine.limits.max_rows
        if given is None:
            return limit
        if limit is not None and given > limit:
            raise SettingsError(f"batch_size = {given}, but the engine takes {limit} at a time")
        return require_positive("batch_size", given)

    def _choose_max_length(self, given: int | None) -> int:
        limit = self.most_tokens
        if given is None:
            return min(limit, self.facts.trained_tokens, self.usual_length or limit)
        if require_positive("max_length", given) > limit:
            raise SettingsError(f"max_length = {given}, but the model takes {limit} tokens")
        return given

    def cut_at_most(self, length: int) -> Self:
        """Returns the same pipeline, its model shared, with no longer inputs than so many tokens.

        One with a usual length reads in windows, and cuts nothing.
        """
        if self.usual_length is not None:
            return self
        other = copy.copy(self)
        other._max_length = min(self._max_length, length)
        return other

    def with_batch_size(self, batch_size: int | None) -> Self:
        """Returns the same pipeline, its model shared, with other `batch_size`.

        Raises:
            SettingsError: If it is below 1, or above what the engine takes.
        """
        other = copy.copy(self)
        other._batch_size = self._choose_batch_size(batch_size)
        return other

    def _for_call(self, given: dict[str, Any]) -> tuple[Self, OptionsT, OnError]:
        """Returns the pipeline and the options of one call, and what becomes of bad inputs.

        Args:
            given: `batch_size`, `max_length`, `on_error` and options; what is not given is as the
                pipeline was made.
        """
        options = dict(given)
        batch_size, max_length = options.pop("batch_size", None), options.pop("max_length", None)
        on_error = check_on_error(options.pop("on_error", "raise"))
        other = self if batch_size is None else self.with_batch_size(batch_size)
        if max_length is not None:
            other = copy.copy(other)
            other._max_length = other._choose_max_length(max_length)
        return other, self.options.override(options, task=self.task), on_error

    def _answer(self, inputs: Any, steps: Steps[Any, Any, Any], *, on_error: OnError) -> Any:
        """Returns the result of one input, or those of many: a list, or for a stream a generator.

        Args:
            inputs: An input, or many.
            steps: What is done with them.
            on_error: What becomes of a bad input; see `OnError`.
        """
        if is_many(inputs):
            return self._answer_all(inputs, steps, on_error=on_error)
        (result,) = self._stream([inputs], steps, gathers=True, on_error=on_error)
        return result

    def _answer_all(
        self, inputs: Any, steps: Steps[Any, Any, ResultT], *, on_error: OnError = "raise"
    ) -> list[ResultT | None] | Iterator[ResultT | None]:
        """Returns results in the order of the inputs: a list, or for a stream a generator.

        Args:
            inputs: Many inputs; for one, put it into a list.
            steps: What is done with them.
            on_error: What becomes of a bad input; see `OnError`.

        Raises:
            SettingsError: If an input is not accepted; a generator raises it when it gets there.
        """
        streams = is_stream(inputs)
        results = self._stream(inputs, steps, gathers=not streams, on_error=on_error)
        return results if streams else list(results)

    def _stream(
        self, inputs: Any, steps: Steps[Any, Any, ResultT], *, gathers: bool, on_error: OnError
    ) -> Iterator[ResultT | None]:
        return run_stream(
            read_each(inputs),
            steps,
            batch_size=self._batch_size,
            gathers=gathers,
            on_error=on_error,
        )

    def _run(
        self,
        rows: Sequence[Encoding],
        read: Callable[[Outputs, Sequence[Encoding]], Iterable[FloatArray]],
    ) -> list[FloatArray]:
        """Runs rows of tokens, those of about the same length together.

        Args:
            rows: Encoded inputs without padding, not longer than the model takes.
            read: Takes each row's scores out of the engine's outputs, given those rows.

        Returns:
            Each row's scores, in the order of the rows.

        Raises:
            CheckpointError: If the model gives a number that is not finite.
        """
        found: dict[int, FloatArray] = {}
        for chosen in self._batches(rows):
            together = [rows[i] for i in chosen]
            outputs = self.engine.run(self._pad(together))
            self._require_finite(outputs)
            found.update(zip(chosen, read(outputs, together), strict=True))
        return [found[i] for i in range(len(rows))]

    def _batches(self, rows: Sequence[Encoding]) -> Iterator[list[int]]:
        """Yields the places of rows in batches."""
        budget = choose_budget(self.engine.device)
        return divide([len(row) for row in rows], budget, max_rows=self._batch_size)

    def _require_finite(self, outputs: Outputs) -> None:
        for name, values in outputs.items():
            if not np.isfinite(values).all():
                raise CheckpointError(
                    f"the model gives {name} that are not finite (NaN or infinite), so that there "
                    "is nothing to score: its weights are damaged, or the engine's precision is "
                    "too narrow for it"
                )

    def _run_tokens(
        self, rows: Sequence[Encoding], read: Callable[[Outputs], FloatArray]
    ) -> list[FloatArray]:
        """Returns each row's scores, one for each of its tokens and none for padding."""

        def read_tokens(outputs: Outputs, together: Sequence[Encoding]) -> Iterator[FloatArray]:
            for row, scores in zip(together, read(outputs), strict=True):
                yield scores[: len(row)]

        return self._run(rows, read_tokens)

    def _pad(self, rows: Sequence[Encoding]) -> dict[str, npt.NDArray[np.int64]]:
        """Stacks rows of tokens into the model's inputs, filled up on the right."""
        longest = max(map(len, rows))
        columns: dict[str, tuple[int, Callable[[Encoding], list[int]]]] = {
            "input_ids": (self.tokenizer.pad_token_id, lambda row: row.ids),
            "token_type_ids": (self.tokenizer.config.pad_token_type_id, lambda row: row.type_ids),
            "attention_mask": (0, lambda row: row.attention_mask),
        }
        inputs = {}
        for name in self.tokenizer.model_input_names:
            if name not in self.engine.limits.inputs:
                continue  # a tokenizer of another model's may give more
            padding, values = columns[name]
            filled = [values(row) + [padding] * (longest - len(row)) for row in rows]
            inputs[name] = np.array(filled, dtype=np.int64)
        self._require_embedded(inputs["input_ids"])
        return inputs

    def _require_embedded(self, ids: npt.NDArray[np.int64]) -> None:
        """Refuses a piece that the model does not embed; other texts may do without it."""
        if (highest := int(ids.max())) >= self.facts.vocab_size:
            piece = self.tokenizer.convert_ids_to_tokens(highest)
            raise CheckpointError(
                f"the tokenizer gives the piece {shorten(piece)} the number {highest:,}, and the "
                f"model embeds {self.facts.vocab_size:,} pieces (it has {len(self.tokenizer):,}): "
                "its files are another model's, or pieces were added that the model was not "
                "trained with; copy them again from where the model came"
            )
