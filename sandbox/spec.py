"""What is asked of a cell and what a cell promises: plain records that check themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from sandbox.errors import Refused

Kind: TypeAlias = Literal["wasm", "python"]
Profile: TypeAlias = Literal["strict", "native", "wasm"]
Tier: TypeAlias = Literal["root", "user", "reduced", "wasm-only"]

PROFILES: Final[tuple[Profile, ...]] = ("strict", "native", "wasm")
CODE_BYTES_MAX: Final = 64 << 20  # an agent's code travels in one frame
PIECE_BYTES_MAX: Final = 4 << 30  # of memory shared with a cell, for all large payloads of one call
INPUT_PIECES_MAX: Final = 2  # lent to one cell at once; one more is for its answers
EGRESS_MAX: Final = 8  # places one agent may declare
PLACE_BYTES_MAX: Final = 300
LAYERS: Final = (
    *("network", "filesystem", "processes", "privileges", "namespaces", "syscalls", "executable_memory"),
    *("descriptors", "memory", "threads", "disk", "open_files"),
    *("cgroup.memory", "cgroup.cpu", "cgroup.pids", "wasm"),
)  # all that a host may attest
NAME_CHARS_MAX: Final = 200
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class AgentImage:
    """An agent as it is loaded into a cell: its code and what the loader must know about it."""

    name: str
    kind: Kind
    code: bytes
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in {"wasm", "python"}:
            raise Refused(
                f"kind {self.kind!r} is unknown", place="image.kind", remedy="use 'wasm' or 'python'"
            )
        if not 0 < len(self.name) <= NAME_CHARS_MAX:
            raise Refused(f"a name has 1 to {NAME_CHARS_MAX} characters", place="image.name")
        if len(self.code) > CODE_BYTES_MAX:
            raise Refused(f"{len(self.code)} bytes of code, at most {CODE_BYTES_MAX}", place="image.code")


@dataclass(frozen=True, slots=True)
class CellLimits:
    """Bounds of one cell. What this host cannot enforce is named in `Attestation.missing`."""

    memory_bytes: int = 512 * _MIB
    cpu_cores: float = 1.0
    disk_bytes: int = 16 * _MIB
    wall_ms: int = 10_000
    output_bytes: int = 64 * _MIB
    open_files: int = 64
    threads: int = 16
    network_mbps: int = 0  # of all its connections together; without declared egress there are none

    # What a cell cannot live below or this package will not go above.
    RANGES = {  # noqa: RUF012  (a ClassVar annotation would make it a slot of the record)
        "memory_bytes": (32 * _MIB, 1 << 40),
        "cpu_cores": (0.01, 1024),
        "disk_bytes": (4096, 1 << 40),
        "wall_ms": (1, 24 * 3600 * 1000),
        "output_bytes": (4096, 1 << 31),
        "open_files": (16, 4096),
        "threads": (4, 1024),
        "network_mbps": (0, 100_000),
    }

    def __post_init__(self) -> None:
        for name, (low, high) in self.RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise Refused(f"{value} is outside {low} to {high}", place=f"limits.{name}")


@dataclass(frozen=True, slots=True)
class CellSpec:
    """One cell to be made. Without a profile, wasm agents get `wasm` and Python agents `strict`."""

    image: AgentImage
    limits: CellLimits = field(default_factory=CellLimits)
    profile: Profile | None = None
    requires: tuple[str, ...] = ()  # layers without which the agent must not run
    egress: tuple[str, ...] = ()  # "host:port" each; needs a broker that allows them
    first: tuple[str, ...] = ()  # capabilities asked, without inputs, before anything else is
    last: tuple[str, ...] = ()  # the same, before the cell is closed; not where it is killed

    def __post_init__(self) -> None:
        if len(self.egress) > EGRESS_MAX:
            raise Refused(f"{len(self.egress)} places, at most {EGRESS_MAX}", place="spec.egress")
        if self.egress and self.image.kind == "wasm":
            raise Refused("a wasm agent has no way to use a connection", place="spec.egress")
        if self.profile is None:
            object.__setattr__(self, "profile", "wasm" if self.image.kind == "wasm" else "strict")
        if self.profile not in PROFILES:
            raise Refused(
                f"profile {self.profile!r} is unknown", place="spec.profile", remedy=f"use {PROFILES}"
            )
        if self.image.kind == "wasm" and self.profile != "wasm":
            raise Refused(
                f"profile {self.profile} has no executable memory for compiled wasm",
                place="spec.profile",
                remedy="use profile 'wasm'",
            )


@dataclass(frozen=True, slots=True)
class Missing:
    """A layer this host does not give: why, and what an operator can do."""

    layer: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Attestation:
    """What was tried against throw-away cells at start, and held."""

    tier: Tier
    held: tuple[str, ...]
    missing: tuple[Missing, ...]
    cgroup_controllers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cell has consumed so far; None where this host cannot say."""

    cpu_ms: float | None
    memory_peak_bytes: int | None
    bytes_in: int = 0  # what the agent said
    bytes_out: int = 0  # what it was told
