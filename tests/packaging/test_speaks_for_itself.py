"""Nothing in the repository points at the machine it was written on, or at a real network."""

import ipaddress
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MACHINE = re.compile(
    r"""(?x)
    (?<![\w.]) / (?: work | root | home/\w+ ) / \w     # somebody's folders
    | /tmp/ (?: team | w | g ) \b
    | /opt/ (?: wheels | pypi )
    | --(?: extra-)? index-url | --find-links | pythonhosted
    """
)

# An address or a prefix, IPv4 or global IPv6.
ADDRESS = re.compile(
    r"(?<![\w.:])((?:\d{1,3}(?:\.\d{1,3}){3}|[23][0-9a-f]{3}:[0-9a-f:]+)(?:/\d{1,3})?)(?![\w.:])"
)

# RFC 5737, RFC 3849
EXAMPLES = [
    ipaddress.ip_network(prefix)
    for prefix in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")
]


def belongs_to_somebody(text: str) -> bool:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return network.is_global and not network.is_multicast and not any(map(network.overlaps, EXAMPLES))


@pytest.fixture(scope="module")
def lines() -> list[tuple[str, str]]:
    """Every line of every text in the repository, with its place."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    texts = [
        path for path in paths if path.is_file() and path != Path(__file__) and b"\0" not in path.read_bytes()
    ]
    return [
        (f"{path.relative_to(ROOT)}:{number}", line)
        for path in texts
        for number, line in enumerate(path.read_text().splitlines(), 1)
    ]


def test_no_machine_shows_through(lines):
    assert [(place, line) for place, line in lines if MACHINE.search(line)] == []


def test_no_address_belongs_to_somebody(lines):
    """Examples and tests use the documentation prefixes: somebody will run them."""
    assert [
        (place, text) for place, line in lines for text in ADDRESS.findall(line) if belongs_to_somebody(text)
    ] == []


@pytest.mark.parametrize("text", ["192.0.2.1", "203.0.0.0/8", "2001:db8:1::/48", "127.0.0.1", "3.11.2"])
def test_examples_are_nobodys(text):
    assert not belongs_to_somebody(text)


@pytest.mark.parametrize("text", ["8.8.8.8", "2001:4860::1", "1.0.0.0/24"])
def test_real_addresses_are_somebodys(text):
    assert belongs_to_somebody(text)
