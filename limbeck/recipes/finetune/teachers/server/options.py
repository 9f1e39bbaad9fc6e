"""The settings of teachers that are servers."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field, field_validator

from limbeck.config import Settings
from limbeck.recipes._secrets import without_secret
from limbeck.recipes.finetune.teachers.server.routes import Usage

_MILLION: Final = 10**6


class AskingOptions(Settings):
    """How any server is asked."""

    model: str | None = None
    """For `http(s)://.../chat/completions` and `.../embeddings`: the model's name there."""
    key_variable: str | None = None
    """Variable of the environment that holds the key; by default `OPENAI_API_KEY` where OpenAI
    itself is asked, none elsewhere. There is no setting for the key itself."""
    batch_size: int = Field(default=32, ge=1)
    """Texts in one question to a route that takes several."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Questions at a time."""
    timeout_seconds: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    """Time that an answer may take, and the server may be silent."""
    retries: int = Field(default=5, ge=0)
    """Further tries after a fault that may pass, each after a longer wait, or the one that the
    server asks for."""
    input_price: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Price of a million tokens that the server reads, to show the cost."""
    output_price: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Price of a million tokens that it writes."""

    def cost_of(self, usage: Usage) -> float:
        """Returns what tokens cost, in the currency of the prices."""
        return (
            usage.num_read * self.input_price + usage.num_written * self.output_price
        ) / _MILLION

    @property
    def has_prices(self) -> bool:
        """Whether a cost can be told."""
        return self.input_price > 0 or self.output_price > 0

    def describe(self, usage: Usage) -> str:
        """Words what was read and written, and its cost where there are prices."""
        if not usage.num_read:
            return "which does not say how many tokens it read"
        tokens = f"{usage.num_read:,} tokens read, {usage.num_written:,} written"
        return f"{tokens}, cost {self.cost_of(usage):.4f}" if self.has_prices else tokens


class ServerOptions(AskingOptions):
    """How a server that labels is asked."""

    base_url: str | None = None
    """For `openai://MODEL`: where OpenAI's routes are, such as `http://localhost:8000/v1`; by
    default OpenAI's own."""
    prompt: str | None = Field(default=None, min_length=1)
    """Question to a language model, with `{text}`, `{labels}` and, for pairs, `{text_pair}`."""
    logprobs: bool = False
    """Learn from the log-probabilities of the answer's first token, where a language model gives
    them; it must tell the labels apart."""
    request: dict[str, Any] = Field(default={"temperature": 0, "max_tokens": 64})
    """Further fields of a question to a language model. Some models take others: `{
    max_completion_tokens = 2000, reasoning_effort = "low" }`."""
    confidence: float = Field(default=1.0, gt=0.5, le=1)
    """Probability of a label in words, where there are no log-probabilities; the other labels share
    the rest."""
    missing: Literal["refuse", "label", "drop"] = "refuse"
    """Answers that can't be read, such as none of the labels, are refused after all texts were
    asked of, or once none of the first 20 can, and so is a question that the server does not take;
    or `label`: learned as if the teacher were certain of the row's own label; or `drop`: these rows
    are not learned from."""

    @field_validator("base_url")
    @classmethod
    def _refuse_secret(cls, address: str | None) -> str | None:
        setting = "teacher_options.base_url"
        return None if address is None else without_secret(address, setting=setting)


class VectorsOptions(AskingOptions):
    """How a server of vectors is asked."""

    dimensions: int | None = Field(default=None, ge=1)
    """Width of its vectors, such as 384; has to be given, since it is not asked beforehand."""
