"""A finished run as a frozen value, which a notebook shows, and the model that it left."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from limbeck.checkpoints import push_folder, read_config
from limbeck.errors import CheckpointError, DataError, with_article
from limbeck.inference import pipeline
from limbeck.inference._base import Pipeline
from limbeck.models import AutoConfig, Model, find_class, find_kind
from limbeck.report.summary import Summary
from limbeck.runs import ResultRecord, RunRecord
from limbeck.tokenizers import AutoTokenizer, Tokenizer

RecordT = TypeVar("RecordT", bound=ResultRecord)


@dataclass(frozen=True)
class Result(Generic[RecordT]):
    """A finished run.

    Attributes:
        folder: The run's folder.
        record: What stands in its `result.json`.
    """

    folder: Path
    record: RecordT

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the run."""
        return RunRecord.read(self.folder).settings

    def summary(self) -> Summary:
        """Returns what a notebook shows."""
        raise NotImplementedError

    def __repr__(self) -> str:
        summary = self.summary()
        return f"<{type(self).__name__} {str(self.folder)!r}: {summary.headline}>"

    def _repr_html_(self) -> str:
        return self.summary().to_html()


class ModelResult(Result[RecordT]):
    """A finished run that left a model."""

    @property
    def model_folder(self) -> Path:
        """Folder of the model, its tokenizer and its card."""
        return self.folder / "model"

    @cached_property
    def model(self) -> Model:
        """The model, read from its folder when it is asked for."""
        return load_model(self.model_folder)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return AutoTokenizer.from_pretrained(self.model_folder)

    def pipeline(self, **options: Any) -> Pipeline[Any]:
        """Returns a callable from texts to answers; options are those of `limbeck.pipeline`."""
        made: Pipeline[Any] = pipeline(None, str(self.model_folder), **options)
        return made

    def save_pretrained(self, folder: str | Path) -> Path:
        """Copies the model's folder: weights, configuration, tokenizer and card.

        Raises:
            DataError: If it can't be written.
        """
        try:
            return Path(shutil.copytree(self.model_folder, folder, dirs_exist_ok=True))
        except (OSError, shutil.Error) as error:
            raise DataError(f"can't write the model to {folder}: {error}") from error

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        commit_message: str | None = None,
    ) -> str:
        """Uploads the model's folder, its card included, to the Hugging Face Hub.

        Args:
            repo_id: Where to, such as `me/small`; made if it does not exist.
            private: Whether a new repository is private; None is the owner's default.
            token: Access token with the right to write; None takes the one of `hf auth login`.
            commit_message: What the commit says.

        Returns:
            The address of the commit.

        Raises:
            CheckpointError: If the Hub refuses or can't be reached.
        """
        return push_folder(
            self.model_folder,
            repo_id,
            private=private,
            token=token,
            commit_message=commit_message,
        )


def load_model(folder: Path) -> Model:
    """Loads a model with the head that its folder says it has."""
    name = str((read_config(folder).get("architectures") or ["Model"])[0])
    kind = find_kind(name)
    if kind is None:
        raise CheckpointError(
            f"{folder} says it holds {with_article(name)}, which Limbeck does not know"
        )
    found: Model = find_class(AutoConfig.from_pretrained(folder).model_type, kind).from_pretrained(
        folder
    )
    return found
