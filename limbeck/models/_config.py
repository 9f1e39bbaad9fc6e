"""What all model configurations share: labels, checks, and `config.json` in and out."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from limbeck import limits
from limbeck.errors import SettingsError, did_you_mean
from limbeck.models import _layer_shapes
from limbeck.models._fields import checked, count, flag, is_int, positive, show, size, token_id
from limbeck.models._layer_shapes import LayerShape

PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")

_OWN_PARTS = {
    "layer_shapes": "layers without some of their heads or inner neurons",
    "embedding_rank": "a table of words in two factors",
    "num_hidden_groups": "layers that share weights, of which as many run as if they did not",
    "head_dim": "hidden states of another width than its heads side by side",
}
_WRITTEN_IF_GIVEN = ("problem_type", *_OWN_PARTS)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A model's shape and labels, under the names of Hugging Face's `config.json`.

    Each family's configuration adds its own fields; sizes are also readable under the names that
    BERT uses, whatever the family calls them.

    Raises:
        SettingsError: Names every field that is wrong, with its value and what is accepted.
    """

    model_type: ClassVar[str]
    common_names: ClassVar[Mapping[str, str]] = {}
    """BERT's name of a field -> this family's."""
    tiny_values: ClassVar[Mapping[str, Any]] = {}
    """What makes a tiny model that shows each part of the family: fields -> values. Tests take its
    sizes by BERT's names themselves, and from here what else it needs, such as an inner width."""
    fixed_values: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Keys of `config.json` that would change what is computed -> the values that don't."""
    why_alike: ClassVar[str | None] = None
    """Why layers can't differ in heads and neurons; None in families where they can."""
    why_wide: ClassVar[str | None] = None
    """Why heads side by side are as wide as `hidden_size`; None in families where they needn't."""

    vocab_size: int = size(30522)
    max_position_embeddings: int = size(512)
    initializer_range: float = positive(0.02)
    """Standard deviation of new weights."""
    pad_token_id: int | None = token_id(0)
    embedding_rank: int | None = size(None, optional=True)
    """Width of a words' table whose rows are projected to the width that the family's has; None for
    a table of that width. Written to files only where it is given: `transformers` does not know it,
    and finds a table of another shape."""
    num_hidden_groups: int | None = size(None, optional=True)
    """How many groups of layers there are, one after another, of which each has the weights of one
    layer; None for layers that share nothing. Written to files only where it is given."""
    head_dim: int | None = size(None, optional=True)
    """Width of an attention head; None for `hidden_size / num_attention_heads`. Written to files
    only where it is given."""
    tie_word_embeddings: bool = flag(default=True)
    """Whether the masked-LM decoder is the word embedding; no head is built where it is not."""
    problem_type: str | None = checked(
        None,
        "one of " + ", ".join(PROBLEM_TYPES) + ", or null",
        lambda v: v is None or v in PROBLEM_TYPES,
    )
    num_labels: int = 0
    """How many labels there are; 0 stands for as many as `id2label` has, or else 2."""
    id2label: Mapping[int, str] = field(default_factory=dict)
    """Names of the labels; LABEL_0, LABEL_1, ... if absent. Two may have the same."""
    label2id: Mapping[str, int] = field(default_factory=dict)
    """The inverse of `id2label`, and made from it if absent; a file that has both goes by
    `id2label`."""
    layer_shapes: Sequence[LayerShape] | None = checked(
        None, _layer_shapes.ACCEPTED, _layer_shapes.are_layer_shapes
    )
    """Which heads each layer has, by their numbers in a layer with all of them, and how many inner
    neurons; None where all have `num_attention_heads` and `intermediate_size`. Shapes that are all
    alike and have all heads become that."""

    if TYPE_CHECKING:  # fields or properties of each family's configuration

        @property
        def hidden_size(self) -> int: ...
        @property
        def num_hidden_layers(self) -> int: ...
        @property
        def num_attention_heads(self) -> int: ...
        @property
        def intermediate_size(self) -> int: ...

    def __post_init__(self) -> None:
        shapes = _layer_shapes.read_layer_shapes(self.layer_shapes)
        object.__setattr__(self, "layer_shapes", shapes)
        faults = [
            f"{f.name} is {show(getattr(self, f.name))}; accepted: {f.metadata['accepted']}"
            for f in dataclasses.fields(self)
            if "check" in f.metadata and not f.metadata["check"](getattr(self, f.name))
        ]
        if not faults:
            faults = self._find_excess() or self._find_contradictions()
        if faults:
            raise SettingsError(f"{type(self).__name__}: " + "; ".join(faults) + ".")
        id2label, label2id = complete_labels(self.num_labels, self.id2label, self.label2id)
        self._make_plain()
        object.__setattr__(self, "num_labels", len(id2label))
        object.__setattr__(self, "id2label", id2label)
        object.__setattr__(self, "label2id", label2id)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Reads the content of a `config.json`; keys that change no number are passed over.

        Raises:
            SettingsError: If a value is wrong, asks for something that this family does not have,
                or contradicts another, or a key is a misspelt field.
        """
        own = {f.name for f in dataclasses.fields(cls)}
        for common, name in cls.common_names.items():
            if common in values and name in values and values[common] != values[name]:
                raise SettingsError(
                    f"{common} is {values[common]!r} and {name} is {values[name]!r}, but they are "
                    "two names of one field; keep one of them."
                )
        renamed = {cls.common_names.get(key, key): value for key, value in values.items()}
        for key, accepted in cls.fixed_values.items():
            if key in renamed and renamed[key] not in accepted:
                raise SettingsError(
                    f"{key} is {renamed[key]!r}; accepted: {' or '.join(map(repr, accepted))}."
                )
        for key in renamed.keys() - own:
            # What begins with an underscore is the writer's own: `_num_labels` in old files.
            if key.startswith("_"):
                continue
            # A misspelt key would otherwise be a default that nobody asked for. Files hold many
            # keys that are not ours, so only what differs by a letter or two counts as misspelt.
            if near := difflib.get_close_matches(key, own - renamed.keys(), n=1, cutoff=0.9):
                raise SettingsError(
                    f"there is no field '{key}' in {cls.__name__}. Did you mean '{near[0]}'?"
                )
        given = {key: value for key, value in renamed.items() if key in own}
        if given.get("id2label"):
            # Whoever names the labels in `transformers` leaves label2id behind as it was, and it
            # decides no number: the names are those of id2label.
            given.pop("label2id", None)
        return cls(**given)

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of a `config.json`."""
        values = dataclasses.asdict(self)
        del values["num_labels"]  # as in transformers, the labels' names say it
        for name in _WRITTEN_IF_GIVEN:
            if values[name] is None:
                del values[name]
        values["id2label"] = {str(index): label for index, label in self.id2label.items()}
        return {"model_type": self.model_type, **values}

    def replace(self, **changes: Any) -> Self:
        """Returns a checked copy with other values, by this family's or BERT's field names.

        A new number of labels gives them new names, unless names are given too. `max_tokens` sets
        as many positions as inputs of that length need.

        Example:
            >>> from limbeck import DistilBertConfig
            >>> DistilBertConfig().replace(num_hidden_layers=3, num_labels=5).n_layers
            3

        Raises:
            SettingsError: If there is no such field, or a value is wrong.
        """
        longest = changes.pop("max_tokens", None)
        changes = {self.common_names.get(key, key): value for key, value in changes.items()}
        if changes.keys() & {"num_labels", "id2label"}:
            changes = {"num_labels": 0, "id2label": {}, "label2id": {}} | changes
        known = {f.name for f in dataclasses.fields(self)}
        for key in changes.keys() - known:
            raise SettingsError(
                f"there is no field '{key}' in {type(self).__name__}." + did_you_mean(key, known)
            )
        changed = dataclasses.replace(self, **changes)
        if longest is None or changed.reserved_positions is None:
            return changed
        positions = self.common_names.get("max_position_embeddings", "max_position_embeddings")
        return dataclasses.replace(changed, **{positions: longest + changed.reserved_positions})

    def with_padding(self) -> Self:
        """Returns it with a token for padding, which batches of texts need.

        Where the family has none, that is the token which ends a text: the mask hides it.
        """
        end = getattr(self, "eos_token_id", None)
        if self.pad_token_id is not None or end is None:
            return self
        return self.replace(pad_token_id=end)

    @property
    def weight_cut(self) -> float | None:
        """How many standard deviations new weights are away from 0 at most; None for any number."""
        return None

    @property
    def reserved_positions(self) -> int | None:
        """How many of `max_position_embeddings` no token stands at, as RoBERTa's first two.

        None in families whose inputs may be of any length.
        """
        return 0

    @property
    def num_places(self) -> int:
        """How many layers run one after another; each gives a hidden state.

        More than `num_hidden_layers` in families that count several as one, as ALBERT's groups.
        """
        return self.num_hidden_layers

    @property
    def own_parts(self) -> tuple[str, ...]:
        """What it has that the family has no place for in `transformers`, in words; mostly none."""
        # A family that has such a part of its own, as ALBERT its groups, has a default for it.
        ours = {field.name for field in dataclasses.fields(self) if field.default is None}
        return tuple(
            words
            for name, words in _OWN_PARTS.items()
            if name in ours and getattr(self, name) is not None
        )

    @property
    def order(self) -> tuple[int, ...]:
        """Which group runs in which place: each as often as the others, if that is possible."""
        if self.num_hidden_groups is None:
            return tuple(range(self.num_hidden_layers))
        # Divided as ALBERT does in `transformers`, for the same group where it is rounded.
        runs = self.num_hidden_layers / self.num_hidden_groups
        return tuple(int(place / runs) for place in range(self.num_hidden_layers))

    @property
    def attention_size(self) -> int:
        """Width of queries, keys or values in a layer with all heads, which stand side by side."""
        if self.head_dim is None:
            return self.hidden_size
        return self.head_dim * self.num_attention_heads

    @property
    def head_size(self) -> int:
        """Width of an attention head."""
        return self.attention_size // self.num_attention_heads

    def keep_layers(self, layers: Sequence[int]) -> Self:
        """Returns the configuration of a model that has these layers of it alone, in this order.

        A group of which no place is kept goes. Families whose layers differ in more than their
        shapes say here which is which.

        Raises:
            SettingsError: If so many places share so many groups in another way.
        """
        if self.num_hidden_groups is None:
            shapes = self.keep_shapes(layers)
            return self.replace(num_hidden_layers=len(layers), layer_shapes=shapes)
        kept = [self.order[layer] for layer in layers]
        groups = sorted(set(kept))
        student = self.replace(num_hidden_layers=len(layers), num_hidden_groups=len(groups))
        wanted = [groups[index] for index in student.order]
        if wanted != kept:
            raise SettingsError(
                f"layers = {list(layers)} are runs of the groups {kept}, but {len(kept)} layers "
                f"share {len(groups)} groups as {wanted}; accepted: layers that are runs of these"
            )
        return student

    def keep_positions(self, max_tokens: int) -> Self:
        """Returns the configuration of a model that takes inputs of so many tokens at most.

        Families in which something else hangs on the number of positions say here what.
        """
        return self.replace(max_tokens=max_tokens)

    def keep_shapes(self, layers: Sequence[int]) -> Sequence[LayerShape] | None:
        """Returns `layer_shapes` of some layers alone, in this order."""
        if self.layer_shapes is None:
            return None
        return [self.layer_shapes[layer] for layer in layers]

    @property
    def why_whole(self) -> str | None:
        """Why heads and neurons can't be taken out of its layers; None where they can."""
        if self.why_alike is None and self.num_hidden_groups is not None:
            return f"its layers share weights in {self.num_hidden_groups} groups"
        return self.why_alike

    def layer_shape(self, place: int) -> LayerShape:
        """Returns what the layer in a place has, counted from 0."""
        if self.layer_shapes is not None:
            return self.layer_shapes[place]
        heads = tuple(range(self.num_attention_heads))
        return LayerShape(heads=heads, neurons=self.intermediate_size)

    def attention_size_at(self, place: int) -> int:
        """Width of the queries, keys or values of the layer in a place."""
        return self.head_size * len(self.layer_shape(place).heads)

    @property
    def max_tokens(self) -> int | None:
        """Length of the longest input, in tokens; None where the family sets no limit."""
        if self.reserved_positions is None:
            return None
        return self.max_position_embeddings - self.reserved_positions

    @property
    def takes_token_types(self) -> bool:
        """Whether the texts of a pair differ by token type, of which a family may have none or one.

        Files name their number `type_vocab_size` in every family that has them.
        """
        return getattr(self, "type_vocab_size", 0) > 1

    def takes(self, num_tokens: int) -> bool:
        """Says whether an input of this many tokens is within the model's positions."""
        return self.max_tokens is None or num_tokens <= self.max_tokens

    def _find_excess(self) -> list[str]:
        """Finds what asks for more than is built, before anything is built of it."""
        layers, width = self.num_places, self.hidden_size
        if layers > limits.LAYERS.value:
            return [f"it has {count(layers)} layers; accepted: {limits.LAYERS.describe()}"]
        sizes = [getattr(self, f.name) for f in dataclasses.fields(self) if "is_size" in f.metadata]
        # Each size is that of a table of rows as wide as the model or its embeddings, or counts for
        # little.
        widest = max(width, getattr(self, "embedding_size", 0))
        of_layers = layers * width * (4 * width + 2 * self.intermediate_size)
        num_parameters = widest * sum(filter(None, sizes)) + of_layers
        if num_parameters > limits.PARAMETERS.value:
            return [
                f"its sizes make some {count(num_parameters)} parameters; accepted: "
                + limits.PARAMETERS.describe()
            ]
        return []

    def _find_contradictions(self) -> list[str]:
        faults = []
        if self.head_dim is not None and self.why_wide is not None:
            faults.append(
                f"head_dim is {self.head_dim}; accepted for {self.model_type}: null, since "
                f"{self.why_wide}"
            )
        if self.head_dim is None and self.hidden_size % self.num_attention_heads:
            faults.append(
                f"{self.common_names.get('hidden_size', 'hidden_size')} {self.hidden_size} is not "
                f"divisible by {self.num_attention_heads}, the number of attention heads"
            )
        groups = self.num_hidden_groups
        if groups is not None and groups > self.num_hidden_layers:
            faults.append(
                f"num_hidden_groups is {groups}; accepted: at most num_hidden_layers "
                f"{self.num_hidden_layers}, so that each group runs"
            )
        if self.pad_token_id is not None and self.pad_token_id >= self.vocab_size:
            faults.append(
                f"pad_token_id is {self.pad_token_id}; accepted: below vocab_size {self.vocab_size}"
            )
        if self.max_tokens is not None and self.max_tokens < 1:
            faults.append(
                f"max_position_embeddings is {self.max_position_embeddings}; accepted: above "
                f"{self.reserved_positions}, the number of positions at which no token stands"
            )
        if self.layer_shapes is not None:
            faults += self._find_wrong_shapes(self.layer_shapes)
        return faults

    def _find_wrong_shapes(self, shapes: Sequence[LayerShape]) -> list[str]:
        if (why := self.why_whole) is not None:
            return [f"layer_shapes is given; accepted for {self.model_type}: null, since {why}"]
        return _layer_shapes.find_faults(
            shapes,
            num_layers=self.num_hidden_layers,
            num_heads=self.num_attention_heads,
            most_neurons=self.intermediate_size,
        )

    def _make_plain(self) -> None:
        """Says as `transformers` does what needs no field of ours: alike shapes, heads as wide."""
        if self.head_dim is not None and self.attention_size == self.hidden_size:
            object.__setattr__(self, "head_dim", None)
        shapes = self.layer_shapes
        if shapes is None or not _layer_shapes.are_plain(
            shapes, num_heads=self.num_attention_heads
        ):
            return
        object.__setattr__(self, "layer_shapes", None)
        if shapes[0].neurons != self.intermediate_size:
            name = self.common_names.get("intermediate_size", "intermediate_size")
            object.__setattr__(self, name, shapes[0].neurons)


def complete_labels(
    num_labels: Any, id2label: Any, label2id: Any
) -> tuple[dict[int, str], dict[str, int]]:
    """Fills in what the other two say of the labels, and refuses where they contradict."""
    if not is_int(num_labels, 0):
        raise SettingsError(f"num_labels is {show(num_labels)}; accepted: a whole number from 1.")
    if num_labels > limits.LABELS.value:
        raise SettingsError(
            f"num_labels is {count(num_labels)}; accepted: {limits.LABELS.describe()}."
        )
    try:
        names = {int(index): str(label) for index, label in dict(id2label or {}).items()}
        indices = {str(label): int(index) for label, index in dict(label2id or {}).items()}
    except (TypeError, ValueError):
        raise SettingsError(
            f"id2label is {show(id2label)} and label2id {show(label2id)}; accepted: mappings "
            "from a number to a name, and back."
        ) from None
    if not names:
        # Of several names of a label, the first is its name.
        names = {index: label for label, index in reversed(indices.items())}
    if not names:
        names = {index: f"LABEL_{index}" for index in range(num_labels or 2)}
    names = dict(sorted(names.items()))
    if list(names) != list(range(len(names))):
        raise SettingsError(f"id2label is {show(names)}; accepted: a name each for 0, 1, 2, ...")
    if num_labels not in (0, len(names)):
        raise SettingsError(f"num_labels is {num_labels}, but id2label has {len(names)} labels.")
    wrong = [label for label, index in indices.items() if names.get(index) != label]
    if id2label and wrong:
        raise SettingsError(
            f"label2id is not the inverse of id2label {show(names)}: it gives "
            f"'{wrong[0]}' the number {indices[wrong[0]]}; leave it out."
        )
    # Two labels of one name are told apart by their numbers alone; its number is the first's.
    return names, {label: index for index, label in reversed(names.items())}
