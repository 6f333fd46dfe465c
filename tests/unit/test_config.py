"""Configuration files: the documented example, and every way to get one wrong."""

from __future__ import annotations

import datetime
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from bgp.route import Route
from edge.config import NodeConfig, load_config, load_credentials, load_keys, parse_config
from edge.config.key_file import write_ring
from edge.errors import ConfigError, EdgeError, UnreachableError
from edge.keys import KeyRing

EXAMPLE = Path(__file__).parents[2] / "docs" / "reference" / "node.toml"

MINIMAL = """
[node]
name = "ams-1"
site = "ams"
server_id = "00000000000000a1"
[service]
addresses = ["192.0.2.1"]
[unicast]
addresses = ["198.51.100.11"]
[tls]
certificate = "chain.pem"
private_key = "key.pem"
"""

WITH_BGP = (
    MINIMAL
    + """
[bgp]
router_id = "198.51.100.11"
local_as = 64601
prefixes = ["192.0.2.0/24"]
[[bgp.neighbors]]
address = "198.51.100.1"
local_address = "198.51.100.11"
peer_as = 64500
"""
)


NEWLINE = "\n"
ADMIN_FILES = 'ca="a"\ncertificate="b"\nprivate_key="c"\n'


def parse(text: str) -> NodeConfig:
    return parse_config(text, Path("/etc/edge"))


def error_of(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return caught.value


# The example


def test_the_documented_example_loads() -> None:
    config = load_config(EXAMPLE)
    assert config.node.server_id == bytes.fromhex("00000000000000a1")
    assert config.bgp is not None
    assert [str(route.prefix) for route in config.bgp.routes()] == ["192.0.2.0/24", "2001:db8:1::/48"]


def leaves(kind: type[msgspec.Struct], example: dict[str, Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    """(path, default, value in the example) of every key below a table."""
    for field in msgspec.structs.fields(kind):
        where = f"{path}.{field.name}"
        assert field.name in example, f"{where} is not in the example"
        value = example[field.name]
        inner = [one for one in _types_in(field.type) if issubclass(one, msgspec.Struct)]
        for element in (value if isinstance(value, list) else [value]) if inner else ():
            yield from leaves(inner[0], element, where)
        if not inner:
            yield where, field.default, value


def _types_in(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    for inner in get_args(annotation):
        yield from _types_in(inner)


def test_the_example_has_every_key_and_shows_its_default() -> None:
    shown = 0
    for where, default, value in leaves(NodeConfig, tomllib.loads(EXAMPLE.read_text()), "$"):
        if default not in (msgspec.NODEFAULT, None, ()):
            assert msgspec.json.encode(value) == msgspec.json.encode(default, enc_hook=str), where
            shown += 1
    assert shown > 30


def test_a_node_needs_little(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text(MINIMAL)
    config = load_config(tmp_path / "node.toml")
    assert config.bgp is None
    assert config.service.port == 443
    assert config.metrics.listen is None
    assert config.tls.certificate == tmp_path / "chain.pem"


def test_a_node_has_a_worker_for_each_core_and_what_they_take_together() -> None:
    """And an operator who has measured what his node takes has measured all of it."""
    config = parse(MINIMAL)
    assert config.workers.count == len(os.sched_getaffinity(0))
    one, four = (parse(MINIMAL + f"[workers]\ncount = {count}\n") for count in (1, 4))
    assert four.overload.capacity.calls == 4 * one.overload.capacity.calls
    assert four.overload.capacity.cpu == one.overload.capacity.cpu
    measured = parse(MINIMAL + "[workers]\ncount = 4\n[overload.capacity]\ncalls = 70.0\n")
    assert measured.overload.capacity.calls == 70.0


def test_relative_paths_start_at_the_file() -> None:
    config = parse(
        WITH_BGP + 'md5_file = "md5"\n[admin]\nsocket = "run/a.sock"\n[state]\ndirectory = "/abs"\n'
    )
    assert config.bgp is not None
    assert config.bgp.neighbors[0].md5_file == "/etc/edge/md5"
    assert config.admin.socket == Path("/etc/edge/run/a.sock")
    assert config.state.directory == Path("/abs")


def test_files_of_backends_are_found_beside_the_configuration() -> None:
    text = (
        MINIMAL
        + '[voice]\nbackend = "openai"\n[backends.openai]\nurl = "wss://x"\napi_key_file = "keys/api"\n'
    )
    assert parse(text).backends == {"openai": {"url": "wss://x", "api_key_file": "/etc/edge/keys/api"}}


@pytest.mark.parametrize(
    "more, where, says",
    [
        ("[auth]\nmode = 'token'\n", "$.auth.keys_file", "is missing"),
        ("[auth]\nmode = 'token'\nkeys_file = 'k'\n", "$.auth.audience", "is missing"),
        ("[backends.demo]\nbarge_in = true\n", "$.backends.demo", "voice.backends"),
        ("[voice]\nlead_ms = 'long'\n", "$.voice.lead_ms", "invalid"),
        ("[voice]\ndeadline = 'never'\n", "$.voice.deadline", "'never'"),
        ("[web]\nplain_listen = '192.0.2.1:80'\n", "$.web.plain_listen", "loopback"),
    ],
)
def test_what_callers_may_do_is_checked(more: str, where: str, says: str) -> None:
    error = error_of(MINIMAL + more)
    assert error.where == where
    assert says.lower() in error.problem.lower()


@pytest.mark.parametrize("address", ["10.0.0.1", "fd00::1"])
def test_a_node_that_the_world_can_reach_does_not_let_everybody_call(address: str) -> None:
    text = re.sub(r"(\[service\]\naddresses = )\[.*\]", rf'\1["{address}"]', MINIMAL)
    error = error_of(text)
    assert error.where == "$.auth.mode"
    assert address in error.problem
    parse(text + "[auth]\nmode = 'token'\nkeys_file = 'k'\naudience = 'v'\n")


def test_addresses_are_written_as_the_kernel_writes_them() -> None:
    """They are compared as text with what getsockname says."""
    config = parse(MINIMAL.replace('"192.0.2.1"', '"2001:DB8:0:0::1"').replace("chain", "c"))
    assert config.service.addresses == ("2001:db8::1",)


@pytest.mark.parametrize("listen,host,port", [("127.0.0.1:9464", "127.0.0.1", 9464), ("[::1]:1", "::1", 1)])
def test_where_metrics_are_served(listen: str, host: str, port: int) -> None:
    parsed = parse(f'{MINIMAL}[metrics]\nlisten = "{listen}"\n').metrics.listen
    assert parsed is not None
    assert (parsed.host, parsed.port) == (host, port)


def test_routes_carry_what_the_table_says() -> None:
    config = parse(WITH_BGP.replace("[[bgp", 'communities = ["no-export"]\nmed = 7\n[[bgp'))
    assert config.bgp is not None
    assert config.bgp.routes() == (Route.parse("192.0.2.0/24", communities=["65535:65281"], med=7),)


# What one key can get wrong


@pytest.mark.parametrize(
    "old,new,where,says",
    [
        ("[tls]", "[tsl]", "$.tsl", "unknown key; did you mean 'tls'?"),
        ("site =", "sight =", "$.node.sight", "unknown key; did you mean 'site'?"),
        ("site =", "zzz =", "$.node.zzz", "unknown key; known are name, site, server_id"),
        ("site =", '"a\\nb" =', "$.node.a b", "unknown key"),
        ('site = "ams"\n', "", "$.node.site", "is missing"),
        ('"ams-1"', '"Ams 1"', "$.node.name", "'Ams 1' is no name"),
        ('"ams-1"', "1", "$.node.name", "expected a string, got 1"),
        ("00000000000000a1", "a1", "$.node.server_id", "16 hex digits"),
        ('["192.0.2.1"]', "[]", "$.service.addresses", "length >= 1"),
        ('["192.0.2.1"]', '"192.0.2.1"', "$.service.addresses", "expected array, got str"),
        ('"192.0.2.1"', '"192.0.2.1", "x"', "$.service.addresses[1]", "'x' is no IP address"),
        ("192.0.2.1", "192.0.2.1:443", "$.service.addresses[0]", "is no IP address"),
        ("192.0.2.1", "0.0.0.0", "$.service.addresses[0]", "not the address of one host"),
        ("192.0.2.1", "fe80::1%eth0", "$.service.addresses[0]", "scope"),
        ("[unicast]", "port = 0\n[unicast]", "$.service.port", ">= 1"),
        ("[unicast]", 'port = "https"\n[unicast]', "$.service.port", "expected int, got str"),
        ("[tls]", "[voice]\nlead_ms = 6000\n[tls]", "$.voice.lead_ms", "<= 5000"),
        ("[tls]", '[cid]\nprofile = "aws"\n[tls]', "$.cid.profile", "aws"),
        ("[tls]", "[overload]\nfall = 0.9\n[tls]", "$.overload.fall", "fall < rise"),
        ("[tls]", "[overload.capacity]\ncalls = 0\n[tls]", "$.overload.capacity.calls", "more than 0"),
        ("[tls]", "[policy]\npressure_fall = 1.5\n[tls]", "$.policy.pressure_fall", "below pressure_rise"),
        ("[tls]", '[metrics]\nlisten = "9464"\n[tls]', "$.metrics.listen", "is not like '127.0.0.1:9464'"),
        ("[tls]", '[metrics]\nlisten = "::1:9464"\n[tls]', "$.metrics.listen", "is not like"),
        (
            "[tls]",
            '[metrics]\nlisten = "0.0.0.0:9464"\n[tls]',
            "$.metrics.listen",
            "not the address of one host",
        ),
        (
            "[tls]",
            '[metrics]\nlisten = "[::]:9464"\n[tls]',
            "$.metrics.listen",
            "not the address of one host",
        ),
        ("[tls]", '[metrics]\nlisten = "127.0.0.1:70000"\n[tls]', "$.metrics.listen", "is not like"),
        ("local_as = 64601", "local_as = 0", "$.bgp.local_as", ">= 1"),
        ('router_id = "198.51.100.11"', 'router_id = "::1"', "$.bgp.router_id", "IPv4"),
        ("192.0.2.0/24", "192.0.2.1/24", "$.bgp.prefixes[0]", "host bits"),
        ("[[bgp", 'communities = ["x"]\n[[bgp', "$.bgp.communities[0]", "'x'"),
        ("peer_as = 64500", "peer_sa = 64500", "$.bgp.neighbors[0].peer_sa", "did you mean 'peer_as'?"),
        ('198.51.100.1"', 'router"', "$.bgp.neighbors[0].address", "'router'"),
        (
            "peer_as = 64500",
            'peer_as = 64500\nfamilies = ["ipv4", "ipv6"]',
            "$.bgp.neighbors[0].next_hop_ipv6",
            "needed to carry ipv6",
        ),
    ],
)
def test_a_wrong_key_is_named_with_its_path(old: str, new: str, where: str, says: str) -> None:
    assert old in WITH_BGP
    error = error_of(WITH_BGP.replace(old, new, 1))
    assert error.where == where
    assert says in error.problem


# Those of backends are the backends' own to read.
_TABLES = [line for line in EXAMPLE.read_text().splitlines() if re.match(r"\[(?!backends\.)", line)]


@pytest.mark.parametrize("table", _TABLES)
def test_an_unknown_key_is_found_in_every_table(table: str) -> None:
    error = error_of(EXAMPLE.read_text().replace(table + "\n", f"{table}\nnonsense = 1\n", 1))
    path = table.strip("[]")
    assert error.where == f"$.{path}{'[0]' if table.startswith('[[') else ''}.nonsense"


# What two keys together can get wrong


@pytest.mark.parametrize(
    "old,new,where,says",
    [
        ("198.51.100.11", "192.0.2.1", "$.unicast.addresses[0]", "192.0.2.1 is also $.service.addresses[0]"),
        (
            '["192.0.2.1"]',
            '["192.0.2.1", "192.0.2.1"]',
            "$.service.addresses[1]",
            "also $.service.addresses[0]",
        ),
        (
            '["198.51.100.11"]',
            '["198.51.100.11", "198.51.100.12"]',
            "$.unicast.addresses",
            "at most one IPv4",
        ),
        ("[tls]", "[workers]\ncount = 129\n[tls]", "$.workers.count", "128"),
        ("[tls]", '[metrics]\nlisten = "192.0.2.1:1"\n[tls]', "$.metrics.listen", "is a service address"),
        (
            "[tls]",
            '[admin]\npage_listen = "192.0.2.1:1"\n[tls]',
            "$.admin.page_listen",
            "is a service address",
        ),
        (
            "[tls]",
            f'[admin]\nlisten = "192.0.2.1:1"\n{ADMIN_FILES}[tls]',
            "$.admin.listen",
            "is a service address",
        ),
        (
            "[tls]",
            f'[admin]\nlisten = "127.0.0.1:1"\n{ADMIN_FILES.partition(NEWLINE)[2]}[tls]',
            "$.admin.ca",
            "is missing",
        ),
        ("[tls]", f"[admin]\n{ADMIN_FILES}[tls]", "$.admin.ca", "is for admin.listen"),
        (
            "[tls]",
            '[metrics]\nlisten = "127.0.0.1:1"\n[admin]\npage_listen = "127.0.0.1:1"\n[tls]',
            "$.admin.page_listen",
            "is also $.metrics.listen",
        ),
        ("[tls]", f'[admin]\nsocket = "{"s" * 120}"\n[tls]', "$.admin.socket", "choose a shorter one"),
        ('["192.0.2.0/24"]', '["203.0.113.0/24"]', "$.bgp.prefixes[0]", "has no service address"),
        ('"192.0.2.1"', '"192.0.2.1", "203.0.113.1"', "$.service.addresses[1]", "is in no prefix"),
        ('["192.0.2.0/24"]', '["192.0.2.1/32"]', "$.bgp.prefixes[0]", "set long_prefixes = true"),
        ('"192.0.2.0/24"', '"192.0.2.0/24", "192.0.2.0/24"', "$.bgp.prefixes[1]", "twice"),
        ('["198.51.100.11"]', '["192.0.2.7"]', "$.unicast.addresses[0]", "is in an announced prefix"),
        (
            'local_address = "198.51.100.11"',
            'local_address = "192.0.2.1"',
            "$.bgp.neighbors[0].local_address",
            "must not depend on the route it announces",
        ),
        (
            'addresses = ["192.0.2.1"]',
            'addresses = ["192.0.2.1", "2001:db8::1"]',
            "$.service.addresses[1]",
            "is in no prefix",
        ),
    ],
)
def test_keys_that_contradict_each_other(old: str, new: str, where: str, says: str) -> None:
    assert old in WITH_BGP
    error = error_of(WITH_BGP.replace(old, new, 1))
    assert error.where == where
    assert says in error.problem


def test_a_prefix_that_a_neighbor_does_not_carry() -> None:
    text = WITH_BGP.replace('"192.0.2.1"', '"192.0.2.1", "2001:db8::1"')
    error = error_of(text.replace('"192.0.2.0/24"', '"192.0.2.0/24", "2001:db8::/48"'))
    assert error.where == "$.bgp.prefixes[1]"
    assert "no upstream carries IPv6" in error.problem


def test_long_prefixes_can_be_allowed() -> None:
    text = WITH_BGP.replace('["192.0.2.0/24"]', '["192.0.2.1/32"]\nlong_prefixes = true')
    assert parse(text).bgp is not None


def test_two_sessions_with_one_neighbor() -> None:
    neighbor = WITH_BGP[WITH_BGP.index("[[bgp") :]
    error = error_of(WITH_BGP + neighbor)
    assert error.where == "$.bgp.neighbors"
    assert "same address" in error.problem


@pytest.mark.parametrize(
    "route,key",
    [
        ('source = "203.0.113.1"\ngateway = "198.51.100.1"\ntable = 101', "source"),
        ('source = "198.51.100.11"\ngateway = "2001:db8::1"\ntable = 101', "gateway"),
        ('source = "198.51.100.11"\ngateway = "198.51.100.1"\ntable = 254', "table"),
    ],
)
def test_source_routes(route: str, key: str) -> None:
    assert error_of(f"{MINIMAL}\n[[source_routes]]\n{route}\n").where == f"$.source_routes[0].{key}"


# What is no configuration at all


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"node\.toml: cannot be read: No such file"):
        load_config(tmp_path / "node.toml")


@pytest.mark.parametrize("content", [b"[node", b"\xff\xfe", b"[node]\nname = 'a'\nname = 'b'\n"])
def test_a_file_that_is_not_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "node.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.where == str(path)
    assert "\n" not in str(caught.value)


def inline(value: Any) -> str:
    """A value as TOML; a JSON string is a TOML string too."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key} = {inline(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(inline, value)) + "]"
        case _:
            return json.dumps(value)


OPTIONAL = [field.name for field in msgspec.structs.fields(NodeConfig) if not field.required]
KEYS = sorted(set(re.findall(r"^(\w+) =", EXAMPLE.read_text(), re.MULTILINE)))
VALUES = st.recursive(
    st.one_of(st.integers(-(2**33), 2**33), st.text("a1.:/[]\n", max_size=8), st.booleans(), st.just(0.5)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=6,
)


@given(st.sampled_from(OPTIONAL), VALUES)
def test_no_value_escapes_as_another_error(table: str, value: Any) -> None:
    found: list[ConfigError] = []
    try:
        parse(f"{table} = {inline(value)}\n{MINIMAL}")
    except ConfigError as error:
        found.append(error)
    assert all(error.where.startswith("$") and "\n" not in str(error) for error in found)


# Files that the configuration names

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Valid for a day around `NOW`."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge.example")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=NOW - DAY / 2,
        not_valid_after=NOW + DAY / 2,
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    """A configuration whose certificate and key are good."""
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "chain.pem").write_bytes(certificate(key))
    (tmp_path / "key.pem").write_bytes(pem(key))
    return parse_config(MINIMAL + '[state]\ndirectory = "state/edge"\n', tmp_path)


def test_good_credentials(config: NodeConfig) -> None:
    credentials = load_credentials(config, NOW)
    assert credentials.expires_at == NOW + DAY / 2
    assert "PRIVATE" not in repr(credentials)


@pytest.mark.parametrize(
    "now,says",
    [(NOW + DAY, "expired on 2026-01-01 12:00 UTC"), (NOW - DAY, "not valid before 2025-12-31 12:00")],
)
def test_a_certificate_out_of_its_time(config: NodeConfig, now: datetime.datetime, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load_credentials(config, now)
    assert caught.value.where == "$.tls.certificate"


@pytest.mark.parametrize(
    "name,content,key,says",
    [
        ("chain.pem", None, "certificate", "No such file or directory"),
        ("chain.pem", b"hello", "certificate", "no PEM certificate"),
        ("key.pem", None, "private_key", "No such file or directory"),
        ("key.pem", b"hello", "private_key", "not an unencrypted PEM key"),
        ("key.pem", pem(ec.generate_private_key(ec.SECP256R1())), "private_key", "does not belong"),
    ],
)
def test_credentials_that_are_none(
    config: NodeConfig, tmp_path: Path, name: str, content: bytes | None, key: str, says: str
) -> None:
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=says) as caught:
        load_credentials(config, NOW)
    assert caught.value.where == f"$.tls.{key}"
    assert str(tmp_path / name) in str(caught.value)


def test_a_file_we_may_not_read(config: NodeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(UnreachableError, match=r"^\$\.tls\.certificate: .*no permission") as caught:
        load_credentials(config, NOW)
    assert caught.value.exit_code == 5


def test_a_node_makes_its_own_keys_once(config: NodeConfig) -> None:
    before = os.umask(0)
    try:
        keys = load_keys(config)
    finally:
        os.umask(before)
    assert load_keys(config) == keys
    (file,) = config.state.directory.iterdir()
    assert file.name == "keys.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.state.directory.stat().st_mode) == 0o711


def test_the_fleets_keys_are_read_and_never_made(tmp_path: Path) -> None:
    config = parse_config(MINIMAL + '[keys]\nfile = "ring"\n[state]\ndirectory = "state"\n', tmp_path)
    with pytest.raises(ConfigError, match="No such file") as caught:
        load_keys(config)
    assert caught.value.where == "$.keys.file"
    file = tmp_path / "ring"
    ring = KeyRing.new(bytes(range(32)), NOW)
    write_ring(file, ring)
    assert load_keys(config) == ring
    file.chmod(0o640)
    write_ring(file, ring.add(bytes(32), NOW))
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert load_keys(config).version == 2
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["ring"]


@pytest.mark.parametrize(
    "data, mode, says",
    [
        (b"version = 1", 0o600, "required field"),
        (b"\xff", 0o600, "not UTF-8"),
        (b"", 0o644, "everybody on this machine may read it; run 'chmod o= .*ring'"),
    ],
)
def test_a_file_that_is_no_key_ring(tmp_path: Path, data: bytes, mode: int, says: str) -> None:
    config = parse_config(MINIMAL + '[keys]\nfile = "ring"\n[state]\ndirectory = "state"\n', tmp_path)
    (tmp_path / "ring").write_bytes(data)
    (tmp_path / "ring").chmod(mode)
    with pytest.raises(ConfigError, match=says) as caught:
        load_keys(config)
    assert str(tmp_path / "ring") in str(caught.value)


def test_a_state_directory_that_cannot_be(config: NodeConfig, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(EdgeError, match=r"^\$\.state\.directory: ") as caught:
        load_keys(config)
    assert "\n" not in str(caught.value)
