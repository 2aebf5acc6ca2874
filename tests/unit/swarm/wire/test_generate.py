"""The committed code is what proto/ says, and a difference has a name."""

import re

import pytest

from swarm.errors import ConfigRefused
from swarm.wire import generate


@pytest.fixture(scope="module")
def built():
    return generate.build()


def test_the_committed_code_is_what_proto_says(built):
    assert generate.differences(built) == []


def test_services_have_typed_stubs_and_other_files_none(built):
    stubs = built["work_pb2_grpc.pyi"]
    assert "    Attach: grpc.aio.StreamStreamMultiCallable[work_pb2.FromNode, work_pb2.ToNodes]\n" in stubs
    assert "common_pb2_grpc.py" not in built


def test_no_module_points_outside_the_generated_package(built):
    for text in built.values():
        assert re.search(r"from (swarm|etcd)\.v\d|'(swarm|etcd)\.v\d\.\w+_pb2", text) is None


def test_each_difference_is_named(built, tmp_path):
    generate.write(built, tmp_path)
    assert generate.differences(built, tmp_path) == []
    (tmp_path / "stale_pb2.py").write_text("")
    (tmp_path / "work_pb2.py").unlink()
    (tmp_path / "common_pb2.py").write_text("changed")
    assert generate.differences(built, tmp_path) == ["common_pb2.py", "stale_pb2.py", "work_pb2.py"]
    generate.write(built, tmp_path)
    assert generate.differences(built, tmp_path) == []


def test_another_version_of_the_compiler_is_no_difference(built, tmp_path):
    generate.write(built, tmp_path)
    for name, old, new in (
        ("work_pb2.py", "Protobuf Python Version: ", "Protobuf Python Version: 9"),
        ("work_pb2_grpc.py", "GRPC_GENERATED_VERSION = '", "GRPC_GENERATED_VERSION = '9"),
    ):
        text = built[name]
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new))
    assert generate.differences(built, tmp_path) == []


def test_a_checkout_without_proto_is_told_so(tmp_path):
    with pytest.raises(ConfigRefused, match=r"no \.proto file"):
        generate.build(tmp_path)


def test_a_broken_proto_is_refused_with_what_the_compiler_says(tmp_path):
    folder = tmp_path / "swarm" / "v1"
    folder.mkdir(parents=True)
    (folder / "bad.proto").write_text("syntax = 'proto3'; message {")
    with pytest.raises(ConfigRefused, match=r"bad\.proto:1"):
        generate.build(tmp_path)


def test_check_fails_and_names_the_file(monkeypatch, tmp_path, capsys, built):
    monkeypatch.setattr(generate, "build", lambda: built)
    monkeypatch.setattr(generate, "differences", lambda files: ["work_pb2.py"])
    assert generate.main(["--check"]) == 1
    assert "work_pb2.py differs" in capsys.readouterr().err
