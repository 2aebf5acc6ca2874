"""One target under atheris: `python -m tests.fuzz.guided NAME [libFuzzer options] CORPUS`."""

import sys

import atheris

with atheris.instrument_imports(include=["af"]):
    from tests.fuzz.targets import run


def main():
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, lambda data: run(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
