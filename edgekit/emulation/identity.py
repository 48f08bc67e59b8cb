"""How a core introduces itself to programs, and which QEMU processor model stands in for it."""

from dataclasses import dataclass
from types import MappingProxyType

from edgekit.core.registry import did_you_mean
from edgekit.errors import UnsupportedError

_V8_0 = "fp asimd evtstrm crc32 cpuid"
_V8_2 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)


@dataclass(frozen=True)
class Identity:
    """One core as `/proc/cpuinfo` shows it.

    Attributes:
        part: Part number of the main identification register.
        variant: Major revision.
        revision: Minor revision.
        features: What Linux calls its instruction set extensions.
        qemu_cpu: The model of QEMU 7.2 that executes the same instruction set. Never `max`:
            it runs extensions that none of these cores has.
    """

    part: int
    variant: int
    revision: int
    features: str
    qemu_cpu: str

    @property
    def has_dot_product(self) -> bool:
        """Whether SDOT and UDOT exist: four int8 products a lane at once."""
        return "asimddp" in self.features.split()


# Parts: Linux, arch/arm64/include/asm/cputype.h. Features: /proc/cpuinfo of boards with the
# core; the crypto extensions are optional, and no kernel of a runtime asks for them.
IDENTITIES = MappingProxyType(
    {
        "cortex-a53": Identity(0xD03, 0, 4, _V8_0, "cortex-a53"),
        "cortex-a55": Identity(0xD05, 2, 0, _V8_2, "cortex-a76"),
        "cortex-a57": Identity(0xD07, 1, 1, _V8_0, "cortex-a57"),
        "cortex-a72": Identity(0xD08, 0, 3, _V8_0, "cortex-a72"),
        "cortex-a73": Identity(0xD09, 0, 2, _V8_0, "cortex-a72"),
        "cortex-a76": Identity(0xD0B, 4, 1, _V8_2, "cortex-a76"),
        "cortex-a78": Identity(0xD41, 1, 0, _V8_2, "cortex-a76"),
        "cortex-x1": Identity(0xD44, 1, 0, _V8_2, "cortex-a76"),
        "neoverse-n1": Identity(0xD0C, 3, 1, _V8_2, "neoverse-n1"),
    }
)

_ONLY_32_BIT = frozenset({"arm1176", "cortex-a5", "cortex-a7", "cortex-a8", "cortex-a9"})


def has_dot_product(core: str) -> bool:
    """Whether a core has int8 dot products; one that nobody knows counts as a new one."""
    if core in _ONLY_32_BIT:
        return False
    return core not in IDENTITIES or IDENTITIES[core].has_dot_product


def identity_of(core: str) -> Identity:
    """Return the identity of the core called `core`.

    Raises:
        UnsupportedError: The emulator does not know it; the message names the closest.
    """
    if core in _ONLY_32_BIT:
        raise UnsupportedError(
            f"'{core}' is a 32-bit core, and the emulated runtimes exist for 64-bit ARM only",
            hint="measure on the board itself, or profile for a 64-bit one such as rpi-zero2w",
        )
    if core not in IDENTITIES:
        raise UnsupportedError(
            f"the emulator has no core '{core}'{did_you_mean(core, IDENTITIES)}",
            hint=f"it has: {', '.join(IDENTITIES)}",
        )
    return IDENTITIES[core]
