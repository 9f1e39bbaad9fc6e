"""Settings: what is read, what is refused and in which words, and that a dump survives."""

from __future__ import annotations

import math
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from limbeck.config import Settings, dump_toml, is_override, read_settings
from limbeck.errors import SettingsError


class Precision(Enum):
    FULL = "fp32"
    HALF = "bf16"


class Masking(Settings):
    """How tokens are hidden."""

    probability: float = Field(0.15, gt=0, le=1)
    """Share of the tokens that is hidden. Special tokens never are."""

    weights: Literal["uniform", "smoothed"] = "uniform"

    whole_word: bool = False


class Run(Settings):
    teacher: Path
    """The teacher: a model folder."""

    layers: list[int] | Literal["every_other", "original"] = "every_other"
    revision: str | None = None
    limit: int | None = 5
    seed: Annotated[int, Field(ge=0)] = 0
    rate: float = 5e-4
    precision: Precision = Precision.FULL
    betas: tuple[float, float] = (0.9, 0.98)
    weights: dict[str, float] = {"soft_targets": 5.0, "masked_lm": 2.0}  # noqa: RUF012
    masking: Masking = Masking(weights="smoothed")
    """How tokens are hidden."""

    extra_masking: Masking | None = None
    stages: tuple[Masking, ...] = ()
    named: dict[str, Masking] = {}  # noqa: RUF012

    @model_validator(mode="after")
    def _rate_and_seed(self) -> Run:
        if self.rate == 13 and self.seed == 13:
            raise ValueError("rate = 13.0 and seed = 13 exclude each other; change one of them")
        return self


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def message(path: Path | None, *overrides: str, **options: object) -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings(Run, path, overrides, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_file_then_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, 'teacher = "bert"\nseed = 3\n[masking]\nprobability = 0.3\n')
    settings = read_settings(Run, path, ["seed=4", "masking.whole_word=true", "seed=5"])
    assert (settings.teacher, settings.seed) == (Path("bert"), 5)
    assert settings.masking == Masking(probability=0.3, weights="smoothed", whole_word=True)


def test_partial_table_keeps_the_outer_default() -> None:
    assert Run(teacher="x", masking={"probability": 0.2}).masking.weights == "smoothed"  # type: ignore[arg-type]
    assert read_settings(Run, None, ["teacher=x", "weights.cosine=1"]).weights == {
        "soft_targets": 5,
        "masked_lm": 2,
        "cosine": 1,
    }


@pytest.mark.parametrize(
    ("override", "field", "expected"),
    [
        ("teacher=12", "teacher", Path("12")),
        ("teacher=2024-01-02", "teacher", Path("2024-01-02")),
        ("teacher=a b#c=d", "teacher", Path("a b#c=d")),
        ('teacher="x"', "teacher", Path("x")),
        ("revision=1e5", "revision", "1e5"),
        ("revision=none", "revision", None),
        ("limit=none", "limit", None),
        ("limit=", "limit", 5),
        ("layers=[0, 2]", "layers", [0, 2]),
        ("layers=original", "layers", "original"),
        ("precision=bf16", "precision", Precision.HALF),
        ("rate=1", "rate", 1.0),
        ("rate=inf", "rate", math.inf),
        ("teacher=1\nseed=2", "teacher", Path("1\nseed=2")),
    ],
)
def test_override_values(override: str, field: str, expected: object) -> None:
    settings = read_settings(Run, None, ["teacher=x", override])
    assert getattr(settings, field) == expected


class Lists(Settings):
    names: tuple[str, ...] | None = ("x",)
    seeds: tuple[int, ...] = (0,)
    shares: list[float] = [0.1]  # noqa: RUF012
    betas: tuple[float, float] = (0.9, 0.98)
    files: list[Path] = []  # noqa: RUF012
    layers: str | tuple[int, ...] = "every_other"
    keep: int | str | tuple[int, ...] | None = None
    student: str | tuple[str, ...] | None = None
    weights: Literal["balanced"] | tuple[float, ...] | None = None


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("names=sst2,rte", ("sst2", "rte")),
        ("names=sst2, 7", ("sst2", "7")),
        ("names=sst2", ("sst2",)),
        ("names=12", ("12",)),
        ("names=[sst2,rte]", ("sst2", "rte")),
        ('names=["a,b"]', ("a,b",)),
        ("names=none", None),
        ("seeds=0,1", (0, 1)),
        ("seeds=3", (3,)),
        ("shares=1,0.5", [1.0, 0.5]),
        ("betas=0.9,0.99", (0.9, 0.99)),
        ("files=a.txt,b.txt", [Path("a.txt"), Path("b.txt")]),
        ("layers=original", "original"),
        ("layers=0,2", (0, 2)),
        ("layers=[0, 2]", (0, 2)),
        ("layers=3", "3"),
        ("keep=3", 3),
        ("keep=even", "even"),
        ("keep=0,2", (0, 2)),
        ("keep=none", None),
        ("student=a,b", "a,b"),
        ("student=0,1", "0,1"),
        ("student=a", "a"),
        ("student=[a,b]", ("a", "b")),
        ("weights=balanced", "balanced"),
        ("weights=1,2.5", (1.0, 2.5)),
    ],
)
def test_lists_on_the_command_line(override: str, expected: object) -> None:
    assert getattr(read_settings(Lists, None, [override]), override.partition("=")[0]) == expected


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seeds=0,x", "seeds = '0,x' is not accepted. Accepted: a list, each item a whole number."),
        ("seeds=0,x", "A list is written seeds = [0, 1], on the command line also seeds=0,1."),
        ("names={a = 1}", 'A list is written names = ["a", "b"], on the command line also names=a'),
        ("betas=0.9", "A list is written betas = [0.5, 0.9], on the command line also betas=0.5,0"),
    ],
)
def test_what_is_no_list_is_answered_with_one(override: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(Lists, None, [override])
    assert expected in str(caught.value)


def test_presets_and_recipe(tmp_path: Path) -> None:
    path = write(tmp_path, 'recipe = "distill"\nteacher = "bert"\nseed = 3\n')
    presets = {"distilbert": path}
    settings = read_settings(Run, Path("distilbert"), ["seed=4"], presets=presets, recipe="distill")
    assert settings == Run(teacher=Path("bert"), seed=4)
    assert message(path, recipe="pretrain") == (
        f"{path}: holds the settings of a 'distill' run, not of 'pretrain'. "
        f"Run it with: limbeck distill {path}"
    )
    assert message(Path("distillbert"), presets=presets) == (
        "there is no settings file or preset 'distillbert'. Did you mean 'distilbert'? "
        "Presets: distilbert."
    )


def test_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    assert f"Did you mean '{path}'?" in message(tmp_path / "rum.toml")
    assert message(tmp_path) == f"can't read {tmp_path}: that is a folder, not a file; give a file"
    path.write_bytes(b"seed = \xff")
    assert message(path) == f"{path}: not UTF-8 text (at byte 7)"


def test_bad_toml_has_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "seed = 1\nteacher = bert\n")
    assert message(path) == (
        f"{path}: not valid TOML: Invalid value (at line 2, column 11): teacher = bert "
        "(text stands in quotes, true and false in small letters)"
    )


def test_unknown_keys(tmp_path: Path) -> None:
    path = write(tmp_path, 'teacher = "x"\nsed = 1\n')
    text = message(path)
    assert text.startswith(f"{path}: there is no setting 'sed' (given: 1). Did you mean 'seed'? ")
    assert "Accepted: teacher, layers, revision" in text
    assert message(None, "teacher=x", "masking.probabilty=1") == (
        "command line: there is no setting 'masking.probabilty' (given: 1). "
        "Did you mean 'masking.probability'? "
        "Accepted: masking.probability, masking.weights, masking.whole_word."
    )
    assert "Did you mean 'masking.whole_word'?" in message(None, "teacher=x", "whole_word=true")


WRONG = {
    "seed=x": "seed = 'x' is not accepted. Accepted: a whole number >= 0.",
    "seed=-1": "seed = -1 is not accepted. Accepted: a whole number >= 0.",
    "seed=true": "seed = 'true' is not accepted. Accepted: a whole number >= 0.",
    "limit=1.5": "limit = 1.5 is not accepted. Accepted: a whole number or none.",
    "masking.probability=2": "masking.probability = 2 is not accepted. Accepted: a number > 0 and",
    "masking.weights=smooth": "masking.weights = 'smooth' is not accepted. Did you mean 'smoothed",
    "precision=fp23": "precision = 'fp23' is not accepted. Did you mean 'fp32'? Accepted: 'fp32",
    "weights.cosine=a": "weights.cosine = 'a' is not accepted. Accepted: a number.",
    "masking=5": "masking = 5 is not accepted. Accepted: a table with probability, weights, whole_",
    "--seed": "'--seed' is not a setting; accepted: key=value, such as seed=1",
    "a..b=1": "'a..b=1' is not a setting; accepted: key=value",
}


@pytest.mark.parametrize("override", WRONG)
def test_wrong_values(override: str) -> None:
    assert message(None, "teacher=x", override).startswith(f"command line: {WRONG[override]}")


def test_override_through_a_plain_value(tmp_path: Path) -> None:
    path = write(tmp_path, 'teacher = "x"\nmasking = 5\n')
    assert message(path, "masking.weights=uniform").startswith(
        "command line: 'masking.weights=uniform' can't be applied: 'masking' is 5, not a table. "
        "Nested settings: masking.probability"
    )


def test_every_mistake_at_once_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, "sed = 1\n[masking]\nprobability = 7\n")
    lines = message(path, "masking.weights=x").splitlines()
    assert lines[0] == "4 settings are wrong"
    assert sum(line.startswith(f"  {path}: ") for line in lines) == 3
    assert any("command line: masking.weights = 'x'" in line for line in lines)
    assert any(
        "'teacher' is required: a path (The teacher: a model folder). Set it in the file, or as "
        "teacher=... on the command line." in line
        for line in lines
    )


def test_own_rule_keeps_its_words() -> None:
    assert message(None, "teacher=x", "seed=13", "rate=13") == (
        "command line: rate = 13.0 and seed = 13 exclude each other; change one of them"
    )


def test_constructor_and_from_values_raise_ours() -> None:
    with pytest.raises(SettingsError, match=r"Masking: probability = 7 is not accepted.* <= 1"):
        Masking(probability=7)
    with pytest.raises(SettingsError, match=r"run\.json: there is no setting 'x' \(given: 1\)"):
        Masking.from_values({"x": 1}, where="run.json")
    with pytest.raises(ValueError, match="frozen"):
        Masking().probability = 0.5


def test_is_override() -> None:
    assert is_override("a.b-c=1")
    assert not any(map(is_override, ["runs/a=1.toml", "run.toml", "=1", "./x=1", ""]))


def test_dump_of_a_class_documents_every_setting() -> None:
    text = dump_toml(Run, recipe="distill")
    assert text.startswith(
        'recipe = "distill"\n\n# The teacher: a model folder. Accepted: a path.\n'
        "# teacher =   # required\n"
    )
    assert "# Accepted: a whole number >= 0.\nseed = 0\n" in text
    assert "# revision =\n" in text
    assert "# How tokens are hidden.\n[masking]\n# Share of the tokens that is hidden." in text
    assert 'weights = "smoothed"' in text


def test_dump_of_a_class_is_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, dump_toml(Run))
    assert read_settings(Run, path, ["teacher=x"]) == Run(teacher=Path("x"))
    assert "'teacher' is required" in message(path)


class Loss(Settings):
    weight: float = 1.0


class Soft(Loss):
    temperature: float = 2.0
    """Divides the logits."""


def _build(values: dict[str, object]) -> dict[str, object]:
    return {
        name: value if isinstance(value, Loss) else Soft.from_values(value, where=f"losses.{name}")  # type: ignore[arg-type]
        for name, value in values.items()
    }


DEFAULT_LOSSES: dict[str, object] = {"soft": {"weight": 5.0}}


class Losses(Settings):
    losses: Annotated[dict[str, SerializeAsAny[Loss]], BeforeValidator(_build)] = Field(
        default_factory=lambda: dict(DEFAULT_LOSSES), validate_default=True
    )


def test_settings_built_by_name(tmp_path: Path) -> None:
    """As the losses of a distillation: which class a table is, its name decides."""
    text = dump_toml(Losses)
    assert "[losses.soft]" in text
    assert "# Divides the logits. Accepted: a number.\ntemperature = 2.0\n" in text
    path = write(tmp_path, text)
    assert read_settings(Losses, path) == Losses()
    changed = read_settings(Losses, None, ["losses.soft.temperature=3", "losses.other.weight=1"])
    assert changed.losses == {"soft": Soft(weight=5, temperature=3), "other": Soft()}
    assert DEFAULT_LOSSES == {"soft": {"weight": 5.0}}
    with pytest.raises(SettingsError) as caught:
        read_settings(Losses, path, ["losses.soft.temprature=1"])
    assert str(caught.value) == (
        f"{path} and command line: losses.soft: there is no setting 'temprature' (given: 1). "
        "Did you mean 'temperature'? Accepted: weight, temperature."
    )


def test_required_table_is_shown(tmp_path: Path) -> None:
    class Outer(Settings):
        masking: Masking

    path = write(tmp_path, dump_toml(Outer))
    assert read_settings(Outer, path) == Outer(masking=Masking())


words = st.text(max_size=8).filter(lambda text: text != "none")
finite = st.floats(allow_nan=False)
maskings = st.builds(
    Masking,
    probability=st.floats(0, 1, exclude_min=True),
    weights=st.sampled_from(["uniform", "smoothed"]),
    whole_word=st.booleans(),
)
runs = st.builds(
    Run,
    teacher=words.map(Path),
    layers=st.lists(st.integers(-(2**60), 2**60), max_size=3)
    | st.sampled_from(["every_other", "original"]),
    revision=st.none() | words,
    limit=st.none() | st.integers(-9, 9),
    seed=st.integers(0, 9),
    rate=finite,
    precision=st.sampled_from(Precision),
    betas=st.tuples(finite, finite),
    weights=st.dictionaries(words, finite, max_size=2),
    masking=maskings,
    extra_masking=st.none() | maskings,
    stages=st.lists(maskings, max_size=2).map(tuple),
    named=st.dictionaries(words, maskings, max_size=2),
)


@given(settings=runs)
def test_settings_survive_a_dump(settings: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "dump.toml"
    path.write_text(dump_toml(settings), encoding="utf-8", newline="")
    assert read_settings(Run, path) == settings


@given(settings=maskings)
def test_settings_survive_overrides(settings: Masking) -> None:
    overrides = [
        f"probability={settings.probability!r}",
        f"weights={settings.weights}",
        f"whole_word={str(settings.whole_word).lower()}",
    ]
    assert read_settings(Masking, None, overrides) == settings


def test_a_settings_file_may_begin_with_a_mark_of_the_byte_order(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('\ufeffteacher = "models/base"\n', encoding="utf-8")
    assert read_settings(Run, path).teacher == Path("models/base")
