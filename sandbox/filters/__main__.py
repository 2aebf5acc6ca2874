"""Compile the policy into the `.bpf` files of this package (`--check` compares instead of writing).

Needs libseccomp and its Python binding, both development tools: a running daemon loads the files only.
"""

from __future__ import annotations

import sys
import tempfile
from types import ModuleType

from sandbox.filters import path, policy


def compile_policy(name: str, machine: str) -> tuple[bytes, frozenset[str]]:
    """One program, and the names of calls libseccomp does not know on that machine."""
    import pyseccomp as lib  # noqa: PLC0415  (a development dependency)

    arch = {"x86_64": lib.Arch.X86_64, "aarch64": lib.Arch.AARCH64}[machine]
    refuse = lib.ERRNO(next(code for code, names in policy.REFUSED.items() if "execve" in names))
    rules = lib.SyscallFilter(refuse)
    rules.set_attr(lib.Attr.ACT_BADARCH, lib.KILL_PROCESS)  # i386 and x32 are other doors to the same kernel
    rules.set_attr(lib.Attr.CTL_OPTIMIZE, 2)  # a tree, not a list of comparisons
    if arch != lib.system_arch():
        rules.add_arch(arch)
        rules.remove_arch(lib.system_arch())
    unknown = _add_rules(lib, rules, arch, refuse, name)
    with tempfile.TemporaryFile() as output:
        rules.export_bpf(output)
        output.seek(0)
        return output.read(), unknown


def _add_rules(lib: ModuleType, rules: object, arch: object, default: object, name: str) -> frozenset[str]:
    unknown: set[str] = set()

    def add(action: object, call: str, *tests: object) -> None:
        if lib.resolve_syscall(arch, call) < 0:
            unknown.add(call)
        elif action != default:  # libseccomp refuses a rule that says what the default says
            rules.add_rule(action, call, *tests)  # type: ignore[attr-defined]

    for call in policy.ALLOWED:
        add(lib.ALLOW, call)
    for code, calls in policy.REFUSED.items():
        for call in calls:
            add(lib.ERRNO(code), call)
    for call in policy.KILLED:
        add(lib.KILL_PROCESS, call)
    for match in policy.MATCHES[name]:
        tests = [lib.Arg(argument, lib.MASKED_EQ, mask, value) for argument, mask, value in match.tests]
        add(lib.ALLOW, match.call, *tests)
    return frozenset(unknown)


def main(arguments: list[str]) -> int:
    """Write or compare every program; returns how many differ."""
    differing = 0
    for name in policy.NAMES:
        for machine in policy.MACHINES:
            program, _ = compile_policy(name, machine)
            target = path(name, machine)
            if target.exists() and target.read_bytes() == program:
                continue
            differing += 1
            if "--check" not in arguments:
                target.write_bytes(program)
            sys.stdout.write(f"{target.name}: {len(program) // 8} instructions\n")
    return differing if "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
