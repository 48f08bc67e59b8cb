"""Run the recipes and print what becomes of every family of models, as one Markdown table.

    python benchmarks/families.py > docs/families.md
    python benchmarks/families.py mnist-resnet mnist-vit

Nothing is downloaded; a recipe whose data is not on this machine says so in its row. Finished
steps are kept in the workspace, so that a second run takes seconds.
"""

import argparse
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.config.lookup import Folder, available
from edgekit.config.recipe import load_recipe
from edgekit.core.artifact import Format
from edgekit.core.results import (
    ArtifactResult,
    Emulation,
    Fidelity,
    Latency,
    Level,
    Outcome,
    RunRecord,
    Unavailable,
)
from edgekit.core.workspace import Workspace
from edgekit.errors import EdgekitError
from edgekit.pipeline.rows import FLOAT_ROW, INT8_ROW
from edgekit.pipeline.run import RunOptions, run_recipe
from edgekit.pipeline.steps import STAYS_FLOAT
from edgekit.reporting.words import NOTHING, loss_text, percent_text, rule_text, score_text

COLUMNS = (
    "recipe",
    "format",
    "parity",
    "metric",
    "fp32",
    "int8",
    "loss",
    "SQNR",
    "fp32 bytes",
    "int8 bytes",
    "ratio",
    "host",
    "rpi4",
    "MACs in int8",
    "what stands out, and what stays float",
)
HEAD = """# Families of models

What `edgekit run` makes of the recipes that edgekit ships, printed by
`python benchmarks/families.py` on {machine} ({versions}; one thread, batch 1).

- *parity*: the float file against PyTorch, as the root mean square of the difference over that
  of the output, on all test samples. The goal is 1e-4.
- *fp32*, *int8*, *loss*: the metric on the test samples, and what int8 costs. Goals: 1 pp,
  0.1 dB, 1 % of bits per character, no return.
- *SQNR*: power of the float file's outputs over that of the difference int8 makes.
- *ratio*: bytes of int8 over those of float of the same format. Goal: at most 0.32 (0.35 for
  RNN, LSTM and GRU).
- *host*, *rpi4*: time of int8 over that of float, measured on this machine, and on
  {board}.
  Goal: at most 1. A file counts as **slower**, and is explained, where the intervals of measured
  times do not meet, or where emulated times are more than 5 % apart.
"""

HOST, BOARD = "host", "rpi4"
"""The targets whose times are compared."""

SLOWER_NOTE = re.compile(r"slower than (.+)")
"""How a run says that int8 takes longer than float, on which target, and why."""

LARGEST = 0.32
"""The share of the float file's bytes that an int8 file should keep to."""

VERSIONS = ("torch", "onnxruntime", "ai-edge-litert", "litert")


@dataclass(frozen=True)
class Pair:
    """The float and the int8 file of one format in one run; either may be missing."""

    format: Format
    plain: ArtifactResult | None
    small: ArtifactResult | None


class Told:
    """Progress, as one line a step on stderr."""

    def update(self, step: str, done: int, total: int, note: str = "") -> None:
        """See `Progress.update`."""
        if done == total:
            sys.stderr.write(f"  {step} {note}\n")


def main() -> int:
    """Run the recipes, print the table, and return 1 when one could not be run."""
    shipped = [one.name for one in available(Folder.RECIPES) if one.shipped]
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="all, unless some are named")
    parser.add_argument("--workspace", type=Path, default=Path(".edgekit"))
    arguments = parser.parse_args()
    workspace = Workspace(arguments.workspace.absolute())
    found = {name: run(name, workspace) for name in arguments.recipes or shipped}
    records = {name: one for name, one in found.items() if isinstance(one, RunRecord)}
    lines = [line(COLUMNS), line(["---"] * len(COLUMNS))]
    for name, one in found.items():
        if isinstance(one, RunRecord):
            lines += [line(cells) for cells in rows(one)]
        else:
            lines.append(line([name, *[NOTHING] * (len(COLUMNS) - 2), one]))
    if records:
        print(head(next(iter(records.values()))))
    print("\n".join(lines))
    return int(len(records) < len(found))


def run(name: str, workspace: Workspace) -> RunRecord | str:
    """Return the record of one recipe's run, or why there is none."""
    sys.stderr.write(f"{name}\n")
    try:
        recipe = load_recipe(name, trust_code=False)
        return run_recipe(recipe, RunOptions(workspace), Told())
    except EdgekitError as error:
        return f"not run: {error.message}; {error.hint}"


def head(record: RunRecord) -> str:
    """Return what stands above the table."""
    versions = [f"{name} {record.versions[name]}" for name in VERSIONS if name in record.versions]
    return HEAD.format(
        machine=record.host["machine"], versions=", ".join(versions), board=board(record)
    )


def board(record: RunRecord) -> str:
    """Return what the board is, and how sure its times are; or why there are none."""
    profiles = [one for row in record.artifacts for one in row.profiles if one.target == BOARD]
    for found in profiles:
        if isinstance(found.emulation, Emulation):
            return f"an {found.machine}, within {found.emulation.band_percent:g} %"
        if isinstance(found.latency, Unavailable):
            return f"a board that is out of reach here: {found.latency.reason}"
    return "a board that no recipe names"


def rows(record: RunRecord) -> Iterator[tuple[str, ...]]:
    """Yield the cells of every format of one run."""
    by_label = {row.label: row for row in record.artifacts}
    for file_format in Format:
        pair = Pair(
            file_format,
            by_label.get(FLOAT_ROW[file_format].value),
            by_label.get(INT8_ROW[file_format].value),
        )
        if pair.plain is None and pair.small is None and not failures(record, pair):
            continue
        yield (
            record.recipe,
            file_format.value,
            parity(pair.plain),
            *scores(pair),
            sqnr(pair.small),
            *sizes(pair),
            latency_ratio(pair, HOST),
            latency_ratio(pair, BOARD),
            int8_macs(pair.small),
            "; ".join(
                [
                    *failures(record, pair),
                    *misses(record, pair),
                    *slower(pair.small),
                    *larger(pair),
                    *stays_float(pair.small),
                ]
            ),
        )


def parity(plain: ArtifactResult | None) -> str:
    """Return the relative difference of a float file from what it was exported from."""
    fidelity = plain.step_fidelity if plain else None
    if not isinstance(fidelity, Fidelity):
        return NOTHING
    return f"{math.pow(10, -fidelity.sqnr_db / 20):.0e}"


def scores(pair: Pair) -> tuple[str, str, str, str]:
    """Return the metric's name, its two values, and the loss between them."""
    plain = pair.plain.fidelity if pair.plain else Unavailable("")
    small = pair.small.step_fidelity if pair.small else Unavailable("")
    name = plain.metric if isinstance(plain, Fidelity) else NOTHING
    return name, score_text(plain), score_text(small), loss_text(small)


def sqnr(small: ArtifactResult | None) -> str:
    """Return how alike the outputs of the int8 and the float file are."""
    fidelity = small.step_fidelity if small else None
    return f"{fidelity.sqnr_db:.1f} dB" if isinstance(fidelity, Fidelity) else NOTHING


def sizes(pair: Pair) -> tuple[str, str, str]:
    """Return both files' bytes, and their ratio."""
    plain, small = (one.size_bytes if one else 0 for one in (pair.plain, pair.small))
    ratio = f"{small / plain:.3f}" if plain and small else NOTHING
    return str(plain or NOTHING), str(small or NOTHING), ratio


def latency_ratio(pair: Pair, target: str) -> str:
    """Return the int8 file's median time on a target over the float file's."""
    times = [
        profile.latency.median_ns
        for one in (pair.plain, pair.small)
        for profile in (one.profiles if one else ())
        if profile.target == target and isinstance(profile.latency, Latency)
    ]
    return f"{times[1] / times[0]:.2f}" if len(times) == 2 else NOTHING


def slower(small: ArtifactResult | None) -> list[str]:
    """Return where int8 takes longer than float, and why."""
    found = [SLOWER_NOTE.fullmatch(note) for note in (small.notes if small else ())]
    return [f"**slower** than {one[1]}" for one in found if one]


def int8_macs(small: ArtifactResult | None) -> str:
    """Return the share of multiply-accumulates that the int8 file does in int8."""
    return (
        percent_text(small.profiles[0].int8_macs_percent) if small and small.profiles else NOTHING
    )


def stays_float(small: ArtifactResult | None) -> list[str]:
    """Return what stays float, by reason, such as `2 Add, 1 Relu: ...`."""
    return [
        note.removeprefix(STAYS_FLOAT)
        for note in (small.notes if small else ())
        if note.startswith(STAYS_FLOAT)
    ]


def larger(pair: Pair) -> list[str]:
    """Say what an int8 file consists of that is over the goal for its size."""
    small = pair.small
    if pair.plain is None or small is None or small.size_bytes <= LARGEST * pair.plain.size_bytes:
        return []
    bill = small.profiles[0].size if small.profiles else Unavailable("it was not profiled")
    if isinstance(bill, Unavailable):
        return [f"**over {LARGEST}**"]
    parts = ", ".join(f"{row.size_bytes} {row.label}" for row in bill.by_dtype)
    structure = f"{bill.overhead_bytes} the graph and what the format keeps beside tensors"
    return [f"**over {LARGEST}**: of {small.size_bytes} bytes {parts}, and {structure}"]


def failures(record: RunRecord, pair: Pair) -> list[str]:
    """Return which steps of this format failed, and why."""
    return [
        f"**{one.step} failed**: {one.message}"
        for one in record.failures
        if pair.format.value in one.step.lower()
    ]


def misses(record: RunRecord, pair: Pair) -> list[str]:
    """Return which rules of the recipe's budget the files of this format do not keep to."""
    labels = {one.label for one in (pair.plain, pair.small) if one}
    return [
        f"**{'missed' if rule.level is Level.ERROR else 'missed, as known'}**: {rule_text(rule)}"
        for rule in (record.verdict.rules if record.verdict else ())
        if rule.outcome is Outcome.FAIL and rule.artifact in labels
    ]


def line(cells: Sequence[str]) -> str:
    """Return one line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
