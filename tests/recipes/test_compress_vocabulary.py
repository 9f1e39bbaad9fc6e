"""Students that read the pieces alone that the training texts have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from tiny_compress import make_settings
from tiny_task import Lines, make_rows, read_lines

import limbeck
from limbeck.errors import SettingsError
from limbeck.models import AutoModelForSequenceClassification
from limbeck.recipes.compress import plan, run
from limbeck.recipes.compress.candidates import list_candidates
from limbeck.recipes.compress.teacher import read_teacher_data
from limbeck.recipes.compress.trimming import vary_vocabulary
from limbeck.recipes.compress.vocabulary import Vocabulary
from limbeck.tokenizers import AutoTokenizer
from limbeck.train import SilentProgress

RARE = "twice"


@pytest.fixture(scope="module")
def rare_data(tmp_path_factory):
    """Data with a word that no training text has, and one that a single one has."""
    folder = tmp_path_factory.mktemp("rare")
    for seed, (split, count) in enumerate({"train": 64, "validation": 24, "test": 16}.items()):
        rows = make_rows(count, seed=seed)
        if split == "train":
            for row in rows:
                row["sentence"] = row["sentence"].replace(RARE, "story").replace("rain", "men")
            rows[0]["sentence"] += " rain"
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return str(folder)


def read_words(data, split):
    rows = read_lines(Path(data) / f"{split}.jsonl")
    return [word for row in rows for word in row["sentence"].split()]


def choose(model, data, folder, *, min_count):
    settings = make_settings(model, data, folder / "run")
    read = read_teacher_data(settings, SilentProgress())
    drafts = folder / "drafts"
    return Vocabulary.choose(
        model, "teacher", read, min_count=min_count, drafts=drafts, out=folder / "run"
    )


@pytest.mark.parametrize("min_count", [1, 2])
def test_what_the_training_texts_have_stays(deep_teacher, rare_data, tmp_path, min_count):
    found = choose(deep_teacher, rare_data, tmp_path, min_count=min_count)
    whole = AutoTokenizer.from_pretrained(deep_teacher)
    trimmed = AutoTokenizer.from_pretrained(found.draft)
    taught = read_words(rare_data, "train")
    words = {word for word in taught if taught.count(word) >= min_count}  # each is one piece
    assert set(trimmed.get_vocab()) == words | set(
        whole.convert_ids_to_tokens(whole.all_special_ids)
    )
    assert found.num_before == whole.vocab_size
    for split in ("validation", "test"):
        texts = read_words(rare_data, split)
        lost = sum(word not in words for word in texts) / len(texts)
        assert found.lost[split] == pytest.approx(lost)
        assert lost > 0
    model = AutoModelForSequenceClassification.from_pretrained(found.draft)
    assert model.config.vocab_size == len(found.ids) == trimmed.vocab_size
    told = f"{len(found.ids)} of {whole.vocab_size} pieces stay, which the training texts have"
    assert told in found.describe()
    assert f"{100 * found.lost['test']:.1f} % of test" in found.describe()
    assert ("2 times and more" in found.describe()) == (min_count == 2)
    assert not (tmp_path / "run").exists()


def test_nothing_to_trim_is_refused(deep_teacher, rare_data, tmp_path):
    found = choose(deep_teacher, rare_data, tmp_path, min_count=1)
    with pytest.raises(SettingsError, match=r"each of the \d+ pieces of .*vocabulary=whole, or a"):
        choose(str(found.draft), rare_data, tmp_path / "again", min_count=1)


def test_settings_that_fit_nothing_are_refused(deep_teacher, data, tmp_path):
    def refuse(match, **changes):
        with pytest.raises(SettingsError, match=match):
            make_settings(deep_teacher, data, tmp_path / "run", **changes)

    refuse(r"min_count = 5 chooses among .* and none is tried; add vocabulary=trimmed", min_count=5)
    refuse("give each number once, and none below 1", vocabulary="trimmed", min_count=(2, 2))
    refuse("give each number once, and none below 1", vocabulary="trimmed", min_count=0)
    refuse("give whole, trimmed or both, each once", vocabulary=("whole", "whole"))
    refuse(r"vocabulary.*'small'", vocabulary="small")


@pytest.mark.parametrize(
    ("given", "tried"),
    [
        ({}, ("whole",)),
        ({"max_latency_ms": 5}, ("whole",)),
        ({"max_size_mb": 5}, ("whole", "trimmed")),
        ({"max_memory_mb": 5}, ("whole", "trimmed")),
        ({"max_size_mb": 5, "depths": 1}, ("whole",)),
        ({"max_size_mb": 5, "depths": 1, "vocabulary": "trimmed"}, ("trimmed",)),
    ],
)
def test_a_bound_on_size_asks_for_both(deep_teacher, data, tmp_path, given, tried):
    assert make_settings(deep_teacher, data, tmp_path / "run", **given).vocabularies == tried


@pytest.mark.slow
def test_given_students_are_trimmed_too(deep_teacher, encoder, rare_data, tmp_path):
    settings = make_settings(
        deep_teacher,
        rare_data,
        tmp_path / "run",
        student=encoder,
        depths=1,
        vocabulary=("whole", "trimmed"),
        min_count=2,
    )
    told = plan(settings)
    names = ["encoder", "1 layer"]
    assert set(told["students"]) == {*names, *(f"{name}, trimmed below 2" for name in names)}
    assert len(told["vocabularies"]) == 2
    assert "of the vocabulary of encoder " in "".join(told["vocabularies"])


def test_what_cannot_be_trimmed_is_left_out_unless_asked_for(deep_teacher, rare_data, tmp_path):
    losses = {"attention_mse": {}}

    def list_all(**changes):
        settings = make_settings(
            deep_teacher, rare_data, tmp_path / "run", losses=losses, max_size_mb=5, **changes
        )
        candidates = list_candidates(settings, num_layers=3)
        data, progress = read_teacher_data(settings, SilentProgress()), Lines()
        found = vary_vocabulary(
            settings, candidates, data, drafts=tmp_path / "drafts", progress=progress
        )
        return [candidate.name for candidate in found], progress.lines

    names, lines = list_all()
    assert not any("trimmed" in name for name in names)
    assert [line.split(" is not tried with a trimmed vocabulary: ")[0] for line in lines] == names
    assert "has another vocabulary than the student" in lines[0]
    with pytest.raises(SettingsError, match=r"^vocabulary = trimmed: the student '.*, trimmed': l"):
        list_all(vocabulary="trimmed")


@pytest.mark.slow
def test_trimmed_students_are_searched_exported_and_told_of(deep_teacher, rare_data, tmp_path):
    pytest.importorskip("onnxruntime")
    settings = make_settings(
        deep_teacher,
        rare_data,
        tmp_path / "run",
        retain=0.3,
        depths=1,
        widths=0.5,
        epochs=2,
        vocabulary="trimmed",
        targets="onnx",
        max_size_mb=5,
    )
    names = ["1 layer, trimmed", "3 layers, 0.5 wide, trimmed", "1 layer, 0.5 wide, trimmed"]
    told = plan(settings)
    assert list(told["students"]) == names
    assert "pieces stay, which the training texts have" in told["vocabularies"][0]
    sizes = {line["model"]: line["size_mb"] for line in told["candidates"]}
    assert sizes.keys() == {"all 3 layers", "all 3 layers, trimmed", *names}
    assert sizes["all 3 layers, trimmed"] < sizes["all 3 layers"]
    assert not settings.out.exists()

    with pytest.raises(KeyboardInterrupt):
        run(settings, progress=Lines(stop_at="exporting 1 layer, 0.5 wide, trimmed, onnx"))
    result = run(settings, progress=SilentProgress())
    enough = [model for model in result.models if model.reached]
    chosen = min(enough, key=lambda model: model.file_bytes)
    assert result.chosen == chosen.name
    assert ", trimmed, onnx" in chosen.name
    assert chosen.how.endswith("; exported to onnx")
    assert "; its vocabulary trimmed to the " in chosen.how
    assert chosen.file_bytes / 1e6 == pytest.approx(
        float(chosen.expected.split(" MB")[0]), abs=0.0051
    )
    tokenizer = AutoTokenizer.from_pretrained(result.model)
    assert set(tokenizer.get_vocab()) - set(
        tokenizer.convert_ids_to_tokens(tokenizer.all_special_ids)
    ) == set(read_words(rare_data, "train"))
    (answer,) = limbeck.pipeline("text-classification", result.model)(["a good film"])
    assert answer["label"] in ("NEGATIVE", "POSITIVE")
    card = ModelCard.load(Path(result.model) / "README.md")
    assert f"| Vocabulary | {tokenizer.vocab_size} of " in card.text
    assert "such words are read in smaller pieces, or as unknown" in card.text
    assert str(tmp_path) not in card.content
    page = (settings.out / "compress.md").read_text(encoding="utf-8")
    assert "such words are read in smaller pieces, or as unknown" in page
