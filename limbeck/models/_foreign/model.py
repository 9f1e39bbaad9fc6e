"""A foreign model: loaded whole or not at all, and called as a `Model` is."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limbeck import checkpoints
from limbeck.errors import CheckpointError, MissingHeadError, SettingsError, shorten_names
from limbeck.models._foreign.config import ForeignConfig
from limbeck.models._foreign.library import find_class_name, import_transformers, speaking_for
from limbeck.models._foreign.unpadded import join_rows, rows_by_length
from limbeck.models._inputs import check_inputs, flatten_choices
from limbeck.models._kinds import Kind
from limbeck.models._placed import PlacedModule
from limbeck.nn import Collect, EncoderOutput, ModelOutput, is_collected, names_in

_PROBED_LENGTHS = range(3, 10)  # odd and even ones, for families that pool neighbours
_TOLERANCE = 1e-4
"""Of what padding may change: sums in another order change float32 by 1e-6, padding that is read by
0.01 and more."""


class ForeignModel(PlacedModule):
    """A model that `transformers` runs, without gradients.

    Padding changes nothing, as with models of ours: where a family reads it, since it knows no
    attention mask or counts from the other end, rows of one length are run together without any.

    Args:
        model: The model of `transformers`.
        config: Its configuration.
        kind: What stands on the encoder.
        output_type: What its encoders return.
    """

    def __init__(
        self, model: nn.Module, config: ForeignConfig, kind: Kind, *, output_type: Any
    ) -> None:
        super().__init__()
        self.config = config
        self.kind = kind
        self.model = model.eval().requires_grad_(requires_grad=False)
        self.reads_padding = False
        """Whether rows are run without padding, since it would change what is computed."""
        self.gives_states = True
        """Whether there is a hidden state for each token after each layer."""
        self._head = (
            _take_head(model, output_type),
        )  # in a tuple: its parts are the model's already
        self._states: Any = None
        self.encoder.register_forward_hook(self._keep_states)

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        config: ForeignConfig,
        kind: Kind,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> ForeignModel:
        """Loads a model folder, whole or not at all.

        Args:
            folder: The model folder.
            config: As `read_foreign_config` gave it.
            kind: What is to stand on the encoder.
            dtype: Type of the weights in memory.

        Raises:
            MissingHeadError: If the folder has no such head.
            CheckpointError: If the family has none, the weights are not all there or only as a
                pickle, or nobody can tell what the model gives for a token.
        """
        transformers = import_transformers(f"the model {folder}")
        checkpoints.require_weights(folder)
        with speaking_for(transformers, str(folder)):
            found_class = _find_class(transformers, folder, config, kind)
            # How attention is computed is said here: config.json might name code to be fetched.
            attention = "sdpa" if found_class._supports_sdpa else "eager"
            model, found = found_class.from_pretrained(
                folder,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                attn_implementation=attention,
                dtype=dtype,
                output_loading_info=True,
            )
            _require_whole(folder, model, found, kind)
            output_type = transformers.modeling_outputs.BaseModelOutput
            made = cls(model, config, kind, output_type=output_type)
            made._probe(folder)
        return made

    @property
    def class_name(self) -> str:
        """Name of its class in `transformers`."""
        return type(self.model).__name__

    @property
    def encoder(self) -> nn.Module:
        """The model below the head; itself if it has none."""
        base: nn.Module = getattr(self.model, str(self.model.base_model_prefix), self.model)
        return base

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        collect: Collect = frozenset(),
    ) -> ModelOutput:
        """Runs the model as `Model.forward` does; shapes and errors are the same.

        Inputs that the family does not have are left out. `pooler_output` is what the family's own
        classifiers read of a text: the pooler's, or the state of the last token where it is that.
        """
        choices = input_ids.shape[:-1]
        others = [attention_mask, token_type_ids]
        if self.kind.has_choices:
            input_ids, *others = flatten_choices(input_ids, *others)
        output = self._call(self.model, input_ids, *others, collect=collect)
        if self.kind.has_choices and output.logits is not None:
            output = replace(output, logits=output.logits.reshape(choices))
        return output

    def encode(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        collect: Collect = frozenset(),
    ) -> EncoderOutput:
        """Runs the encoder alone, as `Model.encode` does.

        Raises:
            SettingsError: Also if positions, or what each token may see, are given.
        """
        if position_ids is not None or (attention_mask is not None and attention_mask.dim() > 2):
            raise SettingsError(
                f"{self.class_name} is run by transformers, where each family counts positions in "
                "its own way: leave position_ids out, and give masks of (batch, sequence)"
            )
        output = self._call(
            self.encoder, input_ids, attention_mask, token_type_ids, collect=collect
        )
        return EncoderOutput(
            last_hidden_state=output.last_hidden_state,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )

    def score(self, hidden: Tensor) -> Tensor:
        """Runs a masked-LM head alone on hidden states, such as those of some positions only.

        Shape:
            hidden: (..., hidden_size).
            result: (..., vocab_size).
        """
        (head,) = self._head
        scores: Tensor = head(inputs_embeds=hidden.reshape(1, -1, hidden.shape[-1])).logits
        return scores.reshape(*hidden.shape[:-1], scores.shape[-1])

    def _call(
        self,
        module: nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        *,
        collect: Collect,
    ) -> ModelOutput:
        names = names_in(collect)
        if refused := names - self.config.collectable:
            raise SettingsError(
                f"{self.class_name} is run by transformers, which does not give "
                f"{', '.join(sorted(refused))}; accepted: "
                f"{', '.join(sorted(self.config.collectable))}"
            )
        check_inputs(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=None,
            name=self.class_name,
            max_tokens=self.config.max_tokens,
            has_token_types=True,
        )
        given = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
        }
        accepted = inspect.signature(module.forward).parameters
        inputs = {k: v for k, v in given.items() if v is not None and k in accepted}
        if attention_mask is None or not self.reads_padding:
            return self._run(module, inputs, collect)
        parts = [
            (rows, self._run(module, {k: v[rows, :length] for k, v in inputs.items()}, collect))
            for length, rows in rows_by_length(attention_mask)
        ]
        return join_rows(
            parts, length=input_ids.shape[1], has_token_scores=not self.kind.reads_sequence
        )

    def _run(
        self, module: nn.Module, inputs: Mapping[str, Tensor], collect: Collect
    ) -> ModelOutput:
        names = names_in(collect)
        if "attentions" in names:  # other ways of computing it have no probabilities to show
            self.model.set_attn_implementation("eager")  # type: ignore[operator]
        if self.kind.has_choices and module is self.model:
            inputs = {name: tensor[:, None] for name, tensor in inputs.items()}
        try:
            output = module(
                **inputs,
                output_hidden_states="hidden_states" in names,
                output_attentions="attentions" in names,
                return_dict=True,
            )
        except IndexError as error:
            raise SettingsError(
                f"an id or position is out of range ({error}): input_ids must be below "
                f"{self.config.vocab_size}. Is the tokenizer this model's?"
            ) from error
        states, self._states = self._states, None
        scores = {
            name: getattr(output, name, None) for name in ("logits", "start_logits", "end_logits")
        }
        return ModelOutput(
            last_hidden_state=states[0],
            pooler_output=self._pool(states),
            hidden_states=_pick(states, "hidden_states", collect),
            attentions=_pick(states, "attentions", collect),
            **scores,
        )

    def _keep_states(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        self._states = output

    def _pool(self, states: Any) -> Tensor | None:
        pooled: Tensor | None = getattr(states, "pooler_output", None)
        if pooled is None and getattr(self.model.config, "summary_type", None) == "last":
            pooled = states[0][:, -1]  # families that end with it are run without padding
        return pooled

    @torch.inference_mode()
    def _probe(self, folder: Path) -> None:
        """Finds out on made-up rows what the family does with padding and for each token.

        Raises:
            CheckpointError: If a masked-LM head does not give the scores that the model gives.
        """
        longest = max(_PROBED_LENGTHS)
        padding = getattr(self.model.config, "pad_token_id", None)
        tokens = [token for token in range(self.config.vocab_size) if token != padding]
        ids = torch.tensor((tokens * longest)[-longest:])
        mask = (torch.arange(longest) < torch.tensor(_PROBED_LENGTHS)[:, None]).long()
        rows = torch.where(mask == 1, ids, padding or 0)
        if self.kind.has_choices:
            rows, mask = rows[:, None], mask[:, None]
        states = frozenset({"hidden_states"})
        batch = self(rows, mask, collect=states)
        for place, length in enumerate(_PROBED_LENGTHS):
            row = self(rows[place, None, ..., :length], collect=states)
            alone, padded = _main_tensors(row), _main_tensors(batch)
            self.reads_padding |= not all(
                _are_close(
                    ours[0], theirs[place, : ours.shape[1]] if ours.dim() > 1 else theirs[place]
                )
                for ours, theirs in zip(alone, padded, strict=True)
            )
            found = row.hidden_states or ()
            self.gives_states &= len(found) == 1 + self.config.num_hidden_layers
            self.gives_states &= {s.shape[1] for s in (row.last_hidden_state, *found)} == {length}
        if self.kind.ties_words and not self._scores_as(row):
            raise CheckpointError(
                f"{folder}: the head of {self.class_name} looks at more than each token's hidden "
                "state, so that it can't be run on some tokens only; take another model"
            )

    def _scores_as(self, output: ModelOutput) -> bool:
        """Tells whether the head alone gives an output's scores from its hidden states."""
        assert output.logits is not None
        try:
            return _are_close(self.score(output.last_hidden_state), output.logits)
        except (AttributeError, RuntimeError, TypeError, ValueError):
            return False


class _Given(nn.Module):
    """Stands in an encoder's place and gives the hidden states that the model was called with."""

    def __init__(self, output_type: Any) -> None:
        super().__init__()
        self._output_type = output_type

    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any) -> Any:
        return self._output_type(last_hidden_state=inputs_embeds)


def _take_head(model: nn.Module, output_type: Any) -> nn.Module:
    """Returns the model with all its parts but the encoder, which gives what it is given."""
    head = copy.copy(model)
    name = str(model.base_model_prefix)
    head.__dict__["_modules"] = {**model._modules, name: _Given(output_type)}
    return head


def _find_class(transformers: Any, folder: Path, config: ForeignConfig, kind: Kind) -> Any:
    """Returns the class of a family and kind.

    Raises:
        CheckpointError: If there is none.
    """
    name = find_class_name(transformers, config.family, kind)
    if name is None:
        raise CheckpointError(
            f"{folder}: transformers {transformers.__version__} has no class for '{config.family}' "
            f"such as Bert{kind.suffix}; accepted: a model of a family that has one"
        )
    return getattr(transformers, name)


def _require_whole(folder: Path, model: nn.Module, found: Mapping[str, Any], kind: Kind) -> None:
    """Refuses a folder that lacks weights, which the library would draw at random.

    Raises:
        MissingHeadError: If it is only the head that is missing.
        CheckpointError: If it is more.
    """
    missing = sorted({*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])})
    prefix = f"{model.base_model_prefix}."
    if not kind.has_head and all(
        name.removeprefix(prefix).startswith("pooler") for name in missing
    ):
        if missing:
            model.pooler = None  # type: ignore[assignment]  # families call it so, if they have one
        return
    if not missing:
        return
    error = (
        CheckpointError if any(name.startswith(prefix) for name in missing) else MissingHeadError
    )
    raise error(
        f"{folder} does not fit {type(model).__name__} of transformers: missing, or of another "
        f"shape, {shorten_names(missing, count=8)}."
    )


def _pick(output: Any, name: str, collect: Collect) -> tuple[Tensor, ...] | None:
    """Returns what is asked for of what the library gives of all layers."""
    found = getattr(output, name, None)
    if found is None:
        return None
    return tuple(part for place, part in enumerate(found) if is_collected(collect, name, place))


def _main_tensors(output: ModelOutput) -> list[Tensor]:
    found = [output.pooler_output, output.logits, output.start_logits, output.end_logits]
    return [output.last_hidden_state, *(tensor for tensor in found if tensor is not None)]


def _are_close(first: Tensor, second: Tensor) -> bool:
    return torch.allclose(first, second, rtol=_TOLERANCE, atol=_TOLERANCE)
