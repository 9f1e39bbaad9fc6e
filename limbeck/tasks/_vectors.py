"""Tasks that compare the vectors of texts, as a sentence model makes them, without fine-tuning."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from torch import Tensor

from limbeck.config import Settings
from limbeck.errors import CheckpointError, SettingsError
from limbeck.models import (
    DOCUMENT_PROMPTS,
    QUERY_PROMPTS,
    AutoModel,
    Model,
    SentenceConfig,
    SentenceHead,
    find_prompt,
    read_any_config,
    read_sentence_config,
    read_sentence_head,
)
from limbeck.nn import ModelOutput, Pooling, PoolingMode, Similarity
from limbeck.tasks._base import Task, read_outputs
from limbeck.tasks._encoded import EncodedExamples
from limbeck.tasks._examples import TaskBatch
from limbeck.tasks._texts import TextEncoding, TextExample
from limbeck.tokenizers import Tokenizer

VECTORS = "sentence_embedding"
"""What engines call the vectors of a sentence model."""


class VectorSettings(Settings):
    """How a text becomes one vector."""

    pooling: PoolingMode | None = None
    """What of a text's hidden states is compared, and nothing that the folder does with it then:
    their `mean`, that of the first token (`cls`) or the last (`lasttoken`), the largest in each
    dimension (`max`), means that count later tokens more (`weightedmean`) or are longer for longer
    texts (`mean_sqrt_len_tokens`); None takes what the model's folder says (`modules.json`), and
    the mean where it says nothing."""


class SearchSettings(VectorSettings):
    """How queries and documents become vectors, and how these are compared."""

    similarity: Similarity | None = None
    """How vectors are compared; None takes what the model's folder says, and the cosine where it
    says nothing."""
    query_prompt: str | None = None
    """Words before every query, such as `query: `; None takes what the model's folder says."""
    document_prompt: str | None = None
    """Words before every document, such as `passage: `; None takes what the model's folder says."""

    def complete(self, sentence: SentenceConfig | None) -> Self:
        """Returns the options with what a model's folder says where nothing is set.

        Raises:
            CheckpointError: If the folder leaves prompts out of the vectors.
        """
        if sentence is None:
            return self
        found = {
            "similarity": sentence.similarity,
            "query_prompt": find_prompt(sentence.prompts, QUERY_PROMPTS),
            "document_prompt": find_prompt(sentence.prompts, DOCUMENT_PROMPTS),
        }
        missing = {name: value for name, value in found.items() if getattr(self, name) is None}
        completed = self.model_copy(update=missing)
        prompts = completed.query_prompt, completed.document_prompt
        if any(prompts) and not sentence.pooling.include_prompt:
            raise CheckpointError(
                "the model leaves the tokens of a prompt out of its vectors (include_prompt is "
                f"false), which is not done here, and its prompts are {prompts[0]!r} and "
                f"{prompts[1]!r}; to score it without them, set task_options.query_prompt='' and "
                "task_options.document_prompt=''"
            )
        return completed


@dataclass(frozen=True, kw_only=True)
class VectorTask(Task, ABC):
    """A task whose logits are one vector for each text.

    Attributes:
        pooling: How hidden states become one vector; None for what the model's folder says.
        sentence: What the model's folder says of its vectors; None until it has been asked.
        sentence_head: Makes the vectors; likewise.
    """

    auto_model = AutoModel
    is_trainable = False
    targets = "real"

    pooling: PoolingMode | None = None
    sentence: SentenceConfig | None = None
    sentence_head: SentenceHead | None = field(default=None, compare=False)

    def for_folder(self, folder: Path) -> Self:
        """Returns the task with what a model's folder does with hidden states, if none is set.

        Raises:
            CheckpointError: If the folder asks for what is not done here.
        """
        if self.pooling is not None:
            return self
        hidden_size = read_any_config(folder).hidden_size
        try:
            config = read_sentence_config(folder, hidden_size=hidden_size)
            head = read_sentence_head(folder, config)
        except CheckpointError as error:
            reason = str(error).rstrip(".")
            raise CheckpointError(
                f"{reason}. To score the model by one pooling alone all the same, set "
                "task_options.pooling=mean, for example"
            ) from None
        return replace(self, sentence=config, sentence_head=head)

    def load_model(self, folder: Path, *, new_head: bool) -> Model:
        """Loads the encoder of a model folder; a pooler plays no part."""
        return AutoModel.from_pretrained(folder, add_pooling_layer=False)

    def encode_texts(
        self, texts: Sequence[TextExample], tokenizer: Tokenizer, *, max_length: int
    ) -> EncodedExamples:
        """Turns each text into a row of its own, cut at its end, in small letters if so be it."""
        if self.sentence is not None:
            texts = [replace(x, text=self.sentence.as_read(x.text)) for x in texts]
        return TextEncoding().encode(texts, tokenizer, max_length=max_length)

    def logits(self, output: ModelOutput, batch: TaskBatch) -> Tensor:
        """Returns one vector for each text, (batch, width)."""
        hidden = output.last_hidden_state
        head = self.sentence_head or Pooling([self.pooling or "mean"])
        vectors: Tensor = head.to(hidden.device)(hidden, batch.mask())
        return vectors if self.sentence is None else vectors[:, : self.sentence.width]

    @property
    def reads_vectors(self) -> bool:
        """Whether vectors are what the model's folder says, and no pooling of the task's own."""
        return self.pooling is None

    def logits_of(self, outputs: Mapping[str, Tensor], batch: TaskBatch) -> Tensor:
        """Returns what an engine gives: its own vectors where they are what the folder says."""
        if self.reads_vectors and VECTORS in outputs:
            return outputs[VECTORS]
        return self.logits(read_outputs(outputs), batch)

    def loss_sum(self, logits: Tensor, batch: TaskBatch) -> Tensor:
        """Is never called, since there is nothing to train."""
        raise SettingsError(f"task {self.name} has no loss")
