import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgekit.quantization.rounding import (
    LEVELS,
    means_of_channels,
    rounded_kernels,
    scale_of,
    shift,
)

KERNELS = arrays(
    np.float32, st.tuples(*[st.integers(1, 9)] * 3), elements=st.floats(-8, 8, width=16)
)


@given(KERNELS)
def test_kernels_keep_their_sums_and_no_weight_moves_a_whole_step(
    weights: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> None:
    scale = scale_of(weights, (1, 2))

    found = rounded_kernels(weights, scale)

    steps = (found - weights) / scale
    assert np.abs(steps).max() < 1 + 1e-4  # float32 holds a step of 127 as exactly as that
    assert np.abs(steps.sum(axis=-1)).max() <= 0.5 + 1e-3  # so for each of up to nine weights


@given(KERNELS)
def test_rounded_weights_have_the_same_scale_and_round_to_themselves(
    weights: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> None:
    scale = scale_of(weights, (1, 2))

    found = rounded_kernels(weights, scale)

    again = scale_of(found, (1, 2))
    used = np.abs(weights).max(axis=(1, 2)) > 0
    np.testing.assert_allclose(again[used], scale[used], rtol=1e-6)  # a float32 of it is stored
    np.testing.assert_array_equal(np.rint(found / again), np.rint(found / scale))
    assert np.abs(np.rint(found / scale)).max() <= LEVELS


def test_a_kernel_of_one_weight_is_rounded_to_the_nearest() -> None:
    weights = np.array([[[1.27], [0.126], [-0.124]]], np.float32)

    found = rounded_kernels(weights, scale_of(weights, (1, 2)))

    np.testing.assert_allclose(found.ravel(), [1.27, 0.13, -0.12], rtol=1e-6)


def test_means_are_those_of_all_batches_without_what_is_infinite() -> None:
    batches = [np.array([[1, 4], [3, np.inf]]), np.array([[5, 8]])]

    means = means_of_channels(lambda: ({"x": batch} for batch in batches), axis=1)

    np.testing.assert_allclose(means["x"], [3, 4])


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_shift_is_what_the_error_adds_to_the_mean_output(groups: int) -> None:
    rng = np.random.default_rng(0)
    error = rng.normal(size=(6, 6 // groups)).astype(np.float32)
    inputs = rng.normal(size=(500, 6)).astype(np.float32)

    found = shift(error, inputs.mean(axis=0))

    parts = np.split(inputs, groups, axis=1)
    rows = np.split(error, groups)
    outputs = [part @ row.T for part, row in zip(parts, rows, strict=True)]
    np.testing.assert_allclose(found, np.concatenate(outputs, axis=1).mean(axis=0), atol=1e-5)
