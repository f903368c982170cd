"""Takes from a process what the work on a stranger's file does not need: memory, time, files, processes, system calls.

It holds for the process that calls it, until that ends, and nothing can be had back.
"""

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from pathlib import Path

_FILES = 16
_NOBODYS = 65_533  # a user id under which nothing else runs

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # of classic BPF
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4  # in struct seccomp_data
_ALLOW, _REFUSE_WITH_EPERM = 0x7FFF0000, 0x00050001

# What decoding, memory management and the end of a process call. Nothing that opens, connects, or starts anything.
_NEEDED = (
    *("read", "write", "readv", "pread64", "lseek", "fstat", "newfstatat", "close"),
    *("mmap", "munmap", "mremap", "mprotect", "madvise", "brk"),
    *("futex", "sched_yield", "restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack"),
    *("clock_gettime", "gettimeofday", "getrandom", "getpid", "gettid", "getcwd", "exit", "exit_group"),
)
# Each machine's AUDIT_ARCH, and the numbers of these calls in their order (asm/unistd_64.h, asm-generic).
_MACHINES = {
    "x86_64": (0xC000003E, (0, 1, 19, 17, 8, 5, 262, 3, 9, 11, 25, 10, 28, 12, 202, 24, 219, 13, 14, 15, 131, 228, 96,
                            318, 39, 186, 79, 60, 231)),
    "aarch64": (0xC00000B7, (63, 64, 65, 67, 62, 80, 79, 57, 222, 215, 216, 226, 233, 214, 98, 124, 128, 134, 135, 139,
                             132, 113, 169, 278, 172, 178, 17, 93, 94)),
}  # fmt: skip


class _Program(ctypes.Structure):
    """Struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


_libc = ctypes.CDLL(None, use_errno=True)


def confine(*, memory: int, seconds: int) -> None:
    """Confine this process. Its parent's death is its own.

    Args:
        memory: bytes that it may have beyond what it has now.
        seconds: of the processor, that it may take from now on.
    """
    if os.geteuid() == 0:  # whom no limit on the number of processes binds
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(_NOBODYS, _NOBODYS, _NOBODYS)
            os.setresuid(_NOBODYS, _NOBODYS, _NOBODYS)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    for kind, soft, hard in (
        (resource.RLIMIT_AS, has + memory, has + memory),
        (resource.RLIMIT_CPU, used + seconds, used + seconds + 1),  # SIGXCPU, which says what it was; SIGKILL
        (resource.RLIMIT_NOFILE, _FILES, _FILES),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NPROC, 0, 0),
    ):
        resource.setrlimit(kind, (soft, hard))
    restrict_system_calls()


def restrict_system_calls() -> bool:
    """Let only the calls of `_NEEDED` through; others fail with EPERM. Whether the kernel does it."""
    program = _filter(platform.machine())
    if program is None:
        return False
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    given = _Program(len(program) // 8, program)
    return bool(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(given), 0, 0) == 0)


def _filter(machine: str) -> bytes | None:
    """The program by which the kernel judges each system call; None for a machine whose numbers are not known here."""
    if machine not in _MACHINES or sys.maxsize < 1 << 32:
        return None
    architecture, numbers = _MACHINES[machine]
    count = len(numbers)
    statements = [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_IF_EQUAL, 0, count + 1, architecture),  # another: to the refusal
        (_LOAD_WORD, 0, 0, _NUMBER_AT),
        *((_JUMP_IF_EQUAL, count - at, 0, number) for at, number in enumerate(numbers)),
        (_RETURN, 0, 0, _REFUSE_WITH_EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *one) for one in statements)
