"""One call from the page where no UDP passes; run in a network namespace of its own by `test_chromium_page`.

What is sent is dropped on arrival and nobody is told, as the firewalls do for which a WebSocket is there. Prints by
which carrier the call went.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from interop.page_calls import ask
from interop.page_node import node

FIREWALL = """
table inet firewall {
  chain input {
    type filter hook input priority filter; policy accept;
    meta l4proto udp drop
  }
}
"""


def main(directory: Path) -> None:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    for command, given in ((["ip", "link", "set", "lo", "up"], ""), (["nft", "-f", "-"], FIREWALL)):
        subprocess.run(command, input=given, text=True, check=True, env={"PATH": path})
    with node("demo", directory / "node") as url:
        sys.stdout.write(asyncio.run(ask(url, directory)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
