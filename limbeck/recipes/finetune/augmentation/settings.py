"""How further rows are made of the training rows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from limbeck.config import Settings
from limbeck.recipes._settings import Seed


class AugmentSettings(Settings):
    """How further rows are made of the training rows."""

    model: str
    """Folder or Hub id of a masked LM with the student's vocabulary."""
    unit: Literal["token", "word"] = "token"
    """`token`: some of a row's tokens are hidden together, and each is drawn among what the model
    finds likeliest there, the likelier the more often. `word`: as in TinyBERT each word is replaced
    by itself, by one of the words that the model finds likeliest in its place, or where it has
    several pieces of those whose vectors in the model's embeddings are nearest."""
    copies: int = Field(default=1, ge=1)
    """Rows made of each training row; TinyBERT makes 20."""
    mask_ratio: float = Field(default=0.15, gt=0, le=1)
    """Share of a row's tokens that are drawn anew, at least one; of words, the chance that one is
    replaced, which is 0.4 in TinyBERT."""
    top_k: int = Field(default=15, ge=1)
    """How many tokens or words there are to choose from; 15 in TinyBERT."""
    seed: Seed = 0
    """Decides which tokens or words are drawn anew, and what they become."""
