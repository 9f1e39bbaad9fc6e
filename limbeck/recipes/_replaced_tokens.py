"""The two models of replaced-token detection: where they start, and what they share.

Source: Clark et al., "ELECTRA", ICLR 2020, https://arxiv.org/abs/2003.10555, sections 2 and 3.2.
"""

from __future__ import annotations

from limbeck import listing
from limbeck.data import Corpus
from limbeck.errors import SettingsError
from limbeck.models import (
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    Model,
    ModelConfig,
    find_architecture,
)
from limbeck.objectives import ReplacedTokensObjective
from limbeck.recipes._language_model import LanguageModelSettings, train_on_text
from limbeck.runs.language_model import TrainingFigures
from limbeck.train import Progress, choose_device


def require_discriminator(model_type: str) -> None:
    """Refuses families without a head that finds replaced tokens.

    Raises:
        SettingsError: Lists those that have one.
    """
    kind = AutoModelForPreTraining.kind
    if kind not in find_architecture(model_type).kinds:
        families = listing.list_names("limbeck.models")
        known = [name for name in families if kind in find_architecture(name).kinds]
        raise SettingsError(
            f"objective = 'replaced_tokens', but {model_type} has no head that finds replaced "
            f"tokens; accepted: model_type = {' or '.join(map(repr, known))}"
        )


def build_generator(discriminator: Model, *, ratio: float) -> Model:
    """Returns a new generator, narrower than its discriminator and as deep, on its embeddings."""
    config = narrow_config(discriminator.config, ratio=ratio)
    return _share_embeddings(AutoModelForMaskedLM.from_config(config), discriminator)


def load_generator(name: str, discriminator: Model) -> Model:
    """Returns a generator of a folder or the Hub, on its discriminator's embeddings.

    Raises:
        CheckpointError: If there is no such model, or it has no masked-LM head.
        SettingsError: If its embeddings have another shape.
    """
    generator = AutoModelForMaskedLM.from_pretrained(name)
    own, other = (
        {part: tuple(weight.shape) for part, weight in model.encoder.embeddings.named_parameters()}
        for model in (generator, discriminator)
    )
    if own != other:
        part = next(part for part in {**own, **other} if own.get(part) != other.get(part))
        raise SettingsError(
            f"generator = {name}: its embeddings, which are the discriminator's too, have "
            f"{part} of shape {own.get(part)}, and the discriminator's of {other.get(part)}"
        )
    return _share_embeddings(generator.train(), discriminator)


def train_replaced_tokens(
    settings: LanguageModelSettings,
    *,
    corpus: Corpus,
    discriminator: Model,
    generator: Model,
    weight: float,
    progress: Progress,
) -> TrainingFigures:
    """Trains both models, as `train_language_model` does one; they hold what was learnt."""
    device = choose_device(settings.device)
    objective = ReplacedTokensObjective(
        discriminator.to(device),
        generator.to(device),
        weight=weight,
        seed=settings.seed,
        chunk_rows=settings.chunk_rows,
    )
    objective.train()
    if settings.compile:
        discriminator.encoder.compile()
        generator.encoder.compile()
    return train_on_text(
        settings,
        corpus=corpus,
        objective=objective,
        measure=lambda held_out: objective.measure(held_out, device=device),
        progress=progress,
    )


def narrow_config(config: ModelConfig, *, ratio: float) -> ModelConfig:
    """Returns a configuration with a part of the heads, each as wide, and of the inner width.

    Its layers are all alike, whatever the given one's are.
    """
    heads = max(1, round(config.num_attention_heads * ratio))
    return config.replace(
        hidden_size=heads * config.head_size,
        head_dim=None,
        num_attention_heads=heads,
        intermediate_size=max(1, round(config.intermediate_size * ratio)),
        layer_shapes=None,
    )


def _share_embeddings(generator: Model, discriminator: Model) -> Model:
    # All of them, and their norm, as the released code has it.
    generator.encoder.embeddings = discriminator.encoder.embeddings
    return generator
