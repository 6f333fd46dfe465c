"""The bed itself: what stands on it is worth as much as this."""

from __future__ import annotations

import pytest
from bed import messages, outside
from bed.controller import write_key
from bed.handle import Bed
from bed.plan import CLIENT, CONTROLLER, NODE_AS, NODES, ROUTER_AS, SERVICE, SERVICE_NAME
from waiting import until

from edge import __version__
from edge.errors import EdgeError, RefusedError
from edge.lab.rib import session_name

PROGRAMS = ("mmdebstrap", "dpkg-scanpackages", "systemd-nspawn", "bird", "nft", "ip", "ssh", "curl")
# The first test of a machine makes the image and gets the wheels, from mirrors of which nobody knows how slow they are.
pytestmark = [pytest.mark.needs(*PROGRAMS), pytest.mark.timeout(1200)]

AMS, FRA, NYC = NODES
PREFIXES = [service.network for service in SERVICE]

SPEAKER = """\
router id {node.v4.ip};
protocol device {{ }}
protocol static s4 {{ ipv4; route {v4} blackhole; }}
protocol static s6 {{ ipv6; route {v6} blackhole; }}
protocol bgp b4 {{ local as {own}; neighbor {node.router_v4} as {peer}; password "{md5}"; connect retry time 1;
  ipv4 {{ import none; export all; }}; }}
protocol bgp b6 {{ local as {own}; neighbor {node.router_v6} as {peer}; password "{md5}"; connect retry time 1;
  ipv6 {{ import none; export all; }}; }}
"""


@pytest.mark.parametrize("node", [node.name for node in NODES])
def test_a_node_is_a_whole_debian(bed: Bed, node: str) -> None:
    """Nothing failed on the way up, and one hierarchy of control groups, as on any Debian 12."""
    assert bed.run(node, "systemctl", "is-system-running").stdout == "running\n"
    assert bed.run(node, "stat", "--file-system", "--format=%T", "/sys/fs/cgroup").stdout == "cgroup2fs\n"
    assert bed.run(node, "hostname").stdout == f"{node}\n"
    assert bed.boots(node) == 1


def test_nodes_are_not_one_machine_thrice(bed: Bed) -> None:
    for path in ("/etc/machine-id", "/etc/ssh/ssh_host_ed25519_key.pub"):
        assert len({bed.run(node.name, "cat", path, check=True).stdout for node in NODES}) == len(NODES)


def test_an_operator_logs_in_and_may_sudo(bed: Bed) -> None:
    for node in NODES:
        for host in (node.mgmt, *map(str, node.addresses)):
            done = bed.run(
                CONTROLLER, "ssh", "-o", "BatchMode=yes", host, "hostname; sudo -n id -u", check=True
            )
            assert done.stdout == f"{node.name}\n0\n"


def test_nobody_else_does(bed: Bed) -> None:
    """Neither with another key, nor to a node that has not the key that it should have."""
    other = bed.home / "other"
    public = write_key(other)
    only = ["-F", "none", "-o", "IdentitiesOnly=yes", "-l", "ops", "-i", str(other)]
    refused = bed.ssh("ams-1", "true", *only)
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr
    wrong = bed.home / "known"
    wrong.write_text(f"{AMS.mgmt} {public}\n")
    deceived = bed.ssh("ams-1", "true", "-o", f"UserKnownHostsFile={wrong}")
    assert deceived.returncode == 255
    assert "Host key verification failed" in deceived.stderr


def test_a_node_has_no_way_out_but_what_it_needs_to_install(bed: Bed) -> None:
    """A release as it is locked, on the Python of the node's Debian."""
    assert not bed.reaches("http://deb.debian.org/", place="ams-1")
    script = f"""set -e
        apt-get --quiet --quiet update
        DEBIAN_FRONTEND=noninteractive apt-get --quiet --quiet --yes install python3-venv >/tmp/apt.log 2>&1
        python3 -m venv /opt/try
        export PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv/releases/{__version__} PIP_ONLY_BINARY=:all:
        /opt/try/bin/pip --quiet install --no-deps --require-hashes -r "$PIP_FIND_LINKS"/requirements.txt
        /opt/try/bin/edgectl version"""
    done = bed.run("ams-1", "sh", "-c", script, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert __version__ in done.stdout


def test_sessions_come_up_with_the_key_and_routes_are_shared(bed: Bed) -> None:
    """Two of three have the key; the third is not even heard."""
    md5 = (bed.home / "secrets" / "bgp-md5.key").read_text()
    for node, key in ((AMS, md5), (FRA, md5), (NYC, "not the key")):
        v4, v6 = PREFIXES
        text = SPEAKER.format(node=node, v4=v4, v6=v6, own=NODE_AS, peer=ROUTER_AS, md5=key)
        bed.run(node.name, "apt-get", "--quiet", "--quiet", "update", check=True)
        script = "DEBIAN_FRONTEND=noninteractive apt-get -qq --yes install bird2 >/tmp/apt.log 2>&1"
        bed.run(node.name, "sh", "-c", f"{script} && cat >/etc/bird/bird.conf", stdin=text, check=True)
        bed.run(node.name, "systemctl", "reload-or-restart", "bird", check=True)
    both = {session_name(node.name, version) for node in (AMS, FRA) for version in ("v4", "v6")}
    until(lambda: both <= _established(bed), "the sessions are established")
    for prefix, of in zip(PREFIXES, ("v4", "v6"), strict=True):
        until(lambda prefix=prefix: len(bed.next_hops(prefix)) == 2, f"{prefix} has two next hops")
        assert {route.session for route in bed.routes(prefix)} == {
            session_name(node.name, of) for node in (AMS, FRA)
        }
    # It has had as long as the others.
    assert _established(bed) == both


def test_a_reboot_keeps_what_is_on_disk_and_nothing_else(bed: Bed) -> None:
    """What lives in the kernel is gone, as on a machine, although this one shares its kernel."""
    lasting = "echo kept >kept; sudo ip address add 192.0.2.1/32 dev lo; sudo ip address add 2001:db8:1::1/128 dev lo"
    bed.ssh("fra-1", lasting, check=True)
    with bed.reboots("fra-1"):
        bed.ssh("fra-1", "sudo systemctl reboot")
    after = bed.ssh("fra-1", "cat kept; ip -brief address show dev lo; systemctl is-system-running")
    assert after.stdout.split() == ["kept", "lo", "UNKNOWN", "127.0.0.1/8", "::1/128", "running"]


def test_power_fails_and_comes_back(bed: Bed) -> None:
    bed.ssh("nyc-1", "echo kept >kept", check=True)
    bed.power("nyc-1", on=False)
    assert bed.ssh("nyc-1", "true", "-o", "ConnectTimeout=3").returncode == 255
    with bed.reboots("nyc-1"):
        bed.power("nyc-1", on=True)
    assert bed.ssh("nyc-1", "cat kept").stdout == "kept\n"


def test_a_cable_is_pulled_and_put_in(bed: Bed) -> None:
    bed.plug("ams-1", connected=False)
    assert bed.ssh("ams-1", "true", "-o", "ConnectTimeout=3").returncode == 255
    assert bed.run("ams-1", "cat", "/sys/class/net/eth0/carrier").stdout == "0\n"
    bed.plug("ams-1", connected=True)
    for address in AMS.addresses:
        bed.run(CONTROLLER, "ssh", "-o", "BatchMode=yes", str(address), "true", check=True)


def test_names_are_the_beds_and_no_others(bed: Bed) -> None:
    """And who asks for another is told at once: nobody waits for a name server that is not there."""
    for place in (CONTROLLER, CLIENT):
        found = bed.run(place, "getent", "ahosts", SERVICE_NAME, check=True).stdout
        assert all(str(service.ip) in found for service in SERVICE)
        assert bed.run(place, "getent", "ahosts", "nowhere.example", timeout=30).returncode == 2


def test_a_daemon_is_started_and_stopped(bed: Bed) -> None:
    def serve(text: str) -> None:
        page = bed.home / "page"
        page.mkdir(exist_ok=True)
        (page / text).write_text("")
        bed.spawn(CONTROLLER, "page", "python3", "-m", "http.server", "8080", "--directory", str(page))
        until(lambda: bed.reaches(f"http://203.0.113.11:8080/{text}"), "the page is served")

    serve("one")
    serve("two")
    bed.stop("page")
    assert not bed.reaches("http://203.0.113.11:8080/one")


def test_what_cannot_be_done_is_said(bed: Bed) -> None:
    with pytest.raises(EdgeError, match="no node 'ams-9' in this bed; there are ams-1, fra-1, nyc-1"):
        bed.power("ams-9", on=True)
    with pytest.raises(EdgeError, match="/no/such/program on controller: No such file or directory"):
        outside.ask(bed.name, messages.Spawn(CONTROLLER, "none", ["/no/such/program"], {}))
    with pytest.raises(RefusedError, match="is up already"):
        outside.up(bed.name)


def _established(bed: Bed) -> set[str]:
    return {name for name, state in bed.sessions().items() if state == "Established"}
