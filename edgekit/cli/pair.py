"""A float file and the int8 one made from it, timed in turns on this machine."""

from dataclasses import dataclass, replace

from edgekit.budget.files import file_result
from edgekit.config.target import load_target
from edgekit.core import wire
from edgekit.core.artifact import Artifact
from edgekit.core.progress import Progress
from edgekit.core.results import Latency, Profile
from edgekit.core.samples import Samples
from edgekit.errors import EdgekitError
from edgekit.profiling.drawbacks import slower_notes
from edgekit.profiling.profile import profile
from edgekit.profiling.settings import ProfileSettings
from edgekit.units import format_duration_ns

_HOST = "host"
_QUICK = ProfileSettings(runs=100, time_limit=2.0, timeout=60.0)
_SAMPLES = 16


@dataclass(frozen=True)
class TimedPair:
    """What both files cost on this machine, or a note that says why nobody knows."""

    profiles: tuple[Profile, ...]
    notes: tuple[str, ...]

    def line(self) -> str:
        """Return the int8 file's time, alone and as a multiple of the float file's."""
        latencies = [one.latency for one in self.profiles if isinstance(one.latency, Latency)]
        if len(latencies) != 2:
            return ""
        plain, small = latencies
        ratio = small.median_ns / plain.median_ns
        return f"{format_duration_ns(small.median_ns)} on {_HOST}, {ratio:.2f} of the float file"

    def plain(self) -> dict[str, object]:
        """Return the profiles by precision, of JSON's own types."""
        return dict(zip(("float", "int8"), map(wire.plain, self.profiles), strict=False))


def time_pair(plain: Artifact, small: Artifact, samples: Samples, progress: Progress) -> TimedPair:
    """Return what both files cost on this machine; a failure is a note, for the work is done."""
    target = load_target(_HOST)
    try:
        found = profile((plain, small), target, samples.head(_SAMPLES), _QUICK, progress=progress)
    except EdgekitError as error:
        return TimedPair((), (f"the files were not timed: {error.message}",))
    before, after = (
        file_result(file, (taken,)) for file, taken in zip((plain, small), found, strict=True)
    )
    named = replace(before, label="the float file")
    return TimedPair(found, tuple(slower_notes(after, named, ())))
