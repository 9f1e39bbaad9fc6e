"""The one class behind every model: parts that an architecture built, and how they are called."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from limbeck import checkpoints
from limbeck.errors import SettingsError, with_article
from limbeck.models._architecture import Architecture
from limbeck.models._config import ModelConfig
from limbeck.models._inputs import check_inputs, flatten_choices
from limbeck.models._kinds import Kind
from limbeck.models._layer_shapes import cut_layers
from limbeck.models._loss import compute_loss
from limbeck.models._placed import PlacedModule
from limbeck.models._pretrained import read_model_config, read_weights
from limbeck.models._smaller import make_smaller
from limbeck.nn import (
    Collect,
    Encoder,
    EncoderOutput,
    FactorisedEmbedding,
    ModelOutput,
    initialise,
)


class Model(PlacedModule):
    """An encoder with or without a pooler and a head, newly initialised, in training mode.

    Args:
        config: The family's configuration.
        add_pooling_layer: Whether a bare encoder has its family's pooler; None for what the
            family does.

    Raises:
        SettingsError: If the configuration is another family's, or such a model can't have it.
    """

    architecture: ClassVar[Architecture]
    kind: ClassVar[Kind]
    config: ModelConfig
    encoder: Encoder
    pooler: nn.Module | None
    head: nn.Module
    """Only on models that have one: from hidden states to scores."""

    def __init__(self, config: ModelConfig, *, add_pooling_layer: bool | None = None) -> None:
        super().__init__()
        if not isinstance(config, self.architecture.config_type):
            raise SettingsError(
                f"{type(self).__name__} was given {with_article(type(config).__name__)}; accepted: "
                f"{self.architecture.config_type.__name__}."
            )
        self.config = config
        device = torch.get_default_device()
        with torch.device("meta"):  # spares torch's own initialisation, which would be overwritten
            self.encoder = self.architecture.build_encoder(config)
            if config.layer_shapes is not None:
                cut_layers(self.encoder, config.layer_shapes)
            make_smaller(self.encoder, config)
            self.pooler = self._build_pooler(wanted=add_pooling_layer)
            if self.kind.has_head:
                self.head = self.architecture.build_head(config, self.kind)
        self.to_empty(device=device)
        self._draw(self, parts=self.children())

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | Path | None = None,
        offline: bool = False,
        new_head: bool = False,
        num_labels: int | None = None,
        id2label: Mapping[int, str] | None = None,
        label2id: Mapping[str, int] | None = None,
        problem_type: str | None = None,
        add_pooling_layer: bool | None = None,
        dtype: torch.dtype | None = None,
        torch_dtype: torch.dtype | None = None,
    ) -> Self:
        """Loads a model from a folder or the Hub, whole or not at all, in evaluation mode.

        Args:
            name_or_path: A model folder, or a Hub id such as `bert-base-uncased`.
            revision: Branch, tag or commit on the Hub.
            token: Access token for the Hub; if absent, the one stored by `hf auth login`.
            cache_dir: Where the Hub's files are kept.
            offline: Uses only what the cache has.
            new_head: Draws the head anew (from torch's global generator) and leaves out whatever
                heads the file has; how fine-tuning starts. A pooler that the file lacks is drawn
                anew too.
            num_labels: Replaces the configuration's; likewise `id2label`, `label2id`,
                `problem_type`.
            id2label: Names of the labels.
            label2id: The inverse of `id2label`.
            problem_type: `single_label_classification`, `multi_label_classification` or
                `regression`.
            add_pooling_layer: For bare encoders: False leaves the pooler out.
            dtype: Type of the weights in memory; float32 if absent, whatever the file has.
            torch_dtype: The same, under its older name.

        Raises:
            CheckpointError: If there is no such model, or it is not one that this class can hold
                exactly: the message names each tensor that is missing, left over or of a wrong
                shape.
            SettingsError: If the arguments contradict each other.
        """
        if None not in (dtype, torch_dtype) and dtype != torch_dtype:
            raise SettingsError(
                f"dtype is {dtype} and torch_dtype {torch_dtype}, which are one thing; give dtype"
            )
        dtype = dtype or torch_dtype
        if new_head and not cls.kind.has_head:
            raise SettingsError(f"new_head is True, but {cls.__name__} has no head.")
        given = {
            "num_labels": num_labels,
            "id2label": id2label,
            "label2id": label2id,
            "problem_type": problem_type,
        }
        folder = checkpoints.resolve_folder(
            name_or_path, revision=revision, token=token, cache_dir=cache_dir, offline=offline
        )
        config = read_model_config(
            folder,
            architecture=cls.architecture,
            kind=cls.kind,
            new_head=new_head,
            changes={name: value for name, value in given.items() if value is not None},
        )
        with torch.device("meta"):
            model = cls(config, add_pooling_layer=add_pooling_layer)
        weights, drawn = read_weights(
            folder,
            model.state_dict(),
            architecture=cls.architecture,
            kind=cls.kind,
            new_head=new_head,
        )
        model._take_weights(weights, drawn=drawn, dtype=dtype or torch.float32)
        return model.eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes `config.json` and `model.safetensors`, which `transformers` loads too.

        Parts that it has no place for it refuses: a `README.md` says so, where there is none yet.

        Raises:
            CheckpointError: If the folder can't be written.
        """
        config = {
            "architectures": [self.architecture.class_name(self.kind)],
            "dtype": str(self.dtype).removeprefix("torch."),
            **self.config.to_dict(),
        }
        tensors = self.architecture.names.write(self.state_dict(), head=self.kind.name)
        folder = Path(folder)
        checkpoints.write_model(folder, config, tensors)
        parts = ", and ".join(self.config.own_parts)
        if parts and not os.path.lexists(folder / checkpoints.CARD_NAME):
            body = f"It has {parts}, which `transformers` has no place for. Limbeck loads it.\n"
            checkpoints.write_readme(folder, metadata="tags:\n- limbeck", body=body)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        commit_message: str | None = None,
    ) -> str:
        """Uploads what `save_pretrained` writes to the Hugging Face Hub.

        Args:
            repo_id: Where to, such as `me/small`; made if it does not exist.
            private: Whether a new repository is private; None is the owner's default.
            token: Access token with the right to write; None takes the one of `hf auth login`.
            commit_message: What the commit says.

        Returns:
            The commit's address.

        Raises:
            CheckpointError: If the Hub refuses or can't be reached.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return checkpoints.push_folder(
                Path(folder),
                repo_id,
                private=private,
                token=token,
                commit_message=commit_message,
            )

    def encode(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        collect: Collect = frozenset(),
        num_layers: int | None = None,
    ) -> EncoderOutput:
        """Runs the encoder alone; arguments and shapes are those of `Encoder.forward`.

        Raises:
            SettingsError: If an input's shape or type is wrong, a row is longer than the model
                has positions, or (on a CPU) an id is outside its table.
        """
        self._check(input_ids, attention_mask, token_type_ids, position_ids)
        try:
            encoded: EncoderOutput = self.encoder(
                input_ids,
                attention_mask,
                token_type_ids,
                position_ids,
                collect=collect,
                num_layers=num_layers,
            )
        except IndexError as error:
            raise self._explain_id(error) from error
        return encoded

    def encode_by_layer(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Generator[Tensor, Tensor | None, None]:
        """Yields the hidden states after each layer, and goes on with the rows that are sent back.

        Arguments and shapes are those of `Encoder.iterate`, errors those of `encode`.
        """
        inputs = input_ids, attention_mask, token_type_ids, position_ids
        self._check(*inputs)
        try:
            yield from self.encoder.iterate(*inputs)
        except IndexError as error:
            raise self._explain_id(error) from error

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        collect: Collect = frozenset(),
    ) -> ModelOutput:
        """Runs the model; inputs, `collect` and errors are those of `encode`.

        For multiple choice each input has one more dimension, (batch, choices, sequence).

        Args:
            input_ids: As in `encode`, like the next three.
            attention_mask: See there.
            token_type_ids: See there.
            position_ids: See there.
            labels: What is right, for `loss` in the output; -100 counts for nothing. A class a
                text, number or set of labels, a class a token, a yes or no a token, or a choice.
            start_positions: (batch,) for question answering, in place of `labels`.
            end_positions: Likewise.
            output_hidden_states: As "hidden_states" in `collect`.
            output_attentions: As "attentions" in `collect`.
            collect: What else to return: `hidden_states`, `attentions`, `attention_scores`,
                `queries`, `keys`, `values`, each of all layers or, by a pair with a number, of one.
        """
        asked = {"hidden_states": output_hidden_states, "attentions": output_attentions}
        collect = collect | {name for name, is_asked in asked.items() if is_asked}
        choices = input_ids.shape[:-1]
        others = [attention_mask, token_type_ids, position_ids]
        if self.kind.has_choices:
            input_ids, *others = flatten_choices(input_ids, *others)
        encoded = self.encode(input_ids, *others, collect=collect)
        hidden = encoded.last_hidden_state
        pooled = None
        if self.pooler is not None:
            pooled = self.pooler(hidden, input_ids, others[0])
        scores: dict[str, Tensor] = {}
        if self.kind.has_head:
            first = hidden[:, 0] if pooled is None else pooled
            scores = self.kind.fields(self.score(first if self.kind.reads_sequence else hidden))
        if self.kind.has_choices:
            scores = {name: score.reshape(choices) for name, score in scores.items()}
        given = {
            "labels": labels,
            "start_positions": start_positions,
            "end_positions": end_positions,
        }
        return ModelOutput(
            loss=compute_loss(self.kind, self.config, scores, given, mask=attention_mask),
            last_hidden_state=hidden,
            pooler_output=pooled,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            attention_scores=encoded.attention_scores,
            queries=encoded.queries,
            keys=encoded.keys,
            values=encoded.values,
            **scores,
        )

    def score(self, hidden: Tensor) -> Tensor:
        """Runs the head alone on hidden states, such as those of some positions only.

        Shape:
            hidden: (..., hidden_size).
            result: (..., vocab_size) for masked words, else (..., number of scores).
        """
        tied: tuple[Tensor, ...] = ()
        if self.kind.ties_words:
            word = self.encoder.embeddings.word
            tied = (word.weight,)
            if isinstance(word, FactorisedEmbedding):
                tied += (word.projection.weight,)
        scores: Tensor = self.head(hidden, *tied)
        return scores

    def parameter_depths(self) -> dict[str, int]:
        """Returns for each parameter's name how far up it stands, for layer-wise learning rates.

        0 for embeddings, 1 for the first layer, and so on; what stands on the last layer is one
        above it.
        """
        top = 1 + len(self.encoder.order)
        below = self.encoder.parameter_depths()
        return dict.fromkeys(dict(self.named_parameters()), top) | {
            f"encoder.{name}": depth for name, depth in below.items()
        }

    def freeze_positions(self) -> None:
        """Keeps the position embeddings as they are in training.

        Raises:
            SettingsError: If the family has none.
        """
        position = self.encoder.embeddings.position
        if position is None:
            raise SettingsError(
                f"{type(self).__name__} has no position embeddings to freeze; set "
                "freeze_positions = false"
            )
        position.requires_grad_(requires_grad=False)

    @property
    def has_token_types(self) -> bool:
        """Whether it takes `token_type_ids`."""
        return self.encoder.embeddings.token_type is not None

    def _check(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
    ) -> None:
        check_inputs(
            input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            name=type(self).__name__,
            max_tokens=self.config.max_tokens,
            has_token_types=self.has_token_types,
        )

    def _explain_id(self, error: IndexError) -> SettingsError:
        """Says which ids there are, where one is none of them.

        Looking at every id beforehand would be a branch on data, which exporters refuse.
        """
        limits = [f"input_ids must be below {self.config.vocab_size}"]
        if self.config.max_tokens is not None:
            limits.append(f"position_ids below {self.config.max_tokens}")
        if self.has_token_types:
            limits.append("token_type_ids below the number of token types")
        return SettingsError(
            f"an id is out of range ({error}): {', '.join(limits)}. Is the tokenizer this model's?"
        )

    def _build_pooler(self, *, wanted: bool | None) -> nn.Module | None:
        if wanted is not None and self.kind.has_head:
            raise SettingsError(
                f"add_pooling_layer is for bare encoders; {type(self).__name__} decides itself."
            )
        build = self.architecture.build_pooler
        pooler = None if build is None or wanted is False else build(self.config, self.kind)
        if wanted and pooler is None:
            raise SettingsError(
                f"add_pooling_layer is True, but {type(self).__name__} has no pooler."
            )
        return pooler

    def _draw(self, module: nn.Module, *, parts: Iterable[nn.Module]) -> None:
        """Draws the weights of a module, of which these are the encoder, the pooler or the head."""
        initialise(module, std=self.config.initializer_range, cut=self.config.weight_cut)
        if self.architecture.finish_initialisation is not None:
            for part in parts:
                self.architecture.finish_initialisation(self.config, part)

    def _take_weights(
        self, weights: Mapping[str, Tensor], *, drawn: AbstractSet[str], dtype: torch.dtype
    ) -> None:
        """Takes what a folder has in place of weights without memory, and draws the rest."""
        self.load_state_dict(
            {name: tensor.to(dtype) for name, tensor in weights.items()}, strict=False, assign=True
        )
        for part in sorted({name.partition(".")[0] for name in drawn}):
            module = self.get_submodule(part).to(dtype).to_empty(device="cpu")
            self._draw(module, parts=[module])
        left = [name for name, tensor in _held_by(self) if tensor.is_meta]
        assert not left, f"{left} are neither in the folder nor drawn"

    def __call__(self, *args: Any, **kwargs: Any) -> ModelOutput:
        output: ModelOutput = super().__call__(*args, **kwargs)
        return output


def _held_by(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [*model.named_parameters(), *model.named_buffers()]
