"""Progress as lines and as a bar, on a clock that stands still unless told otherwise."""

from __future__ import annotations

import io
import re
import sys

import pytest

from limbeck.terminal import BarProgress, Meter, PlainProgress, open_progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_meter_says_rate_and_rest() -> None:
    clock = Clock()
    meter = Meter(1000, "step", clock=clock)
    assert meter.describe() == "0/1,000 steps"
    meter.advance(500)  # done in an earlier run: not part of the rate
    assert meter.describe() == "500/1,000 steps"
    clock.now = 10
    meter.advance(20)
    meter.fields["loss"] = 1.23456
    meter.fields["tokens_per_second"] = 12345.6
    assert meter.describe() == (
        "520/1,000 steps, 2 steps/s, 4:00 left, loss 1.235, tokens per second 12,346"
    )
    assert meter.summarise() == "520 steps in 10 s, loss 1.235, tokens per second 12,346"


def test_meter_guesses_only_once_it_has_seen_enough() -> None:
    clock = Clock()
    meter = Meter(100, "step", clock=clock)
    for seconds in (0.0, 1.2, 0.2, 0.2):  # the first steps are slow
        clock.now += seconds
        meter.advance(1)
    assert meter.describe() == "4/100 steps, 5 steps/s"
    clock.now += 0.2
    meter.advance(1)
    assert meter.describe() == "5/100 steps, 5 steps/s, 19 s left"


def test_the_first_step_does_not_say_how_long_the_others_take() -> None:
    clock = Clock()
    meter = Meter(100, "step", clock=clock)
    meter.advance(0)  # says what was done before, as trainings do
    for seconds, words in (
        (60.0, "1/100 steps, 0.01667 steps/s"),
        (5.0, "2/100 steps, 0.2 steps/s, 8:10 left"),
        (2.0, "3/100 steps, 0.2857 steps/s, 5:40 left"),
        (2.0, "4/100 steps, 0.5 steps/s, 3:12 left"),
    ):
        clock.now += seconds
        meter.advance(1)
        assert meter.describe() == words


def test_meter_does_not_say_the_step_twice() -> None:
    meter = Meter(10, "steps", clock=Clock())
    meter.advance(3)
    meter.fields |= {"step": 3, "loss": 0.5}
    assert meter.describe() == "3/10 steps, loss 0.5"


def test_meter_forgets_what_is_over_a_minute_old() -> None:
    clock = Clock()
    meter = Meter(None, "bytes", clock=clock)
    for _ in range(100):
        clock.now += 1
        meter.advance(1e6)
    clock.now += 30
    meter.advance(0)
    clock.now += 30
    meter.advance(6e6)
    assert meter.rate() == pytest.approx(6e6 / 60, rel=0.05)
    assert meter.describe() == "106.0 MB, 0.1 MB/s"


def test_meter_counts_a_small_file_in_kilobytes() -> None:
    meter = Meter(42_531, "bytes", clock=Clock())
    meter.advance(21_265)
    assert meter.describe() == "21.3/42.5 kB"
    assert Meter(1_000_000, "bytes", clock=Clock()).describe() == "0.0/1.0 MB"


def test_meter_says_the_share_where_the_total_is_not_known() -> None:
    clock = Clock()
    meter = Meter(None, "rows", clock=clock)
    meter.advance(0)
    clock.now = 10
    meter.advance(50)
    assert meter.describe() == "50 rows, 5 rows/s"
    meter.share = 0.25
    assert meter.describe() == "50 rows, 25 %, 5 rows/s, 30 s left"
    assert meter.extent() == (1.0, 0.25)
    meter.share = 1.0
    assert meter.describe() == "50 rows, 100 %, 5 rows/s"
    assert meter.summarise() == "50 rows in 10 s"


def test_meter_of_a_task_that_time_bounds_has_no_rate() -> None:
    clock = Clock()
    meter = Meter(3720, "s", clock=clock)
    assert meter.describe() == "0:00/62:00, 62:00 left"
    meter.advance(300)  # done in an earlier run
    clock.now = 60  # half a minute of it was an evaluation, which the budget does not count
    meter.advance(37.2)
    meter.fields["step"] = 101
    assert meter.describe() == "5:37/62:00, 56:23 left, step 101"
    assert meter.summarise() == "5:37, step 101"
    assert Meter(None, "s", clock=clock).describe() == "0:00"


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = PlainProgress(every_seconds=10, clock=clock)
    with progress.stage("distilling", total=4, unit="step") as stage:
        for _ in range(4):
            clock.now += 6
            stage.advance()
            stage.update(loss=2.5)
    assert capsys.readouterr().err.splitlines() == [
        "distilling: 2/4 steps, 0.1667 steps/s, 12 s left, loss 2.5",
        "distilling: 4/4 steps, 0.1667 steps/s, loss 2.5",
        "distilling: 4 steps in 24 s, loss 2.5",
    ]


def test_a_stage_of_which_nothing_is_counted_is_told_when_it_begins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with PlainProgress().stage("onnx: tracing", total=None, unit=""):
        assert capsys.readouterr().err == "onnx: tracing\n"
    assert capsys.readouterr().err == ""
    quiet = open_progress(quiet=True)
    with quiet.stage("onnx: tracing", total=None, unit=""):
        quiet.log("task sst2: as the model was fine-tuned")
    with quiet.stage("reading", total=1, unit="row") as stage:
        stage.advance()
    assert capsys.readouterr().err == ""
    clock = Clock()
    meter = Meter(None, "", clock=clock)
    assert meter.describe() == ""
    clock.now = 12
    assert meter.summarise() == "done in 12 s"


def test_a_failed_task_does_not_say_it_ended(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        PlainProgress().stage("distilling", total=4, unit="step"),
    ):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    progress = open_progress()
    assert isinstance(progress, BarProgress)
    with progress.stage("training", total=2, unit="step") as outer:
        progress.log("a [line] that stays")
        with progress.stage("measuring", total=None, unit="row") as inner:
            inner.advance(3)
        outer.advance()
        outer.update(loss=1.5)
    text = screen.getvalue()
    assert "a [line] that stays" in text
    assert re.search(r"measuring: 3 rows in [\d.]+ s", text)
    assert re.search(r"training: 1 steps in [\d.]+ s, loss 1\.5", text)
    with progress.stage("reading", total=None, unit="rows") as stage:
        stage.advance(3)
        stage.reach(0.25)
        progress._bars.refresh()  # which is else done by time
    assert "25% 3 rows, 25 %" in re.sub(r"\x1b\[[\d;?]*\w", "", screen.getvalue())
    with progress.stage("again", total=1, unit="step"):
        pass
    assert "again: 0 steps" in screen.getvalue()


def test_lines_elsewhere() -> None:
    assert isinstance(open_progress(), PlainProgress)
    assert isinstance(open_progress(quiet=True), PlainProgress)


def test_a_share_is_shown_without_a_rate() -> None:
    now = [0.0]
    meter = Meter(100, "%", clock=lambda: now[0])
    meter.advance(0)
    now[0] = 30.0
    meter.advance(25)
    assert meter.describe() == "25 %, 1:30 left"
