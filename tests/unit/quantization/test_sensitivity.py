from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.quantization.sensitivity import find_sensitive, signal_to_noise_db


class Noisy:
    """A model of unit power in which every int8 operator adds noise of its own power."""

    def __init__(self, noise: Mapping[str, float]) -> None:
        self.noise = noise
        self.trials = 0

    def __call__(self, int8: frozenset[str]) -> float:
        self.trials += 1
        total = sum(self.noise[name] for name in int8)
        return -10 * np.log10(total) if total else np.inf


def test_a_model_that_reaches_the_goal_is_tried_once() -> None:
    model = Noisy({"a": 1e-4, "b": 1e-4})

    found = find_sensitive(("a", "b"), model, 30)

    assert found.keep == frozenset()
    assert found.notes(30) == ()
    assert model.trials == 1


def test_the_few_that_hurt_are_kept_and_named() -> None:
    model = Noisy(dict.fromkeys("abcdefgh", 1e-05) | {"c": 0.1, "f": 0.01})

    found = find_sensitive("abcdefgh", model, 30)

    assert found.keep == {"c", "f"}
    (note,) = found.notes(30)
    assert note == (
        "2 operators stay out of static int8, because outputs had 9.6 dB of signal over noise "
        "with them and have 42.2 dB without: c, f"
    )


def test_a_goal_out_of_reach_keeps_half_and_says_so() -> None:
    model = Noisy(dict.fromkeys("abcd", 0.1))

    found = find_sensitive("abcd", model, 30)

    assert len(found.keep) == 2
    assert "less than the 30 dB asked for" in found.notes(30)[0]


@pytest.mark.parametrize("gained_db", [0.0, 2.0])
def test_floats_that_bring_little_are_not_kept_and_the_goal_is_told(gained_db: float) -> None:
    def trial(int8: frozenset[str]) -> float:
        return 10.0 + gained_db * (len(int8) < 4)

    found = find_sensitive("abcd", trial, 30)

    assert found.keep == frozenset()
    (note,) = found.notes(30)
    assert note == (
        "outputs have 10.0 dB of signal over noise, less than the 30 dB asked for; "
        "keeping half of the operators in float brings little more"
    )


def test_a_model_without_candidates_is_not_tried() -> None:
    assert find_sensitive((), Noisy({}), 30).keep == frozenset()


@given(st.lists(st.floats(1e-8, 1), min_size=1, max_size=200), st.floats(1, 50))
def test_what_is_kept_reaches_the_goal_or_is_half(noise: list[float], goal_db: float) -> None:
    names = [str(index) for index in range(len(noise))]
    model = Noisy(dict(zip(names, noise, strict=True)))

    found = find_sensitive(names, model, goal_db)

    assert model.trials <= 1 + 32 + 6
    assert found.after_db >= goal_db or len(found.keep) <= max(len(names) // 2 + 7, 1)
    assert found.after_db >= found.before_db


def test_the_ratio_is_that_of_the_worst_output() -> None:
    wanted = [[np.ones(4), np.full(4, 10.0)], [np.ones(4), np.full(4, 10.0)]]
    found = [[np.full(4, 1.1), np.full(4, 10.0)], [np.full(4, 1.1), np.full(4, 10.1)]]

    assert signal_to_noise_db(wanted, found) == pytest.approx(20)


def test_equal_outputs_have_no_noise_and_infinities_are_left_out() -> None:
    wanted = [[np.array([1.0, -np.inf])]]

    assert signal_to_noise_db(wanted, wanted) == np.inf
    assert signal_to_noise_db(wanted, [[np.array([1.1, -np.inf])]]) == pytest.approx(20)


def test_what_is_not_a_number_is_worse_than_any_noise() -> None:
    assert signal_to_noise_db([[np.ones(2)]], [[np.array([1.0, np.nan])]]) == -np.inf
