"""What emulated profiles add to a report."""

from dataclasses import replace

from support.results import profile, row

from edgekit.core.results import ArtifactResult, Emulation
from edgekit.reporting.emulation import band_notes, cause_notes, emulation_grids
from edgekit.reporting.notes import Note

FOUND = Emulation(
    model="cycle model 1, fitted to ten rows",
    instructions=2_450_000,
    cycles=1_800.0,
    memory_percent=12.34,
    dot_product_percent=30.0,
    fma_percent=1.0,
    load_store_percent=25.0,
    cache_misses=(3_210_000_000, 999),
    band_percent=9.5,
    causes=("int8 pays here",),
    notes=("scaled to 4",),
)


def emulated(label: str = "a.onnx", found: Emulation = FOUND) -> ArtifactResult:
    return replace(row(label), profiles=(replace(profile("rpi4"), emulation=found),))


def test_profiles_that_were_not_emulated_add_nothing() -> None:
    rows = [row("a.onnx")]

    assert emulation_grids(rows) == ()
    assert cause_notes(rows) == []
    assert band_notes(rows) == []


def test_counts_are_written_with_four_digits() -> None:
    (grid,) = emulation_grids([emulated()])

    assert grid.rows[0][:6] == ("a.onnx", "rpi4", "2.45 M", "1.8 k", "3.21 G", "999")
    assert grid.rows[0][-1] == "12.3 %"
    assert len(grid.columns) == len(grid.rows[0])


def test_causes_name_the_model_and_the_target() -> None:
    assert cause_notes([emulated()]) == [Note("a.onnx on rpi4", "int8 pays here")]


def test_band_of_a_target_is_told_once() -> None:
    assert band_notes([emulated(), emulated("b.onnx")]) == [
        Note("rpi4", "within 9.5 % for nearly all models; cycle model 1, fitted to ten rows"),
        Note("rpi4", "scaled to 4"),
    ]
