"""Quantities with compulsory units: read from text, written back, never guessed.

`64 KiB` is 65536 bytes and `64 kB` is 64000; `1 pp` is a difference of percentages and `1 %`
a ratio. A bare number is refused wherever a quantity is expected.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\s\d].*?)?\s*")

_BYTES: Mapping[str, float] = {
    "B": 1,
    "kB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_SECONDS: Mapping[str, float] = {
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
    "min": 60.0,
}
_NANOSECONDS: Mapping[str, float] = {
    "ns": 1,
    "us": 1e3,
    "µs": 1e3,
    "ms": 1e6,
    "s": 1e9,
    "min": 6e10,
}
_HERTZ: Mapping[str, float] = {"Hz": 1, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9}
_BYTES_PER_SECOND: Mapping[str, float] = {
    "B/s": 1,
    "MB/s": 1e6,
    "GB/s": 1e9,
    "MiB/s": 2**20,
    "GiB/s": 2**30,
}
_PERCENT: Mapping[str, float] = {"%": 1.0}
_POINTS: Mapping[str, float] = {"pp": 1.0}
_DECIBELS: Mapping[str, float] = {"dB": 1.0}


def _scaled(text: object, units: Mapping[str, float], example: str) -> float:
    known = ", ".join(units)
    if not isinstance(text, str):
        raise ValueError(f"{text!r} has no unit; write it like '{example}' (units: {known})")
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number with a unit; write it like '{example}'")
    number, unit = match.groups()
    if unit is None:
        raise ValueError(
            f"'{text.strip()}' has no unit; write it like '{example}' (units: {known})"
        )
    if unit not in units:
        raise ValueError(f"unknown unit '{unit}' in '{text}'; known here: {known}")
    value = float(number) * units[unit]
    if not math.isfinite(value):
        raise ValueError(f"'{text}' is too large to be meant")
    return value


def parse_bytes(text: object) -> int:
    """Read a size such as `64 KiB`, rounded to whole bytes.

    Raises:
        ValueError: No unit, an unknown unit, or a negative size.
    """
    value = round(_scaled(text, _BYTES, "64 KiB"))
    if value < 0:
        raise ValueError(f"a size cannot be negative: '{text}'")
    return value


def parse_duration_ns(text: object) -> int:
    """Read a duration such as `20 ms`, rounded to whole nanoseconds.

    Raises:
        ValueError: No unit, an unknown unit, or a negative duration.
    """
    value = round(_scaled(text, _NANOSECONDS, "20 ms"))
    if value < 0:
        raise ValueError(f"a duration cannot be negative: '{text}'")
    return value


def parse_duration_s(text: object) -> float:
    """Read a duration such as `20 s`, in seconds.

    Raises:
        ValueError: No unit, an unknown unit, or a negative duration.
    """
    value = _scaled(text, _SECONDS, "20 s")
    if value < 0:
        raise ValueError(f"a duration cannot be negative: '{text}'")
    return value


def parse_frequency_hz(text: object) -> int:
    """Read a clock such as `1.5 GHz`, in whole hertz.

    Raises:
        ValueError: No unit or an unknown unit, or not above zero.
    """
    value = round(_scaled(text, _HERTZ, "1.5 GHz"))
    if value <= 0:
        raise ValueError(f"a frequency must be above zero: '{text}'")
    return value


def parse_bytes_per_second(text: object) -> float:
    """Read a bandwidth such as `4.2 GB/s`, in bytes per second.

    Raises:
        ValueError: No unit or an unknown unit, or not above zero.
    """
    value = _scaled(text, _BYTES_PER_SECOND, "4.2 GB/s")
    if value <= 0:
        raise ValueError(f"a bandwidth must be above zero: '{text}'")
    return value


def parse_percent(text: object) -> float:
    """Read a ratio such as `10 %`, in percent.

    Raises:
        ValueError: No unit or an unknown unit.
    """
    return _scaled(text, _PERCENT, "10 %")


def parse_points(text: object) -> float:
    """Read a difference of percentages such as `1 pp` (or `1pp`), in percentage points.

    Raises:
        ValueError: No unit or an unknown unit; `%` is refused because it is a ratio.
    """
    return _scaled(text, _POINTS, "1 pp")


def parse_decibels(text: object) -> float:
    """Read a ratio of powers such as `30 dB`, in decibels.

    Raises:
        ValueError: No unit or an unknown unit.
    """
    return _scaled(text, _DECIBELS, "30 dB")


def format_bytes(size_bytes: float) -> str:
    """Write a size for people: `152 B`, `64.0 KiB`, `1.25 MiB`."""
    for unit, scale, digits in (("GiB", 2**30, 2), ("MiB", 2**20, 2), ("KiB", 2**10, 1)):
        if abs(size_bytes) >= scale:
            return f"{size_bytes / scale:.{digits}f} {unit}"
    return f"{size_bytes:.0f} B"


def format_duration_ns(duration_ns: float) -> str:
    """Write a duration for people: `812 ns`, `25.3 µs`, `4.12 ms`, `1.50 s`."""
    for unit, scale, digits in (("s", 1e9, 2), ("ms", 1e6, 2), ("µs", 1e3, 1)):
        if abs(duration_ns) >= scale:
            return f"{duration_ns / scale:.{digits}f} {unit}"
    return f"{duration_ns:.0f} ns"


def format_interval_ns(low_ns: float, high_ns: float) -> str:
    """Write the bounds of a duration for people, their unit once: `[1.9 – 2.1 ms]`."""
    low, high = format_duration_ns(low_ns), format_duration_ns(high_ns)
    if low.split()[-1] == high.split()[-1]:
        low = low.split()[0]
    return f"[{low} – {high}]"


def format_elapsed_ns(elapsed_ns: float) -> str:
    """Write how long a person waited: `0.4 s`, `12.3 s`, `3 min 5 s`."""
    seconds = elapsed_ns / 1e9
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def _written(unit: str) -> Callable[[float], str]:
    # A settings value leaves as text with its unit, so that what a child process or a record
    # holds is read back by the same strict parser that reads the user's file.
    def write(value: float) -> str:
        return f"{value!r} {unit}"

    return write


def _shortest(
    units: Mapping[str, float], parse: Callable[[object], float]
) -> Callable[[float], str]:
    # As above, in the unit that says exactly the same in the fewest characters.
    base = next(iter(units))

    def write(value: float) -> str:
        texts = [
            f"{str(value / scale).removesuffix('.0')} {unit}"
            for unit, scale in sorted(units.items(), key=lambda item: -item[1])
            if value >= scale
        ]
        exact = (text for text in texts if parse(text) == value)
        return min(exact, key=len, default=f"{value!r} {base}")

    return write


Bytes = Annotated[
    int, BeforeValidator(parse_bytes), PlainSerializer(_shortest(_BYTES, parse_bytes))
]
DurationS = Annotated[float, BeforeValidator(parse_duration_s), PlainSerializer(_written("s"))]
FrequencyHz = Annotated[
    int,
    BeforeValidator(parse_frequency_hz),
    PlainSerializer(_shortest(_HERTZ, parse_frequency_hz)),
]
BytesPerSecond = Annotated[
    float,
    BeforeValidator(parse_bytes_per_second),
    PlainSerializer(_shortest(_BYTES_PER_SECOND, parse_bytes_per_second)),
]
Percent = Annotated[float, BeforeValidator(parse_percent), PlainSerializer(_written("%"))]
Points = Annotated[float, BeforeValidator(parse_points), PlainSerializer(_written("pp"))]
