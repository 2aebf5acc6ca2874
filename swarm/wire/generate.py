"""Turns `proto/*/*/*.proto` into `swarm/wire/gen/`: `python -m swarm.wire.generate [--check]`.

The generated code is committed, so that running the swarm needs no compiler; `--check` builds it
again in a temporary folder and names every file that differs. Two things are done to protoc's
output: modules are flat (`from swarm.wire.gen import work_pb2`), and every service gets a typed
stub file for its asyncio face, which protoc does not write.

The compiler's own version numbers stand in the output as the oldest runtime it accepts. They are
left out of the comparison: a newer compiler that says the same thing is no difference.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto

from swarm.errors import ConfigRefused

ROOT = Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
GEN = ROOT / "swarm" / "wire" / "gen"
PACKAGE = "swarm.wire.gen"
_HOMES = r"(?:swarm\.v1|etcd\.v3)"  # the folders in proto/: our own contract, and what we speak to etcd

_HEAD = '"""Generated from proto/ by `python -m swarm.wire.generate`; never edited."""\n'
_VERSIONS = re.compile(
    r"(?<=Protobuf Python Version: )[\d.]+"
    r"|(?<=GRPC_GENERATED_VERSION = ')[\d.]+"
    r"|(?<=Domain\.PUBLIC,)\s+\d+,\s+\d+,\s+\d+,"
)


def build(proto: Path = PROTO) -> dict[str, str]:
    """Every generated file, by its name in `swarm/wire/gen`."""
    sources = sorted(proto.glob("*/*/*.proto"))
    if not sources:
        raise ConfigRefused("no .proto file found", place=str(proto), remedy="run it from a source checkout")
    if importlib.util.find_spec("grpc_tools") is None:
        raise ConfigRefused("grpcio-tools is not installed", remedy="run `make venv` (the extra is `dev`)")
    with tempfile.TemporaryDirectory(prefix="swarm-protoc-") as folder:
        out = Path(folder)
        described = _protoc(proto, sources, out)
        homes = {
            f".{one.package}.{message.name}": f"{Path(one.name).stem}_pb2"
            for one in described.file
            for message in one.message_type
        }
        files = {"__init__.py": _HEAD}
        for one in described.file:
            stem, raw = Path(one.name).stem, out / Path(one.name).parent
            names = [f"{stem}_pb2.py", f"{stem}_pb2.pyi"]
            if one.service:
                names.append(f"{stem}_pb2_grpc.py")
                files[f"{stem}_pb2_grpc.pyi"] = _service_stubs(one, homes)
            files |= {name: _flat((raw / name).read_text(encoding="utf-8")) for name in names}
    return files


def differences(files: dict[str, str], gen: Path = GEN) -> list[str]:
    """The names that are missing, stale or different in `gen`, compiler versions aside."""
    there = {path.name: path.read_text(encoding="utf-8") for path in gen.glob("*.py*") if path.is_file()}
    return sorted(
        name
        for name in files.keys() | there.keys()
        if name not in files
        or name not in there
        or _VERSIONS.sub("", files[name]) != _VERSIONS.sub("", there[name])
    )


def write(files: dict[str, str], gen: Path = GEN) -> None:
    """Makes `gen` hold exactly `files`; a file that says the same already is left alone."""
    gen.mkdir(parents=True, exist_ok=True)
    for name in differences(files, gen):
        if name in files:
            (gen / name).write_text(files[name], encoding="utf-8")
        else:
            (gen / name).unlink()


def _protoc(proto: Path, sources: Sequence[Path], out: Path) -> FileDescriptorSet:
    described = out / "descriptors.binpb"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-I{proto}",
            f"--python_out={out}",
            f"--pyi_out={out}",
            f"--grpc_python_out={out}",
            f"--descriptor_set_out={described}",
            *(str(path) for path in sources),
        ],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise ConfigRefused(
            f"protoc says:\n{done.stderr.strip()}", place=str(proto), remedy="correct the .proto"
        )
    return FileDescriptorSet.FromString(described.read_bytes())


def _flat(text: str) -> str:
    """Modules move from the proto package's path to ours: in imports and in the messages' own names."""
    text = re.sub(rf"^from {_HOMES} import", f"from {PACKAGE} import", text, flags=re.MULTILINE)
    return re.sub(rf"'{_HOMES}\.(\w+_pb2)'", rf"'{PACKAGE}.\1'", text)


def _service_stubs(one: FileDescriptorProto, homes: dict[str, str]) -> str:
    """The typed face of one file's services, as asyncio code meets them."""
    methods = [method for service in one.service for method in service.method]
    used = sorted({homes[name] for method in methods for name in (method.input_type, method.output_type)})
    lines = [_HEAD, "from collections.abc import AsyncIterator", "", "import grpc.aio", ""]
    lines += [f"from {PACKAGE} import {module}" for module in used]
    for service in one.service:
        lines += [
            "",
            f"class {service.name}Stub:",
            "    def __init__(self, channel: grpc.aio.Channel) -> None: ...",
        ]
        lines += [_call_stub(method, homes) for method in service.method]
        lines += ["", f"class {service.name}Servicer:"]
        lines += [_handler_stub(method, homes) for method in service.method]
        lines += [
            "",
            f"def add_{service.name}Servicer_to_server(",
            f"    servicer: {service.name}Servicer, server: grpc.aio.Server",
            ") -> None: ...",
        ]
    return "\n".join(lines) + "\n"


def _types(method: MethodDescriptorProto, homes: dict[str, str]) -> tuple[str, str]:
    def spoken(name: str) -> str:
        return f"{homes[name]}.{name.rpartition('.')[2]}"

    return spoken(method.input_type), spoken(method.output_type)


def _call_stub(method: MethodDescriptorProto, homes: dict[str, str]) -> str:
    asks, answers = _types(method, homes)
    arity = ("Stream" if method.client_streaming else "Unary") + (
        "Stream" if method.server_streaming else "Unary"
    )
    return f"    {method.name}: grpc.aio.{arity}MultiCallable[{asks}, {answers}]"


def _handler_stub(method: MethodDescriptorProto, homes: dict[str, str]) -> str:
    asks, answers = _types(method, homes)
    request = f"request_iterator: AsyncIterator[{asks}]" if method.client_streaming else f"request: {asks}"
    verb = "def" if method.server_streaming else "async def"
    result = f"AsyncIterator[{answers}]" if method.server_streaming else answers
    context = f"context: grpc.aio.ServicerContext[{asks}, {answers}]"
    return f"    {verb} {method.name}(self, {request}, {context}) -> {result}: ..."


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m swarm.wire.generate", description="Compile proto/.")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 if a file differs")
    asked = parser.parse_args(argv)
    try:
        files = build()
    except ConfigRefused as error:
        sys.stderr.write(f"{error}\n")
        return 2
    stale = differences(files)
    if not asked.check:
        write(files)
        sys.stdout.write(f"{len(files)} files in {GEN}, {len(stale)} of them new\n")
        return 0
    for name in stale:
        sys.stderr.write(f"swarm/wire/gen/{name} differs from proto/: run `make proto`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
