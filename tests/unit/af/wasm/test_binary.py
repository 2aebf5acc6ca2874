import pytest
import wasmtime

from af.wasm.binary import with_data

PAGES = 40


@pytest.mark.parametrize("address", [0, 63, 64, 8191, 8192, 4096, 1 << 20])
@pytest.mark.parametrize("size", [0, 1, 127, 128, 70_000])
def test_the_data_lies_at_its_address_in_a_fresh_instance(address, size):
    plain = wasmtime.wat2wasm(f'(module (memory (export "memory") {PAGES} {PAGES}) (func (export "run")))')
    data = bytes(index % 251 + 1 for index in range(size))
    module = with_data(bytes(plain), address, data)
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    memory = wasmtime.Instance(store, wasmtime.Module(engine, module), []).exports(store)["memory"]
    content = bytes(memory.read(store, 0, PAGES * 65536))
    assert content[address : address + size] == data
    assert not any(content[:address])
    assert not any(content[address + size :])
