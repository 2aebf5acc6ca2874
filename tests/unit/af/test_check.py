import numpy as np
import pytest

import af
from af.effects import reconcile_problems
from af.header import Resources
from af.trainingdata import TrainingData, training_section
from tests.unit.af.samples import neural_agent, neural_header, python_agent, texts


def problems_of(agent):
    return texts(af.check(agent))


def weights(values):
    return af.encode_section("neural_weights", np.asarray(values, "<f4").tobytes())


def test_a_good_agent_has_no_problems():
    assert not af.check(neural_agent())
    assert not af.check(python_agent())


def test_weights_of_the_wrong_shape_are_refused_with_both_sizes():
    agent = neural_agent().with_header(neural_header((3, 6, 2)))
    assert "it has 128 bytes, the network 3-6-2 needs 152 (float32)" in problems_of(agent)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused_with_their_place(bad):
    values = np.zeros(32, np.float32)
    values[[21, 30]] = bad
    text = problems_of(neural_agent().with_section(weights(values)))
    assert "section neural_weights, byte 84 of its data" in text
    assert "2 weights are not finite; the first is value 21, in the weight of layer 2" in text


def test_an_index_that_describes_other_tensors_is_refused():
    values = np.zeros(32, "<f4").tobytes()
    section = af.encode_section("neural_weights", values, dtype="f32", shapes=((32,),))
    text = problems_of(neural_agent().with_section(section))
    assert "write dtype f32 and shapes [[5, 3], [5], [2, 5], [2]]" in text


def test_a_neural_agent_without_network_or_weights_is_refused_twice():
    agent = af.AgentFile(neural_header().model_copy(update={"neural_config": None}))
    text = problems_of(agent)
    assert "needs the section neural_weights" in text
    assert "header: neural_config" in text


def test_ports_that_do_not_fit_the_network_are_refused():
    capability = neural_header((4, 5, 2)).capabilities
    agent = neural_agent().with_header(neural_header().model_copy(update={"capabilities": capability}))
    assert "capabilities[0].inputs: the network takes and gives rows of float32" in problems_of(agent)
    assert "shape: [null, 3]" in problems_of(agent)


def test_an_agent_without_capabilities_is_refused():
    agent = python_agent()
    header = agent.header.model_copy(update={"capabilities": ()})
    assert "the agent offers none" in problems_of(agent.with_header(header))


def test_two_capabilities_or_ports_of_one_name_are_refused():
    agent = python_agent()
    (capability,) = agent.header.capabilities
    twice = af.Capability(capability.name, capability.inputs * 2, capability.outputs)
    header = agent.header.model_copy(update={"capabilities": (capability, twice)})
    text = problems_of(agent.with_header(header))
    assert "test:echo is offered twice" in text
    assert "the port x appears twice" in text


def test_a_shape_on_a_port_that_is_no_tensor_is_refused():
    agent = python_agent()
    port = af.PortSpec("x", "json", shape=(3,))
    capability = af.Capability("a:b", (port,), ())
    header = agent.header.model_copy(update={"capabilities": (capability,)})
    assert "the port x is json; dtype and shape are for tensors" in problems_of(agent.with_header(header))


def test_an_unknown_workflow_step_is_refused_with_the_one_that_was_meant():
    agent = neural_agent(workflows={"execution": ["recieve_input", "dance"]})
    text = problems_of(agent)
    assert (
        "workflows.execution[0]: the step 'recieve_input' is unknown. Remedy: did you mean 'receive_input'?"
        in text
    )
    assert "workflows.execution[1]: the step 'dance' is unknown" in text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"class Agent:\n  def process_input(self:\n", "section python_module, line 2: it is not Python"),
        (b"class Agent:\n    pass\n", "line 1: its class Agent has no method process_input"),
        (b"x = 1\n", "it defines no class Agent"),
        (b"\xff", "not readable as Python"),
        (b"return 1\n", "it is not Python"),
        (b"x = " + b"-" * 200_000 + b"1", "section python_module"),
        (b"#" * (1024 * 1024 + 1), "the most is 1048576"),
    ],
)
def test_a_python_module_that_cannot_serve_is_refused_with_its_place(source, message):
    assert message in problems_of(python_agent(source))


def test_checking_a_python_module_does_not_run_it(tmp_path):
    witness = tmp_path / "witness"
    source = f"open({str(witness)!r}, 'w')\nclass Agent:\n    def process_input(self, c, i): ...\n"
    assert not af.check(python_agent(source.encode()))
    assert not witness.exists()


def test_training_data_that_does_not_fit_the_network_is_refused():
    data = TrainingData(np.zeros((2, 4), np.uint8), np.zeros((2, 3), np.float32))
    text = problems_of(neural_agent().with_section(training_section(data)))
    assert "its input rows have 4 values, the network takes 3" in text
    assert "its target rows have 3 values, not 2 or 1" in text


def test_training_data_that_is_cut_short_is_refused():
    data = training_section(TrainingData(np.zeros((2, 3), np.uint8), np.zeros((2, 1), np.uint8))).data
    for cut, message in ((data[:10], "its head alone has 20"), (data[:-1], "its head announces 28")):
        agent = neural_agent().with_section(af.encode_section("training_data", cut))
        assert message in problems_of(agent)


def test_weights_exchanged_after_compiling_are_noticed():
    compiled = af.compile_agent(neural_agent())
    changed = compiled.with_section(weights(np.ones(32)))
    assert "compiled from another neural_weights section" in problems_of(changed)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("abi",), "af-wasm-9", "manifest.abi"),
        (("capability",), "other:one", "other:one is not among the file's capabilities"),
        (("input", "port"), "z", "its ports are not those of test:sample"),
        (("input", "stride"), 2, "a row of 3 items does not fit a stride of 2"),
        (("output", "offset"), 65536, "64 rows end behind the memory"),
        (("output", "offset"), -4, "manifest.output.offset"),
        (("weights", "end"), 1 << 20, "the span does not lie inside the memory"),
        (("extra",), 1, "manifest.extra"),
    ],
)
def test_a_manifest_that_was_tampered_with_is_refused(path, value, message):
    compiled = af.compile_agent(neural_agent())
    manifest = {
        key: dict(part) if isinstance(part, dict) else part for key, part in compiled.header.manifest.items()
    }
    target = manifest
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    header = compiled.header.model_copy(update={"manifest": manifest})
    assert message in problems_of(compiled.with_header(header))


def test_a_network_larger_than_its_memory_limit_is_refused():
    agent = neural_agent((512, 600, 10), resources={"limits": {"memory_mb": 1}})
    with pytest.raises(af.AfRefused, match="the network needs 2 MiB, the limit is 1"):
        af.compile_agent(agent)


def resourceful(agent, **resources):
    header = agent.header.model_copy(update={"resources": Resources.model_validate(resources)})
    return agent.with_header(header)


def test_places_need_a_bandwidth_a_usable_port_and_a_python_agent():
    bandwidth = {"network_bandwidth_mbps": 1}
    fine = resourceful(python_agent(), limits=bandwidth, egress=["api.example.org:443"])
    assert not af.check(fine)
    assert "may send no byte there" in problems_of(resourceful(python_agent(), egress=["a:1"]))
    twice = resourceful(python_agent(), limits=bandwidth, egress=["a:1", "a:1"])
    assert "a:1 is listed twice" in problems_of(twice)
    beyond = resourceful(python_agent(), limits=bandwidth, egress=["a:65536"])
    assert "a:65536 has no usable port" in problems_of(beyond)
    neural = resourceful(neural_agent(), limits=bandwidth, egress=["a:1"], native_libraries=True)
    assert "header: resources.egress: an agent of kind neural has no use for it" in problems_of(neural)
    assert "header: resources.native_libraries" in problems_of(neural)


@pytest.mark.parametrize(
    "wrong",
    [
        {"egress": ["example.org"]},
        {"egress": ["Example.org:443"]},
        {"egress": ["https://example.org:443"]},
        {"egress": ["example.org:0443"]},
        {"egress": ["a:1"] * 9},
        {"requirements": {"sandbox_layers": ["no layer"]}},
        {"limits": {"threads": 1}},
        {"limits": {"wall_ms": 0}},
    ],
)
def test_resources_nobody_can_mean_are_refused(wrong):
    with pytest.raises(ValueError, match=r"resources|egress|sandbox_layers|threads|wall_ms"):
        Resources.model_validate(wrong)


def test_an_instance_per_request_is_for_agents_that_keep_nothing():
    assert not af.check(af.compile_agent(neural_agent(instance="per_request")))
    assert "begun anew" in problems_of(python_agent(instance="per_request"))
    header = neural_header(instance="per_request")
    learning = header.neural_config.model_copy(update={"learns": True})
    agent = neural_agent().with_header(header.model_copy(update={"neural_config": learning}))
    assert "learns nothing. Remedy: leave `instance` or `learns` out" in problems_of(agent)


def test_header_and_manifest_say_the_same_of_the_instance():
    compiled = af.compile_agent(neural_agent(instance="per_request"))
    assert af.executable(compiled).manifest["instance"] == "per_request"
    changed = compiled.header.model_copy(update={"instance": "kept"})
    assert "it says per_request, the header kept" in problems_of(compiled.with_header(changed))


def test_a_component_is_told_from_a_core_module_and_its_manifest_from_another():
    manifest = {
        "abi": "af-component-1",
        "capability": "test:sample",
        "input": {"port": "x", "size": 3},
        "output": {"port": "y", "size": 2},
        "pages": 4,
    }
    header = neural_header(kind="wasm", neural_config=None, manifest=manifest)
    module = af.encode_section("wasm_module", b"\0asm\x0d\0\1\0")
    good = af.AgentFile(header, (module,))
    assert not af.check(good)
    core = af.encode_section("wasm_module", b"\0asm\1\0\0\0")
    assert "does not begin as a WebAssembly component" in problems_of(good.with_section(core))
    for change, message in (
        ({"pages": 0}, "header: manifest.pages"),
        ({"instance": "per_request"}, "it says per_request, the header kept"),
        ({"capability": "test:other"}, "test:other is not among the file's capabilities"),
    ):
        changed = header.model_copy(update={"manifest": manifest | change})
        assert message in problems_of(good.with_header(changed))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"kind": "wasm"}, "has no effects to look up"),
        ({"effects": "none"}, "what may run twice is run again"),
        ({"reconcile": "a:gone"}, "a:gone is not among the file's capabilities"),
        ({"asked_effects": "once"}, "a:look only looks"),
        ({"asked_inputs": ()}, "a:look is given what a:pay is given"),
        ({"asked_outputs": ("paid",)}, "a:look gives outcome and all that a:pay gives"),
        ({"asked_outputs": ("outcome",)}, "a:look gives outcome and all that a:pay gives"),
        ({"inputs": ("intent",), "asked_inputs": ("intent",)}, "the port intent is the swarm's own here"),
    ],
)
def test_a_capability_that_tells_what_became_of_another_fits_it(changes, words):
    def ports(names):
        return tuple(af.PortSpec(name, "json") for name in names)

    told = {"kind": "python", "effects": "once", "reconcile": "a:look", "inputs": ("amount",)} | changes
    pay = af.Capability(
        "a:pay", ports(told["inputs"]), ports(("paid",)), effects=told["effects"], reconcile=told["reconcile"]
    )
    look = af.Capability(
        "a:look",
        ports(told.get("asked_inputs", told["inputs"])),
        ports(told.get("asked_outputs", ("outcome", "paid"))),
        effects=told.get("asked_effects", "none"),
    )
    header = python_agent().header.model_copy(update={"capabilities": (pay, look), "kind": told["kind"]})
    text = texts(reconcile_problems(header))
    assert words in text
    assert bool(words) == bool(text)
