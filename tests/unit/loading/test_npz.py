import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import EdgekitError, InputRefusedError
from edgekit.loading.npz import read_npz


def npy_header(shape: tuple[int, ...], descr: str = "<f4", version: int = 1) -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape!r}, }}".ljust(117) + "\n"
    kind = "<H" if version == 1 else "<I"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(kind, len(text)) + text.encode()


def zipped(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["labels", "y"])
def test_arrays_become_inputs_and_labels(tmp_path: Path, name: str) -> None:
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    arrays = {"image": x, name: np.array([1, 0, 2])}
    np.savez_compressed(tmp_path / "a.npz", allow_pickle=False, **arrays)

    samples = read_npz(tmp_path / "a.npz", tmp_path / "out")

    assert samples.names == ("image",)
    assert samples.labels().tolist() == [1, 0, 2]
    np.testing.assert_array_equal(samples.inputs()["image"], x)


def test_an_input_may_be_called_y_beside_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", y=np.ones((2, 1)), labels=np.array([0, 1]))

    samples = read_npz(tmp_path / "a.npz", tmp_path / "out")

    assert samples.names == ("y",)


def test_python_objects_are_refused_before_they_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([{"a": 1}], dtype=object))

    with pytest.raises(InputRefusedError, match="Python objects"):
        read_npz(tmp_path / "a.npz", tmp_path / "out")


def test_a_bomb_of_zeros_is_refused_by_its_ratio(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(260):
            member.write(bytes(2**20))

    with pytest.raises(InputRefusedError, match="times its size"):
        read_npz(path, tmp_path / "out")


def test_a_small_array_of_zeros_is_welcome(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((1000, 100), np.float32))

    assert read_npz(tmp_path / "a.npz", tmp_path / "out").count == 1000


def test_arrays_past_the_limit_are_refused_unread(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(1000))

    with pytest.raises(InputRefusedError, match=r"would unpack to .* more than 1000 B"):
        read_npz(tmp_path / "a.npz", tmp_path / "out", largest_bytes=1000)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (npy_header((2**50,)), "claims the shape"),
        (npy_header((-4,)) + bytes(16), "claims the shape"),
        (npy_header((2,)) + bytes(4), "claims the shape"),
        (npy_header((2,), version=3) + bytes(8), "format 3.0 is not read"),
        (b"nonsense", "is no usable array"),
        (npy_header((1,), descr="|O") + bytes(8), "Python objects"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    path = zipped(tmp_path / "a.npz", ("x.npy", content))

    with pytest.raises(InputRefusedError) as caught:
        read_npz(path, tmp_path / "out")

    assert told in caught.value.message


def test_too_many_and_twice_named_arrays_are_refused(tmp_path: Path) -> None:
    row = npy_header((1,)) + bytes(4)
    many = zipped(tmp_path / "many.npz", *((f"x{index}.npy", row) for index in range(257)))
    twice = zipped(tmp_path / "twice.npz", ("x", row), ("x.npy", row))

    with pytest.raises(InputRefusedError, match="257 arrays, more than 256"):
        read_npz(many, tmp_path / "out")
    with pytest.raises(InputRefusedError, match="two arrays of one name"):
        read_npz(twice, tmp_path / "out")


def test_a_missing_archive_names_the_closest(tmp_path: Path) -> None:
    (tmp_path / "calib.npz").write_bytes(b"")

    with pytest.raises(InputRefusedError, match=r"did you mean 'calib\.npz'"):
        read_npz(tmp_path / "calb.npz", tmp_path / "out")


@given(place=st.integers(0, 10_000), value=st.integers(0, 255), kept=st.integers(0, 400))
def test_a_damaged_archive_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, kept: int
) -> None:
    folder = tmp_path_factory.mktemp("npz")
    whole = io.BytesIO()
    np.savez_compressed(whole, x=np.arange(40, dtype=np.float32))
    content = bytearray(whole.getvalue())
    content[place % len(content)] = value
    (folder / "a.npz").write_bytes(content[: len(content) - kept % len(content) // 8])

    try:
        samples = read_npz(folder / "a.npz", folder / "out")
    except EdgekitError as error:
        assert error.exit_code in {2, 3}  # noqa: PT017  both ends are right
    else:
        assert samples.count >= 1


def test_a_single_array_is_told_how_to_become_an_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))

    with pytest.raises(InputRefusedError, match="a single array") as caught:
        read_npz(tmp_path / "x.npy", tmp_path / "samples")

    assert "numpy.savez('samples.npz', input_name=numpy.load('x.npy'))" in caught.value.hint
