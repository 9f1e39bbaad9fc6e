"""Queries with candidates that are to be put in order, however a data set has them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from limbeck.errors import DataError, did_you_mean, shorten, shorten_names
from limbeck.sources import Data, Row, SplitRows, require_whole_characters
from limbeck.tasks._collection import CORPUS, Collection, read_collection
from limbeck.tasks._examples import Split
from limbeck.tasks._held_out import DataSettings, count_held_out, read_rows
from limbeck.tasks._lists import as_list
from limbeck.tasks._texts import MissingColumnError, read_text, require_all_or_none, require_column

CANDIDATES: Final = "candidates"
# As a table, as MTEB has them, and as `predictions.jsonl` of a retrieval run.
_QUERY_IDS: Final = ("query-id", "id")
_DOCUMENT_IDS: Final = ("corpus-id", "corpus-ids", "prediction")


class CandidateSettings(DataSettings):
    """Which columns hold what, where queries and documents are not BEIR's files."""

    query_column: str = "query"
    """Column with the query."""
    positive_column: str = "positive"
    """Column with the documents that are relevant, a list of texts or one."""
    negative_column: str = "negative"
    """Column with those that are not."""
    document_column: str = "document"
    """Column with one document, where a row has a query, a document and a label."""
    label_column: str = "label"
    """Column with how relevant that document is: 0 or 1, or any number; empty or absent where it is
    not public."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """A query, and the documents that are to be put in order for it.

    Attributes:
        id: Of the data set, or the number of the row.
        query: The query.
        names: The documents' ids, or their numbers in the row.
        documents: Their texts.
        targets: What is trained for each document; None where it is not public.
        label: Relevance by the documents' ids, also of relevant ones that are no candidates; None
            where it is not public.
    """

    id: str
    query: str
    names: tuple[str, ...]
    documents: tuple[str, ...]
    targets: tuple[float, ...] | None
    label: Mapping[str, float] | None

    def shown(self) -> dict[str, Any]:
        """Returns the id and the query; documents may be long, and stand under their ids."""
        return {"id": self.id, "query": self.query}


def read_candidates(data: Data, settings: CandidateSettings) -> tuple[dict[str, Split], int]:
    """Reads queries with their candidates, in any of three forms.

    Rows have lists (`query`, `positive`, `negative`), or pairs (`query`, `document`, `label`) which
    are put together by their query; or the files are BEIR's, with `candidates` beside the corpus.

    Returns:
        The splits, and how many queries of validation were held out of the training split.

    Raises:
        DataError: If rows, columns, numbers or ids are wrong; the message names file and line.
    """
    if _is_collection(data):
        collection = read_collection(data, also=(CANDIDATES,))
        return {name: Split(name, _join(collection, name)) for name in collection.splits}, 0
    rows = read_rows(data, settings, document=lambda row: row.values.get(settings.query_column))
    splits = {name: Split(name, _read_split(name, of, settings)) for name, of in rows.items()}
    return splits, count_held_out(rows, splits)


def _is_collection(data: Data) -> bool:
    if isinstance(data, Mapping):
        return CORPUS in data
    folder = Path(data)
    return folder.is_dir() and any(path.name.startswith(f"{CORPUS}.") for path in folder.iterdir())


def _read_split(name: str, rows: SplitRows, settings: CandidateSettings) -> list[Candidates]:
    first = rows.rows[0].values
    if settings.positive_column in first:
        is_public = name != "transfer"
        return [
            _read_lists(row, number, settings, is_public=is_public)
            for number, row in enumerate(rows.rows)
        ]
    if settings.document_column in first:
        return _read_pairs(name, rows, settings)
    raise MissingColumnError(
        f"{rows.rows[0].place}: there is neither a column '{settings.positive_column}' with lists "
        f"nor a column '{settings.document_column}' with one text; it has: {shorten_names(first)}."
        f"{did_you_mean(settings.document_column, first)} Set task_options.positive_column and "
        "task_options.negative_column, or task_options.document_column and "
        "task_options.label_column.",
        option="document_column",
    )


def _read_lists(
    row: Row, number: int, settings: CandidateSettings, *, is_public: bool
) -> Candidates:
    query = read_text(row, settings.query_column, "query_column")
    positive, negative = (
        _read_documents(row, getattr(settings, option), option)
        for option in ("positive_column", "negative_column")
    )
    if not positive:
        raise DataError(
            f"{row.place}: column '{settings.positive_column}' is empty, so that no order is "
            "better than another; leave the row out"
        )
    labels = [1.0] * len(positive) + [0.0] * len(negative)
    documents = [*positive, *negative]
    return _number(str(number), query, documents, labels if is_public else [None] * len(documents))


def _read_documents(row: Row, column: str, option: str) -> list[str]:
    require_column(row, column, option)
    given = as_list(row.values[column])
    found = [given] if isinstance(given, str) else given
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise DataError(
            f"{row.place}: column '{column}' holds {shorten(row.values[column])}; accepted: a list "
            "of texts, or one"
        )
    for text in found:
        require_whole_characters(text, f"{row.place}: column '{column}'")
    return found


def _read_pairs(split: str, rows: SplitRows, settings: CandidateSettings) -> list[Candidates]:
    """Returns the rows of each query together, in the order of their first rows."""
    grouped: dict[str, tuple[list[str], list[float | None]]] = {}
    for row in rows.rows:
        query = read_text(row, settings.query_column, "query_column")
        documents, labels = grouped.setdefault(query, ([], []))
        documents.append(read_text(row, settings.document_column, "document_column"))
        labels.append(None if split == "transfer" else _read_number(row, settings.label_column))
    flat = [_Labelled(label) for _, labels in grouped.values() for label in labels]
    require_all_or_none(split, rows, flat, settings.label_column)
    return [
        _number(str(number), query, documents, labels)
        for number, (query, (documents, labels)) in enumerate(grouped.items())
    ]


@dataclass(frozen=True, slots=True)
class _Labelled:
    """The label of one row."""

    label: float | None

    def shown(self) -> dict[str, Any]:
        """Returns nothing."""
        return {}


def _read_number(row: Row, column: str) -> float | None:
    given = row.values.get(column)
    if given is None or given == "":
        return None
    try:
        value = float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(
            f"{row.place}: {shorten(given)} in column '{column}' is no number; accepted: 0 or 1, "
            "or how relevant the document is"
        )
    return value


def _number(
    name: str, query: str, documents: Sequence[str], labels: Sequence[float | None]
) -> Candidates:
    """Makes an example whose documents are named by their numbers."""
    names = tuple(map(str, range(len(documents))))
    known = tuple(float(label) for label in labels if label is not None)
    is_public = len(known) == len(documents)
    return Candidates(
        id=name,
        query=query,
        names=names,
        documents=tuple(documents),
        targets=known if is_public else None,
        label=dict(zip(names, known, strict=True)) if is_public else None,
    )


def _join(collection: Collection, split: str) -> list[Candidates]:
    """Returns the queries of a split with their candidates.

    For training, relevant documents that are no candidates are added; elsewhere they count as not
    found, as what gave the candidates has not found them.
    """
    ids, texts = collection.documents.ids, collection.documents.texts
    places = {name: place for place, name in enumerate(ids)}
    candidates = _read_run(collection.others[CANDIDATES], collection, places)
    found = []
    for query in collection.splits[split]:
        chosen = candidates.get(query.id)
        if not chosen:
            raise DataError(
                f"{collection.others[CANDIDATES].where} has no candidates of query "
                f"{shorten(query.id)}, which is in {split}.{did_you_mean(query.id, candidates)} "
                "Every query of a split needs at least one"
            )
        judged = query.label or {}
        if split == "train":
            relevant = [place for place, score in judged.items() if score > 0]
            chosen = list(dict.fromkeys([*chosen, *relevant]))
        relevance = {place: judged.get(place, 0) for place in dict.fromkeys([*chosen, *judged])}
        is_public = query.label is not None
        found.append(
            Candidates(
                id=query.id,
                query=query.text,
                names=tuple(ids[place] for place in chosen),
                documents=tuple(texts[place] for place in chosen),
                targets=tuple(float(relevance[place] > 0) for place in chosen)
                if is_public
                else None,
                label={ids[place]: score for place, score in relevance.items()}
                if is_public
                else None,
            )
        )
    return found


def _read_run(
    rows: SplitRows, collection: Collection, places: Mapping[str, int]
) -> dict[str, list[int]]:
    """Returns the places of each query's candidates in the corpus."""
    found: dict[str, dict[int, None]] = {}
    for row in rows.rows:
        query = _first_of(row, _QUERY_IDS)
        chosen = found.setdefault(str(query), {})
        for name in _listed(_first_of(row, _DOCUMENT_IDS)):
            if str(name) not in places:
                raise DataError(
                    f"{row.place}: document {shorten(str(name))} is none of the {len(places):,} in "
                    f"{collection.where_documents}.{did_you_mean(str(name), places)}"
                )
            chosen[places[str(name)]] = None
    return {query: list(chosen) for query, chosen in found.items()}


def _first_of(row: Row, columns: Sequence[str]) -> Any:
    for column in columns:
        if row.values.get(column) not in (None, ""):
            return row.values[column]
    raise DataError(
        f"{row.place}: it has {shorten_names(row.values)}; a row of candidates needs one of "
        f"{', '.join(_QUERY_IDS)} and one of {', '.join(_DOCUMENT_IDS)}"
    )


def _listed(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, list) else [value]
