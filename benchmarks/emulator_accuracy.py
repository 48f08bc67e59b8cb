"""Hold the emulator's cycle model against published latencies of ten networks on ten boards.

    python benchmarks/emulator_accuracy.py --networks DIR

DIR holds ncnn's benchmark networks (`benchmark/*.param` of its repository). Counts are kept, so
that a second run takes seconds; `--counts FILE` takes them from a file instead of emulating.
Exits with 1 when a goal is missed.
"""

import argparse
import csv
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_plot import Point, write_plot
from ncnn_counts import Guest, Network, NetworkCounts, counts_of

from edgekit.config.target import load_target
from edgekit.core.target import Board
from edgekit.emulation.calibration import (
    Constants,
    Counts,
    Floats,
    Pair,
    fit,
    fit_threads,
    leave_one_out,
    leave_one_out_proportional,
    mean_error_percent,
    pairs_in_order,
    predict_threads,
)
from edgekit.fetching.debian_package import DebianPackage
from edgekit.fetching.python_package import Wheel

HERE = Path(__file__).parent
GOAL_LEFT_OUT_PERCENT = 10.0
GOAL_OTHER_BOARDS_PERCENT = 15.0
GOAL_PAIRS = 43 / 45
GOAL_RATIO = 0.15
GOAL_CORES = ("Cortex-A53", "Cortex-A72", "Cortex-A76")
SCALING_NETWORK = "mobilenet"
"""The one network whose latency fits the scale where a board's clock is in doubt."""


@dataclass(frozen=True)
class Row:
    """One device of the published table, and what stands for it here."""

    target: str
    device: str
    core: str
    ncnn: str
    row: str
    clock_in_doubt: bool = False

    @property
    def title(self) -> str:
        """Device and core, as the tables print them."""
        return f"{self.device}, {self.core.removeprefix('Cortex-')}"


@dataclass(frozen=True)
class Measured:
    """What was published for one device: nanoseconds by network."""

    clock_hz: float
    threads: int
    one_thread: dict[str, float]
    more_threads: dict[str, float]


@dataclass(frozen=True)
class Case:
    """One device with counts and measurements of the same networks, in the same order."""

    row: Row
    measured: Measured
    networks: tuple[Network, ...]
    counts: tuple[NetworkCounts, ...]

    @property
    def times_ns(self) -> list[float]:
        """The published time of each network with one thread."""
        return [self.measured.one_thread[network.name] for network in self.networks]

    @property
    def features(self) -> list[Counts]:
        """What the constants are fitted to."""
        pairs = zip(self.networks, self.counts, strict=True)
        return [counts.counts(network.name) for network, counts in pairs]

    def fitted(self) -> Constants:
        """The constants of this device, from all its networks."""
        return fit(self.features, self.times_ns, self.measured.clock_hz, line_ns=10.0)

    def predicted(self, constants: Constants) -> Floats:
        """The time of each network in ns with given constants."""
        clock_hz = self.measured.clock_hz
        return np.array([constants.time_ns(counts, clock_hz) for counts in self.features])

    def left_out(self) -> Floats:
        """The time of each network in ns with constants fitted to the others."""
        return leave_one_out(self.features, self.times_ns, self.measured.clock_hz, line_ns=10.0)


def read_measured(row: Row, networks: Sequence[Network]) -> Measured:
    """Read the published rows of one device; the minimum of a run is its least noisy figure."""
    one: dict[str, float] = {}
    more: dict[str, float] = {}
    clock_ghz, threads = 0.0, 1
    with (HERE / "data" / "latency_calibration.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if (line["device"], line["core"]) != (row.device, row.core):
                continue
            if line["runtime"] != "ncnn benchncnn":
                continue
            is_int8 = line["dtype"] == "int8"
            for network in networks:
                if network.model == line["model"] and network.name.endswith("int8") == is_int8:
                    times = one if line["threads"] == "1" else more
                    times[network.name] = float(line["latency_min_ms"]) * 1e6
                    threads = max(threads, int(line["threads"]))
            clock_ghz = float(line["clock_ghz"])
    return Measured(clock_ghz * 1e9, threads, one, more)


def lenders(case: Case, cases: Sequence[Case]) -> list[Case]:
    """Return the other devices, without those whose clock is in doubt."""
    return [
        other
        for other in cases
        if other.row.device != case.row.device and not other.row.clock_in_doubt
    ]


def from_other_boards(case: Case, cases: Sequence[Case]) -> Constants | None:
    """Return the mean constants of the other devices with this core.

    What a line from memory costs is taken relative to what the memory's bandwidth gives.
    """
    others = [other for other in lenders(case, cases) if other.row.core == case.row.core]
    if not others:
        return None
    per_bandwidth = [
        other.fitted().memory_line_ns * board_of_row(other.row).memory_read for other in others
    ]
    return Constants(
        float(np.mean([other.fitted().efficiency for other in others])),
        float(np.mean(per_bandwidth)) / board_of_row(case.row).memory_read,
    )


def from_any_board(case: Case, cases: Sequence[Case]) -> Constants:
    """Return the median constants of all other devices, whatever their core."""
    others = lenders(case, cases)
    per_bandwidth = [
        other.fitted().memory_line_ns * board_of_row(other.row).memory_read for other in others
    ]
    return Constants(
        float(np.median([other.fitted().efficiency for other in others])),
        float(np.median(per_bandwidth)) / board_of_row(case.row).memory_read,
    )


def scaled_by_one(case: Case, constants: Constants) -> Floats | None:
    """Predict with foreign constants, scaled so that one published latency comes out."""
    predicted = case.predicted(constants)
    names = [network.name for network in case.networks]
    if SCALING_NETWORK not in names:
        return None
    index = names.index(SCALING_NETWORK)
    scale: float = case.times_ns[index] / predicted[index]
    return predicted * scale


def worst_ratio(case: Case, predicted: Floats) -> float:
    """Return how far the int8/float ratio of a network is off at most."""
    names = [network.name for network in case.networks]
    worst = 0.0
    for index, name in enumerate(names):
        if f"{name}_int8" not in names:
            continue
        other = names.index(f"{name}_int8")
        measured = case.times_ns[other] / case.times_ns[index]
        worst = max(worst, abs(float(predicted[other] / predicted[index]) - measured))
    return worst


def thread_error(case: Case) -> tuple[str, float]:
    """Return the thread constants of a device as text, and what they miss on left-out networks."""
    features = {counts.name: counts for counts in case.features}
    shared = [name for name in features if name in case.measured.more_threads]
    if len(shared) < 3:
        return "-", float("nan")
    pairs = [
        Pair(features[name], case.measured.one_thread[name], case.measured.more_threads[name])
        for name in shared
    ]
    beta_ns, gamma_us = fit_threads(pairs, case.measured.threads)
    predicted = predict_threads(pairs, case.measured.threads)
    error = mean_error_percent(predicted, [pair.all_cores_ns for pair in pairs])
    return f"{case.measured.threads} {beta_ns:5.2f} ns {gamma_us:4.0f} us", error


def report(cases: Sequence[Case]) -> bool:
    """Print the tables, and return whether every goal is met."""
    print(
        "mean absolute error in percent, one thread\n"
        f"{'device':<36}{'none':>6}{'any':>6}{'other':>7}{'+one':>6}{'left':>6}{'MACs':>6}{'instr':>6}"
        f"{'pairs':>8}{'ratio':>7}{'efficiency':>12}{'ns/line':>9}"
    )
    met = True
    for case in cases:
        met &= report_case(case, cases)
    print("\nmore threads: law fitted to published pairs, error on networks left out")
    for case in cases:
        text, error = thread_error(case)
        print(f"{case.row.title:<36}{text:>20}{error:7.1f}")
    return met


def report_case(case: Case, cases: Sequence[Case]) -> bool:
    """Print one device's line, and return whether it meets the goals."""
    times = case.times_ns
    left_out, fitted = case.left_out(), case.fitted()
    other = from_other_boards(case, cases)
    other_percent = mean_error_percent(case.predicted(other), times) if other else float("nan")
    scaled = scaled_by_one(case, other) if other else None
    scaled_percent = mean_error_percent(scaled, times) if scaled is not None else float("nan")
    macs = leave_one_out_proportional([network.macs for network in case.networks], times)
    instructions = leave_one_out_proportional([c.instructions for c in case.counts], times)
    left_percent = mean_error_percent(left_out, times)
    instruction_percent = mean_error_percent(instructions, times)
    in_order, pairs = pairs_in_order(left_out, times)
    ratio = worst_ratio(case, left_out)
    is_judged = case.row.core in GOAL_CORES
    goals = {
        "left": not is_judged or left_percent <= GOAL_LEFT_OUT_PERCENT,
        "other": not other_percent > GOAL_OTHER_BOARDS_PERCENT,
        "instr": left_percent < instruction_percent,
        "pairs": in_order >= GOAL_PAIRS * pairs,
        "ratio": ratio <= GOAL_RATIO,
    }
    missed = [name for name, is_met in goals.items() if not is_met]
    print(
        f"{case.row.title:<36}"
        f"{mean_error_percent(case.predicted(Constants(1.0, 0.0)), times):6.1f}"
        f"{mean_error_percent(case.predicted(from_any_board(case, cases)), times):6.1f}"
        f"{other_percent:7.1f}{scaled_percent:6.1f}{left_percent:6.1f}"
        f"{mean_error_percent(macs, times):6.1f}{instruction_percent:6.1f}"
        f"{in_order:5d}/{pairs:<2d}{ratio:7.2f}{fitted.efficiency:12.2f}"
        f"{fitted.memory_line_ns:9.2f}{'  missed: ' + ', '.join(missed) if missed else ''}"
    )
    return not missed


def points_of(cases: Sequence[Case]) -> list[Point]:
    """Return every left-out prediction beside what was published."""
    return [
        Point(case.row.title, network.name, time_ns / 1e6, float(predicted) / 1e6)
        for case in cases
        for network, time_ns, predicted in zip(
            case.networks, case.times_ns, case.left_out(), strict=True
        )
    ]


def board_of_row(row: Row) -> Board:
    """Return the board that stands for a device."""
    board = load_target(row.target).board
    assert board is not None, f"the target {row.target} has a board"
    return board


def collect(
    table: Mapping[str, Any], networks_folder: Path | None, kept: Mapping[str, Any] | None
) -> list[Case]:
    """Return every device with its measurements and counts."""
    networks = [Network(name, **entry) for name, entry in table["networks"].items()]
    guest = Guest(
        tuple(DebianPackage(**entry) for entry in table["guest"]),
        tuple(Wheel(**entry) for entry in table["wheel"]),
    )
    cases = []
    for row in (Row(**entry) for entry in table["board"]):
        measured = read_measured(row, networks)
        chosen = tuple(network for network in networks if network.name in measured.one_thread)
        if kept is not None:
            found = [NetworkCounts(**kept[row.title][network.name]) for network in chosen]
        else:
            assert networks_folder is not None
            found = []
            for network in chosen:
                print(f"counting {network.name} on {row.title}", file=sys.stderr)
                param = networks_folder / f"{network.name}.param"
                found.append(counts_of(network, param, board_of_row(row), guest, row.ncnn))
        cases.append(Case(row, measured, chosen, tuple(found)))
    return cases


def main() -> int:
    """Count, fit, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--networks", type=Path, help="folder of ncnn's .param files")
    source.add_argument("--counts", type=Path, help="counts kept by --save")
    parser.add_argument("--save", type=Path, help="keep the counts in this file")
    parser.add_argument("--plot", type=Path, help="draw predicted against published, as SVG")
    asked = parser.parse_args()
    table = tomllib.loads((HERE / "emulator_accuracy.toml").read_text(encoding="utf-8"))
    kept = json.loads(asked.counts.read_text(encoding="utf-8")) if asked.counts else None
    cases = collect(table, asked.networks, kept)
    if asked.save:
        plain = {
            case.row.title: {
                network.name: asdict(counts)
                for network, counts in zip(case.networks, case.counts, strict=True)
            }
            for case in cases
        }
        asked.save.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    met = report(cases)
    if asked.plot:
        write_plot(points_of(cases), asked.plot)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
