"""When runs are saved: a kill loses little, and saving takes little."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from limbeck.train.saving import SaveTimes


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def simulate(
    *,
    num_steps: int,
    step_seconds: float,
    save_seconds: float,
    measure_every: int,
    every: int | None = None,
) -> tuple[list[int], float]:
    """Returns after which steps a run saves, and how long all of it takes."""
    clock = Clock()
    times = SaveTimes(every=every, clock=clock)
    saved = []
    for step in range(1, num_steps + 1):
        clock.seconds += step_seconds
        if times.is_due(step, measured=step % measure_every == 0):
            with times.saving():
                clock.seconds += save_seconds
            saved.append(step)
    return saved, clock.seconds


def test_a_run_of_seconds_is_saved_at_its_first_measurement() -> None:
    saved, _ = simulate(num_steps=30, step_seconds=0.1, save_seconds=0.05, measure_every=10)
    assert saved == [10, 30]  # 0.05 s is 3 % of 1.7 s, which have not passed at step 20


def test_a_run_without_measurements_is_saved_every_half_minute() -> None:
    saved, _ = simulate(num_steps=100, step_seconds=1.0, save_seconds=0.1, measure_every=1000)
    assert saved == [30, 60, 90]


def test_a_checkpoint_that_takes_long_is_written_seldom() -> None:
    saved, seconds = simulate(num_steps=1000, step_seconds=1.0, save_seconds=6.0, measure_every=10)
    assert saved == [10, 210, 410, 610, 810]
    assert len(saved) * 6 / seconds < 0.03


@given(
    step_seconds=st.floats(0.01, 20),
    save_seconds=st.floats(0, 100),
    measure_every=st.integers(1, 50),
)
def test_saving_takes_three_percent_but_for_one_checkpoint(
    step_seconds: float, save_seconds: float, measure_every: int
) -> None:
    saved, seconds = simulate(
        num_steps=200,
        step_seconds=step_seconds,
        save_seconds=save_seconds,
        measure_every=measure_every,
    )
    assert (len(saved) - 1) * save_seconds <= 0.03 * seconds + 1e-6


def test_a_number_of_steps_is_kept_to_whatever_it_costs() -> None:
    saved, _ = simulate(num_steps=10, step_seconds=0.1, save_seconds=50.0, measure_every=2, every=4)
    assert saved == [4, 8]
