"""The function `chain`: several recipes, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.api._call import prepare
from limbeck.api._results import ChainResult
from limbeck.api._signature import takes_settings
from limbeck.data import Corpus
from limbeck.recipes import chain as chain_recipe
from limbeck.train import Progress


@takes_settings(chain_recipe.SettingsType)
def chain(
    stages: Mapping[str, Mapping[str, Any]],
    *,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> ChainResult:
    """Runs several recipes one after the other, each on the models of those before it.

    Args:
        stages: By name, in their order, `{"recipe": "distill", "teacher": ..., ...}`: a recipe and
            its settings. The name of an earlier stage stands for its model. Models may be a Hub
            id, a folder, a result of another call, or a model in memory with its tokenizer;
            corpora and data are those on disk.
        out: The run's folder, where the same call goes on after a stop; a new one in `runs` if not
            given.
        progress: Whether it is shown, as for `finetune`.
        **settings: Those of the recipe, listed below.

    Returns:
        The last stage's model: `model`, `tokenizer`, `folder`, `record`.

    Raises:
        SettingsError: If a setting is wrong, a recipe makes no model, or stages do not fit.
        TrainingError: If a stage has failed; those before it stay.
    """
    with prepare(
        "chain",
        chain_recipe.SettingsType,
        {**_name_corpora(settings), "stages": _name_corpora(stages)},
        out=out,
        progress=progress,
    ) as call:
        return ChainResult(call.out, chain_recipe.run(call.settings, progress=call.progress))


def _name_corpora(value: Any) -> Any:
    """Returns settings with the folder of each corpus in its place."""
    if isinstance(value, Corpus):
        return str(value.folder)
    if isinstance(value, Mapping):
        return {name: _name_corpora(inner) for name, inner in value.items()}
    return value
