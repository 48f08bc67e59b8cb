"""What emulated profiles add to a report: what was executed, and why it takes its time."""

from collections.abc import Iterator, Sequence

from edgekit.core.results import ArtifactResult, Emulation
from edgekit.reporting.grids import Column, Grid
from edgekit.reporting.notes import Note

_HEADINGS = (
    *("name", "target", "instructions", "cycles", "L1 misses", "from memory"),
    *("dot product", "multiply-add", "load/store", "waiting"),
)


def emulation_grids(rows: Sequence[ArtifactResult]) -> tuple[Grid, ...]:
    """Return the table of what each emulated inference executed, if any was emulated."""
    cells = tuple((label, target, *_cells(found)) for label, target, found in _emulations(rows))
    if not cells:
        return ()
    columns = tuple(Column(heading, place > 1) for place, heading in enumerate(_HEADINGS))
    return (Grid("executed in one inference, on one thread", columns, cells, naming=2),)


def cause_notes(rows: Sequence[ArtifactResult]) -> list[Note]:
    """Return why the emulated models take the time they take."""
    return [
        Note(f"{label} on {target}", cause)
        for label, target, found in _emulations(rows)
        for cause in found.causes
    ]


def band_notes(rows: Sequence[ArtifactResult]) -> list[Note]:
    """Return how sure the emulated times are, and how they came about."""
    lines = [
        Note(target, f"within {found.band_percent:g} % for nearly all models; {found.model}")
        for _, target, found in _emulations(rows)
    ]
    lines += [Note(target, note) for _, target, found in _emulations(rows) for note in found.notes]
    return list(dict.fromkeys(lines))


def _emulations(rows: Sequence[ArtifactResult]) -> Iterator[tuple[str, str, Emulation]]:
    for row in rows:
        for profile in row.profiles:
            if isinstance(profile.emulation, Emulation):
                yield row.label, profile.target, profile.emulation


def _cells(found: Emulation) -> tuple[str, ...]:
    return (
        _count(found.instructions),
        _count(found.cycles),
        _count(found.cache_misses[0]),
        _count(found.cache_misses[-1]),
        *(
            f"{percent:.1f} %"
            for percent in (
                found.dot_product_percent,
                found.fma_percent,
                found.load_store_percent,
                found.memory_percent,
            )
        ),
    )


def _count(value: float) -> str:
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.4g} {letter}"
    return f"{value:.0f}"
