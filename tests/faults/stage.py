"""Real daemons on this machine whose wires, disks and calendars can be tampered with."""

import asyncio
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import yaml

from swarm.daemons.layout import SETTINGS_FILE, write_cluster
from swarm.daemons.local import LocalCluster, Observer
from swarm.errors import Unreachable
from tests.faults.wires import Wires

READY_S = 600
SMALL_DISK_MIB = 48
BALLAST_BYTES = 4_096  # at a time, so that next to nothing is left
CALENDAR_FILE = "calendar_offset_s"
DISKS_FOLDER = "disks"
# Loaded by every daemon at its start: what it asks of the world goes through files that the test writes.
TAMPERING = """\
import errno
import os
import time

_calendar, _disk = os.environ["SWARM_TEST_CALENDAR"], None
_time, _time_ns = time.time, time.time_ns


def _read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _offset_s():
    return int(_read(_calendar) or 0)


def _weather():
    global _disk
    if _disk is None:  # a daemon runs in its home, which has the node's name
        _disk = os.path.join(os.environ["SWARM_TEST_DISKS"], os.path.basename(os.getcwd()))
    return _read(_disk)


def _tampered(call):
    def tampered(*args, **kwargs):
        weather = _weather()
        if weather == "readonly":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if weather and call.__name__ in ("fsync", "fdatasync"):
            time.sleep(float(weather))
        return call(*args, **kwargs)

    return tampered


time.time = lambda: _time() + _offset_s()
time.time_ns = lambda: _time_ns() + _offset_s() * 1_000_000_000
for _name in ("fsync", "fdatasync", "pwrite", "posix_fallocate"):
    setattr(os, _name, _tampered(getattr(os, _name)))
"""


class Stage(LocalCluster):
    """A local cluster whose daemons reach each other over `wires`.

    With `small_disks`, which takes root, each node's data lies on a file system of its own. With `tampered`
    the daemons read the time of day through a file, and ask another before they write or sync: what Python's
    `time` says can be made to jump, and a disk to be read-only or slow. Log, snapshots and sync alike go
    through these calls.
    """

    def __init__(self, data_dir, nodes=3, *, small_disks=False, tampered=False, settings=None):
        super().__init__(
            data_dir, nodes, cluster="faults", settings={"cells_per_agent": 1, **(settings or {})}
        )
        self.wires = Wires()
        self._small_disks = small_disks
        self._tampered = tampered
        self._environment = {}

    async def ready(self, report=lambda _: None):
        """On a machine that others use as well, a restart of everybody takes longer than a user waits."""
        async with asyncio.timeout(READY_S):
            while True:
                try:
                    return await super().ready(report)
                except Unreachable as error:
                    report(str(error))

    async def __aenter__(self):
        try:
            self._take_directory()
            self.addresses = write_cluster(self.data_dir, self.cluster, self.nodes, self._settings)
            for node in self.nodes:
                await self._rewire(node)
                if self._small_disks:
                    self._mount(node)
            if self._tampered:
                self._lend_tampering()
            for node in self.nodes:
                self._spawn(node)
            await self.ready()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_):
        for node in self.running():
            self.resume(node)
        self.wires.release()
        await asyncio.to_thread(self.stop)
        await self.wires.close()
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for node in self.nodes:
            if self.node_data(node).is_mount():
                await asyncio.to_thread(subprocess.run, ["umount", self.node_data(node)], check=True)

    async def _rewire(self, node):
        """Let a node dial the others over wires."""
        path = self.home(node) / SETTINGS_FILE
        document = yaml.safe_load(path.read_text())
        for other, address in document["coordinators"].items():
            if other != node:
                document["coordinators"][other] = await self.wires.lay(node, other, address)
        path.write_text(yaml.safe_dump(document))

    # -- processes ----------------------------------------------------------------------------

    def pause(self, node):
        os.kill(self.pid(node), signal.SIGSTOP)

    def resume(self, node):
        os.kill(self.pid(node), signal.SIGCONT)

    async def leader(self):
        """Who leads, once somebody does."""
        async with Observer(self) as observer:
            while True:
                for node, answer in (await observer.ask(self.running())).items():
                    if answer.leader == node:
                        return node
                await asyncio.sleep(0.05)

    # -- disks ----------------------------------------------------------------------------------

    def _mount(self, node):
        data = self.node_data(node)
        data.mkdir(mode=0o700, exist_ok=True)
        options = f"size={SMALL_DISK_MIB}m,mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "swarm-faults", data], check=True)

    def fill_disk(self, node):
        """Leave no room on a node's disk."""
        with suppress(OSError), Path(self.node_data(node), "ballast").open("wb", buffering=0) as file:
            while file.write(bytes(BALLAST_BYTES)) == BALLAST_BYTES:
                pass

    def empty_disk(self, node):
        Path(self.node_data(node), "ballast").unlink(missing_ok=True)

    # -- calendars and disks through files ---------------------------------------------------------

    def _lend_tampering(self):
        folder = self.data_dir / "tampering"
        (folder / DISKS_FOLDER).mkdir(parents=True)
        (folder / "sitecustomize.py").write_text(TAMPERING)
        paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        for name, value in (
            ("SWARM_TEST_CALENDAR", str(folder / CALENDAR_FILE)),
            ("SWARM_TEST_DISKS", str(folder / DISKS_FOLDER)),
            ("PYTHONPATH", os.pathsep.join(paths)),
        ):
            self._environment[name] = os.environ.get(name)
            os.environ[name] = value

    def set_disk(self, node, weather):
        """A node's disk: `readonly`, or how many seconds a sync takes, or "" for as it is."""
        self._tell(self.data_dir / "tampering" / DISKS_FOLDER / node, weather)

    def set_calendar(self, offset_s):
        """Every daemon's time of day jumps; clocks that cannot jump do not."""
        self._tell(self.data_dir / "tampering" / CALENDAR_FILE, str(offset_s))

    def _tell(self, path, text):
        aside = path.with_suffix(".new")
        aside.write_text(text)
        aside.replace(path)
