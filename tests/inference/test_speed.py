"""Speed is measured, never asserted: these tests look at what is measured and how it is joined."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck import BertConfig, BertForSequenceClassification, SettingsError
from limbeck.inference.speed import Quartiles, Round, Speed, compare_speed, measure_speed
from limbeck.terminal import PlainProgress
from limbeck.tokenizers import train_wordpiece

TEXTS = [f"a short text with {'many ' * (i % 5)}words, number {i}" for i in range(9)]


@pytest.fixture(scope="module")
def tokenizer():
    return train_wordpiece(TEXTS, vocab_size=120, min_frequency=1)


def make_model(tokenizer, *, num_layers):
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        num_hidden_layers=num_layers,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    return BertForSequenceClassification(config)


def make_speed(values, **changes):
    rounds = tuple(
        Round(latency_ms=v, model_latency_ms=v / 2, texts_per_second=1 / v, tokens_per_second=9 / v)
        for v in values
    )
    conditions = {
        "batch_size": 32,
        "max_length": 128,
        "num_texts": 9,
        "num_latency_texts": 4,
        "num_threads": 1,
        "device": "cpu",
    }
    return Speed(rounds=rounds, **{**conditions, **changes})


class Recorder(torch.nn.Module):
    """Notes when it is called, with how many texts, and in which mode; takes as long as asked."""

    def __init__(self, name, log, *, seconds=0.0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.dropout = torch.nn.Dropout()
        self.name, self.log, self.seconds = name, log, seconds

    def forward(self, **inputs):
        size = len(inputs["input_ids"])
        modes = self.training, self.dropout.training, torch.is_inference_mode_enabled()
        self.log.append((self.name, size, modes))
        time.sleep(self.seconds)


def test_real_models_are_measured_in_one_run(tokenizer):
    models = {f"{n} layers": make_model(tokenizer, num_layers=n) for n in (4, 1)}
    speeds = measure_speed(models, tokenizer, texts=TEXTS, repeats=3, batch_size=4, max_length=32)
    assert list(speeds) == ["4 layers", "1 layers"]
    for speed in speeds.values():
        assert len(speed.rounds) == 3
        assert speed.num_threads == torch.get_num_threads()
        assert (speed.batch_size, speed.max_length, speed.num_texts) == (4, 32, 9)
        for measured in speed.rounds:
            assert 0 < measured.model_latency_ms < measured.latency_ms
            assert measured.tokens_per_second > measured.texts_per_second > 0
        written = speed.to_dict()
        assert written["latency_ms"]["median"] == speed.latency_ms.median
        assert len(written["rounds"]) == 3
    ratio = compare_speed(speeds["1 layers"], reference=speeds["4 layers"])
    assert ratio.latency.lower <= ratio.latency.median <= ratio.latency.upper


def test_rounds_stop_when_the_time_is_up_but_not_before_the_third(tokenizer):
    models = {name: Recorder(name, []) for name in "ab"}
    found = measure_speed(models, tokenizer, texts=TEXTS, repeats=9, max_seconds=0)
    assert [len(speed.rounds) for speed in found.values()] == [3, 3]
    found = measure_speed(models, tokenizer, texts=TEXTS, repeats=4, max_seconds=600)
    assert [len(speed.rounds) for speed in found.values()] == [4, 4]


def test_rounds_that_stop_early_say_why(tokenizer, capsys):
    models = {name: Recorder(name, []) for name in "ab"}
    progress = PlainProgress()
    measure_speed(models, tokenizer, texts=TEXTS, repeats=5, max_seconds=0, progress=progress)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("Measuring speed: 3 rounds in ")
    assert line.endswith("of a, b, stopped before all 5, since 0 s were over")
    measure_speed(models, tokenizer, texts=TEXTS, repeats=2, progress=progress)
    assert "stopped" not in capsys.readouterr().err


def test_pairs_are_encoded_as_pairs(tokenizer):
    pairs = [(text, "a second text") for text in TEXTS]
    model = {"m": make_model(tokenizer, num_layers=1)}
    speeds = {
        name: measure_speed(model, tokenizer, texts=texts, repeats=1)["m"].rounds[0]
        for name, texts in (("single", TEXTS), ("pair", pairs))
    }
    lengths = {name: r.tokens_per_second / r.texts_per_second for name, r in speeds.items()}
    second = len(tokenizer("a second text")["input_ids"]) - 1  # without its [CLS]
    assert lengths["pair"] - lengths["single"] == pytest.approx(second)


def test_models_take_turns_and_the_order_rotates(tokenizer):
    log = []
    models = {name: Recorder(name, log) for name in "abc"}
    measure_speed(models, tokenizer, texts=TEXTS, repeats=3, batch_size=4, num_latency_texts=2)
    calls = [(name, size) for name, size, _ in log]
    warm_up, rest = calls[:15], calls[15:]
    assert warm_up == [(name, 1) for name in "aabbccaabbcc"] + [(name, 4) for name in "abc"]
    for order in ("abc", "bca", "cab"):
        singles = [(name, 1) for name in order for _ in range(2)]  # one untimed, one timed
        batches = [(name, size) for size in (4, 4, 1) for name in order]
        this_round, rest = rest[:21], rest[21:]
        assert this_round == 2 * singles + batches
    assert rest == []


def test_models_run_in_evaluation_mode_and_are_given_back_as_they_were(tokenizer):
    log = []
    model = Recorder("m", log)
    model.train()
    model.dropout.eval()
    measure_speed({"m": model}, tokenizer, texts=TEXTS, repeats=1)
    assert {modes for *_, modes in log} == {(False, False, True)}
    assert model.training
    assert not model.dropout.training


def test_times_are_those_of_the_model(tokenizer):
    """A model that sleeps takes at least as long, in milliseconds; no upper bound is asserted."""
    models = {"slow": Recorder("slow", [], seconds=0.004)}
    speed = measure_speed(models, tokenizer, texts=TEXTS, repeats=2, batch_size=3)["slow"]
    assert speed.model_latency_ms.lower >= 4
    assert speed.texts_per_second.upper <= 3 / 0.004


def test_one_tokenizer_per_model(tokenizer):
    seen = []

    def spy(*columns, **options):
        seen.append(options["max_length"])
        return tokenizer(*columns, **options)

    models = {"a": Recorder("a", []), "b": Recorder("b", [])}
    measure_speed(models, {"a": tokenizer, "b": spy}, texts=TEXTS, repeats=1, max_length=16)
    assert set(seen) == {16}


@given(st.lists(st.floats(0.1, 1e3), min_size=1, max_size=12))
def test_quartiles_are_those_of_numpy(values):
    found = Quartiles.of(values)
    expected = np.quantile(values, [0.25, 0.5, 0.75])
    assert [found.lower, found.median, found.upper] == pytest.approx(expected.tolist())


def test_ratios_are_taken_within_each_round():
    """A machine that slows down threefold for both models in some rounds: the ratio is 2 still."""
    slow, fast = make_speed([2, 6, 6, 2]), make_speed([1, 3, 3, 1])
    ratio = compare_speed(fast, reference=slow)
    for found in (ratio.latency, ratio.model_latency, ratio.throughput):
        assert found.lower == found.median == found.upper == pytest.approx(2)


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"num_threads": 2}, "differ in num_threads"), ({"device": "cuda"}, "differ in device")],
)
def test_speeds_of_different_runs_are_not_compared(change, expected):
    with pytest.raises(SettingsError, match=expected):
        compare_speed(make_speed([1, 2]), reference=make_speed([1, 2], **change))
    with pytest.raises(SettingsError, match="differ in their number of rounds"):
        compare_speed(make_speed([1, 2]), reference=make_speed([1]))


def test_wrong_arguments_are_refused(tokenizer):
    models = {"a": Recorder("a", []), "b": Recorder("b", [])}
    with pytest.raises(SettingsError, match="was given no model"):
        measure_speed({}, tokenizer, texts=TEXTS)
    with pytest.raises(SettingsError, match="was given no texts"):
        measure_speed(models, tokenizer, texts=[])
    with pytest.raises(SettingsError, match="repeats = 0: must be at least 1"):
        measure_speed(models, tokenizer, texts=TEXTS, repeats=0)
    with pytest.raises(SettingsError, match="num_latency_texts = 0: must be at least 1"):
        measure_speed(models, tokenizer, texts=TEXTS, num_latency_texts=0)
    with pytest.raises(SettingsError, match="batch_size = -1: must be at least 1"):
        measure_speed(models, tokenizer, texts=TEXTS, batch_size=-1)
    with pytest.raises(SettingsError, match=r"no tokenizer for 'b'; there is one for: 'a'"):
        measure_speed(models, {"a": tokenizer}, texts=TEXTS)
    models["b"].to("meta")
    with pytest.raises(SettingsError, match="a on cpu, b on meta"):
        measure_speed(models, tokenizer, texts=TEXTS)


def test_single_texts_are_taken_from_all_over(tokenizer):
    seen = []

    def encode(texts, **options):
        if len(texts) == 1:
            seen.extend(texts)
        return tokenizer(texts, **options)

    texts = [f"a text {number}" for number in range(20)]
    measure_speed(
        {"m": make_model(tokenizer, num_layers=1)},
        encode,
        texts=texts,
        repeats=1,
        num_latency_texts=12,
    )
    assert len(set(seen)) == 12
    assert {texts[0], texts[10], texts[19]} <= set(seen)
