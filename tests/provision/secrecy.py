"""Looking for secrets where they must not be: in processes, in logs, in what anybody may read."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bed.handle import Bed

_LOOK_S: Final = 0.1
# Hexadecimal or Base64, and long enough that nothing else has it by chance.
_SECRET: Final = re.compile(r"[A-Za-z0-9+/]{16,}=*")

# Reads {"secrets": [...]} and prints where they are. As root: logs. As nobody: every file that can be read.
_SEARCH: Final = """
import json, os, subprocess, sys
wanted = [one.encode() for one in json.load(sys.stdin)]
found = set()
if os.getuid() == 0:
    roots = ["/var/log"]
    journal = subprocess.run(["journalctl", "--all", "--output=export"], capture_output=True, check=True).stdout
    assert b"systemd" in journal
    found |= {"journal" for one in wanted if one in journal}
else:
    roots = sorted({f"/{name}" for name in os.listdir("/")} - {"/proc", "/sys", "/srv"})
looked = 0
for root in roots:
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            try:
                if os.path.islink(path) or not os.path.isfile(path):
                    continue
                data = open(path, "rb").read()
            except OSError:
                continue
            looked += 1
            found |= {path for one in wanted if one in data}
print(json.dumps([looked, sorted(found)]))
"""


def fragments(path: Path) -> list[str]:
    """What would give a secret file away: its words that are long enough, without the frame of a PEM file."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("-----")]
    found = [word for line in lines for word in re.split(r'[\s"]+', line) if _SECRET.fullmatch(word)]
    assert found, f"{path} has nothing in it that could be looked for"
    return found


def on_node(bed: Bed, node: str, secrets: Sequence[str]) -> tuple[set[str], set[str]]:
    """Where they are in a node's logs, and in what anybody may read there."""
    places = []
    for user in (["setpriv", "--reuid=0"], ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]):
        done = bed.run(
            node, *user, "python3", "-c", _SEARCH, stdin=json.dumps(secrets), timeout=300, check=True
        )
        looked, found = json.loads(done.stdout)
        assert looked > 0
        places.append(set(found))
    return places[0], places[1]


class ProcessWatch:
    """Looks at every process of the machine, ten times a second, for as long as the block lasts."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self.seen: set[str] = set()
        """Of those that had a secret among their arguments or in their environment: the program."""
        self.looks = 0
        self._secrets = [secret.encode() for secret in secrets]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ProcessWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            self.looks += 1
            for process in Path("/proc").glob("[0-9]*"):
                for data in _read(process):
                    if any(secret in data for secret in self._secrets):
                        self.seen.add(data.split(b"\0", 1)[0].decode(errors="replace"))


def _read(process: Path) -> Iterator[bytes]:
    for name in ("cmdline", "environ"):
        try:
            yield (process / name).read_bytes()
        except OSError:  # ended meanwhile
            return
