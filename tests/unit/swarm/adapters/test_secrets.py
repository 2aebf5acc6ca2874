"""Secrets are found where a reference says, and never shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.adapters.secrets import SECRET_BYTES_MAX, SecretReference
from swarm.errors import ConfigRefused

SECRET = "sesame-open-7f3a"


def written(path, mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SECRET + "\n")
    path.chmod(mode)
    return path


def test_each_kind_is_read_from_its_place(tmp_path):
    written(tmp_path / "secret")
    written(tmp_path / "credentials" / "db")
    written(tmp_path / "mounted" / "db" / "password", mode=0o644)  # as Kubernetes mounts them
    environment = {
        "DB": SECRET,
        "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"),
        "SWARM_KUBERNETES_SECRETS": str(tmp_path / "mounted"),
    }
    for text in ("file:secret", "env:DB", "systemd:db", "kubernetes:db/password"):
        reference = SecretReference.parse(text, tmp_path)
        assert reference.read(environment) == SECRET.encode()
        assert SECRET not in f"{reference} {reference!r}"
        assert SecretReference.parse(str(reference)) == reference


def test_an_exchanged_secret_is_taken_at_the_next_use(tmp_path):
    path = written(tmp_path / "secret")
    reference = SecretReference.parse(f"file:{path}")
    assert reference.read() == SECRET.encode()
    path.write_text("another")
    assert reference.read() == b"another"


@pytest.mark.parametrize(
    "text", ["env:NOT_SET", "systemd:db", "kubernetes:db/password", "file:/nowhere/secret"]
)
def test_one_that_is_not_there_is_refused_with_its_place(text):
    with pytest.raises(ConfigRefused) as caught:
        SecretReference.parse(text).read({})
    assert caught.value.place == text


def test_a_file_that_everybody_may_read_is_no_secret(tmp_path):
    path = written(tmp_path / "secret", mode=0o644)
    with pytest.raises(ConfigRefused, match="everybody may read"):
        SecretReference.parse(f"file:{path}").read()


def test_what_is_larger_than_any_secret_is_refused(tmp_path):
    path = written(tmp_path / "secret")
    path.write_bytes(b"x" * (SECRET_BYTES_MAX + 1))
    with pytest.raises(ConfigRefused, match="larger"):
        SecretReference.parse(f"file:{path}").read()


@given(st.text(max_size=40))
def test_a_text_that_is_no_reference_is_refused_and_not_repeated(text):
    if text.partition(":")[0] not in ("file", "env", "systemd", "kubernetes"):
        with pytest.raises(ConfigRefused) as caught:
            SecretReference.parse(f"{SECRET}{text}")
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["systemd:../etc/shadow", "kubernetes:a/../b", "kubernetes:a", "env:A=B", "file:"]
)
def test_a_name_that_leads_elsewhere_is_refused(text):
    with pytest.raises(ConfigRefused):
        SecretReference.parse(text)
