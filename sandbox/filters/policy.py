"""Which system calls a cell may make. Default deny; three answers, by who would make the call.

* allowed: what CPython, numpy and wasmtime were seen to need, and what other C libraries use in its
  place;
* an errno: what an honest library may try, so that it gets an error it knows how to handle;
* killed: what only an attack calls. The whole process dies with SIGSYS and the daemon reports a
  violation.

Arguments are compared as the kernel reads them: 32 bits of an ioctl, fcntl or prctl command, never 64,
or bits above would slip a forbidden command past the filter.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final

NAMES: Final = ("strict", "native", "wasm")
MACHINES: Final = ("x86_64", "aarch64")
WORD: Final = 0xFFFFFFFF


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Allowed with any arguments.
ALLOWED: Final = _names("""
    read readv pread64 preadv write writev pwrite64 pwritev lseek close close_range dup dup2 dup3 pipe pipe2
    open openat openat2 creat stat lstat fstat newfstatat statx access faccessat faccessat2
    readlink readlinkat getdents64 getcwd chdir fchdir mkdir mkdirat rmdir unlink unlinkat
    rename renameat renameat2 ftruncate truncate fallocate fsync fdatasync
    symlink symlinkat link linkat umask chmod fchmod fchmodat utimensat statfs fstatfs
    copy_file_range sendfile flock fadvise64
    brk munmap mremap madvise mincore msync
    futex futex_waitv futex_wait futex_wake futex_requeue set_robust_list get_robust_list rseq membarrier
    set_tid_address sched_yield sched_getaffinity sched_getparam sched_getscheduler getcpu
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack
    restart_syscall pause kill tgkill rt_sigqueueinfo rt_tgsigqueueinfo
    nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times getrusage
    alarm setitimer getitimer timer_create timer_settime timer_gettime timer_delete timer_getoverrun
    timerfd_create timerfd_settime timerfd_gettime
    getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid getgroups getpgrp getpgid getsid
    getrlimit uname sysinfo getrandom getpriority
    poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
    eventfd eventfd2
    recvmsg recvfrom sendmsg sendto recvmmsg sendmmsg shutdown getsockname getpeername
    exit exit_group wait4 waitid arch_prctl
    """)

# Refused with an error that honest code understands.
REFUSED: Final[dict[int, tuple[str, ...]]] = {
    # glibc falls back from clone3 to clone, whose flags a filter can read; EPERM would break pthread_create
    errno.ENOSYS: _names("clone3 rseq_slice_yield statmount listmount cachestat"),
    # the one errno shutil.copytree forgives
    errno.EOPNOTSUPP: _names("""
        setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
        getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
        """),
    errno.EPERM: _names("""
        fork vfork execve execveat setpriority ioprio_set
        sched_setaffinity sched_setparam sched_setscheduler sched_setattr
        setrlimit setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset
        setsid setpgid chown fchown lchown fchownat mknod mknodat
        shmget shmat shmdt shmctl semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open
        mlock mlock2 mlockall munlock munlockall
        inotify_init inotify_init1 inotify_add_watch fanotify_init syslog
        pidfd_open pidfd_getfd pidfd_send_signal
        set_mempolicy mbind get_mempolicy move_pages migrate_pages
        memfd_create memfd_secret pkey_alloc pkey_free pkey_mprotect
        socket connect bind listen accept accept4 setsockopt
        landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp
        adjtimex clock_adjtime settimeofday clock_settime
        signalfd signalfd4 splice tee vmsplice chroot process_madvise
        """),
}

# Killed: no honest agent makes these.
KILLED: Final = _names("""
    ptrace process_vm_readv process_vm_writev kcmp
    mount umount2 pivot_root unshare setns open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr
    open_by_handle_at name_to_handle_at keyctl add_key request_key bpf perf_event_open
    io_uring_setup io_uring_enter io_uring_register userfaultfd
    init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff
    acct quotactl quotactl_fd nfsservctl iopl ioperm modify_ldt uselib lookup_dcookie vhangup
    sethostname setdomainname create_module
    """)

# Names libseccomp 2.5.4 does not know on any architecture; they fall to the default, refusal.
UNKNOWN_ANYWHERE: Final = frozenset({"statmount", "listmount", "rseq_slice_yield"})


@dataclass(frozen=True, slots=True)
class Match:
    """Allowed when, for every (argument, mask, value), `argument & mask == value`."""

    call: str
    tests: tuple[tuple[int, int, int], ...]


_CLONE_NAMESPACES = 0x7E020080  # NEWNS CGROUP UTS IPC USER PID NET TIME
_CLONE_THREAD, _CLONE_VM, _CLONE_PTRACE = 0x10000, 0x100, 0x2000
_PROT_EXEC, _MAP_SHARED, _MAP_ANONYMOUS = 4, 1, 0x20
_AF_UNIX, _SOL_SOCKET, _SOCK_STREAM, _SOCKET_TYPE_MASK = 1, 1, 1, 0xF
_U64 = 0xFFFFFFFFFFFFFFFF
_IOCTLS = (
    0x5401,
    0x5413,
    0x5421,
    0x5450,
    0x5451,
    0x541B,
)  # TCGETS TIOCGWINSZ FIONBIO FIONCLEX FIOCLEX FIONREAD
# F_DUPFD GETFD SETFD GETFL SETFL GETLK SETLK SETLKW DUPFD_CLOEXEC ADD_SEALS GET_SEALS
_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 1030, 1033, 1034)
_PRCTLS = (3, 15, 16, 39, 0x53564D41)  # GET_DUMPABLE SET_NAME GET_NAME GET_NO_NEW_PRIVS SET_VMA
# SO_TYPE ERROR SNDBUF RCVBUF PROTOCOL DOMAIN. Never SO_PEERPIDFD (77): it gives a handle on the daemon.
_SOCKET_OPTIONS = (3, 4, 7, 8, 38, 39)

_THREADS_ONLY: Final = (
    # threads yes, processes no, namespaces never; flags are argument 0 on both architectures
    Match(
        "clone",
        ((0, _CLONE_NAMESPACES | _CLONE_THREAD | _CLONE_VM | _CLONE_PTRACE, _CLONE_THREAD | _CLONE_VM),),
    ),
)
_COMMON: Final = (
    *_THREADS_ONLY,
    *(Match("ioctl", ((1, WORD, command),)) for command in _IOCTLS),
    *(Match("fcntl", ((1, WORD, command),)) for command in _FCNTLS),
    *(Match("prctl", ((0, WORD, option),)) for option in _PRCTLS),
    *(Match("getsockopt", ((1, WORD, _SOL_SOCKET), (2, WORD, option))) for option in _SOCKET_OPTIONS),
    Match("prlimit64", ((0, WORD, 0), (2, _U64, 0))),  # read a limit of its own, never set one
    # asyncio wakes itself through one; a datagram socket of a pair could still send to any other
    Match("socketpair", ((0, WORD, _AF_UNIX), (1, _SOCKET_TYPE_MASK, _SOCK_STREAM))),
)
# No memory that is both shared and nameless: no limit of a process counts it.
_PLAIN_MEMORY: Final = (
    Match("mprotect", ((2, _PROT_EXEC, 0),)),
    Match("mmap", ((2, _PROT_EXEC, 0), (3, _MAP_SHARED, 0))),
    Match("mmap", ((2, _PROT_EXEC, 0), (3, _MAP_ANONYMOUS, 0))),
)
MATCHES: Final[dict[str, tuple[Match, ...]]] = {
    "strict": (*_COMMON, *_PLAIN_MEMORY),
    # native code may be loaded late, from a file: such files lie on read-only mounts only
    "native": (
        *_COMMON,
        *_PLAIN_MEMORY,
        Match("mmap", ((2, _PROT_EXEC, _PROT_EXEC), (3, _MAP_ANONYMOUS, 0))),
    ),
    # wasmtime compiles, while the agent is loaded; then the cell puts `strict` on top and this ends
    "wasm": (
        *_COMMON,
        Match("mprotect", ()),
        Match("mmap", ()),
        Match("memfd_create", ((1, WORD & ~0xB, 0),)),  # copy-on-write data segments; not HUGETLB, not EXEC
        Match("seccomp", ((0, WORD, 1),)),  # to add the second filter
        Match("prctl", ((0, WORD, 65),)),  # PR_SET_MDWE, likewise
    ),
}
