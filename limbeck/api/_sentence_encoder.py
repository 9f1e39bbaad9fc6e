"""Texts to vectors, with the habits of sentence-transformers."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.api._progress import choose_progress
from limbeck.api._result import ModelResult
from limbeck.api._sentence_habits import ENCODE_HABITS, MAKE_HABITS, METHOD_HABITS, refuse
from limbeck.api._sentence_runner import load_runner
from limbeck.api._vectors import Vectors, as_rows
from limbeck.errors import SettingsError, shorten
from limbeck.inference import SentenceEngine, SentenceVectorsPipeline
from limbeck.inference.engines import AUTO, engine_name
from limbeck.models import DOCUMENT_PROMPTS, QUERY_PROMPTS, SentenceModel, find_prompt
from limbeck.nn import Similarity, similarity_matrix, similarity_of_pairs
from limbeck.tokenizers import Tokenizer


class SentenceEncoder:
    """Makes vectors of texts, with a model of sentence-transformers or any encoder.

    Args:
        model: A model folder, a Hub id, the result of a call that left a model, or a
            `SentenceModel`.
        tokenizer: A folder or a tokenizer; by default the one beside the model.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`; by default the first accelerator, else the
            CPU.
        truncate_dim: How many numbers of each vector are kept; by default what the folder says.
        max_seq_length: Where texts are cut, in tokens; by default what the folder says.
        prompts: Words to be put before a text, by name, beside those of the folder.
        default_prompt_name: Which of them is put before texts where none is asked for.
        similarity: `cosine`, `dot`, `euclidean` or `manhattan`; by default what the folder says.
        dtype: Type of the weights in memory, where `torch` runs the model; by default float32.
        engine: What runs the model, as `limbeck list engines` shows it; by default the one that
            runs what the folder holds.
        precision: Type of the weights, fp32, bf16, fp16, int8, int4 or int2, under the names
            that all engines have; by default as they are.
        num_threads: Threads of the CPU that engine and tokenizer take; see `load_engine`.
        revision: Branch, tag or commit on the Hub.
        token: Access token for the Hub; if absent, the one stored by `hf auth login`.
        cache_dir: Where the Hub's files are kept.
        offline: Uses only what the cache has.
        options: There are no others; what sentence-transformers has is answered with what it is
            here.

    Raises:
        CheckpointError: If the model or its tokenizer can't be read.
        SettingsError: If an argument is wrong.

    Example:
        >>> encoder = limbeck.SentenceEncoder("models/all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> vectors = encoder.encode(["A cat sleeps.", "A dog runs."])  # doctest: +SKIP
        >>> encoder.similarity(vectors, vectors)  # doctest: +SKIP
        tensor([[1.0000, 0.1836],
                [0.1836, 1.0000]])
    """

    def __init__(
        self,
        model: str | Path | ModelResult[Any] | SentenceModel,
        *,
        tokenizer: str | Path | Tokenizer | None = None,
        device: str | torch.device | None = None,
        truncate_dim: int | None = None,
        max_seq_length: int | None = None,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        similarity: Similarity | None = None,
        dtype: torch.dtype | None = None,
        engine: str | None = None,
        precision: str | None = None,
        num_threads: int | None = None,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | Path | None = None,
        offline: bool = False,
        **options: Any,
    ) -> None:
        for name in options:
            refuse(name, MAKE_HABITS, of=SentenceEncoder.__init__)
        if isinstance(model, ModelResult):
            model = model.model_folder
        runner, tokenizer = load_runner(
            model,
            tokenizer,
            device=AUTO if device is None else str(device),
            dtype=dtype,
            engine=engine,
            precision=precision,
            num_threads=num_threads,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            offline=offline,
        )
        if prompts is not None and not isinstance(prompts, Mapping):
            raise SettingsError(f"prompts are {shorten(prompts)}; accepted: texts by name")
        said = runner.facts.sentence
        assert said is not None  # vectors were asked for
        given: dict[str, Any] = {
            "truncate_dim": truncate_dim,
            "default_prompt_name": default_prompt_name,
            "similarity": similarity,
            "prompts": None if prompts is None else {**said.prompts, **prompts},
        }
        config = replace(said, **{k: v for k, v in given.items() if v is not None})
        self.tokenizer = tokenizer
        self.truncate_dim = config.truncate_dim
        self.prompts = dict(config.prompts)
        self.default_prompt_name = config.default_prompt_name
        self.similarity_name: Similarity = config.similarity
        self._config = replace(config, truncate_dim=None)
        if isinstance(runner, SentenceEngine):
            # A call may ask for more numbers than the folder does, so that they are cut here. What
            # was given stays as it is. A file that was exported cuts what its folder said then.
            whole = copy.copy(runner.model)
            whole.config = self._config
            runner = type(runner)(whole, device=runner.device)
        self._pipeline = SentenceVectorsPipeline(runner, tokenizer, max_length=max_seq_length)

    def encode(
        self,
        sentences: str | Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        **options: Any,
    ) -> Any:
        """Makes vectors of texts.

        Texts of about the same length share a batch; the order stays. A generator is read as it
        is needed, so that only the vectors take memory.

        Args:
            sentences: A text, or many.
            prompt_name: Which of `prompts` is put before each text.
            prompt: What is put before each text.
            batch_size: Most texts that go through the model at a time; by default as many as have
                about as many tokens as the device does best at a time.
            show_progress_bar: Whether progress is shown.
            convert_to_numpy: False gives a list of tensors.
            convert_to_tensor: Gives one tensor, on the model's device.
            normalize_embeddings: Makes each vector one long.
            truncate_dim: How many numbers of each vector are kept, in place of the encoder's own.
            options: There are no others; what sentence-transformers has is answered with what it
                is here.

        Returns:
            For a text its vector, for many a matrix with a row for each: float32.

        Raises:
            SettingsError: If what is given is no text, or there is no such prompt or option.
            CheckpointError: If the model gives a number that is not finite.

        Shape:
            result: (width,) for a text, else (number of texts, width).
        """
        for name in options:
            refuse(name, ENCODE_HABITS, of=SentenceEncoder.encode)
        is_single = isinstance(sentences, str) or not isinstance(sentences, Iterable)
        texts: Any = [sentences] if is_single else sentences
        width = self._choose_width(truncate_dim)
        pipeline = self._pipeline.with_batch_size(batch_size)
        total = len(texts) if isinstance(texts, Sequence) else None
        progress = choose_progress(bool(show_progress_bar))
        with progress.stage("encoding", total=total, unit="texts") as stage:
            vectors = pipeline(
                texts,
                prompt=self._choose_prompt(prompt, prompt_name),
                gathers=True,
                advance=stage.advance,
            )
            rows = [vector[:width].copy() for vector in vectors if vector is not None]
        found = np.stack(rows) if rows else np.empty((0, width), dtype=np.float32)
        if normalize_embeddings:
            found = F.normalize(torch.from_numpy(found), dim=-1).numpy()
        if convert_to_tensor:
            matrix = torch.from_numpy(found).to(self.device)
            return matrix[0] if is_single else matrix
        if is_single:
            return found[0] if convert_to_numpy else torch.from_numpy(found[0])
        return found if convert_to_numpy else list(torch.from_numpy(found))

    def encode_query(self, sentences: str | Iterable[str], **options: Any) -> Any:
        """Makes vectors of questions: as `encode`, with the prompt `query` or none."""
        return self.encode(sentences, **self._with_prompt(QUERY_PROMPTS, options))

    def encode_document(self, sentences: str | Iterable[str], **options: Any) -> Any:
        """Makes vectors of what is searched: as `encode`, with the prompt for that or none.

        Its name is `document`, `passage` or `corpus`.
        """
        return self.encode(sentences, **self._with_prompt(DOCUMENT_PROMPTS, options))

    def similarity(self, first: Vectors, second: Vectors) -> Tensor:
        """Compares each vector with each, as the model's folder says; greater is more alike.

        Shape:
            first: (m, width), or (width,) for one.
            second: (n, width), or (width,).
            result: (m, n).

        Raises:
            SettingsError: If widths differ.
        """
        return similarity_matrix(*as_rows(first, second), self.similarity_name)

    def similarity_pairwise(self, first: Vectors, second: Vectors) -> Tensor:
        """Compares each vector with the one at its place.

        Shape:
            first, second: (n, width), or (width,) for one.
            result: (n,).

        Raises:
            SettingsError: If there are not as many on both sides, or widths differ.
        """
        one, other = as_rows(first, second)
        if len(one) != len(other):
            raise SettingsError(
                f"{len(one)} vectors are compared with {len(other)}, each with the one at its "
                "place; accepted: as many on both sides. similarity compares each with each"
            )
        return similarity_of_pairs(one, other, self.similarity_name)

    def tokenize(self, texts: list[str]) -> dict[str, Tensor]:
        """Returns the model's inputs for some texts, padded to the longest.

        Shape:
            each: (number of texts, tokens), int64.
        """
        if not texts:
            raise SettingsError("texts = []; accepted: one text or more")
        batch = self._pipeline._pad(self._pipeline.tokenize(texts))
        return {name: torch.from_numpy(values) for name, values in batch.items()}

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes a folder that sentence-transformers loads, with the tokenizer.

        Raises:
            CheckpointError: If it can't be written.
            SettingsError: If an exported file is run.
        """
        settings = replace(
            self._config,
            truncate_dim=self.truncate_dim,
            max_seq_length=self.max_seq_length,
            prompts=self.prompts,
            default_prompt_name=self.default_prompt_name,
            similarity=self.similarity_name,
        )
        model = self.model  # before anything is written
        self.tokenizer.save_pretrained(folder)
        model.save_pretrained(folder, config=settings)

    def get_sentence_embedding_dimension(self) -> int:
        """Returns how many numbers a vector has."""
        return self._choose_width(None)

    get_embedding_dimension = get_sentence_embedding_dimension

    @property
    def max_seq_length(self) -> int:
        """Where texts are cut, in tokens."""
        return self._pipeline.max_length

    @max_seq_length.setter
    def max_seq_length(self, length: int) -> None:
        self._pipeline.max_length = length

    @property
    def model(self) -> SentenceModel:
        """The model in memory.

        Raises:
            SettingsError: If an exported file is run, which has none.
        """
        engine = self._pipeline.engine
        if isinstance(engine, SentenceEngine):
            return engine.model
        raise SettingsError(
            f"{engine_name(type(engine))} runs an exported file, and no model is in memory; "
            "accepted: the folder that it was exported from. The exported one is copied as it is"
        )

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return torch.device(self._pipeline.engine.device)

    def _choose_width(self, truncate_dim: int | None) -> int:
        wanted = self.truncate_dim if truncate_dim is None else truncate_dim
        asked = replace(self._config, truncate_dim=wanted).width
        return min(asked, self._pipeline.sentence.width)

    def _choose_prompt(self, prompt: str | None, name: str | None) -> str:
        config = replace(
            self._config, prompts=self.prompts, default_prompt_name=self.default_prompt_name
        )
        return config.choose_prompt(prompt, name)

    def _with_prompt(self, names: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
        if options.get("prompt") is not None or options.get("prompt_name") is not None:
            return options
        return {**options, "prompt": find_prompt(self.prompts, names)}

    def __getattr__(self, name: str) -> NoReturn:
        ours = METHOD_HABITS.get(name)
        hint = f"; here it is {ours}" if ours else ""
        raise AttributeError(f"'SentenceEncoder' has no attribute '{name}'{hint}")

    def __repr__(self) -> str:
        width = self.get_sentence_embedding_dimension()
        engine = self._pipeline.engine
        if isinstance(engine, SentenceEngine):
            what = engine.model.encoder.config.model_type
        else:
            what = f"{engine.precision} by {engine_name(type(engine))}"
        return f"SentenceEncoder({what}, {width} numbers a text, on {self.device})"
