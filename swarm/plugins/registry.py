"""Finding and loading plugins. Finding runs none of their code here: each is tried in a process of its own.

So a plugin that raises, exits or hangs when it is imported spoils its own line in the list and nothing else.
It is loaded into this process only when somebody asks for it by name, and what it then raises is told as its
failure. Two packages that offer the same name are both refused, because nobody could say which is meant.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Final, TypeVar

import numpy as np

from swarm.decompose.encoder.port import Floats, TextEncoder
from swarm.decompose.records import Capability, Decomposition, Engine
from swarm.errors import NotFound, PluginFailed, PluginRefused
from swarm.plugins.contract import GROUPS, DecompositionPlugin, Kind, NeuralPlugin, Plugin, misfit

PLUGINS_MAX: Final = 100
TRY_S: Final = 30.0  # what importing a plugin may take
SAID_CHARS_MAX: Final = 300
PLUGIN_MARK: Final = "plugin:"  # before the name of a plugin, where other things may stand too

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A plugin that some installed package offers. `status` is usable, refused or broken."""

    kind: str
    name: str
    distribution: str
    version: str
    api: str
    provides: tuple[str, ...]
    status: str
    reason: str


def list_plugins() -> list[PluginInfo]:
    """Every plugin there is, each tried in a process of its own. Never raises for what a plugin does."""
    found = list(_offered())[:PLUGINS_MAX]
    times = Counter((kind, point.name) for kind, point in found)
    return [_tried(kind, point, times[kind, point.name]) for kind, point in found]


def load_plugin(kind: Kind, name: str) -> Plugin:
    """A plugin, in this process. Raises `NotFound`, `PluginRefused` or `PluginFailed`."""
    offered = [point for of, point in _offered() if of == kind and point.name == name]
    if not offered:
        known = ", ".join(sorted({point.name for of, point in _offered() if of == kind})) or "none"
        raise NotFound(f"no plugin {name!r}", place=GROUPS[kind], remedy=f"there are: {known}")
    place = f"plugin {name}"
    if len(offered) > 1:
        owners = ", ".join(sorted(_owner(point) for point in offered))
        raise PluginRefused(
            f"{owners} all offer it", place=place, remedy="uninstall all of them but the one that is meant"
        )
    try:
        found = offered[0].load()
        why = misfit(kind, name, found)
    except (Exception, SystemExit) as error:
        raise _failed(place, error) from error
    if why:
        raise PluginRefused(why, place=place, remedy=f"install a version of {_owner(offered[0])} that fits")
    plugin: Plugin = found
    return plugin


def engine_plugin(name: str) -> Callable[[Sequence[Capability]], Engine]:
    """What makes the engine of a decomposition plugin; the engine is watched, see `PluginEngine`."""
    plugin = load_plugin("decompose", name)
    assert isinstance(plugin, DecompositionPlugin)

    def made(capabilities: Sequence[Capability]) -> Engine:
        try:
            return PluginEngine(plugin, plugin.engine(capabilities), capabilities)
        except Exception as error:
            raise _failed(f"plugin {name}", error) from error

    return made


def encoder_plugin(name: str) -> TextEncoder:
    """The encoder of a neural plugin, watched, see `PluginEncoder`."""
    plugin = load_plugin("neural", name)
    assert isinstance(plugin, NeuralPlugin)
    try:
        return PluginEncoder(plugin, plugin.encoder())
    except Exception as error:
        raise _failed(f"plugin {name}", error) from error


class PluginEncoder:
    """An encoder of a plugin. What it raises is told as its failure; what it gives is checked.

    Its name holds the plugin's, so that a model that was trained with it says which plugin it needs.
    """

    def __init__(self, plugin: NeuralPlugin, inner: TextEncoder) -> None:
        self.name = f"{PLUGIN_MARK}{plugin.name}#{inner.name}"
        self.size = int(inner.size)
        self._inner = inner

    def states(self, texts: Sequence[str]) -> list[Floats]:
        """One row per token of each text."""
        return [self._checked(rows, None) for rows in self._asked(self._inner.states, texts)]

    def vectors(self, texts: Sequence[str]) -> Floats:
        """One row of length 1 per text."""
        return self._checked(self._asked(self._inner.vectors, texts), len(texts))

    def _asked(self, ask: Callable[[Sequence[str]], _Answer], texts: Sequence[str]) -> _Answer:
        try:
            return ask(texts)
        except Exception as error:
            raise _failed(self.name, error) from error

    def _checked(self, rows: object, count: int | None) -> Floats:
        try:
            found = np.asarray(rows, np.float32)
        except (TypeError, ValueError) as error:
            raise _failed(self.name, error) from error
        if found.ndim != 2 or found.shape[1] != self.size or (count is not None and len(found) != count):
            raise PluginFailed(f"it gave an array of shape {found.shape}", place=self.name)
        return found


class PluginEngine:
    """An engine of a plugin. What it raises is told as its failure; what it says is checked."""

    def __init__(
        self, plugin: DecompositionPlugin, inner: Engine, capabilities: Sequence[Capability]
    ) -> None:
        self.name = PLUGIN_MARK + plugin.name
        self.capabilities = capabilities
        self._inner = inner
        self._known = frozenset(each.name for each in capabilities)

    def decompose(self, request: str) -> Decomposition:
        place = self.name
        try:
            found = self._inner.decompose(request)
        except Exception as error:
            raise _failed(place, error) from error
        if not isinstance(found, Decomposition):
            raise PluginFailed(f"it gave a {type(found).__name__}, not a Decomposition", place=place)
        strangers = (found.nodes | {end for link in found.links for end in link}) - self._known
        if strangers:
            named = ", ".join(sorted(map(str, strangers))[:5])
            raise PluginFailed(f"it named capabilities that nobody offers: {named}", place=place)
        return found


# -- inside ---------------------------------------------------------------------------------


def _offered() -> Iterator[tuple[Kind, EntryPoint]]:
    kinds: tuple[Kind, ...] = ("decompose", "neural")
    for kind in kinds:
        points = entry_points(group=GROUPS[kind])
        for point in sorted(points, key=lambda point: (point.name, _owner(point))):
            yield kind, point


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"


def _tried(kind: Kind, point: EntryPoint, times: int) -> PluginInfo:
    if times > 1:
        reason = f"{times} packages offer this name"
        return PluginInfo(kind, point.name, _owner(point), "", "", (), "refused", reason)
    command = [sys.executable, "-m", "swarm.plugins.registry", kind, point.name]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TRY_S, check=False)
    except subprocess.TimeoutExpired:
        reason = f"it was not loaded after {TRY_S:.0f} s"
        return PluginInfo(kind, point.name, _owner(point), "", "", (), "broken", reason)
    version, api, provides, status, reason = _said(done.stdout)
    if done.returncode != 0 or status not in {"usable", "refused", "broken"}:
        reason = f"its process ended with {done.returncode} while it was loaded"
        return PluginInfo(kind, point.name, _owner(point), "", "", (), "broken", reason)
    return PluginInfo(
        kind, point.name, _owner(point), version, api, tuple(provides), status, reason[:SAID_CHARS_MAX]
    )


def _said(output: bytes) -> tuple[str, str, list[str], str, str]:
    """What a try reported: the last line it wrote, whatever the plugin wrote before."""
    lines = output.decode(errors="replace").splitlines()
    try:
        version, api, provides, status, reason = json.loads(lines[-1]) if lines else ("", "", [], "", "")
    except (ValueError, TypeError):
        return "", "", [], "", ""
    return str(version), str(api), [str(each) for each in provides], str(status), str(reason)


def _report(kind: Kind, name: str) -> list[object]:
    """What a try says, on one line: version, contract, what it provides, how it stands and why."""
    try:
        plugin = load_plugin(kind, name)
    except PluginRefused as error:
        return ["", "", [], "refused", error.message]
    except (NotFound, PluginFailed) as error:
        return ["", "", [], "broken", error.message]
    assert isinstance(plugin, DecompositionPlugin | NeuralPlugin)
    api = ".".join(map(str, plugin.api))
    return [plugin.version, api, list(plugin.provides), "usable", ""]


def _failed(place: str, error: BaseException) -> PluginFailed:
    said = f"{type(error).__name__}: {error}"[:SAID_CHARS_MAX]
    return PluginFailed(said, place=place, remedy="tell its author; `swarm plugins list` shows its package")


if __name__ == "__main__":
    asked: Kind = "neural" if sys.argv[1] == "neural" else "decompose"
    print(json.dumps(_report(asked, sys.argv[2])))  # noqa: T201 - this is what it is for
