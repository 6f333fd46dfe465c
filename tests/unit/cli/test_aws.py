"""edgectl aws register: lines that a shell can run, for nodes that can be targets, and nothing is run."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.cli.aws import aws
from edge.errors import ConfigError, EdgeError, UsageError

FLEET = """\
[[nodes]]
name = "a"
site = "eu-central-1a"
server_id = "00000000000000A1"
addresses = ["2001:db8::11", "192.0.2.11"]

[[nodes]]
name = "b"
site = "eu-central-1b"
server_id = "00000000000000b2"
addresses = ["192.0.2.12"]
"""
NODE = """
[node]
name = "a"
site = "eu-central-1a"
server_id = "00000000000000a1"
[service]
addresses = ["192.0.2.11"]
manage_addresses = false
[unicast]
addresses = ["192.0.2.11", "2001:db8::11"]
name = "voice.example"
[tls]
certificate = "chain.pem"
private_key = "key.pem"
[cid]
profile = "aws-nlb"
[quic]
preferred_address = false
[metrics]
listen = "192.0.2.11:9464"
"""
SERVICE = '[service]\naddresses = ["192.0.2.11"]'
BEHIND, PLAIN = NODE, NODE.replace("aws-nlb", "edge").replace(SERVICE, SERVICE.replace("2.11", "2.13"))
GROUP = "arn:aws:elasticloadbalancing:eu-central-1:000000000000:targetgroup/edge/0123456789abcdef"
BALANCER = "arn:aws:elasticloadbalancing:eu-central-1:000000000000:loadbalancer/net/edge/0123456789abcdef"
VPC = "vpc-0123456789abcdef0"


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    file = tmp_path / "fleet.toml"
    file.write_text(FLEET)
    return file


def run(*arguments: object) -> str:
    result = CliRunner().invoke(
        aws, ["register", *map(str, arguments)], catch_exceptions=False, standalone_mode=False
    )
    if result.exception:
        raise result.exception
    return result.stdout


def test_a_group_that_is_there_gets_every_node(fleet: Path) -> None:
    (line,) = run(fleet, "--target-group-arn", GROUP).splitlines()
    assert shlex.split(line) == [
        *("aws", "elbv2", "register-targets", "--target-group-arn", GROUP, "--targets"),
        "Id=192.0.2.11,Port=443,QuicServerId=0x00000000000000a1",
        "Id=192.0.2.12,Port=443,QuicServerId=0x00000000000000b2",
    ]


def test_one_node_that_is_new(fleet: Path) -> None:
    told = run(fleet, "--target-group-arn", GROUP, "--node", "b", "--port", 8443)
    assert told.strip().endswith("--targets Id=192.0.2.12,Port=8443,QuicServerId=0x00000000000000b2")


def test_from_nothing_to_a_listener_a_shell_runs_line_by_line(fleet: Path, tmp_path: Path) -> None:
    """With a program in the place of aws that writes down how it is called."""
    called = tmp_path / "called"
    stand_in = tmp_path / "aws"
    stand_in.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >> {called}\n[ "$2" = create-target-group ] && echo {GROUP}\nexit 0\n'
    )
    stand_in.chmod(0o755)
    options = ("--vpc", VPC, "--load-balancer-arn", BALANCER, "--health-port", 9464)
    script = run(fleet, *options)
    assert not called.exists(), "nothing is run"
    subprocess.run(
        ["/bin/sh", "-eu"], input=script, text=True, check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    )
    make, keep, register, listen = called.read_text().splitlines()
    assert make.startswith(
        f"elbv2 create-target-group --name edge --protocol TCP_QUIC --port 443 --vpc-id {VPC} --target-type ip"
        " --ip-address-type ipv4 --health-check-protocol HTTP --health-check-port 9464 --health-check-path /readyz"
    )
    assert make.endswith("--query TargetGroups[0].TargetGroupArn --output text")
    assert keep.endswith("Key=target_health_state.unhealthy.connection_termination.enabled,Value=false")
    assert register.startswith(f"elbv2 register-targets --target-group-arn {GROUP} --targets Id=192.0.2.11,")
    assert listen == (
        f"elbv2 create-listener --load-balancer-arn {BALANCER} --protocol TCP_QUIC --port 443"
        f" --default-actions Type=forward,TargetGroupArn={GROUP}"
    )


def test_without_tcp_and_as_a_document(fleet: Path) -> None:
    told = json.loads(run(fleet, "--vpc", VPC, "--no-tcp", "-o", "json"))
    assert (told["apiVersion"], told["kind"]) == ("edge/v1", "AwsCommands")
    make, register = told["commands"]
    assert make["sets"] == "TARGET_GROUP_ARN"
    assert make["argv"][make["argv"].index("--protocol") + 1] == "QUIC"
    assert make["argv"][make["argv"].index("--health-check-protocol") + 1] == "TCP"
    assert register["argv"][4] == "$TARGET_GROUP_ARN"
    assert register["sets"] is None


@pytest.mark.parametrize(
    "options, says",
    [
        ((), "say which target group"),
        (("--vpc", VPC, "--target-group-arn", GROUP), "say which target group"),
        (("--vpc", "vpc-1; reboot"), "--vpc 'vpc-1; reboot'"),
        (("--target-group-arn", "edge"), "it looks like arn:aws:"),
        (("--vpc", VPC, "--load-balancer-arn", "$(id)"), "--load-balancer-arn"),
        (("--vpc", VPC, "--name", "my_group"), "letters, digits and hyphens"),
        (("--vpc", VPC, "--name", "x" * 33), "up to 32"),
        (("--target-group-arn", GROUP, "--node", "c"), "no node 'c' in the fleet; there are a, b"),
    ],
)
def test_what_aws_would_not_take(fleet: Path, options: tuple[object, ...], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(fleet, *options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "old, new, says",
    [
        ('addresses = ["192.0.2.12"]', 'addresses = ["2001:db8::12"]', "$.nodes[1].addresses: b has no IPv4"),
        (
            "00000000000000b2",
            "00000000000000a1",
            "$.nodes[1].server_id: 00000000000000a1 is that of nodes[0]",
        ),
        ("00000000000000b2", "b2", "$.nodes[1].server_id: 'b2' is no server ID: write 16 hex digits"),
        ("[[nodes]]", "[[nodes", "$: is not TOML"),
    ],
)
def test_nodes_that_cannot_be_targets(fleet: Path, old: str, new: str, says: str) -> None:
    fleet.write_text(FLEET.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        run(fleet, "--target-group-arn", GROUP)
    assert str(caught.value).startswith(f"{fleet}: ")
    assert says in str(caught.value)


def test_a_fleet_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the nodes have as fleet"):
        run(tmp_path / "absent.toml", "--target-group-arn", GROUP)


def with_node(fleet: Path, text: str, *options: object) -> str:
    file = fleet.with_name("node.toml")
    file.write_text(text)
    return run(fleet, "--target-group-arn", GROUP, "--config", file, *options)


def test_a_node_that_fits(fleet: Path) -> None:
    assert "register-targets" in with_node(fleet, NODE, "--health-port", 9464)


@pytest.mark.parametrize(
    "old, new, options, says",
    [
        (BEHIND, PLAIN, (), '$.cid.profile: the balancer cannot read connection IDs of "edge"'),
        ("00000000000000a1", "00000000000000a2", (), "a has server_id 00000000000000a1 here"),
        ('name = "a"', 'name = "c"', (), "c is not among them; add this node"),
        (SERVICE, SERVICE.replace("2.11", "2.13"), (), "$.service.addresses: 192.0.2.11, which is to be"),
        ("", "", ("--port", 8443), "$.service.port: 443, and targets are registered with --port 8443"),
        (
            "",
            "",
            ("--health-port", 9000),
            '$.metrics.listen: health checks come to 192.0.2.11:9000; set "192.0',
        ),
        ("[metrics]", "[metric]", (), "$.metric: unknown key"),
        ("[metrics]", "[metrics", (), "is not TOML"),
    ],
)
def test_a_node_that_does_not_fit(
    fleet: Path, old: str, new: str, options: tuple[object, ...], says: str
) -> None:
    with pytest.raises(EdgeError) as caught:
        with_node(fleet, NODE.replace(old, new), *options)
    assert str(caught.value).count("node.toml") == 1
    assert says in str(caught.value)


OPERATORS = """\
[fleet]
name = "voice"
version = "0.1.0"
[secrets]
key_ring = "ring.toml"
certificate = "chain.pem"
private_key = "key.pem"
[defaults.cid]
profile = "aws-nlb"
[defaults.quic]
preferred_address = false
[defaults.unicast]
name = "voice.example"
[defaults.forward]
return_path = "ingress"
[sites.a]
[[nodes]]
name = "a"
site = "a"
server_id = "00000000000000A1"
addresses = ["192.0.2.11"]
[nodes.config.service]
addresses = ["192.0.2.11"]
[[nodes]]
name = "b"
site = "a"
server_id = "00000000000000b2"
addresses = ["192.0.2.12"]
[nodes.config.service]
addresses = ["192.0.2.12"]
"""


def test_the_operators_file_says_the_same_and_every_node_is_checked(fleet: Path) -> None:
    said = run(fleet, "--target-group-arn", GROUP)
    fleet.write_text(OPERATORS)
    assert run(fleet, "--target-group-arn", GROUP, "--health-port", 9464) == said
    with pytest.raises(
        ConfigError, match=r"fleet.toml: \$.service.port of a: 443, and targets are registered with"
    ):
        run(fleet, "--target-group-arn", GROUP, "--port", 8443)
    with pytest.raises(ConfigError, match=r"\$.metrics.listen of b: health checks come to 192.0.2.12:9000"):
        run(fleet, "--target-group-arn", GROUP, "--health-port", 9000, "--node", "b")


def test_a_mistake_in_the_operators_file_is_told_at_its_line(fleet: Path) -> None:
    fleet.write_text(OPERATORS.replace('return_path = "ingress"', 'return_path = "direct"'))
    with pytest.raises(ConfigError) as caught:
        run(fleet, "--target-group-arn", GROUP)
    assert str(caught.value).startswith(f"{fleet}:15: $.defaults.forward.return_path: answers have to leave")
