"""What a model process may do besides computing: read its models, and nothing else. Knows no model.

Whoever talks to a model may in the end run code in its process (a hostile weights file, a fault in
a library). So the process has no secret to begin with (`environment`), and before it reads its
first byte of a model it gives up for itself and all its threads (`confine`):

- files: Landlock (landlock(7)). It reads the interpreter, libraries and its models' files, and
  writes to devices and where it is told. It cannot look into another process's memory either.
- the network: seccomp(2). It opens no socket but of the family AF_UNIX, which CUDA wants, and those
  it can neither connect nor send from.

Neither needs a privilege, a unit of its own or namespaces, and neither can be taken back. What the
kernel does not have is said in words; then the rest still holds.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ROOT = Path(__file__).resolve().parent.parent

#: variables that libraries read; whatever else is in the daemon's environment may be a secret
_KNOWN = (
    "PATH", "HOME", "LANG", "LANGUAGE", "LC_*", "TZ", "PYTHON*", "LD_LIBRARY_PATH",
    "HF_HOME", "HF_HUB_*", "XDG_CACHE_HOME", "TRANSFORMERS_*", "DIFFUSERS_*", "TOKENIZERS_*",
    "CUDA_*", "NVIDIA_*", "CUBLAS_*", "CUDNN_*", "TORCH_*", "PYTORCH_*", "TRITON_*", "ATEN_*",
    "OMP_*", "MKL_*", "KMP_*", "GOMP_*", "ONEDNN_*", "DNNL_*", "OPENBLAS_*", "MALLOC_*",
    "HIP_*", "HSA_*", "ROCM_*", "ROCR_*", "AMD_*", "MIOPEN_*", "GPU_*",
)  # fmt: skip

#: files and folders of the system that an interpreter and its libraries read
_SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/opt/rocm", "/opt/cuda", "/nix/store",
    "/gnu/store", "/run/opengl-driver", "/proc", "/sys", "/etc/ld.so.cache", "/etc/localtime",
    "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/ssl/openssl.cnf", "/etc/alternatives",
)  # fmt: skip
_DEVICES = (
    "null", "zero", "full", "random", "urandom", "nvidia*", "nvidia-caps/*", "dri/*", "kfd",
)  # fmt: skip


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of the variables that a model process is given: no token, no credentials, no socket of
    systemd's."""
    return {
        name: value
        for name, value in variables.items()
        if any(fnmatch(name, known) for known in _KNOWN)
    }


def confine(readable: Iterable[Path], writable: Iterable[Path] = ()) -> list[str]:
    """Give up everything else, for this thread and all that it begins; what lies in `readable` and
    `writable` counts, and where its links lead. Returns what does not hold here, in sentences."""
    lacking = []
    if error := _no_new_privileges() or _drop_capabilities():
        return [f"the model process is not confined at all: {error}"]
    if error := _keep_to_files(readable, writable):
        lacking.append(f"the model process can read and write what the daemon can: {error}")
    if error := _stay_off_the_network():
        lacking.append(f"the model process can reach the network: {error}")
    return lacking


# --- system calls ----------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_CAPABILITIES, _READ_ANY_FILE = 0x20080522, 1 << 2  # the interface's version; CAP_DAC_READ_SEARCH


def _call(number: int, *arguments: int | bytes | None) -> int:
    """Raises `OSError`."""
    result = int(_libc.syscall(*map(_word, (number, *arguments))))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def _control(*arguments: int | bytes) -> str:
    """prctl(2); why not, if so."""
    if _libc.prctl(*map(_word, arguments)) == 0:
        return ""
    return os.strerror(ctypes.get_errno())


def _word(argument: int | bytes | None) -> ctypes.c_long | bytes | None:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _no_new_privileges() -> str:
    return _control(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _drop_capabilities() -> str:
    """Where the daemon runs as root: there, Linux 6.18 lets whoever has CAP_PERFMON read the
    variables of other processes, whatever Landlock says. Reading files of any owner is kept, of
    those that it may open at all."""
    header, sets = struct.pack("=Ii", _CAPABILITIES, 0), ctypes.create_string_buffer(24)
    if _libc.capget(header, sets) != 0:
        return os.strerror(ctypes.get_errno())
    has, more = struct.unpack_from("=4xI8xI4x", sets)
    kept = has & _READ_ANY_FILE
    if (has, more) == (kept, 0):  # a unit's filter may forbid even this call
        return ""
    if _libc.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)) != 0:
        return os.strerror(ctypes.get_errno())
    return ""


# --- files: include/uapi/linux/landlock.h ----------------------------------------------------

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on all architectures
_VERSION, _BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_TRUNCATE = 1 << 14
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
#: how many rights the versions of the interface know, the first one first; of the fifth, control of
#: devices (ioctl) is not taken away, since computing on a card is nothing else
_RIGHTS = (13, 14, 15, 15)
#: from the sixth version on, others' abstract sockets and other processes' signals are out of reach
_SCOPES, _SCOPED_SINCE = 0b11, 6


def _keep_to_files(readable: Iterable[Path], writable: Iterable[Path]) -> str:
    try:
        version = _call(_CREATE, None, 0, _VERSION)
    except OSError as error:
        return f"the kernel has no Landlock, or it is switched off ({error.strerror})"
    handled = (1 << _RIGHTS[min(version, len(_RIGHTS)) - 1]) - 1
    scoped = _SCOPES if version >= _SCOPED_SINCE else 0
    attributes = struct.pack("=QQQ", handled, 0, scoped)[: 24 if scoped else 8]
    try:
        rules = _call(_CREATE, attributes, len(attributes), 0)
        try:
            for path in (*_of_system(), *_with_targets(readable)):
                _allow(rules, path, _READ & handled)
            for path in writable:
                _allow(rules, path, handled)
            for path in _devices():
                _allow(rules, path, _OF_FILES & handled)
            _call(_RESTRICT, rules, 0)
        finally:
            os.close(rules)
    except OSError as error:
        return f"Landlock failed ({error.strerror})"
    return ""


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        there = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not on this machine
        return
    try:
        if not path.is_dir():
            rights &= _OF_FILES
        _call(_ADD, rules, _BENEATH, struct.pack("=Qi", rights, there), 0)
    finally:
        os.close(there)


def _of_system() -> list[Path]:
    # Of a checkout only the packages: an operator's configuration and data lie beside them.
    ours = [_ROOT / "botdaemon", _ROOT / "models"]
    searched = [Path(entry) for entry in sys.path if entry and Path(entry).resolve() != _ROOT]
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    return [
        *map(Path, _SYSTEM),
        *map(Path, filter(None, libraries)),
        *map(Path, (sys.prefix, sys.base_prefix, sys.exec_prefix)),
        *searched,
        *ours,
    ]


def _devices() -> list[Path]:
    devices = [path for name in _DEVICES for path in Path("/dev").glob(name) if not path.is_dir()]
    return [*devices, Path("/proc/self/clear_refs")]  # by which it measures its own memory


def _with_targets(paths: Iterable[Path]) -> set[Path]:
    """Where links lead, too: files in the hub's cache, and the versions of a voice, of which the
    next one will lie beside this one."""
    found = set()
    for path in paths:
        found.add(path)
        if path.is_symlink():
            found.add(path.resolve().parent)
        found.update(file.resolve() for file in path.rglob("*") if file.is_symlink())
    return found


# --- the network: seccomp(2), include/uapi/linux/{seccomp,filter,bpf_common,audit}.h ------------


class _Numbers(NamedTuple):
    """System calls of an architecture."""

    audit: int
    socket: int
    connect: int
    sendto: int
    forbidden: tuple[int, ...]


# sendmsg, sendmmsg, ptrace, process_vm_readv, process_vm_writev; then, the same everywhere,
# io_uring_setup, which opens sockets without socket(2), and pidfd_getfd
_NUMBERS = {
    "x86_64": _Numbers(0xC000003E, 41, 42, 44, (46, 307, 101, 310, 311, 425, 438)),
    "aarch64": _Numbers(0xC00000B7, 198, 203, 206, (211, 269, 117, 270, 271, 425, 438)),
}
_LOAD, _EQUALS, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE, _EACCES, _AF_UNIX = 0x7FFF0000, 0x00050000, 13, 1
_X32 = 0x40000000
"""Where x86-64 has a second set of system calls."""


def _filter(numbers: _Numbers) -> bytes:
    """The program in classic BPF. In `struct seccomp_data` the number stands at 0, the architecture
    at 4, and the arguments from 16 on, eight bytes each (little-endian)."""
    deny, allow = (_RETURN, _REFUSE | _EACCES), (_RETURN, _ALLOW)
    program: list[tuple[int, int, int, int]] = []

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> None:
        program.append((code, yes, no, value))

    step(_LOAD, 4)
    step(_EQUALS, numbers.audit, 1, 0)
    step(*deny)
    step(_LOAD, 0)
    step(_AT_LEAST, _X32, 0, 1)
    step(*deny)
    for number in (numbers.connect, *numbers.forbidden):
        step(_EQUALS, number, 0, 1)
        step(*deny)
    step(_EQUALS, numbers.socket, 0, 4)
    step(_LOAD, 16)
    step(_EQUALS, _AF_UNIX, 0, 1)
    step(*allow)
    step(*deny)
    step(_EQUALS, numbers.sendto, 0, 6)
    for half in (16 + 8 * 4, 20 + 8 * 4):  # the address, a pointer; none: to whom it is connected
        step(_LOAD, half)
        step(_EQUALS, 0, 1, 0)
        step(*deny)
    step(*allow)
    return b"".join(struct.pack("=HBBI", *line) for line in program)


def _stay_off_the_network() -> str:
    numbers = _NUMBERS.get(platform.machine())
    if numbers is None:
        return f"the system calls of {platform.machine()} are not known here"
    program = ctypes.create_string_buffer(_filter(numbers))
    # struct sock_fprog: a count of instructions, and a pointer to them
    told = struct.pack("@HP", (len(program) - 1) // 8, ctypes.addressof(program))
    error = _control(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, told, 0, 0)
    return f"seccomp failed ({error})" if error else ""
