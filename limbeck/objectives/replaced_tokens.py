"""Replaced tokens: a discriminator finds those that a small generator put in a text's place."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.data import MaskedBatch
from limbeck.data.philox import SAMPLES, raw_words, to_uniforms
from limbeck.losses import sum_over_chunks
from limbeck.models import Model
from limbeck.nn import at_least_float32, evaluation, to_device
from limbeck.nn.constants import IGNORE_INDEX
from limbeck.objectives._objective import Objective, Prepared, Share
from limbeck.objectives._text_rows import encode, find_positions, flatten_states


@dataclass(frozen=True, kw_only=True)
class ReplacedRows:
    """Where the generator fills in, where the discriminator judges, and the numbers to draw by.

    Shape:
        masked, uniforms: (masked tokens,).
        real: (tokens,), both as places in the flattened batch.
    """

    masked: Tensor
    real: Tensor
    uniforms: Tensor

    @classmethod
    def of(cls, batch: MaskedBatch, *, seed: int) -> Self:
        """Finds the rows of a batch that is on the CPU."""
        return cls(
            masked=find_positions(batch, "masked"),
            real=find_positions(batch, "real"),
            uniforms=draw_uniforms(batch, seed=seed),
        )

    def to(self, device: torch.device) -> Self:
        """Returns the rows on a device."""
        return type(self)(
            masked=to_device(self.masked, device),
            real=to_device(self.real, device),
            uniforms=to_device(self.uniforms, device),
        )


class ReplacedTokensObjective(Objective[MaskedBatch, ReplacedRows]):
    """Masked LM of a generator, and whether each token is the text's own of a discriminator.

    The loss is the mean cross-entropy over masked tokens, and `weight` times the mean binary
    cross-entropy over all that are no padding. What the generator samples is given to the
    discriminator as tokens, so that no gradient flows from the one to the other; a sampled token
    that is the text's own counts as such.

    Args:
        discriminator: Trained and kept; its head scores each token once.
        generator: Trained beside it, with a vocabulary head. What it shares with the
            discriminator, as its embeddings, is trained by both losses.
        weight: What the discriminator's loss is multiplied by.
        seed: Decides, with a row's text and masks, what is sampled.
        chunk_rows: Most rows whose full-vocabulary logits exist at a time.

    Source:
        Clark et al., "ELECTRA", ICLR 2020, https://arxiv.org/abs/2003.10555, section 2.
    """

    def __init__(
        self,
        discriminator: Model,
        generator: Model,
        *,
        weight: float = 50.0,
        seed: int = 0,
        chunk_rows: int = 1024,
    ) -> None:
        super().__init__(discriminator, {})
        self.generator = generator
        self._weight = weight
        self._seed = seed
        self._chunk_rows = chunk_rows

    def prepare(self, batch: MaskedBatch) -> Prepared[MaskedBatch, ReplacedRows]:
        """Finds and counts the masked tokens and those that are no padding."""
        rows = ReplacedRows.of(batch, seed=self._seed)
        counts = {"masked_lm": len(rows.masked), "replaced_tokens": len(rows.real)}
        return Prepared(batch=batch, rows=rows, counts=counts)

    def shares(
        self, prepared: Prepared[MaskedBatch, ReplacedRows], counts: Mapping[str, int]
    ) -> Iterator[Share]:
        """Yields the generator's share, then the discriminator's."""
        batch, rows = prepared.batch, prepared.rows
        originals = batch.labels.flatten()[rows.masked]
        samples = [originals[:0]]

        def chunk_loss(hidden: Tensor, chunk: slice) -> Tensor:
            logits = at_least_float32(self.generator.score(hidden))
            samples.append(sample_tokens(logits.detach(), rows.uniforms[chunk]))
            loss = F.cross_entropy(logits, originals[chunk], reduction="sum")
            return loss / max(counts["masked_lm"], 1)

        generated = sum_over_chunks(
            chunk_loss,
            flatten_states(encode(self.generator, batch))[rows.masked],
            parameters=list(self.generator.parameters()),
            chunk_rows=self._chunk_rows,
        )
        yield Share(weighted=generated, terms={"masked_lm": generated.detach()})
        scores, is_replaced = self._judge(batch, rows, torch.cat(samples))
        found = F.binary_cross_entropy_with_logits(scores, is_replaced, reduction="sum")
        found = found / max(counts["replaced_tokens"], 1)
        yield Share(weighted=self._weight * found, terms={"replaced_tokens": found.detach()})

    @torch.inference_mode()
    def measure(self, batches: Iterable[MaskedBatch], *, device: torch.device) -> dict[str, float]:
        """Measures both models on held-out text, in evaluation mode meanwhile.

        Returns:
            `mlm_loss` (nats per masked token) and `mlm_accuracy` of the generator; of the
            discriminator `rtd_loss` (nats per token), `rtd_accuracy`, and `rtd_recall`, the share
            of replaced tokens that it finds; `replaced_share`, how many there are.
        """
        sums: defaultdict[str, float] = defaultdict(float)
        num_masked = num_real = 0
        with evaluation(self):
            for batch in batches:
                prepared = self.prepare(batch)
                num_masked += prepared.counts["masked_lm"]
                num_real += prepared.counts["replaced_tokens"]
                for name, value in self._sums(prepared.to(device)).items():
                    sums[name] += float(value)
        found, replaced = sums.pop("found"), sums["replaced_share"]
        figures = {
            name: value / max(num_masked if name.startswith("mlm_") else num_real, 1)
            for name, value in sums.items()
        }
        return figures | {"rtd_recall": found / max(replaced, 1)}

    def _sums(self, prepared: Prepared[MaskedBatch, ReplacedRows]) -> dict[str, Tensor]:
        """Returns what `measure` adds up over a batch."""
        batch, rows = prepared.batch, prepared.rows
        originals = batch.labels.flatten()[rows.masked]
        hidden = flatten_states(encode(self.generator, batch))[rows.masked]
        loss, right = hidden.new_zeros(()), hidden.new_zeros(())
        samples = [originals[:0]]
        places = torch.arange(len(hidden), device=hidden.device)
        for chunk in torch.split(places, self._chunk_rows):
            logits = at_least_float32(self.generator.score(hidden[chunk]))
            samples.append(sample_tokens(logits, rows.uniforms[chunk]))
            loss = loss + F.cross_entropy(logits, originals[chunk], reduction="sum")
            right = right + (logits.argmax(-1) == originals[chunk]).sum()
        scores, is_replaced = self._judge(batch, rows, torch.cat(samples))
        is_found = scores > 0
        return {
            "mlm_loss": loss,
            "mlm_accuracy": right,
            "rtd_loss": F.binary_cross_entropy_with_logits(scores, is_replaced, reduction="sum"),
            "rtd_accuracy": (is_found == is_replaced.bool()).sum(),
            "replaced_share": is_replaced.sum(),
            "found": (is_found & is_replaced.bool()).sum(),
        }

    def _judge(
        self, batch: MaskedBatch, rows: ReplacedRows, samples: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the discriminator's score of each token, and 1 where it was replaced, else 0."""
        originals = batch.labels.where(batch.labels != IGNORE_INDEX, batch.input_ids)
        given = originals.flatten().index_copy(0, rows.masked, samples).view_as(originals)
        output = self.student.encode(given, batch.attention_mask, position_ids=batch.position_ids)
        scores = at_least_float32(self.student.score(flatten_states(output)[rows.real]).squeeze(-1))
        return scores, (given != originals).flatten()[rows.real].to(scores.dtype)


def sample_tokens(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Samples a token a row by inverting its cumulative distribution, with one number a row.

    Shape:
        logits: (rows, vocab_size).
        uniforms: (rows,), in (0, 1).
        result: (rows,).
    """
    cumulative = logits.softmax(dim=-1).cumsum(dim=-1)
    # Sums of rounded parts end near 1, not at it.
    places = uniforms.to(logits.dtype)[:, None] * cumulative[:, -1:]
    return (
        torch.searchsorted(cumulative, places, right=True)
        .squeeze(1)
        .clamp_(max=logits.shape[1] - 1)
    )


def draw_uniforms(batch: MaskedBatch, *, seed: int) -> Tensor:
    """Returns a random number in (0, 1) for each masked token of a batch that is on the CPU.

    They are a function of the seed and of the row's text and masks, and so the same however rows
    are grouped in micro-batches and wherever a run was resumed.

    Shape:
        result: (masked tokens,), in the order of the flattened batch.
    """
    drawn = [np.empty(0)]
    for tokens, labels in zip(batch.input_ids.numpy(), batch.labels.numpy(), strict=True):
        digest = hashlib.blake2b(tokens.tobytes() + labels.tobytes(), digest_size=8).digest()
        words = raw_words(
            int((labels != IGNORE_INDEX).sum()),
            seed=seed,
            purpose=SAMPLES,
            epoch=int.from_bytes(digest, "little"),
        )
        drawn.append(to_uniforms(words))
    return torch.from_numpy(np.concatenate(drawn)).float()
