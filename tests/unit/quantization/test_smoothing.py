import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekit.quantization.smoothing import factors, largest_of_channels


@given(seed=st.integers(0, 1000), channels=st.integers(1, 40))
def test_smoothing_leaves_products_as_they_are(seed: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(5, channels)).astype(np.float32)
    weight = rng.normal(size=(channels, 3)).astype(np.float32)

    by = factors(np.abs(rows).max(axis=0), [weight])

    # Two roundings a product, of float32.
    np.testing.assert_allclose((rows / by) @ (weight * by[:, None]), rows @ weight, atol=1e-4)


def test_a_large_channel_is_divided_by_more_than_a_small_one() -> None:
    weight = np.ones((3, 4), np.float32)

    by = factors(np.array([1, 100, 1], np.float32), [weight, weight])

    np.testing.assert_allclose(by[1] / by[0], 10, rtol=1e-5)  # the root of 100
    np.testing.assert_allclose(by.prod(), 1, rtol=1e-5)


def test_channels_without_values_or_weights_do_not_divide_by_zero() -> None:
    by = factors(np.zeros(4, np.float32), [np.zeros((4, 2), np.float32)])

    assert np.array_equal(by, np.ones(4, np.float32))


def test_the_largest_value_of_a_channel_is_that_of_all_batches() -> None:
    batches = [
        {"x": np.array([[[1, -5, 0]]], np.float32)},
        {"x": np.array([[[-2, 3, -np.inf]]], np.float32)},
    ]

    found = largest_of_channels(lambda: batches)

    np.testing.assert_array_equal(found["x"], [2, 5, 0])
