from dataclasses import replace

from support.results import latency, profile, record, row, size_bill

from edgekit.core.results import OperatorTime, SizeRow, Unavailable
from edgekit.reporting.grids import files_grid, operator_grid, run_grid, size_grid, size_grids


def test_run_grid_has_a_column_pair_for_every_target() -> None:
    headings = [column.heading for column in run_grid(record().artifacts, None).columns]

    assert headings == [
        "name", "top1", "loss", "bytes", "ratio",
        "latency on host", "memory on host", "latency on rpi4", "memory on rpi4",
    ]  # fmt: skip


def test_a_column_without_a_figure_is_left_out() -> None:
    bare = row(fidelity=Unavailable("no labels"), profiles=())

    run, files = run_grid([bare], None), files_grid([bare], None)

    assert [column.heading for column in run.columns] == ["name", "bytes", "ratio"]
    assert [column.heading for column in files.columns] == ["name", "bytes"]
    assert files.rows == (("onnx-int8", "58.6 KiB"),)


def test_bytes_are_explained_only_where_a_size_goal_is_missed() -> None:
    given = record()

    titles = [grid.title for grid in size_grids(given.artifacts, given.verdict)]

    assert titles == ["where the bytes of onnx-int8 are"]
    assert list(size_grids(given.artifacts, None)) == []


def test_many_operator_types_are_summed_up_in_a_row() -> None:
    rows = tuple(SizeRow(f"Op{i}", 100, 1) for i in range(15))

    grid = size_grid("m", replace(size_bill(), by_op_type=rows))

    assert ("other operators", "500 B", "0.8 %", "5") in [
        (name.removeprefix("weights of "), *rest) for name, *rest in grid.rows
    ]


def test_slowest_operators_come_first_and_the_rest_is_summed_up() -> None:
    times = tuple(OperatorTime(f"op{i}", "Conv", i * 1000.0, i / 0.66) for i in range(12))
    taken = profile(latency=replace(latency(), operators=times))

    grid = operator_grid("m", taken)

    assert grid is not None
    assert [cells[0] for cells in grid.rows][:2] == ["op11", "op10"]
    assert grid.rows[-1][0] == "2 others"


def test_operators_of_which_none_stands_out_are_summed_up_by_type() -> None:
    times = tuple(
        OperatorTime(f"op{i}", "Conv" if i % 4 else f"Type{i}", 1000.0, 1.0) for i in range(100)
    )
    taken = profile(latency=replace(latency(), operators=times))

    grid = operator_grid("m", taken)

    assert grid is not None
    assert grid.rows[0] == ("Conv", "75", "75.0 µs", "75.0 %")
    assert grid.rows[-1] == ("16 other types", "16", "16.0 µs", "16.0 %")


def test_profile_without_operator_times_has_no_such_table() -> None:
    assert operator_grid("m", profile(latency=Unavailable("why"))) is None
    untimed = replace(latency(), operators=Unavailable("why"))
    assert operator_grid("m", profile(latency=untimed)) is None


def test_operators_that_take_no_time_are_summed_up() -> None:
    times = {"conv": 900.0, "fc": 95.0, "add": 4.0, "relu": 1.0, "reshape": 0.0}
    operators = tuple(
        OperatorTime(name, name, time_ns, time_ns / 10) for name, time_ns in times.items()
    )

    grid = operator_grid("x", profile(latency=replace(latency(), operators=operators)))

    assert grid is not None
    assert [cells[0] for cells in grid.rows] == ["conv", "fc", "3 others"]
    assert grid.rows[-1][-1] == "0.5 %"
