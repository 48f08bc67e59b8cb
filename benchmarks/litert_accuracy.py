"""Hold emulated LiteRT against published latencies of MobileNetV1 and V2 with four threads.

    python benchmarks/mobilenets.py FOLDER
    python benchmarks/litert_accuracy.py --models FOLDER

The constants are those of the targets, fitted to another runtime (ncnn).
"""

import argparse
import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
THREADS = 4
TARGETS = {"Raspberry Pi 3B+": "rpi3b+", "Raspberry Pi 4B": "rpi4"}
FILES = {
    ("mobilenet_v1_1.0", "fp32"): "mobilenet_v1.tflite",
    ("mobilenet_v1_1.0", "int8"): "mobilenet_v1.int8.tflite",
    ("mobilenet_v2_1.0", "fp32"): "mobilenet_v2.tflite",
    ("mobilenet_v2_1.0", "int8"): "mobilenet_v2.int8.tflite",
}
RUNTIMES = ("XNNPACK", "TFLite")


@dataclass(frozen=True)
class Published:
    """One row of the table of published latencies."""

    device: str
    runtime: str
    abi: str
    file: str
    latency_ms: float


def read_published() -> list[Published]:
    """Read the four-thread rows of both networks on boards there is a target for."""
    found = []
    with (HERE / "data" / "latency_calibration.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            name = FILES.get((line["model"], line["dtype"]))
            is_known = line["device"] in TARGETS and line["runtime"].startswith(RUNTIMES)
            if name is None or not is_known or not line["threads"].startswith(str(THREADS)):
                continue
            latency_ms = float(line["latency_min_ms"] or line["latency_ms"])
            runtime = line["runtime"].split()[0]
            found.append(Published(line["device"], runtime, line["abi"] or "?", name, latency_ms))
    return found


def emulated_ms(path: Path, target: str) -> float:
    """Return what `edgekit profile` says of a model on a target with four threads."""
    command = [sys.executable, "-m", "edgekit", "profile", str(path), "--target", target]
    command += ["--threads", str(THREADS), "--json", "--quiet"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    report = json.loads(ran.stdout)
    return float(report["artifacts"][0]["profiles"][0]["latency"]["median_ns"]) / 1e6


def main() -> int:
    """Profile every file on every board, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="what mobilenets.py wrote")
    folder = parser.parse_args().models
    emulated: dict[tuple[str, str], float] = {}
    head = f"{'device':<18}{'published by':<14}{'abi':<7}{'model':<26}"
    print(f"{head}{'ms':>7}{'emulated':>9}{'off':>6}")
    for row in read_published():
        key = (row.device, row.file)
        if key not in emulated:
            emulated[key] = emulated_ms(folder / row.file, TARGETS[row.device])
        off_percent = 100.0 * (emulated[key] / row.latency_ms - 1.0)
        print(
            f"{row.device:<18}{row.runtime:<14}{row.abi:<7}{row.file:<26}{row.latency_ms:7.1f}"
            f"{emulated[key]:9.1f}{off_percent:+5.0f}%"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
