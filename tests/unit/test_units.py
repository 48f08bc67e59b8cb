import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from edgekit import units


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("64 KiB", 65536), ("64 kB", 64000), ("1.5MiB", 1572864), (" 0 B ", 0), ("2 GiB", 2**31)],
)
def test_sizes_are_read_in_whole_bytes(text: str, size_bytes: int) -> None:
    assert units.parse_bytes(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [("20 ms", 20_000_000), ("1 s", 10**9), ("25.5 µs", 25_500), ("3us", 3000), ("7 ns", 7)],
)
def test_durations_are_read_in_whole_nanoseconds(text: str, duration_ns: int) -> None:
    assert units.parse_duration_ns(text) == duration_ns


@pytest.mark.parametrize("parse", [units.parse_bytes, units.parse_duration_ns, units.parse_points])
@pytest.mark.parametrize("bare", [64, 1.5, None, "64", "", "KiB", "1 2 ms", True])
def test_quantity_without_a_unit_is_refused(parse: object, bare: object) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match="unit"):
        parse(bare)


def test_points_and_percent_are_not_each_other() -> None:
    with pytest.raises(ValueError, match="known here: pp"):
        units.parse_points("1 %")
    with pytest.raises(ValueError, match="known here: %"):
        units.parse_percent("1 pp")


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (units.parse_bytes, "-1 B"),
        (units.parse_duration_ns, "-1 ms"),
        (units.parse_duration_s, "-1 s"),
        (units.parse_frequency_hz, "0 Hz"),
        (units.parse_bytes_per_second, "0 B/s"),
        (units.parse_bytes, "1e999 GiB"),
    ],
)
def test_impossible_quantities_are_refused(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match=r"negative|above zero|too large"):
        parse(text)


def test_rates_clocks_and_seconds_are_read() -> None:
    assert units.parse_bytes_per_second("4.2 GB/s") == pytest.approx(4.2e9)
    assert units.parse_frequency_hz("1.5 GHz") == 1_500_000_000
    assert units.parse_duration_s("2 min") == pytest.approx(120.0)
    assert units.parse_percent("10 %") == pytest.approx(10.0)


@given(st.integers(min_value=0, max_value=2**53))
def test_a_size_survives_its_own_text(size_bytes: int) -> None:
    adapter = TypeAdapter(units.Bytes)

    assert adapter.validate_python(adapter.dump_python(size_bytes, mode="json")) == size_bytes


@given(st.floats(min_value=1, max_value=1e15))
def test_a_bandwidth_survives_its_own_text(bytes_per_second: float) -> None:
    adapter = TypeAdapter(units.BytesPerSecond)

    text = adapter.dump_python(bytes_per_second, mode="json")

    assert adapter.validate_python(text) == bytes_per_second


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (units.FrequencyHz, "1.5 GHz"),
        (units.FrequencyHz, "480 MHz"),
        (units.Bytes, "48 KiB"),
        (units.Bytes, "3 MB"),
        (units.Bytes, "0 B"),
        (units.Bytes, "1001 B"),
        (units.BytesPerSecond, "4.31 GB/s"),
    ],
)
def test_a_quantity_is_written_as_people_write_it(kind: object, text: str) -> None:
    adapter: TypeAdapter[float] = TypeAdapter(kind)

    assert adapter.dump_python(adapter.validate_python(text), mode="json") == text


@given(st.floats(min_value=-100, max_value=100))
def test_points_survive_their_own_text(points: float) -> None:
    adapter = TypeAdapter(units.Points)

    assert adapter.validate_python(adapter.dump_python(points, mode="json")) == points


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(152, "152 B"), (65536, "64.0 KiB"), (1310720, "1.25 MiB"), (2**31, "2.00 GiB")],
)
def test_sizes_are_written_for_people(size_bytes: int, text: str) -> None:
    assert units.format_bytes(size_bytes) == text


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [(812, "812 ns"), (25_340, "25.3 µs"), (4_123_000, "4.12 ms"), (1.5e9, "1.50 s")],
)
def test_durations_are_written_for_people(duration_ns: float, text: str) -> None:
    assert units.format_duration_ns(duration_ns) == text


@pytest.mark.parametrize(
    ("elapsed_s", "text"),
    [(0.04, "0.0 s"), (12.34, "12.3 s"), (59.97, "1 min 0 s"), (185.4, "3 min 5 s")],
)
def test_waiting_times_are_written_for_people(elapsed_s: float, text: str) -> None:
    assert units.format_elapsed_ns(elapsed_s * 1e9) == text
