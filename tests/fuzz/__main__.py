"""Long fuzzing: `python -m tests.fuzz --seconds 600 [--target NAME ...]`, or `make fuzz`.

With atheris installed every target runs in a process of its own under libFuzzer, which follows the code's
branches, ends an input after ten seconds and a process at two gigabytes. Without it, hypothesis varies the
good inputs for as long. Either way a finding is printed with its bytes and ends with exit code 1.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.fuzz.targets import TARGETS, run, seeds, variations

EXAMPLES_PER_ROUND = 2_000
INPUT_SECONDS_MAX = 10
MEMORY_MB_MAX = 2_048


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="default: all")
    parser.add_argument("--no-atheris", action="store_true", help="vary good inputs with hypothesis")
    arguments = parser.parse_args()
    names = arguments.target or sorted(TARGETS)
    seconds = max(1, arguments.seconds // len(names))
    guided = not arguments.no_atheris and importlib.util.find_spec("atheris") is not None
    findings = [name for name in names if not (_guided if guided else _varied)(name, seconds)]
    print(f"findings: {', '.join(findings) or 'none'}")
    return 1 if findings else 0


def _guided(name, seconds):
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds(name)):
            Path(folder, f"seed{number}").write_bytes(seed)
        options = [
            f"-max_total_time={seconds}",
            f"-timeout={INPUT_SECONDS_MAX}",
            f"-rss_limit_mb={MEMORY_MB_MAX}",
        ]
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.guided",
            name,
            *options,
            f"-artifact_prefix={folder}/",
            folder,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        executed = [line for line in done.stderr.splitlines() if line.startswith("Done ")]
        print(f"{name}: {executed[-1] if executed else 'ended early'}", flush=True)
        if done.returncode:
            print(done.stdout[-4_000:], done.stderr[-4_000:], sep="\n")
            for artifact in Path(folder).glob("*-*"):
                print(f"{artifact.name}: {artifact.read_bytes()[:2_000]!r}")
        return done.returncode == 0


def _varied(name, seconds):
    end_s = time.monotonic() + seconds
    count = 0

    @settings(
        max_examples=EXAMPLES_PER_ROUND,
        deadline=1000 * INPUT_SECONDS_MAX,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(variations(name))
    def examine(data):
        run(name, data)

    while time.monotonic() < end_s:
        try:
            examine()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            print(f"{name}: {error!r}\n{getattr(error, '__notes__', '')}", flush=True)
            return False
        count += EXAMPLES_PER_ROUND
    print(f"{name}: {count} inputs", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
