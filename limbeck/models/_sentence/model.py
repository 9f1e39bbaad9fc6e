"""A model that gives one vector a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from limbeck import checkpoints
from limbeck.errors import SettingsError, shorten, with_article
from limbeck.models._any import AnyModel, find_foreign_family, load_foreign
from limbeck.models._auto import AutoModel
from limbeck.models._kinds import ENCODER
from limbeck.models._model import Model
from limbeck.models._placed import PlacedModule
from limbeck.models._sentence.config import SentenceConfig
from limbeck.models._sentence.folder import read_sentence_config
from limbeck.models._sentence.head import SentenceHead
from limbeck.models._sentence.weights import read_sentence_head, write_sentence_files
from limbeck.nn import at_least_float32


class SentenceModel(PlacedModule):
    """An encoder, pooling, and layers after it: texts in, one vector each out.

    Args:
        encoder: A bare encoder. One that `transformers` runs gives no gradients, and can't be
            saved.
        config: What stands on it; None for the mean of its hidden states. Dense layers are newly
            drawn, from torch's global generator.

    Raises:
        SettingsError: If the encoder has a head, or another width than the configuration says.
    """

    def __init__(self, encoder: AnyModel, config: SentenceConfig | None = None) -> None:
        super().__init__()
        width = encoder.config.hidden_size
        if encoder.kind is not ENCODER:
            raise SettingsError(
                f"the encoder has a head ({encoder.kind.name}); accepted: a bare encoder, as "
                "AutoModel.from_pretrained gives one"
            )
        config = config or SentenceConfig(hidden_size=width)
        if config.hidden_size != width:
            raise SettingsError(
                f"hidden_size is {config.hidden_size}, but the encoder's hidden states have "
                f"{width} numbers; accepted: {width}"
            )
        self.config = config
        self.encoder = encoder
        self.head = SentenceHead(config).to(encoder.device, encoder.dtype)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | Path | None = None,
        offline: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """Loads a folder of sentence-transformers, or any encoder's, in evaluation mode.

        A folder without `modules.json` is an encoder whose hidden states are averaged, as that
        library has it.

        Args:
            name_or_path: A model folder, or a Hub id.
            revision: Branch, tag or commit on the Hub.
            token: Access token for the Hub; if absent, the one stored by `hf auth login`.
            cache_dir: Where the Hub's files are kept.
            offline: Uses only what the cache has.
            dtype: Type of the weights in memory.

        Raises:
            CheckpointError: If there is no such model, a file of it is damaged, or it asks for what
                is not done here; the message names file and value.
        """
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise SettingsError(
                f"dtype = {shorten(dtype)}; accepted: a floating-point type such as torch.float16"
            )
        folder = checkpoints.resolve_folder(
            name_or_path, revision=revision, token=token, cache_dir=cache_dir, offline=offline
        )
        encoder: AnyModel
        if find_foreign_family(folder) is None:
            encoder = AutoModel.from_pretrained(folder, add_pooling_layer=False)
        else:
            encoder = load_foreign(folder, ENCODER)
        config = read_sentence_config(folder, hidden_size=encoder.config.hidden_size)
        head = read_sentence_head(folder, config)
        model = cls(encoder, config)
        model.head = head
        return model.to(dtype).eval()

    def save_pretrained(self, folder: str | Path, *, config: SentenceConfig | None = None) -> None:
        """Writes a folder that sentence-transformers loads, but for the tokenizer.

        Args:
            folder: Where to.
            config: What is written in place of the model's own, of the same layers.

        Raises:
            CheckpointError: If the folder can't be written.
            SettingsError: If the encoder is one that `transformers` runs.
        """
        if not isinstance(self.encoder, Model):
            raise SettingsError(
                f"{with_article(self.encoder.class_name)} is run by transformers, which can save "
                "it; accepted: models of Limbeck's own families"
            )
        write_sentence_files(Path(folder), config or self.config, self.head)
        self.encoder.save_pretrained(folder)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        num_prompt_tokens: int = 0,
    ) -> Tensor:
        """Returns one vector a text, cut at the configuration's `truncate_dim`.

        Args:
            input_ids: As in `Model.encode`, like the next three.
            attention_mask: See there.
            token_type_ids: See there.
            position_ids: See there.
            num_prompt_tokens: How many tokens at the beginning of each text are a prompt's; they
                don't count where the configuration says so.

        Shape:
            input_ids: (batch, sequence).
            result: (batch, width), float32 also where the weights are in half precision.
        """
        hidden = self.encoder.encode(
            input_ids, attention_mask, token_type_ids, position_ids
        ).last_hidden_state
        left_out = 0 if self.config.pooling.include_prompt else num_prompt_tokens
        vectors: Tensor = self.head(hidden, attention_mask, num_left_out=left_out)
        return at_least_float32(vectors)[:, : self.config.width]

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        vectors: Tensor = super().__call__(*args, **kwargs)
        return vectors
