"""Linux namespaces, straight from the kernel: the calls that Python 3.11 does not offer yet.

A lab lives in its own mount, PID and network namespaces; an ordinary user first takes a user namespace, in
which it is root and nowhere else (user_namespaces(7)). The nodes of a lab are further network namespaces,
named by a bind mount under ``/run/netns`` as ``ip netns`` does, on a ``/run`` that only the lab sees.

`inside` moves the calling thread only, and only until the block ends: whatever is opened or started within
(a socket, a subprocess, a file below ``/proc/sys/net``) belongs to that node. Never await within it.
"""

import contextlib
import ctypes
import enum
import os
from collections.abc import Iterator
from pathlib import Path

NETNS_DIR = Path("/run/netns")
RUN_DIR = Path("/run/lab")  # sockets of the lab's own processes: short paths, and they vanish with /run

_CAP_NET_ADMIN = 12
_CAP_SYS_ADMIN = 21
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 0x40000

_libc = ctypes.CDLL(None, use_errno=True)


class Kind(enum.IntFlag):
    """Kinds of namespaces: the CLONE_NEW* bits of clone(2), unshare(2) and setns(2)."""

    MNT = 0x00020000
    USER = 0x10000000
    PID = 0x20000000
    NET = 0x40000000

    @property
    def proc_name(self) -> str:
        """The name below ``/proc/PID/ns``."""
        return str(self.name).lower()


WITHOUT_USER = Kind.MNT | Kind.PID | Kind.NET
EVERY_KIND = WITHOUT_USER | Kind.USER


def privileged() -> bool:
    """Whether this process may make namespaces without a user namespace around them."""
    status = Path("/proc/self/status").read_text()
    effective = int(status.split("CapEff:")[1].split()[0], 16)
    return os.geteuid() == 0 and all(effective >> cap & 1 for cap in (_CAP_NET_ADMIN, _CAP_SYS_ADMIN))


def unshare(kinds: Kind) -> None:
    """Leave the given namespaces for new ones; a new PID namespace holds the children, not the caller."""
    _check(_libc.unshare(int(kinds)), "unshare")


def setns(fd: int, kind: Kind) -> None:
    """Move the calling thread into the namespace behind ``fd``."""
    _check(_libc.setns(fd, int(kind)), "setns")


def become_root(uid: int, gid: int) -> None:
    """Map the outside ``uid`` and ``gid`` to 0 in the user namespace just made; no other id exists in it."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def furnish(keep: tuple[Path, ...]) -> None:
    """Give a new mount namespace its own ``/proc`` and ``/run``; directories of ``keep`` stay in place.

    To be called by the first process of a new PID namespace.
    """
    _mount(b"none", Path("/"), None, _MS_REC | _MS_PRIVATE)
    kept = [
        (path, os.open(path, os.O_PATH)) for path in map(Path.resolve, keep) if path.is_relative_to("/run")
    ]
    _mount(b"tmpfs", Path("/run"), b"tmpfs", 0, b"mode=755")
    for path, fd in kept:
        path.mkdir(parents=True)
        _mount(b"/proc/self/fd/%d" % fd, path, None, _MS_BIND)
        os.close(fd)
    _mount(b"proc", Path("/proc"), b"proc", 0)
    NETNS_DIR.mkdir()
    RUN_DIR.mkdir()


def cover(path: Path, by: Path) -> None:
    """Whoever reads the file ``path`` in the lab reads ``by`` from now on."""
    _mount(bytes(by), path, None, _MS_BIND)


def overlay(target: Path, lower: Path, upper: Path, work: Path) -> None:
    """Mount ``lower`` on ``target``; what is written there goes to ``upper``. ``work`` is for the kernel."""
    data = f"lowerdir={lower},upperdir={upper},workdir={work}".encode()
    _mount(b"overlay", target, b"overlay", 0, data)


def unified_cgroups(target: Path) -> None:
    """Mount the hierarchy of control groups, version 2, on ``target``, also on a machine that still uses version 1."""
    _mount(b"cgroup2", target, b"cgroup2", 0)


def create_netns(name: str) -> None:
    """Make the network namespace ``name``."""
    path = NETNS_DIR / name
    path.touch(exist_ok=False)
    with _return_to_own_netns():
        unshare(Kind.NET)
        _mount(b"/proc/thread-self/ns/net", path, None, _MS_BIND)


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """The calling thread is in the network namespace ``name`` for the length of the block."""
    fd = os.open(NETNS_DIR / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _return_to_own_netns():
            setns(fd, Kind.NET)
            yield
    finally:
        os.close(fd)


def netns_inodes(root: Path = Path("/")) -> dict[str, int]:
    """Inode numbers of the named network namespaces, by name; ``root`` is ``/proc/PID/root`` from outside."""
    directory = root / NETNS_DIR.relative_to("/")
    return {path.name: path.stat().st_ino for path in sorted(directory.iterdir())}


def inodes(pid: int | str = "self") -> dict[str, int]:
    """Inode numbers of the namespaces a process lives in, by kind (``user``, ``mnt``, ``pid``, ``net``)."""
    return {kind.proc_name: os.stat(f"/proc/{pid}/ns/{kind.proc_name}").st_ino for kind in Kind}


@contextlib.contextmanager
def _return_to_own_netns() -> Iterator[None]:
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        setns(own, Kind.NET)
        os.close(own)


def _mount(source: bytes, target: Path, kind: bytes | None, flags: int, data: bytes | None = None) -> None:
    _check(_libc.mount(source, bytes(target), kind, flags, data), f"mount {target}")


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
