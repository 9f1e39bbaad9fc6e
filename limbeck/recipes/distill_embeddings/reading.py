"""How a sentence model reads texts: as token ids, and as vectors where nothing is learned."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from limbeck.data.by_length import batches_by_length
from limbeck.errors import SettingsError
from limbeck.models import ModelConfig, SentenceConfig, SentenceModel
from limbeck.nn import evaluation
from limbeck.objectives import PaddedTexts
from limbeck.recipes.distill_embeddings.settings import DistillEmbeddingsSettings
from limbeck.tasks import EncodedExamples, TextEncoding, TextExample
from limbeck.tokenizers import Tokenizer
from limbeck.train import autocast


def encode_texts(
    texts: Sequence[str], tokenizer: Tokenizer, config: SentenceConfig, *, max_length: int
) -> EncodedExamples:
    """Turns texts into token ids, with the words before each that a sentence model asks for."""
    read = (config.as_read(config.default_prompt + text) for text in texts)
    examples = [TextExample(text, None, None) for text in read]
    return TextEncoding().encode(examples, tokenizer, max_length=max_length)


@torch.no_grad()  # not inference mode: what it gives is what a training compares with
def embed(
    model: SentenceModel,
    texts: EncodedExamples,
    settings: DistillEmbeddingsSettings,
    *,
    pad_token_id: int,
) -> Tensor:
    """Returns each text's vector, float32 on the CPU.

    Shape: (texts, width).
    """
    found = torch.empty(len(texts), model.config.width)
    with evaluation(model):
        for chosen in batches_by_length(texts.lengths.tolist(), settings.evaluation_batch_size):
            batch = PaddedTexts.of(texts, chosen, pad_token_id=pad_token_id).to(model.device)
            with autocast(model.device, settings.precision):
                vectors = model(**batch.inputs())
            found[chosen] = vectors.float().cpu()
    return found


def require_positions(
    settings: DistillEmbeddingsSettings, config: ModelConfig, *, name: str
) -> None:
    """Refuses texts that are longer than a model can read.

    Raises:
        SettingsError: If so.
    """
    if not config.takes(settings.max_length):
        raise SettingsError(
            f"max_length = {settings.max_length}, but {name} has {config.max_tokens} positions; "
            f"accepted: 8 to {config.max_tokens}"
        )


def require_counted_prompt(config: SentenceConfig, *, name: str) -> None:
    """Refuses words before a text that are read and then left out of its vector.

    Raises:
        SettingsError: If so.
    """
    if config.default_prompt_name is not None and not config.pooling.include_prompt:
        raise SettingsError(
            f"{name} puts the prompt '{config.default_prompt_name}' before each text and leaves it "
            "out of the vector (include_prompt = false), which is not done here; accepted: a "
            "folder with default_prompt_name = null"
        )
