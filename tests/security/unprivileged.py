"""Run a command as a user without privileges, even where the interpreter lies in a closed home.

    python -m tests.security.unprivileged -m tests.security.battery user

takes what would follow `python`. Started by root it makes itself a mount namespace in which the closed
directories on the way to the interpreter, the packages and this repository are replaced by empty ones
that hold only those, then becomes an unprivileged user. Started by a user it just goes on as that user.
"""

import os
import sys
from pathlib import Path

from sandbox import linux

USER = 12345
REPOSITORY = Path(__file__).parents[2]


def main() -> None:
    """Replace this process by the command."""
    if os.geteuid() == 0:
        _open_the_way([Path(sys.base_prefix), Path(sys.prefix), REPOSITORY])
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/nonexistent",
        "PYTHONPATH": str(REPOSITORY),
    }
    os.chdir(REPOSITORY)
    os.execve(sys.executable, [sys.executable, *sys.argv[1:]], environment)


def _open_the_way(needed: list[Path]) -> None:
    linux.unshare(linux.CLONE_NEWNS)
    linux.make_mounts_private()
    closed = {
        directory
        for path in needed
        for directory in path.parents
        if directory.is_dir() and not directory.stat().st_mode & 0o001
    }
    for directory in sorted(closed):
        inside = [path for path in needed if directory in path.parents]
        trees = [(path, linux.clone_mount(str(path))) for path in inside]
        linux.mount("tmpfs", str(directory), "tmpfs", linux.MS_NOSUID, "mode=0755,size=1m")
        for path, tree in trees:
            path.mkdir(parents=True, exist_ok=True)
            linux.attach_mount(tree, str(path))
            os.close(tree)


if __name__ == "__main__":
    main()
