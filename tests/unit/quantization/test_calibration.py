from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from edgekit.core.tensors import Array
from edgekit.errors import InputRefusedError
from edgekit.quantization.calibration import calibrate, united
from edgekit.quantization.observed import Interval
from edgekit.quantization.ranges.min_max import MinMax
from edgekit.quantization.ranges.percentile import Percentile


class Counted:
    """A stream that counts how often it is run."""

    def __init__(self, *batches: Mapping[str, Array]) -> None:
        self.batches = batches
        self.runs = 0

    def __call__(self) -> Iterator[Mapping[str, Array]]:
        self.runs += 1
        yield from self.batches


def test_extremes_are_those_of_all_batches() -> None:
    stream = Counted(
        {"a": np.array([-2.0, 1.0])}, {"a": np.array([0.0, 5.0]), "b": np.array([3.0])}
    )

    ranges = calibrate(stream, MinMax())

    assert ranges == {"a": Interval(-2.0, 5.0), "b": Interval(0.0, 3.0)}
    assert stream.runs == 1


def test_histograms_take_one_more_pass() -> None:
    values = np.random.default_rng(0).normal(size=(10, 100))
    stream = Counted(*({"a": row} for row in values))

    ranges = calibrate(stream, Percentile(keep_percent=90.0))

    assert stream.runs == 2
    assert ranges["a"].high == pytest.approx(np.quantile(values, 0.95), abs=0.01)  # one bin


def test_infinite_values_widen_no_range() -> None:
    stream = Counted({"mask": np.array([0.0, -np.inf]), "all": np.array([np.inf])})

    assert calibrate(stream, MinMax()) == {"mask": Interval(0.0, 0.0)}
    assert calibrate(stream, Percentile()) == {"mask": Interval(0.0, 0.0)}


def test_nan_is_refused_by_the_tensor_it_is_in() -> None:
    stream = Counted({"logits": np.array([np.nan])})

    with pytest.raises(InputRefusedError, match="NaN in 'logits'"):
        calibrate(stream, MinMax())


def test_a_group_gets_the_range_that_holds_all_of_it() -> None:
    ranges = {"a": Interval(0, 1), "b": Interval(-2, 0.5), "c": Interval(0, 9)}

    shared = united(ranges, [("a", "b", "never seen")])

    assert shared == {"a": Interval(-2, 1), "b": Interval(-2, 1), "c": Interval(0, 9)}
