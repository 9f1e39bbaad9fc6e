"""Pretrain a language model, masked or causal as its family is, from scratch or a model folder."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field, model_validator

from limbeck.config import Shown
from limbeck.data import Corpus
from limbeck.errors import SettingsError
from limbeck.losses import build_loss
from limbeck.models import Model, ModelConfig, find_architecture, find_class
from limbeck.nn import MaskedLMHead
from limbeck.recipes._inputs import hash_inputs
from limbeck.recipes._language_model import (
    LanguageModelSettings,
    find_language_model,
    open_corpus,
    plan_language_model,
    require_positions,
    require_whole_model,
    save_language_model,
    summarise_language_model,
    train_language_model,
)
from limbeck.runs import PretrainRecord, describe_start, hash_model_files, start_run
from limbeck.tokenizers import AutoTokenizer, Tokenizer
from limbeck.train import Progress


class PretrainSettings(LanguageModelSettings):
    """Settings of `limbeck pretrain`."""

    model: Shown[str | None] = None
    """Model folder or Hub id to start from; None starts from random weights of the architecture
    below."""
    new_head: bool = False
    """Draw the masked-LM head anew: for an encoder that has none, such as a sentence encoder."""
    freeze_body: bool = False
    """Train the masked-LM head alone, on top of the encoder as it is."""

    model_type: Shown[str] = "distilbert"
    """Architecture of a model from scratch; `gpt2` makes a causal one."""
    hidden_size: Shown[int] = Field(default=768, ge=1)
    """Width of a model from scratch."""
    num_hidden_layers: Shown[int] = Field(default=6, ge=1)
    """Depth of a model from scratch."""
    num_attention_heads: int = Field(default=12, ge=1)
    """Attention heads of a model from scratch."""
    intermediate_size: int = Field(default=3072, ge=1)
    """Inner width of the feed-forward blocks of a model from scratch."""
    max_position_embeddings: int = Field(default=512, ge=8)
    """Longest input of a model from scratch, in tokens."""

    @model_validator(mode="after")
    def _model_is_given_where_needed(self) -> PretrainSettings:
        for name in ("freeze_body", "new_head"):
            if getattr(self, name) and self.model is None:
                raise ValueError(f"{name} = true needs weights to start from; give a `model` too")
        return self

    def named_models(self) -> dict[str, str]:
        """Returns the models that the settings name, by setting."""
        return {} if self.model is None else {"model": self.model}


SettingsType = PretrainSettings
summarise = summarise_language_model


def plan(settings: PretrainSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    corpus = open_corpus(settings, kind=_find_class(settings).kind)
    inputs = hash_inputs(settings.named_models(), corpus=corpus.info)
    return {
        **plan_language_model(settings, corpus=corpus, student=_build_model(settings, corpus)),
        "run": describe_start(settings.out, "pretrain", settings, inputs=inputs),
    }


def run(settings: PretrainSettings, *, progress: Progress) -> PretrainRecord:
    """Trains the model and writes `out/model`; goes on where an earlier run stopped."""
    corpus = open_corpus(settings, kind=_find_class(settings).kind)
    torch.manual_seed(settings.seed)
    model = _build_model(settings, corpus)
    inputs = hash_inputs(settings.named_models(), corpus=corpus.info)
    with start_run(settings.out, "pretrain", settings, inputs=inputs) as run_folder:
        earlier = run_folder.finished(PretrainRecord)
        if earlier is not None:
            require_whole_model(earlier, settings.out)
            progress.log(f"{settings.out} is already complete")
            return earlier
        figures = train_language_model(
            settings,
            corpus=corpus,
            student=model,
            losses={model.kind.name: build_loss(model.kind.name, {})},
            freeze_body=settings.freeze_body,
            progress=progress,
        )
        folder = save_language_model(model, corpus.tokenizer, settings.out / "model")
        record = PretrainRecord(model=str(folder), model_files=hash_model_files(folder), **figures)
        return record.write(settings.out)


def _find_class(settings: PretrainSettings) -> type[Model]:
    """Returns the class of the model, whose family is masked or causal."""
    if settings.model is not None:
        return find_language_model(settings.model)
    architecture = find_architecture(settings.model_type)
    return find_class(settings.model_type, architecture.language_model)


def _build_model(settings: PretrainSettings, corpus: Corpus) -> Model:
    model_class = _find_class(settings)
    if settings.model is not None:
        corpus.require_tokenizer(AutoTokenizer.from_pretrained(settings.model))
        model = model_class.from_pretrained(settings.model, new_head=settings.new_head)
        if settings.freeze_body and not any(True for _ in model.head.parameters()):
            raise SettingsError(
                f"freeze_body = true leaves nothing to train: the head of a {model_class.__name__} "
                "has no weights beside the word embedding; leave freeze_body out"
            )
        require_positions(settings, model, name=f"the model {settings.model}")
        if settings.new_head and isinstance(model.head, MaskedLMHead):
            _start_at_word_frequencies(model.head, corpus)
        return model
    config = find_architecture(settings.model_type).config_type()
    config = config.replace(
        vocab_size=corpus.info.vocab_size,
        **_special_ids(config, corpus.tokenizer),
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.num_hidden_layers,
        num_attention_heads=settings.num_attention_heads,
        intermediate_size=settings.intermediate_size,
        max_tokens=settings.max_position_embeddings,
    )
    model = model_class(config)
    require_positions(
        settings, model, name="the new model", remedy=", or a larger max_position_embeddings"
    )
    return model


def _special_ids(config: ModelConfig, tokenizer: Tokenizer) -> dict[str, int | None]:
    """Returns the ids that a configuration has of special tokens; None of those there are not."""
    found = {}
    for role in ("pad_token", "bos_token", "eos_token"):
        if hasattr(config, f"{role}_id"):
            token = tokenizer.config.special_tokens.get(role)
            found[f"{role}_id"] = None if token is None else tokenizer.convert_tokens_to_ids(token)
    return found


@torch.no_grad()
def _start_at_word_frequencies(head: MaskedLMHead, corpus: Corpus) -> None:
    """Sets a new head's bias to the words' log frequencies: a bias learns them slowest of all.

    Source:
        Initialising the last bias at the prior: Lin et al., "Focal Loss for Dense Object
        Detection", ICCV 2017, section 4.1.
    """
    counts = torch.from_numpy(corpus.token_counts).double() + 1
    if head.bias is not None:
        head.bias.copy_((counts / counts.sum()).log())
