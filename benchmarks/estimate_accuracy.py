"""How far `edgekit profile --estimate` is off, on published latencies of ten boards.

    python benchmarks/estimate_accuracy.py

The estimate is multiply-accumulates over the peak rate of the core, times a constant for float
and one for int8. This prints what the constants come out as, each board's error with the
constants of the other boards, and how many of those predictions lie within the band that
`profile` prints. Needs no emulator and no network.
"""

import sys
import tomllib

import numpy as np
from emulator_accuracy import HERE, Row, read_measured
from ncnn_counts import Network

from edgekit.profiling.profilers.roofline import (
    BAND_FACTOR,
    FLOAT_OVER_IDEAL,
    INT8_OVER_IDEAL,
    PEAKS,
)

HALF_FLOAT_CORES = {"cortex-a55", "cortex-a76"}
"""On these ncnn computes "fp32" in half floats, at twice the rate of float."""


def ratios(row: Row, networks: list[Network]) -> dict[bool, list[float]]:
    """Return measured over ideal time of a board's networks: float ones, and int8 ones."""
    measured = read_measured(row, networks)
    core = row.core.lower()
    float_peak, int8_peak = PEAKS[core]
    if core in HALF_FLOAT_CORES:
        float_peak *= 2
    found: dict[bool, list[float]] = {False: [], True: []}
    for network in networks:
        if network.name in measured.one_thread:
            is_int8 = network.name.endswith("int8")
            ideal_cycles = network.macs * 1e6 / (int8_peak if is_int8 else float_peak)
            ideal_ns = ideal_cycles * 1e9 / measured.clock_hz
            found[is_int8].append(measured.one_thread[network.name] / ideal_ns)
    return found


def mean(values: list[float]) -> float:
    """Return the geometric mean: a factor too large counts as much as one too small."""
    return float(np.exp(np.mean(np.log(values))))


def main() -> int:
    """Print the table; return 1 when the shipped constants are not the fitted ones."""
    table = tomllib.loads((HERE / "emulator_accuracy.toml").read_text(encoding="utf-8"))
    networks = [Network(name=name, **said) for name, said in table["networks"].items()]
    boards = {row.title: ratios(row, networks) for row in (Row(**b) for b in table["board"])}
    print(
        f"{'board':36} {'float':>6} {'int8':>6}   typical and worst factor off, others' constants"
    )
    factors: list[float] = []
    for title, own in boards.items():
        off = []
        for is_int8, values in own.items():
            others = [v for name, o in boards.items() if name != title for v in o[is_int8]]
            off += [max(v / mean(others), mean(others) / v) for v in values]
        factors += off
        constants = f"{mean(own[False]):6.2f} {mean(own[True]):6.2f}"
        print(f"{title:36} {constants}   {np.median(off):.2f} {max(off):.2f}")
    fitted = [
        mean([v for own in boards.values() for v in own[is_int8]]) for is_int8 in (False, True)
    ]
    within = 100 * np.mean(np.array(factors) <= BAND_FACTOR)
    print(f"\nfitted to all: float {fitted[0]:.2f}, int8 {fitted[1]:.2f}")
    print(f"shipped:       float {FLOAT_OVER_IDEAL:.2f}, int8 {INT8_OVER_IDEAL:.2f}")
    print(
        f"{len(factors)} predictions with the board left out: half within a factor of "
        f"{np.median(factors):.2f}, 90 % within {np.percentile(factors, 90):.2f}, "
        f"{within:.0f} % within the band of {BAND_FACTOR:g}"
    )
    return int(not np.allclose(fitted, [FLOAT_OVER_IDEAL, INT8_OVER_IDEAL], rtol=0.05))


if __name__ == "__main__":
    sys.exit(main())
