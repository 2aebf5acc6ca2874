import subprocess
import sys

import sandbox


def test_every_name_of_the_door_can_be_had() -> None:
    for name in sandbox.__all__:
        assert getattr(sandbox, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert not hasattr(sandbox, "nothing_of_the_kind")


def test_the_cells_side_loads_neither_asyncio_nor_wasmtime() -> None:
    code = (
        "import sys, sandbox.zygote, sandbox.serving, sandbox.python_agent;"
        "print(*{'asyncio', 'wasmtime', 'subprocess', 'sandbox.warden'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []
