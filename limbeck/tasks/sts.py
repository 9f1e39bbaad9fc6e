"""Sentence similarity without fine-tuning: the cosine of pooled embeddings, against 0 to 5.

Source:
    Reimers, Gurevych, "Sentence-BERT", EMNLP 2019, section 4.1; STS-B: Cer et al., 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.errors import CheckpointError, SettingsError, shorten
from limbeck.metrics import Numbers, main_metrics_of
from limbeck.sources import Data
from limbeck.tasks import stsb
from limbeck.tasks._definition import TaskDefinition, with_defaults
from limbeck.tasks._encoded import EncodedExamples
from limbeck.tasks._examples import EncodedExample, Record, Split
from limbeck.tasks._regression import RegressionSettings, read_regression
from limbeck.tasks._vectors import VectorSettings, VectorTask
from limbeck.tokenizers import Tokenizer


class SimilaritySettings(RegressionSettings, VectorSettings):
    """Which columns hold what, and how a text becomes one vector."""


@dataclass(frozen=True, kw_only=True)
class SimilarityTask(VectorTask):
    """Pairs of sentences with a number that says how alike they are."""

    predictions = Numbers
    metrics = main_metrics_of(Numbers)  # a squared error of cosine and number says nothing

    def encode(self, split: Split, tokenizer: Tokenizer, *, max_length: int) -> EncodedExamples:
        """Turns each of two sentences into a row of its own, the first ones before the second.

        Before each stands the prompt that the model's folder puts before texts where none is named.

        Raises:
            CheckpointError: If the folder leaves that prompt out of the vectors.
        """
        prompt = self._find_prompt()
        firsts = [
            replace(example, text=prompt + example.text, text_pair=None)
            for example in split.examples
        ]
        seconds = [
            replace(example, text=prompt + example.text_pair, text_pair=None)
            for example in split.examples
        ]
        return EncodedExamples.join(
            [
                self.encode_texts(texts, tokenizer, max_length=max_length)
                for texts in (firsts, seconds)
            ]
        )

    def _find_prompt(self) -> str:
        sentence = self.sentence
        if sentence is None:
            return ""
        prompt = sentence.default_prompt
        if prompt and not sentence.pooling.include_prompt:
            raise CheckpointError(
                f"the model puts {shorten(prompt)} before texts (default_prompt_name) and leaves "
                "its tokens out of their vectors (include_prompt is false), which is not done "
                "here; to score it by one pooling of the texts alone, set "
                "task_options.pooling=mean, for example"
            )
        return prompt

    def predict(
        self, split: Split, encoded: Sequence[EncodedExample], logits: Sequence[Tensor]
    ) -> list[Record]:
        """Returns per pair its number and the cosine of its embeddings."""
        count = len(split.examples)
        embeddings = torch.stack(list(logits)).double()
        cosines = F.cosine_similarity(embeddings[:count], embeddings[count:]).tolist()
        return [
            {"index": index, "label": example.label, "prediction": cosine}
            for index, (example, cosine) in enumerate(zip(split.examples, cosines, strict=True))
        ]


def read(
    name: str,
    data: Data,
    *,
    settings: SimilaritySettings,
    labels: Sequence[str] | None = None,  # noqa: ARG001 - of a classifier
) -> SimilarityTask:
    """Reads pairs of sentences with a number each.

    Raises:
        DataError: If rows, columns or numbers are wrong; the message names file and line.
        SettingsError: If there is no column for the second sentence.
    """
    if settings.text_pair_column is None or settings.long_texts != "truncate":
        raise SettingsError(
            f"task = '{name}' compares pairs, each sentence cut at max_length: it needs "
            "task_options.text_pair_column, and task_options.long_texts = 'truncate'"
        )
    read = read_regression(name, data, settings=settings)
    return SimilarityTask(
        name=name,
        metric=settings.metric,
        splits=read.splits,
        num_held_out=read.num_held_out,
        pooling=settings.pooling,
    )


TASK = TaskDefinition(
    settings=with_defaults(
        SimilaritySettings,
        text_column="sentence1",
        text_pair_column="sentence2",
        minimum=0.0,
        maximum=5.0,
        metric="spearman",
    ),
    read=read,
    hub=stsb.TASK.hub,
)
