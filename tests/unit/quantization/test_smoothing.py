import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekit.quantization.smoothing import Channels, factors, observe_channels, smoothings


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

    found = observe_channels(lambda: batches)

    np.testing.assert_array_equal(found["x"].largest, [2, 5, 0])


def test_products_of_channels_are_the_mean_over_all_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)

    found = observe_channels(lambda: [{"x": rows[:2]}, {"x": rows[2:]}])

    # Nine products and a division of float32.
    np.testing.assert_allclose(found["x"].products, rows.T @ rows / 9, atol=1e-6)


def test_outliers_and_smoothed_channels_give_the_product_together() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(6, 256)).astype(np.float32)
    rows[:, 2] *= 40
    weight = rng.normal(size=(256, 3)).astype(np.float32)
    seen = observe_channels(lambda: [{"x": rows}])

    smooth = smoothings(seen, {"x": [weight]}, outliers=1)["x"]

    assert list(smooth.outliers) == [2]
    given = rows * smooth.multiplier @ smooth.weight(weight) + rows[:, [2]] @ weight[[2]]
    np.testing.assert_allclose(given, rows @ weight, atol=1e-4)  # hundreds of roundings of float32


def test_channels_without_known_products_are_rounded_to_the_nearest_level() -> None:
    weight = np.array([[0.26, -0.9], [0.74, 0.4]], np.float32)
    seen = {"x": Channels(np.ones(2, np.float32), np.zeros((0, 0), np.float32), 1)}

    smooth = smoothings(seen, {"x": [weight]})["x"]

    scale = np.array([0.5, 0.5], np.float32)
    np.testing.assert_array_equal(smooth.levels(weight, scale), [[1, -2], [1, 1]])
