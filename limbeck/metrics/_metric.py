"""What a metric is: its words, and how each kind of predictions is scored by it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
PredictionRecord = Mapping[str, Any]
"""One prediction as it is written down; `label` and `prediction` are in every one."""


_NEAR_CONSTANT = 0.1
"""Near-constant predictions differ from their most frequent answer less than this times as often
as the right answers differ from theirs: on a set of 60 and 40 %, on less than 4 %; on one of 98
and 2 %, on less than 0.2 %, since there a good model says the same most of the time, too."""


_LONGEST_ANSWER = 40  # characters


@dataclass(frozen=True, kw_only=True)
class Favourite:
    """The answer that predictions hardly ever differ from.

    Attributes:
        answer: In words.
        count: How often it is predicted.
        total: How many predictions there are.
        of: Of what, in the plural.
    """

    answer: str
    count: int
    total: int
    of: str

    def __str__(self) -> str:
        return f"“{answer_in_words(self.answer)}” for {self.count:,} of {self.total:,} {self.of}"


def answer_in_words(answer: str) -> str:
    """Returns an answer on one line, cut where it is long."""
    line = " ".join(answer.split())
    return line if len(line) <= _LONGEST_ANSWER else f"{line[: _LONGEST_ANSWER - 1]}…"


class Predictions(ABC):
    """Predictions of one kind beside what is right; its subclasses are what metrics judge."""

    things: ClassVar[str] = "examples"
    """What has one answer each, in the plural."""

    @classmethod
    @abstractmethod
    def from_records(
        cls, records: Sequence[PredictionRecord], *, classes: Sequence[Any] = ()
    ) -> Self:
        """Reads predictions of a labelled split.

        Args:
            records: One an example.
            classes: All labels in the task's order, where there are any; labels that are not among
                them come after in sorted order.
        """

    @staticmethod
    @abstractmethod
    def fits(record: PredictionRecord) -> bool:
        """Tells whether a record looks like one of this kind."""

    @staticmethod
    def decision(record: PredictionRecord) -> Any:
        """Returns that of a record which two models have in common where they agree."""
        return record["prediction"]

    @abstractmethod
    def answers(self) -> tuple[Sequence[str], Sequence[str]]:
        """Returns the right answers and the predicted ones, in words."""

    @abstractmethod
    def constants(self) -> Iterator[tuple[str, Self]]:
        """Yields what models that never look at their input would get.

        Yields:
            An answer in words, and the predictions of a model that gives it every time. They are
            those that score highest by the metrics of this kind.
        """

    def favourite(self) -> Favourite | None:
        """Returns the answer that is predicted nearly always; None where predictions tell apart."""
        right, predicted = map(Counter, self.answers())
        ((answer, count),) = predicted.most_common(1)
        total = predicted.total()
        usual = right.most_common(1)[0][1]
        if total - count >= _NEAR_CONSTANT * (total - usual):
            return None
        return Favourite(answer=answer, count=count, total=total, of=self.things)

    @property
    def num_labels(self) -> int | None:
        """Number of labels of which each example has one; None for another kind."""
        return None

    def details(self) -> dict[str, Any]:
        """Returns what else is worth knowing, such as a confusion matrix, as plain JSON."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """A metric as a function of how often each example counts, for resampling.

    Attributes:
        values: What the score needs of each example, (examples, width).
        score: Takes how often each example counts, (rows, examples), and their values; returns the
            score of each row, (rows,).
        quality: How good each prediction is, (examples,); only tells where two models differ.
    """

    values: Floats
    score: Callable[[Floats, Floats], Floats]
    quality: Floats


P = TypeVar("P", bound=Predictions)


@dataclass(frozen=True, kw_only=True)
class Form(Generic[P]):
    """A metric of one kind of predictions.

    Attributes:
        of: The kind.
        score: Returns the metric, by the library or script that others compute it with.
        weigh: Returns the same as a function of how often each example counts.
        standard_error: Returns how far so many examples let the metric be known, if a formula says.
        is_binomial: Whether that formula is the one of a share, sqrt(p (1 - p) / n), which only
            takes a score and the number of examples.
        num_labels: How many labels there must be; None for any number.
    """

    of: type[P]
    score: Callable[[P], float]
    weigh: Callable[[P], Weighted]
    standard_error: Callable[[P], float] | None = None
    is_binomial: bool = False
    num_labels: int | None = None


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric; its name in settings and reports is that of its file.

    Attributes:
        title: Its name in a sentence.
        short_title: Its name where room is scarce, if that is another.
        hub_type: Its identifier on the Hub, for model cards.
        forms: One for each kind of predictions that it judges.
        best: Its value where every prediction is right.
        higher_is_better: Whether more is better: only such a metric can choose the best epoch.
        constants_are_equal: Whether one answer for all scores the same, whichever it is.
    """

    title: str
    hub_type: str
    forms: tuple[Form[Any], ...]
    short_title: str | None = None
    best: float = 1.0
    higher_is_better: bool = True
    constants_are_equal: bool = False

    def form_of(self, kind: type[Predictions]) -> Form[Any] | None:
        """Returns how a kind of predictions is scored; None if the metric is not for it."""
        return next((form for form in self.forms if form.of is kind), None)

    def form_for(self, record: PredictionRecord) -> Form[Any] | None:
        """Returns how predictions such as this one are scored; None if the metric can't."""
        return next((form for form in self.forms if form.of.fits(record)), None)
