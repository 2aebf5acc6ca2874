"""Landlock: the process gives up every file right it does not name, by itself, without privilege.

A second wall behind the mount namespace, and the only file wall of the `reduced` tier. Newer kernels
know more rights; a right the running kernel does not know is left out, all others are denied unless
granted here. Since ABI 4 TCP is denied, since ABI 6 so are signals and abstract sockets that leave the
cell.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Sequence
from typing import Final

from sandbox import linux

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_MAKE_SYM, _REFER, _TRUNCATE = 1 << 12, 1 << 13, 1 << 14
_EXECUTE: Final = 1 << 0
_READ: Final = _READ_FILE | _READ_DIR
_WRITE: Final = (
    _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SYM | _REFER | _TRUNCATE
)
_FILE_RIGHTS: Final = (
    _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
)  # the only ones a rule on a file may name
_RIGHTS_BY_ABI: Final = {1: 13, 2: 14, 3: 15, 4: 15}
_RIGHTS_NEWEST: Final = 16
_ABI_NET: Final = 4
_ABI_SCOPES: Final = 6
_RULE_PATH_BENEATH: Final = 1
_CREATE_VERSION: Final = 1


def abi() -> int:
    """The version the running kernel offers; 0 for none."""
    try:
        return linux.call("landlock_create_ruleset", None, 0, _CREATE_VERSION)
    except OSError:
        return 0


def restrict(readable: Sequence[str], writable: Sequence[str], *, may_execute: bool) -> int:
    """Keep only these paths, for ever; needs no-new-privs. Returns the ABI in force."""
    version = abi()
    if version < 1:
        raise OSError(errno.ENOSYS, "landlock is not offered by this kernel")
    rights = (1 << _RIGHTS_BY_ABI.get(version, _RIGHTS_NEWEST)) - 1
    net = 3 if version >= _ABI_NET else 0
    scopes = 3 if version >= _ABI_SCOPES else 0
    size = 8 if version < _ABI_NET else 16 if version < _ABI_SCOPES else 24
    ruleset = linux.call("landlock_create_ruleset", struct.pack("QQQ", rights, net, scopes), size, 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ | (_EXECUTE if may_execute else 0))
        for path in writable:
            _allow(ruleset, path, _WRITE & rights)
        linux.call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # what is not there needs no permission
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _FILE_RIGHTS
        linux.call(
            "landlock_add_rule", ruleset, _RULE_PATH_BENEATH, struct.pack("<Qi", rights, descriptor), 0
        )
    finally:
        os.close(descriptor)
