"""IMDb: is a film review negative (0) or positive (1)? Reviews are long: see `long_texts`.

Source:
    Maas et al., "Learning Word Vectors for Sentiment Analysis", ACL 2011.
"""

from __future__ import annotations

from limbeck.tasks._classification import ClassificationSettings, read_classification

HUB = "hf://stanfordnlp/imdb"


class ImdbSettings(ClassificationSettings):
    """The columns and labels of IMDb's reviews."""

    html_breaks: bool = True
    """Read `<br />`, which stands between paragraphs, as a blank."""
    labels: tuple[str, ...] | None = ("neg", "pos")
    """The two labels, in the order of the model's logits."""


SettingsType = ImdbSettings
read = read_classification
