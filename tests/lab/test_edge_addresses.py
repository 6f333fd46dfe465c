"""edge-addresses, which the Ansible role installs, with a kernel: what is listed is there, what was taken off the list is not."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "ansible/roles/edge/files/edge-addresses"

pytestmark = pytest.mark.needs("ip", "unshare")

# Two uplinks, and a machine of its own as far as files go that it reads and writes.
MACHINE = """set -eu
mount -t tmpfs none /etc; mount -t tmpfs none /run
mkdir /etc/edge /run/edge-addresses
ip link set lo up
for number in 1 2; do
    ip link add up$number type veth peer name far$number
    ip link set up$number up; ip link set far$number up
done
ip address add 198.51.100.2/24 dev up1; ip address add 203.0.113.2/24 dev up2
ip -6 address add 2001:db8:a1::2/64 dev up1 nodad
lists() { printf "$1" >/etc/edge/addresses; printf "$2" >/etc/edge/source-routes; }
lo() { ip -brief address show dev lo | tr ' ' '\\n' | grep -v ^127 | grep / | sort | xargs; }
way() { ip route get 192.0.2.200 from "$1" 2>&1 | grep -o 'via [^ ]*' || echo 'no way'; }
"""


def on_a_machine(story: str) -> list[str]:
    apart = ["unshare", "--net", "--mount", *(["--map-root-user", "--user"] if os.geteuid() else [])]
    done = subprocess.run(
        [*apart, "sh", "-c", MACHINE + story.replace("EDGE", f"sh {SCRIPT}")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_addresses_come_and_go_with_the_list():
    assert on_a_machine(
        r"""lists '192.0.2.1\n2001:db8:1::1\n' ''
        ip address add 192.0.2.9/32 dev lo # somebody else's
        EDGE put; lo
        EDGE put; lo
        lists '192.0.2.2\n2001:db8:1::1\n' ''
        EDGE put; lo
        EDGE take; lo"""
    ) == [
        "192.0.2.1/32 192.0.2.9/32 2001:db8:1::1/128 ::1/128",
        "192.0.2.1/32 192.0.2.9/32 2001:db8:1::1/128 ::1/128",
        "192.0.2.2/32 192.0.2.9/32 2001:db8:1::1/128 ::1/128",
        "192.0.2.9/32 ::1/128",
    ]


def test_packets_leave_by_the_uplink_of_their_source():
    """Also after the gateway of a table has become another one, and after a table has."""
    assert on_a_machine(
        r"""lists '' '198.51.100.2 198.51.100.1 101\n203.0.113.2 203.0.113.1 102\n2001:db8:a1::2 2001:db8:a1::1 101\n'
        EDGE put; EDGE put; way 198.51.100.2; way 203.0.113.2; ip -6 rule show | grep -c 'lookup 101'
        lists '' '198.51.100.2 198.51.100.254 101\n203.0.113.2 203.0.113.1 103\n'
        EDGE put; way 198.51.100.2; way 203.0.113.2; ip -6 rule show | grep -c 'lookup 101' || true
        ip rule show | grep -c '^1000:'
        EDGE take; ip rule show | grep -c '^1000:' || true; ip route show table 101"""
    ) == ["via 198.51.100.1", "via 203.0.113.1", "1", "via 198.51.100.254", "via 203.0.113.1", "0", "2", "0"]


def test_a_gateway_out_of_reach_costs_no_address():
    assert on_a_machine(
        r"""lists '192.0.2.1\n' '198.51.100.2 192.0.2.99 101\n'
        EDGE put 2>/dev/null && echo put; lo
        lists '192.0.2.1\n' ''
        EDGE put && lo"""
    ) == ["192.0.2.1/32 ::1/128", "192.0.2.1/32 ::1/128"]
