import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekit.quantization.compensation import rounded
from edgekit.quantization.rounding import LEVELS


def correlated(seed: int, rows: int, channels: int) -> np.ndarray:
    """Return rows `[rows, channels]` of a few causes that all channels share, and little else."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(rows, 3)) @ rng.normal(size=(3, channels))
    return (causes + 0.1 * rng.normal(size=(rows, channels))).astype(np.float32)


@given(seed=st.integers(0, 100), channels=st.integers(2, 150))
def test_products_come_closer_than_by_rounding_to_the_nearest(seed: int, channels: int) -> None:
    inputs = correlated(seed, 400, channels)
    weight = np.random.default_rng(seed).normal(size=(channels, 8)).astype(np.float32)
    scale = np.abs(weight).max(axis=0) / 7  # few levels, so that rounding shows

    levels = rounded(weight, scale, inputs.T @ inputs / len(inputs))

    def error(found: np.ndarray) -> float:
        return float(((inputs @ (found * scale - weight)) ** 2).sum())

    nearest = np.rint(weight / scale)
    # Damping, and the limit on levels, may leave a little more where there is little to gain.
    assert error(levels) <= 1.05 * error(nearest)


@given(seed=st.integers(0, 100))
def test_levels_are_whole_numbers_within_the_limit(seed: int) -> None:
    inputs = correlated(seed, 50, 20)
    weight = np.random.default_rng(seed).normal(size=(20, 4)).astype(np.float32)

    levels = rounded(weight, np.full((20, 4), 1e-2, np.float32), inputs.T @ inputs / 50)

    assert np.array_equal(levels, np.rint(levels))
    assert np.abs(levels).max() <= LEVELS


def test_inputs_that_are_always_zero_round_to_the_nearest() -> None:
    weight = np.array([[0.4, -1.6], [2.6, 0.0]], np.float32)

    levels = rounded(weight, np.ones(2, np.float32), np.zeros((2, 2), np.float32))

    np.testing.assert_array_equal(levels, [[0, -2], [3, 0]])
