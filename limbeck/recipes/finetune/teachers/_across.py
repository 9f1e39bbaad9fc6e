"""A teacher and a student of different vocabularies: what of their rows can be compared, and how.

Each model reads its own tokens of the same example, up to `max_length` of them. What a model says
of an example as a whole is compared as it is; what it says of tokens, by the characters that both
have read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby

from limbeck.errors import DataError, SettingsError
from limbeck.losses import Loss
from limbeck.recipes._tasks.data import AUGMENTED, TaskData
from limbeck.recipes.finetune.augmentation import Made
from limbeck.tasks import EncodedExamples, Split, Task, TextExample

OF_TOKENS = frozenset({"last_hidden_state", "hidden_states"})
"""Outputs of tokens that can be laid anew."""
_COMPARABLE = OF_TOKENS | {"logits", "pooled"}


def require_losses_across(losses: Mapping[str, Loss], task: Task, *, name: str) -> None:
    """Refuses losses that can't compare models of different vocabularies.

    Args:
        losses: By name.
        task: The task.
        name: The teacher's name, for messages.

    Raises:
        SettingsError: Names the loss, and those that can.
    """
    for key, loss in losses.items():
        allowed = task.losses_across
        if "logits" in loss.needs and allowed is not None and key not in allowed:
            raise SettingsError(
                f"losses.{key} compares {task.name}'s scores token by token, but {name} has "
                f"another vocabulary than the student; accepted then: {', '.join(sorted(allowed))}"
            )
        if refused := loss.needs - _COMPARABLE:
            raise SettingsError(
                f"losses.{key} compares the models' {', '.join(sorted(refused))}, one token with "
                f"another, but {name} has another vocabulary than the student; accepted then: "
                f"losses on {', '.join(sorted(_COMPARABLE))}"
            )


def require_one_row_each(split: str, student: EncodedExamples, teacher: EncodedExamples) -> None:
    """Refuses examples that are several rows of one of two models.

    Raises:
        DataError: Names the first such example.
    """
    numbers = [[row.index for row in rows] for rows in (student, teacher)]
    if numbers[0] == numbers[1] and len(set(numbers[0])) == len(numbers[0]):
        return
    counts = [{index: len(list(same)) for index, same in groupby(each)} for each in numbers]
    first = next(i for i in counts[0] if {counts[0][i], counts[1].get(i)} != {1})
    raise DataError(
        f"example {first} of {split} is {counts[0][first]} rows for the student and "
        f"{counts[1].get(first, 0)} for the teacher, whose vocabulary is another, so that its rows "
        "are other pieces of the text; accepted: one row an example, with a larger max_length or "
        "with task_options.long_texts=truncate"
    )


def write_out(data: TaskData, made: Made) -> Split:
    """Returns rows that were made of the student's tokens as texts, for a teacher to read.

    Raises:
        SettingsError: If the task's examples are not one or two texts.
    """
    examples = data.task.splits["train"].examples
    rows = data.examples["train"]
    tokenizer = data.tokenizer
    frame = tokenizer.frame
    between = {*frame.before, *frame.after}  # and between the texts of a pair
    found = []
    for index, ids in made:
        example = examples[rows[index].index]
        if not isinstance(example, TextExample):
            raise SettingsError(
                f"augment with a teacher of another vocabulary is for tasks over texts, but "
                f"{data.task.name} is none; leave augment out"
            )
        groups = groupby(ids.tolist(), key=lambda token: token in between)
        texts = [tokenizer.decode(list(group)) for is_between, group in groups if not is_between]
        texts += [""] * (2 - len(texts))
        pair = None if example.text_pair is None else texts[1]
        found.append(replace(example, text=texts[0], text_pair=pair, label=None))
    return Split(AUGMENTED, found)
