"""A board, or this machine: what a model is profiled on."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated

from pydantic import Field

from edgekit.core.formats import Format
from edgekit.units import Bytes, BytesPerSecond, FrequencyHz, Percent


class ConnectKind(Enum):
    """How edgekit reaches a target; the value names the profiler that does it."""

    HOST = "host"
    EMULATOR = "emulator"
    ROOFLINE = "roofline"


class Runtime(Enum):
    """A library that runs models on a board."""

    ONNXRUNTIME = "onnxruntime"
    LITERT = "litert"
    TFLITE_RUNTIME = "tflite-runtime"

    @property
    def format(self) -> Format:
        """The format it runs."""
        return Format.ONNX if self is Runtime.ONNXRUNTIME else Format.TFLITE


@dataclass(frozen=True)
class Destination:
    """What a file is to run on, as far as its best form depends on that.

    Attributes:
        runtimes: Libraries that are to run it.
        dot_products: Whether all cores have int8 dot products: four products a lane at once.
    """

    runtimes: tuple[Runtime, ...] = ()
    dot_products: bool = True


ANYWHERE = Destination()
"""What is meant where nothing is known: the usual libraries, on cores of today."""


_USUAL = {Format.ONNX: Runtime.ONNXRUNTIME, Format.TFLITE: Runtime.LITERT}


@dataclass(frozen=True)
class Cache:
    """One cache as a core sees it.

    Attributes:
        size: All of it.
        ways: How many lines one set holds.
        shared: Whether other cores fill it too.
    """

    size: Bytes
    ways: Annotated[int, Field(ge=1, le=64)]
    shared: bool = False


@dataclass(frozen=True)
class Board:
    """What decides how fast a board is.

    Attributes:
        soc: The chip, as its maker calls it.
        core: The core that runs the model, such as `cortex-a72`.
        cores: How many of that core there are.
        clock: The clock the figures hold for.
        ram: Memory that programs can have.
        l1i: First-level instruction cache.
        data_caches: First-level data cache, then the ones behind it.
        memory_read: Sustained read bandwidth of one core.
    """

    soc: str
    core: str
    cores: Annotated[int, Field(ge=1, le=64)]
    clock: FrequencyHz
    ram: Bytes
    l1i: Cache
    data_caches: tuple[Cache, ...]
    memory_read: BytesPerSecond


@dataclass(frozen=True)
class Calibration:
    """Constants fitted to measurements of a board, or of others with its core.

    Attributes:
        efficiency: Cycles measured per cycle of the static schedule.
        memory_line_ns: What a line that misses the last cache costs.
        thread_line_ns: What a line that moves costs on top when all cores ask (beta).
        thread_layer_us: What starting and joining the threads of one layer costs (gamma).
        band: Half the width of the error band: nearly all models not fitted to are within it.
        thread_band: The same for more than one thread.
        measurements: What was fitted, and where it was published.
    """

    efficiency: float
    memory_line_ns: float
    thread_line_ns: float
    thread_layer_us: float
    band: Percent
    thread_band: Percent
    measurements: str


@dataclass(frozen=True)
class Target:
    """What is known about one target.

    `sources` says of each number where it is from; `runtimes` names what runs a format on it
    where that is not the usual library.
    """

    name: str
    title: str
    connect: ConnectKind
    threads: int
    board: Board | None = None
    calibration: Calibration | None = None
    sources: dict[str, str] = field(default_factory=dict)
    runtimes: dict[Format, Runtime] = field(default_factory=dict)

    def runtime_of(self, format_: Format) -> Runtime:
        """Return the library that runs models of a format on it."""
        return self.runtimes.get(format_, _USUAL[format_])
