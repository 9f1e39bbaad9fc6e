"""Fill-mask: what may stand in the place of a mask, as `transformers.pipeline` gives it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding

from limbeck.errors import DataError, SettingsError, shorten
from limbeck.inference._base import FloatArray, Pipeline
from limbeck.inference._options import Options, require_positive
from limbeck.inference._scores import softmax
from limbeck.inference._stream import Steps
from limbeck.inference.engines import ASKED, Outputs
from limbeck.inference.pipelines._texts import check_text, encode_pairs
from limbeck.models._kinds import MASKED_LM

logger = logging.getLogger(__name__)

Filling = dict[str, Any]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FillMaskOptions(Options):
    """What can be chosen, for the pipeline or anew with each call."""

    top_k: int = 5
    """How many to give, the best first. No more than `targets`."""
    targets: str | Sequence[str] | None = None
    """The pieces that are asked about, a text or a list; by default the whole vocabulary. Of one
    that is several pieces the first stands for it, and a warning says so."""

    def __post_init__(self) -> None:
        require_positive("top_k", self.top_k)
        if self.targets is None or isinstance(self.targets, str):
            return
        given: object = self.targets
        is_list = isinstance(given, list | tuple) and len(given) > 0
        if not is_list or not all(isinstance(target, str) for target in self.targets):
            raise SettingsError(
                f"targets = {shorten(given)}; accepted: a text, or a list of one text or more"
            )


class FillMaskPipeline(Pipeline[FillMaskOptions]):
    """Gives the pieces of the vocabulary that a masked language model sets in the place of a mask.

    The mask is the tokenizer's own, such as `[MASK]` or `<mask>`. Each of several masks is filled
    by itself, as if the others stayed.

    Args:
        engine: Runs a model with a masked language model's head.
        tokenizer: Its tokenizer.
        batch_size: Most texts that go through the model at a time; see `Pipeline`.
        max_length: Longest input in tokens; by default the longest that the engine takes.
        options: See `FillMaskOptions`.

    Example:
        >>> fill = pipeline("fill-mask", model="bert-base-uncased")  # doctest: +SKIP
        >>> fill("Paris is the [MASK] of France.", top_k=1)  # doctest: +SKIP
        [{'score': 0.997, 'token': 3007, 'token_str': 'capital',
          'sequence': 'paris is the capital of france.'}]
    """

    task = "fill-mask"
    kind = MASKED_LM
    options_type = FillMaskOptions
    found, headline = "fillings", "token_str"
    row_options = {"top_k": 1}  # noqa: RUF012

    @classmethod
    def advise(cls, name: str) -> str:
        """Says where such a model comes from, for messages."""
        return (
            f"give the pretrained model that {name} was made of, or make one: limbeck pretrain, "
            "limbeck distill"
        )

    @classmethod
    def list_results(cls, result: Any) -> list[Filling]:
        """Returns the fillings of a row; those of several masks with the mask's number."""
        if isinstance(result[0], dict):
            return list(result)
        return [{"mask": n, **filling} for n, of_mask in enumerate(result) for filling in of_mask]

    def __call__(self, inputs: str | Iterable[str], **options: Any) -> Any:
        """Fills the masks of one text or many.

        Args:
            inputs: A text with one mask or more, or a list, a generator or a data set of these.
            options: See `FillMaskOptions`; `batch_size`, `max_length` and
                `on_error` too, which are as in `Pipeline`.

        Returns:
            As `transformers.pipeline`: for a text, or a list of one, the list of its mask's
            fillings, `score`, `token`, `token_str` and `sequence`, the best first; with several
            masks a list of such lists. For several texts a list of these.

        Raises:
            DataError: If an input is no text or has no mask.
            SettingsError: If an option is wrong.
        """
        run, chosen, on_error = self._for_call(options)
        targets = None if chosen.targets is None else run._find_targets(chosen.targets)
        fill = partial(run._fill, top_k=chosen.top_k, targets=targets)
        steps = Steps(check_text, run._encode, fill)
        found = run._answer(inputs, steps, on_error=on_error)
        return found[0] if isinstance(inputs, list) and len(inputs) == 1 else found

    def _encode(self, texts: Sequence[str]) -> list[Encoding]:
        pairs = [(text, None) for text in texts]
        rows = encode_pairs(self.tokenizer, pairs, max_length=self._max_length)
        for text, row in zip(texts, rows, strict=True):
            if self.tokenizer.mask_token_id not in row.ids:
                raise DataError(self._explain_no_mask(text))
        return rows

    def _fill(
        self, _: object, rows: Sequence[Encoding], *, top_k: int, targets: IntArray | None
    ) -> Iterator[list[Any]]:
        mask = self.tokenizer.mask_token_id
        self._count_cut(rows)

        def read(outputs: Outputs, together: Sequence[Encoding]) -> Iterator[FloatArray]:
            are_masks = [np.equal(row.ids, mask) for row in together]
            logits = outputs["logits"]
            if ASKED not in self.engine.limits.inputs:
                parts = zip(logits, are_masks, strict=True)
                logits = np.concatenate([scores[: len(of)][of] for scores, of in parts])
            ends = np.cumsum([of.sum() for of in are_masks])
            yield from map(softmax, np.split(logits, ends[:-1]))

        for row, scores in zip(rows, self._run(rows, read), strict=True):
            places = np.flatnonzero(np.equal(row.ids, mask)).tolist()
            filled = []
            for place, of_mask in zip(places, scores, strict=True):
                asked = np.arange(len(of_mask)) if targets is None else targets
                best = asked[np.argsort(-of_mask[asked], kind="stable")[:top_k]]
                filled.append(
                    [
                        self._describe(row, place, int(piece), of_mask[piece], of=len(places))
                        for piece in best
                    ]
                )
            yield filled[0] if len(filled) == 1 else filled

    def _pad(self, rows: Sequence[Encoding]) -> dict[str, IntArray]:
        """Stacks rows as `Pipeline._pad` does, and says where the masks are."""
        inputs = super()._pad(rows)
        if ASKED in self.engine.limits.inputs:
            is_mask = inputs["input_ids"] == self.tokenizer.mask_token_id
            inputs[ASKED] = is_mask.astype(np.int64)
        return inputs

    def _describe(
        self, row: Encoding, place: int, piece: int, score: np.float32, *, of: int
    ) -> Filling:
        """Returns one filling of a mask of a row; `of` is how many masks the row has."""
        ids = [*row.ids[:place], piece, *row.ids[place + 1 :]]
        return {
            "score": float(score),
            "token": piece,
            "token_str": self._decode([piece]),
            # Beside another mask special tokens stay, else that one would be gone.
            "sequence": self._decode(ids, skip_special_tokens=of == 1, without_padding=True),
        }

    def _decode(
        self,
        ids: Sequence[int],
        *,
        skip_special_tokens: bool = False,
        without_padding: bool = False,
    ) -> str:
        """Returns the text of ids; those that only fill up the model's vocabulary have none."""
        left_out = self.tokenizer.pad_token_id if without_padding else -1
        known = [i for i in ids if i < self.tokenizer.vocab_size and i != left_out]
        return self.tokenizer.decode(known, skip_special_tokens=skip_special_tokens)

    def _find_targets(self, targets: str | Sequence[str]) -> IntArray:
        """Returns the ids of the pieces that are asked about."""
        vocabulary = self.tokenizer.get_vocab()
        ids = []
        for target in [targets] if isinstance(targets, str) else targets:
            found = vocabulary.get(target)
            if found is None:
                pieces = self.tokenizer(target, add_special_tokens=False)["input_ids"]
                if not pieces:
                    raise SettingsError(
                        f"targets: {shorten(target)} is no piece of the vocabulary, and the "
                        "tokenizer makes none of it; leave it out"
                    )
                found = pieces[0]
                logger.warning(
                    "targets: %s is no piece of the vocabulary; its first piece %s stands for it",
                    shorten(target),
                    shorten(self.tokenizer.convert_ids_to_tokens(found)),
                )
            ids.append(found)
        return np.unique(np.asarray(ids, dtype=np.int64))

    def _explain_no_mask(self, text: str) -> str:
        mask = self.tokenizer.mask_token
        where = f" in its first {self._max_length} tokens, where it is cut" if mask in text else ""
        return (
            f"{shorten(text)} has no {mask}{where}; accepted: texts with one or more. To label "
            "texts, fine-tune the model first: limbeck finetune"
        )


PipelineType = FillMaskPipeline
