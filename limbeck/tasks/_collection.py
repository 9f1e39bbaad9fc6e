"""Retrieval data in BEIR's form: a corpus, queries, and for each split who judged what relevant.

Source:
    Thakur et al., "BEIR", NeurIPS 2021, and the files of its data sets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from limbeck.errors import DataError, did_you_mean, shorten
from limbeck.sources import Data, Row, SplitRows, read_parts, require_whole_characters
from limbeck.tasks._texts import UNLABELLED_SPLITS

CORPUS: Final = "corpus"
QUERIES: Final = "queries"
QRELS: Final = "qrels"

Judgements = Mapping[int, float]
"""Relevance of documents, by their place in the corpus."""


@dataclass(frozen=True)
class Documents:
    """What is searched, in the order in which equally near ones stand.

    That is the order of their ids, the last first, as in trec_eval.

    Attributes:
        ids: Each document's.
        texts: Its title, if it has one, and its text.
    """

    ids: Sequence[str]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for.

    Attributes:
        id: Of the data set.
        text: The query.
        label: The documents that were judged; None where that is not public.
    """

    id: str
    text: str
    label: Judgements | None

    def shown(self) -> dict[str, Any]:
        """Returns the id and the text."""
        return {"id": self.id, "text": self.text}


@dataclass(frozen=True)
class Collection:
    """A corpus and who looks for what in it.

    Attributes:
        documents: The corpus.
        where_documents: Where it came from, for messages.
        splits: For each split its queries, in the order in which they are listed.
        others: What else was asked for, by name.
    """

    documents: Documents
    where_documents: str
    splits: Mapping[str, list[Query]]
    others: Mapping[str, SplitRows]


def read_collection(data: Data, *, also: Sequence[str] = ()) -> Collection:
    """Reads `corpus` and `queries` (`_id`, `title`, `text`) and the splits of `qrels`.

    A split has the queries that its judgements name. Rows of `test` without a document are queries
    whose judgements are not public.

    Args:
        data: A folder as BEIR has it, or each part and split by its name.
        also: Other parts that must be there.

    Raises:
        DataError: If a file lacks a column, an id stands twice, a judgement names a query or a
            document that is not there, or nothing is relevant; the message names file and line.
    """
    parts, splits = read_parts(data, names=(CORPUS, QUERIES, *also), splits_folder=QRELS)
    titled = _read_texts(parts[CORPUS], with_title=True)
    texts = _read_texts(parts[QUERIES], with_title=False)
    ids = sorted(titled, reverse=True)
    places = {name: place for place, name in enumerate(ids)}
    found = {}
    for split, rows in splits.items():
        judged = _read_judgements(split, rows, queries=texts, places=places, parts=parts)
        found[split] = [
            Query(name, text, judged[name]) for name, text in texts.items() if name in judged
        ]
    return Collection(
        documents=Documents(ids, [titled[name] for name in ids]),
        where_documents=parts[CORPUS].where,
        splits=found,
        others={name: parts[name] for name in also},
    )


def _read_texts(part: SplitRows, *, with_title: bool) -> dict[str, str]:
    """Returns texts by id, in the order of the rows."""
    found: dict[str, str] = {}
    for row in part.rows:
        name = _read_id(row, "_id")
        if name in found:
            first = next(r.place for r in part.rows if str(r.values["_id"]) == name)
            raise DataError(
                f"{row.place}: the _id {shorten(name)} stands twice, first in {first}; give each "
                "row its own, or remove one of the two"
            )
        found[name] = _read_text(row, with_title=with_title)
    return found


def _read_text(row: Row, *, with_title: bool) -> str:
    text, title = row.values.get("text"), row.values.get("title") or ""
    if not isinstance(text, str):
        raise DataError(
            f"{row.place}: 'text' is {shorten(text)}; a row needs _id and text"
            + (", and may have a title" if with_title else "")
        )
    if with_title and isinstance(title, str):
        text = f"{title} {text}".strip()  # as BEIR joins them
    require_whole_characters(text, f"{row.place}: 'text'")
    return text


def _read_id(row: Row, column: str) -> str:
    value = row.values.get(column)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        has = f"is {shorten(value)}" if column in row.values else "is missing"
        raise DataError(
            f"{row.place}: '{column}' {has}; accepted: a text or a whole number."
            f"{did_you_mean(column, row.values)}"
        )
    return str(value)


def _read_judgements(
    split: str,
    rows: SplitRows,
    *,
    queries: Mapping[str, str],
    places: Mapping[str, int],
    parts: Mapping[str, SplitRows],
) -> dict[str, Judgements | None]:
    """Returns what was judged of each query that a split names."""
    found: dict[str, dict[int, float]] = {}
    hidden: dict[str, str] = {}
    for row in rows.rows:
        query = _find_id(row, "query-id", queries, where=parts[QUERIES].where)
        judged = found.setdefault(query, {})
        if row.values.get("corpus-id") in (None, "") and "corpus-id" in row.values:
            hidden[query] = row.place
            continue
        place = places[_find_id(row, "corpus-id", places, where=parts[CORPUS].where)]
        score = _read_score(row)
        if judged.setdefault(place, score) != score:
            raise DataError(
                f"{row.place}: document {shorten(str(row.values['corpus-id']))} was judged "
                f"{judged[place]:g} for query {shorten(query)} before, and is {score:g} now; keep "
                "one of the two"
            )
    if hidden and split in UNLABELLED_SPLITS and not any(found.values()):
        return dict.fromkeys(found)
    if hidden:
        raise DataError(
            f"{next(iter(hidden.values()))}: 'corpus-id' is empty, and so in {len(hidden):,} of "
            f"the {len(found):,} queries of {split}. Only a test split may lack judgements, and "
            "then all of them"
        )
    if not any(score > 0 for judged in found.values() for score in judged.values()):
        raise DataError(
            f"{rows.where}: none of the {len(rows.rows):,} judgements has a score above 0, so that "
            "nothing is relevant and there is nothing to find"
        )
    return dict(found)


def _find_id(row: Row, column: str, known: Mapping[str, Any], *, where: str) -> str:
    name = _read_id(row, column)
    if name not in known:
        raise DataError(
            f"{row.place}: {column} {shorten(name)} is none of the {len(known):,} in {where}."
            f"{did_you_mean(name, known)} Every judgement needs its query and its document"
        )
    return name


def _read_score(row: Row) -> float:
    given = row.values.get("score")
    try:
        value = math.nan if isinstance(given, bool | None) else float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        has = f"is {shorten(given)}" if "score" in row.values else "is missing"
        raise DataError(
            f"{row.place}: 'score' {has}; accepted: a number, 0 or below for what is not relevant."
            f"{did_you_mean('score', row.values)}"
        )
    return int(value) if value.is_integer() else value
