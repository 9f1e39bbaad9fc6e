"""The functions on running text: `build_corpus`, `distill`, `pretrain`, `trim`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from limbeck.api._call import Call, choose_folder, prepare
from limbeck.api._corpus import name_texts, read_texts, write_texts
from limbeck.api._models import ModelLike, with_tokenizer
from limbeck.api._progress import choose_progress
from limbeck.api._put import put
from limbeck.api._result import ModelResult
from limbeck.api._results import LanguageModelResult, TrimResult
from limbeck.api._signature import takes_settings
from limbeck.data import Corpus, CorpusSettings
from limbeck.data import build_corpus as build
from limbeck.errors import SettingsError
from limbeck.models import Model
from limbeck.recipes import distill as distill_recipe
from limbeck.recipes import pretrain as pretrain_recipe
from limbeck.recipes import trim as trim_recipe
from limbeck.runs import DATA_FOLDER
from limbeck.tokenizers import AutoTokenizer, Tokenizer
from limbeck.train import Progress

Texts: TypeAlias = Iterable[Any]
"""Strings, or documents as dictionaries, from a list, a generator or a `datasets.Dataset`."""
CorpusLike: TypeAlias = Corpus | str | Path | Texts
"""A corpus, its folder, or texts to make one of."""


@takes_settings(CorpusSettings)
def build_corpus(
    texts: str | Path | Texts,
    *,
    tokenizer: Tokenizer | ModelLike,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> Corpus:
    """Tokenises texts into a training corpus, in bounded memory.

    An interrupted build goes on in the same `out`; a generator has to give the same texts then.

    Args:
        texts: Strings, or dictionaries with a column `text_field`: a list, a generator, a
            `datasets.Dataset`, a frame; or a file, folder, glob or `hf://NAME`.
        tokenizer: Of the models to train: itself, or a model that has one.
        out: The corpus folder; a new one in `runs` if not given.
        progress: Whether it is shown, as for `finetune`.
        **settings: Those of `limbeck corpus build`, listed below.

    Returns:
        The corpus.

    Raises:
        SettingsError: If a setting is wrong.
        DataError: If texts can't be read or are malformed, there are none, or the folder holds
            something else.
    """
    chosen = CorpusSettings.from_values(settings, where="limbeck.build_corpus")
    folder = choose_folder("corpus", out)
    if isinstance(texts, str | Path):
        sources: list[Any] = [texts]
    else:
        sources = [read_texts(texts, field=chosen.text_field, name=name_texts(texts, out=folder))]
    build(
        sources,
        tokenizer=_find_tokenizer(tokenizer),
        out=folder,
        settings=chosen,
        progress=choose_progress(progress),
    )
    return Corpus.open(folder)


@takes_settings(distill_recipe.SettingsType)
def distill(
    teacher: ModelLike,
    corpus: CorpusLike,
    *,
    tokenizer: Tokenizer | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> LanguageModelResult:
    """Distils a language model, masked or causal, into a shallower one, on running text.

    Args:
        teacher: A Hub id, a folder, a result of another call, or a model in memory: a masked
            LM or a causal one.
        corpus: From `build_corpus`, its folder, or texts, which are put into the run's folder.
        tokenizer: Of a teacher in memory.
        out: The run's folder, where the same call goes on after a stop; a new one in `runs` if not
            given.
        progress: Whether it is shown, as for `finetune`.
        **settings: Those of the recipe, listed below.

    Returns:
        The student: `model`, `tokenizer`, `scores`, `folder`, `record`.

    Raises:
        SettingsError: If a setting is wrong or does not fit the models.
        DataError: If there is too little text.
        MissingHeadError: If the teacher has no masked-LM head.
        TrainingError: If a loss is not finite.
    """
    given = with_tokenizer(teacher, tokenizer)
    with _prepare(
        "distill",
        distill_recipe.SettingsType,
        {**settings, "teacher": given},
        corpus=corpus,
        tokenizer=given,
        out=out,
        progress=progress,
    ) as call:
        record = distill_recipe.run(call.settings, progress=call.progress)
        return LanguageModelResult(call.out, record)


@takes_settings(pretrain_recipe.SettingsType)
def pretrain(
    corpus: CorpusLike,
    model: ModelLike | None = None,
    *,
    tokenizer: Tokenizer | ModelLike | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> LanguageModelResult:
    """Pretrains a language model, masked or causal as its family is, from scratch or from a model.

    Args:
        corpus: From `build_corpus`, its folder, or texts, which are put into the run's folder.
        model: What to start from; random weights if not given.
        tokenizer: Of a model in memory; without a model, the one to build the corpus of texts with.
        out: The run's folder, where the same call goes on after a stop; a new one in `runs` if not
            given.
        progress: Whether it is shown, as for `finetune`.
        **settings: Those of the recipe, listed below.

    Returns:
        The model: `model`, `tokenizer`, `scores`, `folder`, `record`.

    Raises:
        SettingsError: If a setting is wrong.
        DataError: If there is too little text.
        TrainingError: If a loss is not finite.
    """
    if isinstance(model, Model) and isinstance(tokenizer, Tokenizer):
        model = tokenizer = (model, tokenizer)
    with _prepare(
        "pretrain",
        pretrain_recipe.SettingsType,
        {**settings, "model": model},
        corpus=corpus,
        tokenizer=tokenizer if model is None else model,
        out=out,
        progress=progress,
    ) as call:
        record = pretrain_recipe.run(call.settings, progress=call.progress)
        return LanguageModelResult(call.out, record)


@takes_settings(trim_recipe.SettingsType)
def trim(
    model: ModelLike,
    texts: CorpusLike | None = None,
    *,
    tokenizer: Tokenizer | None = None,
    out: str | Path | None = None,
    progress: bool | Progress | None = None,
    **settings: Any,
) -> TrimResult:
    """Trims a model's tables: pieces that no text uses, positions beyond a length, a rank.

    Args:
        model: A Hub id, a folder, a result of another call, or a model in memory.
        texts: Whose pieces are kept; all are if not given. Strings, or dictionaries with a column
            `text_field`: a list, a `datasets.Dataset`, a frame, which are put into the run's
            folder; or a file, folder, glob or `hf://NAME`; or a corpus that was built with the
            model's tokenizer.
        tokenizer: Of a model in memory.
        out: The run's folder, where the same call goes on after a stop; a new one in `runs` if not
            given.
        progress: Whether it is shown, as for `finetune`.
        **settings: Those of the recipe, listed below.

    Returns:
        The model with smaller tables: `model`, `tokenizer`, `folder`, `record`.

    Raises:
        SettingsError: If a setting is wrong, nothing would go, or more than can be done without.
        DataError: If the texts or the corpus can't be used.
        CheckpointError: If the model can't be read.
    """
    folder = choose_folder("trim", out)
    place = folder / DATA_FOLDER / "texts.jsonl"
    rows = None
    if texts is None or isinstance(texts, str):
        named = texts
    elif isinstance(texts, Corpus):
        named = str(texts.folder)
    elif isinstance(texts, Path):
        named = str(texts)
    else:
        named, rows = str(place), texts
    field = settings.get("text_field", trim_recipe.SettingsType.model_fields["text_field"].default)
    with prepare(
        "trim",
        trim_recipe.SettingsType,
        {**settings, "model": with_tokenizer(model, tokenizer), "texts": named},
        out=folder,
        progress=progress,
    ) as call:
        if rows is not None:
            put(place, lambda path: write_texts(rows, path, field=field), out=folder)
        return TrimResult(call.out, trim_recipe.run(call.settings, progress=call.progress))


@contextmanager
def _prepare(
    recipe: str,
    settings_type: Any,
    values: dict[str, Any],
    *,
    corpus: CorpusLike,
    tokenizer: Any,
    out: str | Path | None,
    progress: bool | Progress | None,
) -> Iterator[Call[Any]]:
    """Prepares a call, and builds its corpus where texts were given."""
    folder = choose_folder(recipe, out)
    texts = None
    if isinstance(corpus, Corpus):
        place = corpus.folder
    elif isinstance(corpus, str | Path):
        place = Path(corpus)
    else:
        place, texts = folder / DATA_FOLDER / "corpus", corpus
    with prepare(
        recipe,
        settings_type,
        {**values, "corpus": place},
        keeps_data=True,
        out=folder,
        progress=progress,
    ) as call:
        if texts is not None:
            build_corpus(texts, tokenizer=tokenizer, out=place, progress=call.progress)
        yield call


def _find_tokenizer(given: Any) -> Tokenizer:
    """Returns the tokenizer that is given, or that of the model that is.

    Raises:
        SettingsError: If there is none.
    """
    if isinstance(given, Tokenizer):
        return given
    if isinstance(given, ModelResult):
        return given.tokenizer
    if isinstance(given, tuple) and isinstance(given[-1], Tokenizer):
        return given[-1]
    if isinstance(given, str | Path):
        return AutoTokenizer.from_pretrained(given)
    raise SettingsError(
        f"tokenizer = {given!r}: texts need a tokenizer to become a corpus; accepted: a "
        "limbeck.Tokenizer, or a model folder, Hub id or result that has one"
    )
