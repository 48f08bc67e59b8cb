import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekit.quantization.observed import BINS, Interval, Observed
from edgekit.quantization.ranges.entropy import Entropy
from edgekit.quantization.ranges.mse import Mse, expected_squared_error
from edgekit.quantization.ranges.percentile import Percentile


def observed(values: np.ndarray) -> Observed:
    low, high = float(values.min()), float(values.max())
    return Observed(low, high, np.histogram(values, BINS, (low, high))[0])


def squared_error(values: np.ndarray, interval: Interval) -> float:
    low, high = interval.low, interval.high
    scale = (high - low) / 255
    zero = np.rint(-low / scale)
    levels = np.clip(np.rint(values / scale) + zero, 0, 255)
    return float(np.mean(((levels - zero) * scale - values) ** 2))


# Heavier tails draw values so far out that nearly all others fall into the histogram's one bin
# with zero, where nothing tells them apart.
@given(st.integers(0, 2**32 - 1), st.floats(4.0, 8.0))
def test_the_mse_range_rounds_real_values_no_worse_than_min_max(seed: int, tail: float) -> None:
    values = np.random.default_rng(seed).standard_t(tail, 20_000)
    seen = observed(values)

    chosen = Mse().choose(seen).with_zero()

    # The error is modelled in expectation; 5 % is what one sample may stray from it.
    assert squared_error(values, chosen) <= 1.05 * squared_error(
        values, Interval(seen.low, seen.high)
    )


def test_the_expected_error_is_the_error_of_rounding_real_values() -> None:
    values = np.random.default_rng(0).normal(size=100_000)
    clipped = Interval(-2.0, 2.5)

    expected = expected_squared_error(observed(values), np.array(-2.0), np.array(2.5))

    # 8 bins a step, so a value is known to an eighth of a step.
    np.testing.assert_allclose(expected, squared_error(values, clipped), rtol=0.05)


@given(st.floats(50, 100))
def test_a_percentile_keeps_its_share(keep: float) -> None:
    values = np.random.default_rng(1).normal(size=20_000)

    chosen = Percentile(keep_percent=keep).choose(observed(values))

    kept = np.mean((values >= chosen.low) & (values <= chosen.high))
    assert kept >= keep / 100 - 1e-9
    # Two bins too many at most, one at each end.
    assert kept <= keep / 100 + 2 * observed(values).counts.max() / values.size


def test_a_percentile_of_a_relu_output_stays_at_zero_below() -> None:
    values = np.maximum(np.random.default_rng(2).normal(size=20_000), 0)

    assert Percentile(keep_percent=99.0).choose(observed(values)).low == 0


def test_entropy_keeps_a_range_too_narrow_to_clip() -> None:
    counts = np.zeros(BINS, np.int64)
    counts[-10:] = 5000

    chosen = Entropy().choose(Observed(0.0, 1.0, counts))

    assert chosen == Interval(0.0, 1.0)


def test_zero_is_added_to_a_range_of_one_sign() -> None:
    assert Interval(2.0, 3.0).with_zero() == Interval(0.0, 3.0)
    assert Interval(-3.0, -2.0).with_zero() == Interval(-3.0, 0.0)


def test_entropy_clips_nothing_on_too_few_values() -> None:
    seen = observed(np.random.default_rng(0).normal(size=1000))

    assert Entropy().choose(seen) == Interval(seen.low, seen.high)
