"""Each check of the doctor: what it is happy with, what it finds, and that it says what to do."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from node_documents import PEERS, STATUS

from edge.config import NodeConfig, parse_config
from edge.config.key_file import write_ring
from edge.doctor import Finding, Verdict, worst
from edge.doctor.addresses import check_addresses
from edge.doctor.files import (
    check_admin_certificate,
    check_certificate,
    check_key_ring,
    check_secrets,
    check_state,
)
from edge.doctor.kernel import Clock, check_buffers, check_clock, check_flows, check_settings, kernel_clock
from edge.doctor.ports import check_ports, listening, parse, wanted
from edge.doctor.service import check_node, check_peers, check_versions
from edge.doctor.ways import Answered, Way, check_mtu, check_reach, find_way
from edge.keys import KeyRing
from edge.lab.certificates import write_certificate
from edge.runtime.documents import BgpPeers
from edge.statuspage.facts import Status

NOW = datetime.now(UTC)

NODE = """
[node]
name = "ams-1"
site = "ams"
server_id = "00000000000000a1"
[service]
addresses = ["192.0.2.1", "2001:db8:1::1"]
[unicast]
addresses = ["198.51.100.11", "2001:db8:a1::11"]
name = "ams-1.edge.example"
[tls]
certificate = "cert.pem"
private_key = "key.pem"
[keys]
file = "ring.toml"
[fleet]
file = "members.toml"
[metrics]
listen = "127.0.0.1:9464"
"""
ALL = {"192.0.2.1": "lo", "2001:db8:1::1": "lo", "198.51.100.11": "eth0", "2001:db8:a1::11": "eth0"}


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    return parse_config(NODE, tmp_path)


def verdicts(findings: Iterable[Finding]) -> list[str]:
    found = list(findings)
    assert all((finding.verdict is Verdict.OK) == (finding.remedy == "") for finding in found), "what to do?"
    assert all("\n" not in finding.found + finding.remedy for finding in found)
    return [str(finding.verdict) for finding in found]


def only(findings: Iterable[Finding]) -> Finding:
    (found,) = findings
    verdicts([found])
    return found


def test_the_worst_decides() -> None:
    good, bad = Finding("a", Verdict.OK, ""), Finding("b", Verdict.FAIL, "")
    assert worst([]) is Verdict.OK
    assert worst([good, bad, Finding("c", Verdict.WARN, "")]) is Verdict.FAIL


# Addresses


def test_addresses_are_where_they_belong(config: NodeConfig) -> None:
    assert verdicts(check_addresses(config, ALL, is_running=True)) == ["ok"] * 4


def test_a_service_address_that_is_missing_is_the_nodes_to_put_there(config: NodeConfig) -> None:
    interfaces = {key: value for key, value in ALL.items() if key != "192.0.2.1"}
    assert verdicts(check_addresses(config, interfaces, is_running=False)) == ["ok"] * 4
    found = next(iter(check_addresses(config, interfaces, is_running=True)))
    assert (found.verdict, found.remedy) == (Verdict.FAIL, "ip address add 192.0.2.1/32 dev lo")


def test_a_service_address_on_a_link_is_claimed_by_all_nodes(config: NodeConfig) -> None:
    found = next(iter(check_addresses(config, ALL | {"192.0.2.1": "eth0"}, is_running=True)))
    assert (found.verdict, "ARP" in found.found) == (Verdict.WARN, True)


def test_a_unicast_address_must_be_on_an_interface(config: NodeConfig) -> None:
    interfaces = ALL | {"2001:db8:a1::11": "lo"}
    del interfaces["198.51.100.11"]
    *_, missing, on_lo = check_addresses(config, interfaces, is_running=True)
    assert (missing.verdict, on_lo.verdict) == (Verdict.FAIL, Verdict.WARN)


# Ports


TCP6 = """  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: B80D0120000001000000000001000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
   1: B80D0120000001000000000001000000:01BC 00000000000000000000000000000000:0000 01 00000000:00000000 00:00000000
"""
UDP = """   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1234: 010200C0:01BB 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4321 2 0000000000000000 0
 1235: 010200C0:01BC 0200000A:1234 01 00000000:00000000 00:00000000 00000000  1000        0 4321 2 0000000000000000 0
"""


@pytest.mark.skipif(socket.ntohs(1) == 1, reason="these lines are of a little-endian machine")
def test_proc_net_is_read_right() -> None:
    assert list(parse(TCP6, "0A")) == [("2001:db8:1::1", 443)]
    assert list(parse(UDP, "07")) == [("192.0.2.1", 443)]


def test_a_socket_of_our_own_is_found_in_proc_net() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        assert tcp.getsockname() in listening("tcp")
        assert udp.getsockname() in listening("udp")


def test_a_running_node_serves_all_that_it_should(config: NodeConfig) -> None:
    places = wanted(config)
    assert ("udp", "198.51.100.11", 4434) in places
    assert ("tcp", "127.0.0.1", 9464) in places
    there: dict[str, list[tuple[str, int]]] = {"udp": [], "tcp": []}
    for protocol, host, port in places:
        there[protocol].append((host, port))
    assert verdicts(check_ports(config, there, is_running=True)) == ["ok"]
    there["udp"].remove(("192.0.2.1", 443))
    found = only(check_ports(config, there, is_running=True))
    assert "nobody listens on 192.0.2.1:443/udp (calls)" in found.found


@pytest.mark.parametrize("taken", [("192.0.2.1", 443), ("0.0.0.0", 443), ("::", 443)])
def test_the_ports_of_a_node_that_does_not_run_must_be_free(
    config: NodeConfig, taken: tuple[str, int]
) -> None:
    assert verdicts(check_ports(config, {"udp": [], "tcp": [("127.0.0.1", 22)]}, is_running=False)) == ["ok"]
    first = next(iter(check_ports(config, {"udp": [], "tcp": [taken]}, is_running=False)))
    assert first.verdict is Verdict.FAIL
    assert "ss -ltnp sport = :443" in first.remedy


# The ways out


def test_a_packet_of_quic_must_fit() -> None:
    ways = [
        Way("198.51.100.11", "198.51.100.1", 1500),
        Way("198.51.100.11", "198.51.100.1", 1420),
        Way("198.51.100.11", "198.51.100.1", 1200),
        Way("198.51.100.11", "198.51.100.1", problem="Network is unreachable"),
    ]
    assert verdicts(check_mtu(ways)) == ["ok", "warn", "fail", "fail"]


def test_the_kernel_is_asked_for_a_way_and_its_mtu() -> None:
    assert find_way("127.0.0.1", "127.0.0.2").mtu >= 1500
    assert find_way("192.0.2.254", "127.0.0.1").problem == "Cannot assign requested address"


def test_an_answer_over_the_network_is_proof_and_silence_is_said_to_be_no_proof(config: NodeConfig) -> None:
    v4, v6 = map(str, config.unicast.addresses)
    answers = [Answered(v4, "fra-1", "no answer"), Answered(v4, "nyc-1"), Answered(v6, "fra-1", "no answer")]
    heard, silent, nobody = check_reach(config, answers, arrived=0)
    assert (heard.verdict, silent.verdict, nobody.verdict) == (Verdict.OK, Verdict.FAIL, Verdict.WARN)
    assert "nyc-1 answered" in heard.found
    assert "none of fra-1 answered to it (fra-1: no answer)" in silent.found
    assert "cannot be known from here" in nobody.found
    assert verdicts(check_reach(config, [], arrived=7)) == ["warn", "warn", "ok"]
    assert verdicts(check_reach(config, [], arrived=None)) == ["warn", "warn"]


# Files


def test_a_certificate_is_looked_at_as_callers_do(config: NodeConfig) -> None:
    assert verdicts(check_certificate(config, NOW)) == ["fail"]  # there is none
    write_certificate(config.tls.certificate, config.tls.private_key, ["*.edge.example"], [])
    assert verdicts(check_certificate(config, NOW)) == ["ok", "ok"]
    assert verdicts(check_certificate(config, NOW + timedelta(days=5))) == ["warn", "ok"]
    assert verdicts(check_certificate(config, NOW + timedelta(days=15))) == ["fail"]
    write_certificate(
        config.tls.certificate, config.tls.private_key, ["edge.example"], [ip_address("192.0.2.1")]
    )
    _, names = check_certificate(config, NOW)
    assert (names.verdict, "ams-1.edge.example" in names.found) == (Verdict.WARN, True)


def test_a_key_that_is_anothers_is_found(config: NodeConfig, tmp_path: Path) -> None:
    write_certificate(config.tls.certificate, config.tls.private_key, ["ams-1.edge.example"], [])
    write_certificate(tmp_path / "other.pem", config.tls.private_key, ["ams-1.edge.example"], [])
    assert "$.tls.private_key" in only(check_certificate(config, NOW)).found


ADMIN = """
[admin]
listen = "198.51.100.11:4435"
ca = "admin-ca.pem"
certificate = "admin.pem"
private_key = "admin.key"
"""


def test_the_certificate_of_the_admin_routes_ends_like_any_other(config: NodeConfig, tmp_path: Path) -> None:
    assert verdicts(check_admin_certificate(config, NOW)) == []  # it has none
    config = parse_config(NODE + ADMIN, tmp_path)
    assert "admin.pem" in only(check_admin_certificate(config, NOW)).found
    write_certificate(tmp_path / "admin-ca.pem", tmp_path / "ca.key", ["ops"], [])
    write_certificate(tmp_path / "admin.pem", tmp_path / "admin.key", ["ams-1"], [])
    found = [only(check_admin_certificate(config, NOW + timedelta(days=days))) for days in (0, 8, 15)]
    assert [one.verdict for one in found] == [Verdict.OK, Verdict.WARN, Verdict.FAIL]
    assert "ends in 5 d" in found[1].found
    assert "ended 1 d" in found[2].found


def test_an_admin_certificate_that_the_node_would_not_start_with(config: NodeConfig, tmp_path: Path) -> None:
    config = parse_config(NODE + ADMIN, tmp_path)
    for name in ("admin-ca", "admin", "other"):
        write_certificate(tmp_path / f"{name}.pem", tmp_path / f"{name}.key", ["ams-1"], [])
    (tmp_path / "other.key").rename(tmp_path / "admin.key")
    assert "$.admin.certificate" in only(check_admin_certificate(config, NOW)).found
    (tmp_path / "admin.pem").write_text("spoiled")
    assert verdicts(check_admin_certificate(config, NOW)) == ["fail"]


def test_a_key_ring_is_there_is_readable_is_young_and_is_the_one_in_use(
    config: NodeConfig, tmp_path: Path
) -> None:
    assert verdicts(check_key_ring(config, NOW, None)) == ["fail"]
    write_ring(tmp_path / "ring.toml", KeyRing.new(b"x" * 32, NOW - timedelta(days=100)))
    assert verdicts(check_key_ring(config, NOW, None)) == ["ok"]
    assert verdicts(check_key_ring(config, NOW, 1)) == ["ok"]
    assert "the node still has 7" in only(check_key_ring(config, NOW, 7)).found
    assert only(check_key_ring(config, NOW + timedelta(days=300), None)).remedy == "edgectl keys rotate"
    (tmp_path / "ring.toml").write_text("spoiled")
    (tmp_path / "ring.toml").chmod(0o600)
    assert verdicts(check_key_ring(config, NOW, None)) == ["fail"]


def test_secrets_are_for_the_node_alone(config: NodeConfig, tmp_path: Path) -> None:
    write_ring(tmp_path / "ring.toml", KeyRing.new(b"x" * 32, NOW))
    missing, good = check_secrets(config)
    assert (missing.verdict, "tls.private_key" in missing.found) == (Verdict.FAIL, True)
    assert (good.verdict, good.found) == (Verdict.OK, "1 that others cannot read")
    (tmp_path / "key.pem").write_text("a key")
    (tmp_path / "key.pem").chmod(0o644)
    open_to_all, _ = check_secrets(config)
    assert open_to_all.remedy == f"chmod o= {tmp_path / 'key.pem'}"


@pytest.mark.parametrize(
    "left, files_left, read_only, verdict",
    [
        (1 << 30, 9, False, "ok"),
        (100 << 20, 9, False, "warn"),
        (4096, 9, False, "fail"),
        (1 << 30, 0, False, "fail"),
        (1 << 30, 9, True, "fail"),
    ],
)
def test_a_disk_that_takes_nothing_more_is_found(
    config: NodeConfig, left: int, files_left: int, read_only: bool, verdict: str
) -> None:
    def look(path: Path) -> os.statvfs_result:
        assert path.is_dir()  # its own is not there before the first start
        flag = os.ST_RDONLY if read_only else 0
        return os.statvfs_result((4096, 4096, 0, 0, left // 4096, 100, files_left, files_left, flag, 255))

    assert verdicts(check_state(config, look)) == [verdict]


def test_the_kernel_is_asked_for_the_disk(config: NodeConfig) -> None:
    assert "MiB are left" in only(check_state(config)).found


# The kernel


@pytest.mark.parametrize("count, verdict", [(10, "ok"), (70, "warn"), (96, "fail")])
def test_a_firewall_that_can_track_no_more_is_found(tmp_path: Path, count: int, verdict: str) -> None:
    assert verdicts(check_flows(tmp_path)) == []  # none tracks
    (tmp_path / "net/netfilter").mkdir(parents=True)
    (tmp_path / "net/netfilter/nf_conntrack_max").write_text("100\n")
    (tmp_path / "net/netfilter/nf_conntrack_count").write_text(f"{count}\n")
    assert verdicts(check_flows(tmp_path)) == [verdict]


def test_a_clock_that_nobody_keeps_is_told() -> None:
    assert verdicts(check_clock(Clock(synchronized=True, max_error_s=0.02))) == ["ok"]
    assert verdicts(check_clock(Clock(synchronized=True, max_error_s=3.0))) == ["warn"]
    assert verdicts(check_clock(Clock(synchronized=False, max_error_s=16.0))) == ["warn"]


def test_the_kernel_tells_of_its_clock() -> None:
    """A struct that is laid out wrongly gives nonsense: the kernel's own limit is 16 s."""
    assert 0 <= kernel_clock().max_error_s <= 16.0


@pytest.fixture
def sysctls(tmp_path: Path) -> Path:
    for name, value in {
        "net/core/rmem_max": 4194304,
        "net/core/wmem_max": 4194304,
        "net/ipv4/conf/eth0/rp_filter": 1,
        "net/ipv6/conf/all/disable_ipv6": 0,
        "net/ipv4/ip_nonlocal_bind": 0,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    return tmp_path


def test_settings_of_the_kernel(config: NodeConfig, sysctls: Path) -> None:
    assert verdicts(check_buffers(sysctls)) == ["ok"]
    assert verdicts(check_settings(config, sysctls)) == ["ok"]
    (sysctls / "net/core/wmem_max").write_text("212992\n")
    assert only(check_buffers(sysctls)).remedy.startswith("sysctl -w net.core.wmem_max=4194304,")
    (sysctls / "net/core/rmem_max").unlink()  # as in a namespace
    assert verdicts(check_buffers(sysctls)) == ["ok"]
    (sysctls / "net/ipv6/conf/all/disable_ipv6").write_text("1\n")
    (sysctls / "net/ipv4/ip_nonlocal_bind").write_text("1\n")
    assert verdicts(check_settings(config, sysctls)) == ["fail", "warn"]


def test_strict_filters_matter_to_nodes_with_several_uplinks(tmp_path: Path, sysctls: Path) -> None:
    more = '[[source_routes]]\nsource = "198.51.100.11"\ngateway = "198.51.100.1"\ntable = 101\n'
    found = only(check_settings(parse_config(NODE + more, tmp_path), sysctls))
    assert found.remedy == "sysctl -w net.ipv4.conf.eth0.rp_filter=2"


# What the node says


def status(**changed: object) -> Status:
    return msgspec.convert(STATUS | changed, Status)


def test_the_node_is_asked_how_it_is() -> None:
    assert verdicts(check_node(status(), "")) == ["ok", "ok"]
    assert only(check_node(None, "no node is running here")).verdict is Verdict.FAIL
    held = status(
        state="held",
        reason="held by the operator",
        problems=["ring: spoiled"],
        config=STATUS["config"] | {"changed_on_disk": True},
        operation={"interrupted": True, "advice": "go on with: edgectl upgrade --resume"},
    )
    assert verdicts(check_node(held, "")) == ["warn", "fail", "warn", "warn"]
    assert verdicts(check_node(status(state="fenced"), ""))[0] == "fail"


def test_code_that_is_not_what_is_installed_is_told() -> None:
    assert verdicts(check_versions(status(), "0.1.0")) == ["ok"]
    assert only(check_versions(status(), "0.2.0")).remedy.startswith("systemctl restart edge")
    reloaded = status(version="0.2.0")
    assert only(check_versions(reloaded, "0.2.0")).remedy.startswith("edgectl node reload")


def test_one_session_that_is_down_is_a_warning_and_all_are_a_failure() -> None:
    first, second = msgspec.convert(PEERS, BgpPeers).peers
    assert verdicts(check_peers((first, second))) == ["ok"]
    down = replace(second, state="down")
    assert verdicts(check_peers((first, down))) == ["warn"]
    assert verdicts(check_peers((replace(first, state="down"), down))) == ["fail", "fail"]
    assert verdicts(check_peers(())) == []
