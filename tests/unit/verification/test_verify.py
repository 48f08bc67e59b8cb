import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.core import wire
from edgekit.core.results import Unavailable
from edgekit.errors import InputRefusedError
from edgekit.verification import metric as metric_module
from edgekit.verification.metrics.mse import Mse
from edgekit.verification.metrics.psnr import Psnr
from edgekit.verification.metrics.top1 import Top1
from edgekit.verification.settings import VerifySettings
from edgekit.verification.verify import HIGHEST_DB, LOWEST_DB, sqnr_db, verify

Floats = npt.NDArray[np.float32]

SCORES = np.array([[3, 1, 0], [0, 2, 1], [1, 0, 4], [5, 0, 0]], np.float32)
LABELS = np.array([0, 1, 2, 1])


def close(value: float | Unavailable, wanted: float) -> bool:
    return isinstance(value, float) and math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-9)


def test_the_same_outputs_are_the_same() -> None:
    found = verify({"y": SCORES}, {"y": SCORES.copy()}, LABELS, Top1())

    assert (found.metric, found.unit, found.samples) == ("top1", "pp", 4)
    assert (found.reference, found.candidate, found.loss) == (75.0, 75.0, 0.0)
    assert (found.agreement_percent, found.cosine, found.sqnr_db) == (100.0, 1.0, HIGHEST_DB)
    assert found.first_divergence == ""


def test_a_changed_decision_shows_in_loss_agreement_and_worst_sample() -> None:
    changed = SCORES.copy()
    changed[2] = [4, 0, 1]

    found = verify({"y": SCORES}, {"output_0": changed}, LABELS, Top1())

    assert (found.candidate, found.loss, found.agreement_percent) == (50.0, 25.0, 75.0)
    assert found.worst_sample == 2
    assert math.isclose(found.worst_sample_sqnr_db, 10 * math.log10(17 / 18))
    assert found.first_divergence == "y"


def test_loss_is_how_much_worse_whichever_way_the_metric_points() -> None:
    target = np.zeros((2, 3))
    better, worse = np.full((2, 3), 0.5), np.full((2, 3), 1.0)

    assert close(verify({"y": better}, {"y": worse}, target, Mse()).loss, 0.75)
    assert close(verify({"y": better}, {"y": worse}, target, Psnr()).loss, 20 * math.log10(2))
    assert close(verify({"y": worse}, {"y": better}, target, Mse()).loss, -0.75)


def test_without_labels_the_metric_is_unavailable_and_the_rest_is_not() -> None:
    found = verify({"y": SCORES}, {"y": SCORES}, None, Top1())

    assert found.loss == found.reference == Unavailable("the samples have no labels")
    assert found.agreement_percent == 100.0


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_one_value_that_is_no_number_is_the_worst_there_is(broken: float) -> None:
    changed = SCORES.copy()
    changed[1, 0] = broken

    found = verify({"y": SCORES}, {"y": changed}, None, Top1())

    assert (found.cosine, found.sqnr_db, found.worst_sample) == (0.0, LOWEST_DB, 1)
    assert found.worst_sample_sqnr_db == LOWEST_DB
    assert found.first_divergence == "y"


def test_nan_scores_are_neither_right_nor_in_agreement() -> None:
    nan = np.full_like(SCORES, np.nan)

    found = verify({"y": nan}, {"y": nan}, np.zeros(4, int), Top1())

    assert (found.candidate, found.agreement_percent) == (0.0, 0.0)
    assert found.sqnr_db == HIGHEST_DB  # nothing differs


def test_values_that_are_no_numbers_make_their_metric_unavailable() -> None:
    found = verify({"y": SCORES}, {"y": SCORES * np.nan}, SCORES, Mse())

    reason = Unavailable("the outputs hold NaN or infinity")
    assert (found.candidate, found.loss) == (reason, reason)
    assert verify({"y": SCORES * np.nan}, {"y": SCORES}, SCORES, Mse()).loss == reason
    assert found.reference == 0.0
    gaps = verify({"y": SCORES}, {"y": SCORES}, SCORES * np.nan, Mse())
    assert gaps.candidate == Unavailable("the labels hold NaN or infinity")


def test_the_same_infinity_on_both_sides_is_no_difference() -> None:
    masked = SCORES.copy()
    masked[0, 2] = -np.inf

    assert verify({"y": masked}, {"y": masked}, None, Top1()).sqnr_db == HIGHEST_DB


def test_the_worst_of_several_outputs_counts_and_the_first_diverged_is_named() -> None:
    fine, off = SCORES * np.float32(1.001), SCORES * np.float32(1.5)
    reference = {"a": SCORES, "b": SCORES, "c": SCORES}

    found = verify(reference, {"a": fine, "b": off, "c": off * 2}, None, Top1())

    assert found.first_divergence == "b"
    assert math.isclose(found.sqnr_db, 10 * math.log10(1 / 4), abs_tol=1e-6)  # 2 times 1.5, less 1


def test_integer_outputs_count_in_the_agreement_and_not_as_signals() -> None:
    choices = np.array([[0], [1], [2], [0]])
    others = np.array([[0], [2], [2], [0]])

    fidelity = verify({"a": SCORES, "b": choices}, {"a": SCORES, "b": others}, None, Top1())

    assert fidelity.agreement_percent == 75
    assert fidelity.sqnr_db == HIGHEST_DB
    assert close(fidelity.cosine, 1)
    assert fidelity.first_divergence == "b"


def test_integer_outputs_have_an_agreement_where_the_metric_knows_no_decisions() -> None:
    outputs = {"a": SCORES, "b": np.array([0, 1, 2, 0])}

    fidelity = verify(outputs, outputs | {"b": np.array([0, 1, 1, 1])}, None, Mse())

    assert fidelity.agreement_percent == 50


def test_integers_are_compared_as_signals_where_there_is_nothing_else() -> None:
    fidelity = verify({"a": np.array([30, 40])}, {"a": np.array([30, 45])}, None, Mse())

    assert close(fidelity.sqnr_db, 20)  # energies of 2500 and 25
    assert fidelity.first_divergence == ""


def test_tolerance_decides_what_diverges() -> None:
    off = SCORES * np.float32(1.05)

    assert verify({"y": SCORES}, {"y": off}, None, Top1()).first_divergence == ""
    assert verify({"y": SCORES}, {"y": off}, None, Top1(), tolerance=0.01).first_divergence == "y"


def test_outputs_of_zeros_are_compared_without_dividing() -> None:
    zeros = np.zeros((2, 3), np.float32)

    same = verify({"y": zeros}, {"y": zeros}, None, Top1())
    other = verify({"y": zeros}, {"y": zeros + 1}, None, Top1())

    assert (same.cosine, same.sqnr_db) == (1.0, HIGHEST_DB)
    assert (other.cosine, other.sqnr_db, other.first_divergence) == (0.0, LOWEST_DB, "y")


def test_metrics_of_values_have_no_agreement() -> None:
    found = verify({"y": SCORES}, {"y": SCORES}, None, Mse())

    assert found.agreement_percent == Unavailable(
        "mse compares values, and values do not agree or disagree"
    )


def test_a_reference_with_classes_and_a_candidate_without_do_not_agree_on_any() -> None:
    numbers = np.array([[0, 1], [1, 0]])

    found = verify({"y": numbers}, {"y": numbers > 0}, None, Top1())

    assert isinstance(found.agreement_percent, Unavailable)


def test_models_that_do_not_compare_are_refused_with_all_reasons() -> None:
    with pytest.raises(InputRefusedError, match="1 and 2 outputs"):
        verify({"y": SCORES}, {"y": SCORES, "z": SCORES}, None, Top1())
    with pytest.raises(InputRefusedError, match=r"'a' is \[4, 3\] and \[4, 2\]; 'b' is"):
        verify({"a": SCORES, "b": SCORES}, {"a": SCORES[:, :2], "b": SCORES[:, :1]}, None, Top1())
    with pytest.raises(InputRefusedError, match="3 labels for 4 samples"):
        verify({"y": SCORES}, {"y": SCORES}, LABELS[:3], Top1())


@given(st.integers(1, 40), st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_chunks_do_not_change_the_figures(count: int, chunk_bytes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = {"y": rng.standard_normal((count, 7))}
    candidate = {"y": reference["y"] + 0.1 * rng.standard_normal((count, 7))}
    labels = rng.integers(0, 7, count)

    whole = verify(reference, candidate, labels, Top1())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metric_module, "_CHUNK_BYTES", chunk_bytes)
        parts = verify(reference, candidate, labels, Top1())

    assert parts == whole


@given(st.floats(1e-6, 1e6), st.floats(0.001, 1000), st.integers(0, 2**32 - 1))
def test_sqnr_and_cosine_do_not_depend_on_scale(noise: float, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = rng.standard_normal((5, 9))
    found = wanted + noise * rng.standard_normal((5, 9))

    one = verify({"y": wanted}, {"y": found}, None, Mse())
    other = verify({"y": wanted * scale}, {"y": found * scale}, None, Mse())

    assert math.isclose(one.sqnr_db, other.sqnr_db, abs_tol=1e-6)  # float64 rounding
    assert math.isclose(one.cosine, other.cosine, abs_tol=1e-9)
    assert -1.0 <= one.cosine <= 1.0


def test_sqnr_is_the_ratio_of_energies_within_its_bounds() -> None:
    assert math.isclose(sqnr_db(100.0, 1.0), 20.0)
    assert sqnr_db(1.0, 0.0) == sqnr_db(1e300, 1e-300) == HIGHEST_DB
    assert sqnr_db(0.0, 1.0) == sqnr_db(1.0, math.inf) == sqnr_db(1e-300, 1e300) == LOWEST_DB


def test_settings_hold_a_metric_with_its_options() -> None:
    written: Any = '{"metric": {"name": "psnr", "peak": 255}, "tolerance": 0.01}'

    settings = wire.decode(VerifySettings, written, source="test")

    assert settings.metric == Psnr(peak=255)
    assert VerifySettings().metric == Top1()
