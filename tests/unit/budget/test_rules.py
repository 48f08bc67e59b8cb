import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from edgekit.budget.rules import PER_TARGET, Budget, Growth, Kind, Metric, Rule
from edgekit.core import wire


@pytest.mark.parametrize(
    ("metric", "written", "value", "unit"),
    [
        (Metric.SIZE, "64 KiB", 65536, "B"),
        (Metric.SIZE_RATIO, 0.35, 0.35, ""),
        (Metric.SIZE_RATIO, "35 %", 0.35, ""),
        (Metric.LATENCY, "20 ms", 20e6, "ns"),
        (Metric.LOAD_TIME, "1 s", 1e9, "ns"),
        (Metric.MEMORY, "12 MB", 12e6, "B"),
        (Metric.LOSS, "1 pp", 1, "pp"),
        (Metric.LOSS, "0.5 dB", 0.5, "dB"),
        (Metric.STEP_LOSS, 0.01, 0.01, ""),
        (Metric.SCORE, "95 %", 95, "%"),
        (Metric.AGREEMENT, "99 %", 99, "%"),
        (Metric.COSINE, 0.99, 0.99, ""),
        (Metric.SQNR, "30 dB", 30, "dB"),
        (Metric.STEP_SQNR, "30 dB", 30, "dB"),
    ],
)
def test_limit_is_read_with_the_unit_of_its_metric(
    metric: Metric, written: str | float, value: float, unit: str
) -> None:
    limit = Rule(metric, max=written).limit

    assert limit.value == pytest.approx(value)
    assert limit.unit == unit
    assert limit.text == str(written)


@pytest.mark.parametrize(
    ("metric", "written", "expected"),
    [
        (Metric.LATENCY, "64 KiB", "latency takes a duration like '20 ms'"),
        (Metric.LATENCY, 20, "has no unit"),
        (Metric.SIZE, "20 ms", "size takes bytes like '64 KiB'"),
        (Metric.LOSS, "1 %", "known here: pp"),
        (Metric.COSINE, "0.9", "cosine takes a number like 0.99"),
        (Metric.COSINE, float("nan"), "not a finite number"),
        (Metric.SIZE_RATIO, True, "not a plain number"),
    ],
)
def test_wrong_unit_is_refused_with_the_one_expected(
    metric: Metric, written: str | float, expected: str
) -> None:
    with pytest.raises(ValueError, match=r"^min: ") as caught:
        Rule(metric, min=written)

    assert expected in str(caught.value)


def test_rule_without_a_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="one of max, min and growth; found none of them"):
        Rule(Metric.SIZE)


def test_rule_with_two_limits_is_refused() -> None:
    with pytest.raises(ValueError, match="found max and min"):
        Rule(Metric.SIZE, max="2 KiB", min="1 KiB")


def test_growth_of_anything_but_size_is_refused() -> None:
    with pytest.raises(ValueError, match="growth is judged for size only, not for latency"):
        Rule(Metric.LATENCY, growth=Growth(percent=5.0))


@pytest.mark.parametrize("metric", [m for m in Metric if m not in PER_TARGET])
def test_target_is_refused_where_the_metric_has_none(metric: Metric) -> None:
    with pytest.raises(ValueError, match=f"{metric.value} does not depend on a target"):
        Rule(metric, target="host", max="1 KiB")


def test_kind_is_refused_where_the_metric_has_none() -> None:
    with pytest.raises(ValueError, match="kind belongs to latency"):
        Rule(Metric.SIZE, max="1 KiB", kind=Kind.MEASURED)


def test_budget_without_rules_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one rule"):
        Budget(())


def test_all_wrong_rules_of_a_budget_are_reported_at_once() -> None:
    rules = [{"metric": "size"}, {"metric": "latency", "max": "1 KiB"}, {"metric": "speed"}]

    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Budget).validate_python({"rules": rules})

    assert {error["loc"][1] for error in caught.value.errors()} == {0, 1, 2}


@given(st.floats(0, 1e6), st.integers(0, 10**12))
def test_budget_survives_being_written_and_read(percent: float, and_bytes: int) -> None:
    rules = (
        Rule(Metric.SIZE, growth=Growth(percent, and_bytes)),
        Rule(Metric.LATENCY, artifact="*-int8", target="rpi?", max="20 ms", kind=Kind.EMULATED),
        Rule(Metric.SIZE_RATIO, max=0.35),
    )

    read = wire.decode(Budget, wire.encode(Budget(rules)), source="test")

    assert read == Budget(rules)
