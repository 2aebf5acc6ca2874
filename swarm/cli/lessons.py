"""What is learnt from the graphs a person agrees to or refuses, kept beside the profile of the cluster.

`strategies.model` is what the selector knows: which engine does best on which request. `agreed.jsonl` has
the requests with their graphs, the latest of them, in the form that `swarm decompose train --examples` takes.
Both only help to understand better next time: where they are damaged, work goes on, and where they cannot be
written it does as well, once that was said.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from swarm.decompose.records import Decomposition
from swarm.decompose.select.codec import encode_selector, recall_selector
from swarm.decompose.select.selector import StrategySelector
from swarm.decompose.strategies.adaptive import AdaptiveEngine
from swarm.errors import SwarmError

AGREED_MAX: Final = 10_000  # requests remembered
AGREED_BYTES_MAX: Final = 64 << 20
SELECTOR_BYTES_MAX: Final = 64 << 20
FOLDER: Final = "lessons"


class Lessons:
    """See the head of this module."""

    def __init__(self, profile: Path, warn: Callable[[str], None] = lambda _: None) -> None:
        """`profile`: the cluster's; the lessons lie beside it. `warn` hears once what could not be kept."""
        self._warn = warn
        self._warned = False
        self.folder = profile.parent / FOLDER
        self._strategies = self.folder / "strategies.model"
        self.agreed_path = self.folder / "agreed.jsonl"

    def recall(self, selector: StrategySelector) -> None:
        """Lets a fresh selector go on from what is kept; where nothing fits, it begins anew."""
        with contextlib.suppress(OSError, SwarmError):
            recall_selector(selector, _read(self._strategies, SELECTOR_BYTES_MAX))

    def agreed(self, engine: AdaptiveEngine, found: Decomposition) -> None:
        """A person looked at the graph and wants it."""
        engine.learn(found.request, found)
        record = {
            "text": found.request,
            "nodes": [step.capability for step in found.subtasks],
            "links": sorted(found.links),
        }
        with self._kept():
            known = _read(self.agreed_path, AGREED_BYTES_MAX) if self.agreed_path.exists() else b""
            lines = known.decode(errors="replace").splitlines()
            kept = [line for line in lines if line][-(AGREED_MAX - 1) :]
            self._write(
                self.agreed_path, "".join(f"{line}\n" for line in [*kept, json.dumps(record)]).encode()
            )
        self._keep(engine)

    def refused(self, engine: AdaptiveEngine, found: Decomposition) -> None:
        """A person looked at the graph and does not want it."""
        engine.refuse(found.request)
        self._keep(engine)

    def _keep(self, engine: AdaptiveEngine) -> None:
        with self._kept():
            self._write(self._strategies, encode_selector(engine.selector))

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """What fails in here is said once and stops nothing: the run that was agreed to matters more."""
        try:
            yield
        except (OSError, SwarmError) as error:
            if not self._warned:
                self._warned = True
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                self._warn(
                    f"nothing is learnt from this answer: {self.folder} cannot be written ({reason}); make it"
                    " a folder that you may write to"
                )

    def _write(self, path: Path, data: bytes) -> None:
        """Whole or not at all, and for nobody else to read: requests may be private."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _read(path: Path, bytes_max: int) -> bytes:
    with path.open("rb") as file:
        return file.read(bytes_max)
