"""IMDb: is a film review negative (0) or positive (1)? Reviews are long: see `long_texts`.

Source:
    Maas et al., "Learning Word Vectors for Sentiment Analysis", ACL 2011.
"""

from __future__ import annotations

from limbeck.tasks._classification import define_classification

TASK = define_classification(
    hub="hf://stanfordnlp/imdb",
    html_breaks=True,
    labels=("neg", "pos"),
)
