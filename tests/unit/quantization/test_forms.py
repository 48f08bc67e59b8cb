import numpy as np
import pytest

from edgekit.quantization.forms import find_forms
from edgekit.quantization.settings import QuantizeSettings, Scales


class Model:
    """Every static operator adds noise of its own power; a dynamic one adds a hundredth."""

    def __init__(self, **noise: float) -> None:
        self.noise = noise
        self.trials = 0

    def __call__(self, int8: frozenset[str], dynamic: frozenset[str]) -> float:
        self.trials += 1
        total = sum(self.noise[name] / (100 if name in dynamic else 1) for name in int8)
        return -10 * np.log10(total) if total else np.inf


def settings(scales: Scales = Scales.AUTO, goal_db: float = 30) -> QuantizeSettings:
    return QuantizeSettings(scales=scales, min_sqnr_db=goal_db)


def test_static_scales_stay_where_they_reach_the_goal() -> None:
    model = Model(a=1e-4, b=1e-4)

    forms = find_forms("ab", "ab", model, settings())

    assert forms.dynamic == frozenset()
    assert forms.notes(30, "anywhere") == ()
    assert model.trials == 1


def test_dynamic_scales_come_where_static_ones_fall_short() -> None:
    model = Model(a=1e-2, b=1e-2)

    forms = find_forms("ab", "ab", model, settings())

    assert forms.dynamic == {"a", "b"}
    assert forms.found.keep == frozenset()
    (note,) = forms.notes(30, "runs here")
    assert "17.0 dB of signal over noise with scales from calibration and have 37.0 dB" in note
    assert note.endswith("; runs here")
    assert model.trials == 2


def test_what_hurts_with_dynamic_scales_too_stays_float() -> None:
    model = Model(a=1, b=1e-2, c=1e-2, d=1e-2)

    forms = find_forms("abcd", "abcd", model, settings())

    assert forms.found.keep == {"a"}
    assert forms.dynamic == set("abcd")
    assert len(forms.notes(30, "")) == 2


@pytest.mark.parametrize("able", ["", "b"])
def test_dynamic_scales_that_bring_little_are_left_out(able: str) -> None:
    model = Model(a=1, b=1e-5, c=1e-5, d=1e-5)

    forms = find_forms("abcd", able, model, settings())

    assert forms.dynamic == frozenset()
    assert forms.found.keep == {"a"}


@pytest.mark.parametrize(
    ("scales", "dynamic"),
    [(Scales.STATIC, set()), (Scales.DYNAMIC, {"a", "b"})],
)
def test_what_is_asked_for_is_not_chosen(scales: Scales, dynamic: set[str]) -> None:
    forms = find_forms("ab", "ab", Model(a=1e-4, b=1e-4), settings(scales))

    assert forms.dynamic == dynamic
    assert all("as asked" in note for note in forms.notes(30, ""))


@pytest.mark.parametrize(
    ("scales", "dynamic"),
    [(Scales.AUTO, set()), (Scales.STATIC, set()), (Scales.DYNAMIC, {"a"})],
)
def test_nothing_is_tried_without_a_goal(scales: Scales, dynamic: set[str]) -> None:
    model = Model(a=1)

    forms = find_forms("a", "a", model, settings(scales, 0))

    assert forms.dynamic == dynamic
    assert model.trials == 0
