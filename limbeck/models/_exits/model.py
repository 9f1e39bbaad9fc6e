"""A model with heads on inner layers, whose inputs leave by the first that is sure."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from limbeck import checkpoints
from limbeck.checkpoints.exits import EXIT_WEIGHTS_NAME, EXITS_NAME, ExitInfo, require_bound
from limbeck.errors import CheckpointError, SettingsError, with_article
from limbeck.models._any import AnyModel
from limbeck.models._auto import AutoModelForSequenceClassification
from limbeck.models._config import ModelConfig
from limbeck.models._exits.uncertainty import MEASURES, find_problem, require_measure, to_answers
from limbeck.models._kinds import SEQUENCE_CLASSIFICATION, Kind
from limbeck.models._model import Model
from limbeck.models._placed import PlacedModule
from limbeck.nn import ModelOutput


class Exit(nn.Module):
    """A head on an inner layer, made of the same parts as the model's own.

    Args:
        norm: What normalises the states first, where layers don't; None where they do.
        pooler: From states to one vector a row; None where that is the first token's.
        head: From that vector to scores.
    """

    def __init__(self, *, norm: nn.Module | None, pooler: nn.Module | None, head: nn.Module):
        super().__init__()
        self.norm = norm
        self.pooler = pooler
        self.head = head

    def forward(
        self, hidden: Tensor, input_ids: Tensor, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Shape: (batch, sequence, hidden_size) to (batch, num_scores)."""
        states = hidden if self.norm is None else self.norm(hidden)
        return _score(self.pooler, self.head, states, input_ids, attention_mask)


class EarlyExitModel(PlacedModule):
    """A classifier or regressor of texts with exits on inner layers.

    The model itself is as it was, so that a row which leaves by no exit is answered as the model
    answers it, to the bit where no other row left before.

    Args:
        model: The model; it is a part of this one, not copied. The exits begin as copies of its
            pooler and head.
        info: Where exits are, and when a row leaves.

    Raises:
        SettingsError: If the model has another head, no such layers, or the uncertainty says
            nothing of its answers.

    Source:
        Xin et al., "DeeBERT", 2020, https://arxiv.org/abs/2004.12993.
    """

    def __init__(self, model: Model, info: ExitInfo) -> None:
        super().__init__()
        if not isinstance(model, Model) or model.kind is not SEQUENCE_CLASSIFICATION:
            name = getattr(model, "class_name", type(model).__name__)
            raise SettingsError(
                f"{with_article(name)} can't have early exits; accepted: a model of Limbeck's own "
                "families that has one answer a text, ForSequenceClassification"
            )
        require_inner_layers(info.layers, num_layers=model.encoder.num_layers)
        self.problem = find_problem(model.config)
        require_measure(info.uncertainty, self.problem, num_exits=len(info.layers))
        self.info = info
        self.model = model
        self.exits = nn.ModuleDict({str(layer): _make_exit(model) for layer in info.layers})

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, *, dtype: torch.dtype | None = None, **hub: Any
    ) -> Self:
        """Loads a model folder that has exits, in evaluation mode.

        Args:
            name_or_path: A model folder, or a Hub id.
            dtype: Type of the weights in memory; float32 if absent.
            hub: How to fetch it: `revision`, `token`, `cache_dir`, `offline`.

        Raises:
            CheckpointError: If there is no such model or it has no exits, or a file is damaged or
                not of this model.
            DataError: If `exits.json` is damaged.
        """
        folder = checkpoints.resolve_folder(name_or_path, **hub)
        if not checkpoints.holds_exits(folder):
            raise CheckpointError(
                f"{folder} has no early exits ({EXITS_NAME}, {EXIT_WEIGHTS_NAME}); limbeck "
                "early-exit gives a fine-tuned model some"
            )
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype)
        return cls.read(folder, model)

    @classmethod
    def read(cls, folder: Path, model: Model) -> Self:
        """Returns a folder's model with the folder's exits.

        Raises:
            CheckpointError: If they are damaged or not of this model.
            DataError: If `exits.json` is damaged.
        """
        info = ExitInfo.read(folder)
        _require_same_weights(folder, info)
        try:
            found = cls(model, info)
        except SettingsError as error:
            raise CheckpointError(
                f"{folder / EXITS_NAME} is not of the model beside it: {error}"
            ) from None
        weights = checkpoints.read_safetensors(folder / EXIT_WEIGHTS_NAME)
        _require_fit(folder / EXIT_WEIGHTS_NAME, weights, found.exits.state_dict())
        found.exits.load_state_dict(weights)
        return found.to(model.device).eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes the model as `Model.save_pretrained` does, and beside it its exits.

        Raises:
            CheckpointError: If the folder can't be written.
        """
        folder = Path(folder)
        self.model.save_pretrained(folder)
        checkpoints.write_safetensors(folder / EXIT_WEIGHTS_NAME, self.exits.state_dict())
        checksum = checkpoints.read_checksum(folder / checkpoints.WEIGHTS_NAME)
        info = self.info.model_copy(update={"weights_checksum": checksum})
        info.write(folder, error=CheckpointError)

    def with_bound(self, bound: float) -> EarlyExitModel:
        """Returns the same model, its weights shared, that another bound holds back.

        Raises:
            SettingsError: If the bound is out of range.
        """
        require_bound(bound, uncertainty=self.info.uncertainty)
        other = copy.copy(self)
        other.info = self.info.model_copy(update={"bound": bound})
        return other

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> ModelOutput:
        """Runs each row as far as it needs; rows that have left are no longer computed.

        Inputs and errors are those of `Model.encode`. The output has `logits` and
        `num_layers_run`; hidden states, which would be of different layers, it has none.
        """
        inputs = input_ids, attention_mask, token_type_ids, position_ids
        running = self.model.encode_by_layer(*inputs)
        rows = torch.arange(len(input_ids), device=input_ids.device)
        bound, measure = self.info.bound, MEASURES[self.info.uncertainty]
        kept: Tensor | None = None
        before: Tensor | None = None
        depths = torch.empty_like(rows)
        logits: Tensor | None = None
        last = self.model.encoder.num_layers
        for layer in range(1, last + 1):
            hidden = next(running) if layer == 1 else running.send(kept)
            kept = None
            if str(layer) in self.exits:
                scores = self.exits[str(layer)](hidden, input_ids, attention_mask)
                answers = to_answers(scores, self.problem)
                leaves = measure(answers, before, self.problem) < bound
                before = answers
                if not leaves.any():
                    continue
            elif layer == last:
                scores = self.score_last(hidden, input_ids, attention_mask)
                leaves = torch.ones_like(rows, dtype=torch.bool)
            else:
                continue
            if logits is None:
                logits = scores.new_empty(len(depths), scores.shape[-1])
            logits[rows[leaves]] = scores[leaves]
            depths[rows[leaves]] = layer
            kept = (~leaves).nonzero().squeeze(1)
            if not len(kept):
                break
            rows, input_ids = rows[kept], input_ids[kept]
            before = None if before is None else before[kept]
            attention_mask = None if attention_mask is None else attention_mask[kept]
        assert logits is not None, "all rows leave after the last layer"
        return ModelOutput(
            last_hidden_state=logits.new_empty(0), logits=logits, num_layers_run=depths
        )

    def score_all(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Returns the scores of every exit and then of the model, whoever would have left.

        Gradients go no further than the exits.

        Shape:
            result: Each (batch, num_scores).
        """
        with torch.no_grad():
            states = list(
                self.model.encode_by_layer(input_ids, attention_mask, token_type_ids, position_ids)
            )
            last = self.score_last(states[-1], input_ids, attention_mask)
        return (
            *(
                self.exits[str(layer)](states[layer - 1], input_ids, attention_mask)
                for layer in self.info.layers
            ),
            last,
        )

    def choose(self, scores: Sequence[Tensor], *, bound: float) -> Tensor:
        """Returns by which exit rows leave of which `score_all` gave the scores.

        Args:
            scores: What that gave.
            bound: Below which uncertainty a row leaves.

        Shape:
            result: (batch,), places among the scores; the last is the model itself.
        """
        chosen = torch.full((len(scores[0]),), len(scores) - 1)
        doubts = self.doubts(scores)
        for place in reversed(range(len(doubts))):
            chosen[doubts[place] < bound] = place
        return chosen

    def doubts(self, scores: Sequence[Tensor]) -> list[Tensor]:
        """Returns the uncertainty of each row at each exit, given what `score_all` gave.

        Shape:
            result: Each (batch,).
        """
        answers = [to_answers(each, self.problem) for each in scores[:-1]]
        before = [None, *answers[:-1]]
        measure = MEASURES[self.info.uncertainty]
        return [measure(a, b, self.problem) for a, b in zip(answers, before, strict=True)]

    def score_last(
        self, hidden: Tensor, input_ids: Tensor, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Returns the scores of the model's own head, of the last layer's states.

        Shape:
            hidden: (batch, sequence, hidden_size).
            result: (batch, num_scores).
        """
        return _score(self.model.pooler, self.model.head, hidden, input_ids, attention_mask)

    @property
    def config(self) -> ModelConfig:
        """The model's."""
        return self.model.config

    @property
    def kind(self) -> Kind:
        """Which head it has."""
        return self.model.kind

    @property
    def class_name(self) -> str:
        """What the model itself is called, such as `BertForSequenceClassification`."""
        return type(self.model).__name__

    def __call__(self, *args: Any, **kwargs: Any) -> ModelOutput:
        output: ModelOutput = super().__call__(*args, **kwargs)
        return output


def add_exits(model: AnyModel, folder: Path) -> AnyModel | EarlyExitModel:
    """Returns a model with the early exits that its folder has; where it has none, as it is.

    Raises:
        CheckpointError: If they are damaged or not of this model.
        DataError: If `exits.json` is damaged.
    """
    if not checkpoints.holds_exits(folder) or model.kind is not SEQUENCE_CLASSIFICATION:
        return model
    assert isinstance(model, Model), "other libraries write no exits"
    return EarlyExitModel.read(folder, model)


def require_inner_layers(layers: Sequence[int], *, num_layers: int) -> None:
    """Refuses exits where a model has no inner layer.

    Raises:
        SettingsError: Names what is accepted.
    """
    if num_layers < 2:
        raise SettingsError(
            "the model has one layer alone, and an exit stands on an inner one; accepted: a model "
            "with two layers or more"
        )
    wrong = [layer for layer in layers if not 1 <= layer < num_layers]
    if wrong:
        raise SettingsError(
            f"layers = {list(layers)}: there is no exit after layer {wrong[0]}; accepted: 1 to "
            f"{num_layers - 1}, as the model has {num_layers} layers, and the last has its head"
        )


def _make_exit(model: Model) -> Exit:
    return Exit(
        norm=copy.deepcopy(model.encoder.norm),
        pooler=copy.deepcopy(model.pooler),
        head=copy.deepcopy(model.head),
    )


def _score(
    pooler: nn.Module | None,
    head: nn.Module,
    hidden: Tensor,
    input_ids: Tensor,
    attention_mask: Tensor | None,
) -> Tensor:
    """Returns a head's scores of rows, as `Model.forward` computes them."""
    first = hidden[:, 0] if pooler is None else pooler(hidden, input_ids, attention_mask)
    scores: Tensor = head(first)
    return scores


def _require_same_weights(folder: Path, info: ExitInfo) -> None:
    path = folder / checkpoints.WEIGHTS_NAME
    there = checkpoints.read_checksum(path) if path.is_file() else None
    if None not in (there, info.weights_checksum) and there != info.weights_checksum:
        raise CheckpointError(
            f"{folder / EXITS_NAME}: the exits were trained on other weights than {path.name} "
            f"beside them has (checksum {info.weights_checksum}, there {there}): run limbeck "
            f"early-exit again on this model, or remove {EXITS_NAME} and {EXIT_WEIGHTS_NAME}"
        )


def _require_fit(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuses tensors that are not those of a model's exits; names the first that differs."""
    fault = next(_find_faults(found, expected), None)
    if fault is not None:
        raise CheckpointError(
            f"{path} does not fit {EXITS_NAME} and the model's head: {fault}. Copy both again from "
            "where they came, or remove both, which leaves the model without exits"
        )


def _find_faults(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[str]:
    for name, tensor in expected.items():
        if name not in found:
            yield f"'{name}' is missing"
        elif found[name].shape != tensor.shape:
            yield f"'{name}' has shape {tuple(found[name].shape)}, not {tuple(tensor.shape)}"
        elif not found[name].isfinite().all():
            yield f"'{name}' has numbers that are NaN or infinite"
    yield from (f"'{name}' is of no exit" for name in found if name not in expected)
