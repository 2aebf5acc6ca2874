import struct

import pytest

from sandbox import filters
from sandbox.filters import policy
from sandbox.filters.__main__ import compile_policy

pyseccomp = pytest.importorskip("pyseccomp", exc_type=(ImportError, RuntimeError))

CASES = [(name, machine) for name in policy.NAMES for machine in policy.MACHINES]


@pytest.mark.parametrize(("name", "machine"), CASES)
def test_the_shipped_program_is_what_the_policy_compiles_to(name: str, machine: str) -> None:
    program, unknown = compile_policy(name, machine)
    assert program == filters.program(name, machine), "run `python -m sandbox.filters`"
    if machine == "x86_64":
        # A misspelt name would be refused by default and nobody would notice: every other name must be known.
        assert unknown == policy.UNKNOWN_ANYWHERE


@pytest.mark.parametrize(("name", "machine"), CASES)
def test_a_program_checks_the_architecture_first_and_denies_by_default(name: str, machine: str) -> None:
    program = filters.program(name, machine)
    assert len(program) % 8 == 0
    steps = list(struct.iter_unpack("<HBBI", program))
    assert len(steps) < 4096  # the kernel's bound
    assert steps[0][3] == 4  # offset of seccomp_data.arch
    assert steps[1][3] == {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    answers = {value for code, _, _, value in steps if code == 0x06}
    assert 0x00050001 in answers  # EPERM
    assert 0x80000000 in answers  # kill the process


def test_no_call_is_both_allowed_and_forbidden() -> None:
    refused = [name for names in policy.REFUSED.values() for name in names]
    for one, other in ((policy.ALLOWED, refused), (policy.ALLOWED, policy.KILLED), (refused, policy.KILLED)):
        assert not set(one) & set(other)
    for name, matches in policy.MATCHES.items():
        tested = {match.call for match in matches}
        assert not tested & set(policy.KILLED), name
        assert not tested & set(policy.ALLOWED), name


@pytest.mark.parametrize(
    "call",
    [
        "socket",
        "connect",
        "execve",
        "execveat",
        "fork",
        "vfork",
        "clone3",
        "setrlimit",
        "pidfd_open",
        "chroot",
        "capset",
        "mlock",
    ],
)
def test_what_reaches_out_is_never_allowed(call: str) -> None:
    assert call not in policy.ALLOWED
    assert all(match.call != call for matches in policy.MATCHES.values() for match in matches)
