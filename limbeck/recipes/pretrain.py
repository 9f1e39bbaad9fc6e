"""Pretrain a language model, masked or causal as its family is, from scratch or a model folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator

from limbeck.config import Shown
from limbeck.data import Corpus
from limbeck.errors import SettingsError, with_article
from limbeck.losses import build_loss
from limbeck.models import (
    AutoConfig,
    AutoModelForPreTraining,
    Model,
    ModelConfig,
    find_architecture,
    find_class,
)
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
from limbeck.recipes._replaced_tokens import (
    build_generator,
    load_generator,
    require_discriminator,
    train_replaced_tokens,
)
from limbeck.runs import PretrainRecord, describe_start, hash_model_files, start_run
from limbeck.tokenizers import AutoTokenizer, Tokenizer
from limbeck.train import Progress


class PretrainSettings(LanguageModelSettings):
    """Settings of `limbeck pretrain`."""

    objective: Shown[Literal["language_model", "replaced_tokens"]] = "language_model"
    """What is learnt: `language_model`, to predict tokens, or `replaced_tokens`, to find those that
    a generator, trained beside the model, put in the place of masked ones (ELECTRA)."""
    model: Shown[str | None] = None
    """Model folder or Hub id to start from; None starts from random weights of the architecture
    below."""
    new_head: bool = False
    """Draw the masked-LM head anew: for an encoder that has none, such as a sentence encoder."""
    freeze_body: bool = False
    """Train the masked-LM head alone, on top of the encoder as it is."""

    generator: str | None = None
    """Model folder or Hub id of the generator of `replaced_tokens` to start from; None makes a new
    one. Its embeddings are the discriminator's."""
    generator_ratio: float = Field(default=0.25, gt=0, le=1)
    """Heads, width and inner width of a new generator, as a part of its discriminator's."""
    discriminator_weight: float = Field(default=50.0, gt=0, allow_inf_nan=False)
    """What the loss of `replaced_tokens` is multiplied by, that of the generator counting once."""

    model_type: Shown[str] = "distilbert"
    """Architecture of a model from scratch; `gpt2` makes a causal one."""
    hidden_size: int = Field(default=768, ge=1)
    """Width of a model from scratch."""
    num_hidden_layers: Shown[int] = Field(default=6, ge=1)
    """Depth of a model from scratch."""
    num_attention_heads: int = Field(default=12, ge=1)
    """Attention heads of a model from scratch."""
    embedding_size: int | None = Field(default=None, ge=1)
    """Width of the embeddings of a model from scratch, in families where that is a size of its own;
    None is their default."""
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

    @model_validator(mode="after")
    def _objective_has_what_is_given(self) -> PretrainSettings:
        names = ("generator", "generator_ratio", "discriminator_weight")
        fields = type(self).model_fields
        given = [name for name in names if getattr(self, name) != fields[name].default]
        if self.objective == "replaced_tokens":
            if self.freeze_body:
                raise ValueError(
                    "freeze_body = true trains a masked-LM head alone, and objective = "
                    "'replaced_tokens' both models; leave one of them out"
                )
            if {"generator", "generator_ratio"} <= set(given):
                raise ValueError(
                    "generator_ratio is for a new generator; leave it or generator out"
                )
        elif given:
            raise ValueError(f"{given[0]} is for objective = 'replaced_tokens'; leave it out")
        return self

    def named_models(self) -> dict[str, str]:
        """Returns the models that the settings name, by setting."""
        given = {"model": self.model, "generator": self.generator}
        return {setting: name for setting, name in given.items() if name is not None}


SettingsType = PretrainSettings


def summarise(result: PretrainRecord) -> str:
    """Formats a finished run in a few lines."""
    beside = [] if result.generator is None else [f"The generator: {result.generator}"]
    return "\n".join([summarise_language_model(result), *beside])


def plan(settings: PretrainSettings) -> dict[str, Any]:
    """Returns what a run would do, without doing it."""
    corpus = open_corpus(settings, kind=_find_class(settings).kind)
    inputs = hash_inputs(settings.named_models(), corpus=corpus.info)
    model = _build_model(settings, corpus)
    return {
        **plan_language_model(settings, corpus=corpus, student=model),
        **({} if settings.objective == "language_model" else _plan_generator(settings, model)),
        "run": describe_start(settings.out, "pretrain", settings, inputs=inputs),
    }


def prepare_model(settings: PretrainSettings) -> Callable[[Path], object]:
    """Checks the run, and returns what writes the model as it stands before the first step."""
    corpus = open_corpus(settings, kind=_find_class(settings).kind)
    return partial(save_language_model, _build_model(settings, corpus), corpus.tokenizer)


def run(settings: PretrainSettings, *, progress: Progress) -> PretrainRecord:
    """Trains the model and writes `out/model`; goes on where an earlier run stopped.

    Of replaced tokens that is the discriminator, and `out/generator` the generator.
    """
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
        train = _learn_tokens if settings.objective == "language_model" else _learn_replaced_tokens
        return train(settings, corpus, model, progress=progress).write(settings.out)


def _learn_tokens(
    settings: PretrainSettings, corpus: Corpus, model: Model, *, progress: Progress
) -> PretrainRecord:
    """Trains a language model and saves it."""
    figures = train_language_model(
        settings,
        corpus=corpus,
        student=model,
        losses={model.kind.name: build_loss(model.kind.name, {})},
        freeze_body=settings.freeze_body,
        progress=progress,
    )
    folder = save_language_model(model, corpus.tokenizer, settings.out / "model")
    return PretrainRecord(model=str(folder), model_files=hash_model_files(folder), **figures)


def _learn_replaced_tokens(
    settings: PretrainSettings, corpus: Corpus, discriminator: Model, *, progress: Progress
) -> PretrainRecord:
    """Trains a discriminator and its generator and saves both."""
    generator = _start_generator(settings, discriminator)
    figures = train_replaced_tokens(
        settings,
        corpus=corpus,
        discriminator=discriminator,
        generator=generator,
        weight=settings.discriminator_weight,
        progress=progress,
    )
    folder = save_language_model(discriminator, corpus.tokenizer, settings.out / "model")
    beside = save_language_model(generator, corpus.tokenizer, settings.out / "generator")
    return PretrainRecord(
        objective=settings.objective,
        model=str(folder),
        model_files=hash_model_files(folder),
        generator=str(beside),
        generator_files=hash_model_files(beside),
        **figures,
    )


def _start_generator(settings: PretrainSettings, discriminator: Model) -> Model:
    if settings.generator is None:
        return build_generator(discriminator, ratio=settings.generator_ratio)
    return load_generator(settings.generator, discriminator)


def _plan_generator(settings: PretrainSettings, discriminator: Model) -> dict[str, int]:
    """Returns a generator's size; of its parameters those that its discriminator does not have."""
    generator = _start_generator(settings, discriminator)
    shared = sum(weight.numel() for weight in generator.encoder.embeddings.parameters())
    return {
        "generator_num_layers": generator.config.num_hidden_layers,
        "generator_num_own_parameters": generator.num_parameters - shared,
    }


def _find_class(settings: PretrainSettings) -> type[Model]:
    """Returns the class of the model, whose family is masked or causal, or of a discriminator."""
    if settings.objective == "replaced_tokens":
        model_type = settings.model_type
        if settings.model is not None:
            model_type = AutoConfig.from_pretrained(settings.model).model_type
        require_discriminator(model_type)
        return find_class(model_type, AutoModelForPreTraining.kind)
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
                "freeze_body = true leaves nothing to train: the head of "
                f"{with_article(model_class.__name__)} has no weights beside the word embedding; "
                "leave freeze_body out"
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
        **({} if settings.embedding_size is None else {"embedding_size": settings.embedding_size}),
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
