"""The fleet file: what is wrong is told at its line, all at once, and what is right is put together."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from fleet_text import BASE
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import ConfigError
from edge.fleet import Fleet, load_fleet, parse_fleet, read_fleet
from edge.fleet.problems import Problem
from edge.fleet.schema import Document
from edge.fleet.writing import written

EXAMPLE = Path(__file__).parents[3] / "docs" / "reference" / "fleet.toml"
HERE = Path("/srv/fleet.toml")


def problems_of(text: str, *, notes: bool = False) -> list[Problem]:
    return [problem for problem in parse_fleet(text, HERE)[1] if problem.note == notes]


def changed(base: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert base.count(old) == 1, f"{old!r} is {base.count(old)} times in the base"
        base = base.replace(old, new)
    return base


# The documented example


def test_the_documented_example_is_a_fleet(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(EXAMPLE.read_text())
    (tmp_path / "edge_nodes.json").write_text("{}")
    fleet = load_fleet(file)
    assert fleet.names == ("ams-1", "fra-1", "fra-2")
    assert [node.announce for node in fleet.nodes] == [True, True, False]
    assert fleet.node("fra-1").secrets.bgp_md5 == tmp_path / "secrets/bgp-md5-fra.key"
    assert fleet.node("ams-1").secrets.certificate == tmp_path / "secrets/ams-1/chain.pem"


def keys(kind: type[msgspec.Struct], example: dict[str, Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    for field in msgspec.structs.fields(kind):
        where = f"{path}.{field.name}"
        assert field.name in example, f"{where} is not in the example"
        value = example[field.name]
        inner = [one for one in _types_in(field.type) if issubclass(one, msgspec.Struct)]
        first = value[0] if isinstance(value, list) else value
        if inner:
            element = first["ams"] if field.name == "sites" else first
            yield from keys(inner[0], element, where)
        else:
            yield where, field.default, value


def _types_in(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type):
        yield annotation
    for inner in get_args(annotation):
        yield from _types_in(inner)


def test_the_example_has_every_key_and_shows_its_default() -> None:
    shown = [
        where
        for where, default, value in keys(Document, tomllib.loads(EXAMPLE.read_text()), "$")
        if default not in (msgspec.NODEFAULT, None, "") and value == default
    ]
    assert set(shown) >= {"$.access.transport", "$.access.socket", "$.access.port", "$.monitoring.port"}


# Put together


def test_a_site_is_laid_over_the_defaults_and_a_node_over_both(
    base: str, read: Callable[[str], Fleet]
) -> None:
    text = changed(
        base,
        (
            "[sites.ams]\n",
            "[sites.ams.defaults.quic]\nidle_timeout_s = 20.0\nmax_connections = 7\n[sites.ams]\n",
        ),
    )
    text = text.replace(
        "[defaults.bgp]", "[defaults.quic]\nidle_timeout_s = 10.0\nmax_handshakes = 5\n[defaults.bgp]", 1
    )
    text += "[nodes.config.quic]\nmax_handshakes = 6\n"
    quic = {node.name: node.config.quic for node in read(text).nodes}
    assert [quic[name].idle_timeout_s for name in ("ams-1", "fra-1")] == [20.0, 10.0]
    assert [quic[name].max_connections for name in ("ams-1", "fra-1")] == [7, 1000]
    assert [quic[name].max_handshakes for name in ("ams-1", "fra-1")] == [5, 6]


def test_lists_are_replaced_and_not_mixed(base: str, read: Callable[[str], Fleet]) -> None:
    text = (
        base
        + '[[nodes.config.bgp.neighbors]]\naddress = "203.0.113.2"\npeer_as = 64502\nfamilies = ["ipv4", "ipv6"]\n'
    )
    bgp = read(text).node("fra-1").config.bgp
    assert bgp is not None
    assert [neighbor.address for neighbor in bgp.neighbors] == ["203.0.113.2"]


def test_what_follows_is_not_written_twice(fleet: Fleet) -> None:
    config = fleet.node("ams-2").config
    assert config.bgp is not None
    assert config.bgp.router_id == "198.51.100.12"
    assert config.bgp.med == 50
    (neighbor,) = config.bgp.neighbors
    assert (neighbor.local_address, neighbor.next_hop_ipv6) == ("198.51.100.12", "2001:db8:a1::12")
    assert config.metrics.listen == "198.51.100.12:9464"
    assert config.service.manage_addresses is False
    assert fleet.node("ams-1").config.unicast.name == "ams-1.edge.example"
    assert fleet.node("ams-2").ssh == "ams-2.mgmt.example"
    assert fleet.node("fra-1").ssh == "203.0.113.11"


def test_what_is_said_is_stronger_than_what_would_follow(base: str, read: Callable[[str], Fleet]) -> None:
    text = changed(
        base,
        ("med = 50", 'router_id = "192.0.2.99"'),
        ("peer_as = 64500", 'peer_as = 64500\nlocal_address = "198.51.100.99"'),
    )
    bgp = read(text).node("ams-2").config.bgp
    assert bgp is not None
    assert (bgp.router_id, bgp.neighbors[0].local_address) == ("192.0.2.99", "198.51.100.99")


def test_a_node_on_ipv6_alone_has_its_ports_there(base: str, read: Callable[[str], Fleet]) -> None:
    text = changed(base, ('"203.0.113.11", "2001:db8:f1::11"]', '"2001:db8:f1::11"]\nannounce = false'))
    text = changed(text, ("min_announcing = 1", "min_announcing = 1\n[monitoring]\npage_port = 9465"))
    node = read(text).node("fra-1")
    assert node.metrics == "[2001:db8:f1::11]:9464"
    assert node.config.admin.page_listen == "[2001:db8:f1::11]:9465"


def test_nodes_of_this_machine_have_a_socket_each_and_the_operators_files(
    base: str, read: Callable[[str], Fleet]
) -> None:
    text = changed(
        base,
        ("[defaults.bgp]", '[access]\ntransport = "unix"\nsocket = "/run/lab/{name}.sock"\n[defaults.bgp]'),
    )
    node = read(text).node("ams-1")
    assert str(node.socket) == "/run/lab/ams-1.sock"
    assert node.config.admin.socket == node.socket
    assert str(node.config.tls.certificate) == "/srv/secrets/chain.pem"
    assert node.config.service.manage_addresses is True


def test_over_tls_nodes_listen_where_the_operator_asks(base: str, read: Callable[[str], Fleet]) -> None:
    files = 'ca = "/a"\ncertificate = "/b"\nprivate_key = "/c"\n'
    text = base + f'[access]\ntransport = "tls"\n{files}[defaults.admin]\n{files}'
    assert read(text).node("fra-1").config.admin.listen == "203.0.113.11:4435"


def test_the_key_for_md5_is_that_of_the_neighbors(base: str, read: Callable[[str], Fleet]) -> None:
    text = changed(
        base,
        ("[defaults.service]", '[secrets.md5]\nbgp_md5_fra = "secrets/fra.key"\n[defaults.service]'),
        ("peer_as = 64500", 'peer_as = 64500\nmd5_file = "bgp_md5"'),
        ("peer_as = 64501", 'peer_as = 64501, md5_file = "bgp_md5_fra"'),
    )
    fleet = read(text)
    files = {str(node.name): str(node.secrets.bgp_md5) for node in fleet.nodes}
    assert files["ams-1"] == "/srv/secrets/bgp-md5.key"
    assert files["fra-1"] == "/srv/secrets/fra.key"
    for node in fleet.nodes:
        assert node.config.bgp is not None
        assert node.config.bgp.neighbors[0].md5_file == "/run/credentials/edge.service/bgp-md5.key"


def test_there_are_only_these_nodes_and_sites(fleet: Fleet) -> None:
    assert [node.name for node in fleet.at("ams")] == ["ams-1", "ams-2"]
    with pytest.raises(Exception, match="no node 'ams-9'; there are ams-1, ams-2, fra-1") as no_node:
        fleet.node("ams-9")
    with pytest.raises(Exception, match="no site 'lon'; there are ams, fra") as no_site:
        fleet.at("lon")
    assert no_node.value.exit_code == no_site.value.exit_code == 2  # type: ignore[attr-defined]


# What is wrong: the old text, the new one, the text whose line is told, the path, and what is said

WRONG = [
    ('name = "voice"', 'name = "Voice!"', 'name = "Voice!"', "$.fleet.name", "is no name"),
    ('version = "0.1.0"', 'version = "../up"', "version =", "$.fleet.version", "write it like 0.1.0"),
    ('version = "0.1.0"', "", "[fleet]", "$.fleet.version", "is missing"),
    ("[secrets]", "[secret]", "[secret]", "$.secret", "unknown key"),
    ('key_ring = "secrets/ring.toml"', 'ring = "x"', "ring = ", "$.secrets.ring", "did you mean 'key_ring'"),
    ('name = "ams-2"', 'name = "ams-1"', 'name = "ams-1"\nsite = "ams"\nserver_id = "00000000000000a2"', "$.nodes[1].name", "is that of nodes[0] (ams-1)"),
    ('"00000000000000a2"', '"00000000000000A1"', '"00000000000000A1"', "$.nodes[1].server_id", "00000000000000a1 is that of nodes[0]"),
    ('"00000000000000a2"', '"a2"', '"a2"', "$.nodes[1].server_id", "write 16 hex digits"),
    ('"198.51.100.12", "2001:db8:a1::12"', '"198.51.100.12",\n  "2001:db8:a1:0::11"', '  "2001:db8:a1:0::11"', "$.nodes[1].addresses[1]", "2001:db8:a1::11 is that of nodes[0]"),
    ('"198.51.100.12", "2001:db8:a1::12"', '"198.51.100.12", "198.51.100.13"', '"198.51.100.13"', "$.nodes[1].addresses", "at most one IPv4 and one IPv6"),
    ('"198.51.100.12", "2001:db8:a1::12"', '"203.0.113.11", "2001:db8:a1::12"', '["203.0.113.11", "2001:db8:f1', "$.nodes[2].addresses[0]", "203.0.113.11 is that of nodes[1] (ams-2)"),
    ('"203.0.113.11"', '"192.0.2.1"', '["192.0.2.1", "2001:db8:f1::11"]', "$.nodes[2].addresses[0]", "192.0.2.1 is also $.service.addresses[0]"),
    ('"203.0.113.11"', '"192.0.2.77"', '["192.0.2.77"', "$.nodes[2].addresses[0]", "192.0.2.77 is in an announced prefix"),
    ('site = "fra"', 'site = "lon"', 'site = "lon"', "$.nodes[2].site", "there is no site 'lon'; add [sites.lon] (known: ams, fra)"),
    ('"192.0.2.0/24", "2001', '"192.0.2.1/32", "2001', "prefixes =", "$.defaults.bgp.prefixes[0]", "nothing longer than /24, so not 192.0.2.1/32"),
    ('"2001:db8:1::/48"]', '"2001:db8:1::1/128"]', "prefixes =", "$.defaults.bgp.prefixes[1]", "nothing longer than /48"),
    ("min_announcing = 1", "min_announcing = 3", "min_announcing = 3", "$.defaults.policy.min_announcing", "would need 3 others that announce, and there are 2"),
    ("local_as = 64601", "local_as = 0", "local_as = 0", "$.defaults.bgp.local_as", "$.bgp.local_as of ams-1, ams-2, fra-1"),
    ("local_as = 64601", "local_az = 64601", "local_az =", "$.defaults.bgp.local_az", "did you mean 'local_as'"),
    ("peer_as = 64500", "", '[[sites.ams.defaults.bgp.neighbors]]', "$.sites.ams.defaults.bgp.neighbors[0]", "peer_as is missing; it has no default ($.bgp.neighbors[0].peer_as of ams-1, ams-2)"),
    ("peer_as = 64501", 'peer_as = "x"', 'peer_as = "x"', "$.sites.fra.defaults.bgp.neighbors[0].peer_as", "of fra-1"),
    ("med = 50", "med = -1", "med = -1", "$.nodes[1].config.bgp.med", "$.bgp.med of ams-2"),
    ("[nodes.config.bgp]\nmed = 50", '[nodes.config.node]\nname = "x"', "[nodes.config.node]", "$.nodes[1].config.node", "is not written here"),
    ("[defaults.service]\n", '[defaults.tls]\ncertificate = "x"\n[defaults.service]\n', "[defaults.tls]", "$.defaults.tls", "its files are named in [secrets]"),
    ("[defaults.service]\n", '[defaults.metrics]\nlisten = "127.0.0.1:1"\n[defaults.service]\n', "listen =", "$.defaults.metrics.listen", "[monitoring] port"),
    ("peer_as = 64500", 'peer_as = 64500\nmd5_file = "keys/md5"', "md5_file", "$.sites.ams.defaults.bgp.neighbors[0].md5_file", "is not the name of a secret"),
    ('url = "https://ams-1.edge.example"', 'url = "http://x"', "url =", "$.nodes[0].url", "is not like https://"),
    ('ssh = "ams-2.mgmt.example"', 'ssh = "-oProxyCommand=x"', "ssh =", "$.nodes[1].ssh", "is no host"),
    ('url = "https://ams-1.edge.example"', 'url = "https://ams-1.edge.example"\nssh = "AMS-2.mgmt.example"', 'ssh = "ams-2', "$.nodes[1].ssh", "leads to nodes[0] (ams-1), too"),
    ('ssh = "ams-2.mgmt.example"', 'url = "https://AMS-1.edge.example"', 'url = "https://AMS-1', "$.nodes[1].url", "is that of nodes[0] (ams-1)"),
    ("[defaults.bgp]\n", '[access]\nuser = "-x"\n[defaults.bgp]\n', "user =", "$.access.user", "is no login name"),
    ("[defaults.bgp]\n", '[access]\ntransport = "tls"\n[defaults.bgp]\n', "[access]", "$.access.ca", 'transport = "tls" needs it'),
    ("[defaults.bgp]\n", '[access]\ntransport = "unix"\n[defaults.bgp]\n', "[access]", "$.access.socket", "is that of 3 nodes of this machine"),
    ("[sites.ams]\n", "[sites.a_b]\n[sites.'a.b']\n[sites.ams]\n", "[sites.'a.b']", '$.sites."a.b"', "is site_a_b to Ansible"),
    ("med = 50", "[nodes.config.forward]\nport = 4444", "port = 4444", "$.nodes[1].config.forward.port", "4444 at ams-2, and 4434 at others"),
    ('[sites.ams]\ndescription = "Amsterdam"', "[sites.ams]\ndescription = 5", "description = 5", "$.sites.ams.description", "expected str"),
]  # fmt: skip


@pytest.mark.parametrize("old,new,line_of,where,says", WRONG)
def test_what_is_wrong_is_told_at_its_line(
    base: str, old: str, new: str, line_of: str, where: str, says: str
) -> None:
    text = changed(base, (old, new))
    found = problems_of(text)
    line = text[: text.index(line_of)].count("\n") + 1
    told = [problem for problem in found if problem.where == where and says in problem.what]
    assert told, "\n".join(map(str, found))
    assert [problem.line for problem in told] == [line]
    assert str(told[0]).startswith(f"/srv/fleet.toml:{line}: {where}: ")
    assert all("\n" not in str(problem) for problem in found)


def test_everything_that_is_wrong_is_told_at_once(base: str) -> None:
    text = changed(
        base,
        ('version = "0.1.0"', 'version = "-"'),
        ('key_ring = "secrets/ring.toml"', "key_ring = 1"),
        ('name = "ams-2"', 'name = "AMS"'),
        ('"00000000000000a2"', '"x"'),
        ('description = "Amsterdam"', "descriptions = 1"),
    )
    assert [problem.where for problem in problems_of(text)] == [
        "$.fleet.version",
        "$.secrets.key_ring",
        "$.sites.ams.descriptions",
        "$.nodes[1].name",
        "$.nodes[1].server_id",
    ]


def test_everything_that_is_wrong_with_the_nodes_is_told_at_once(base: str) -> None:
    text = changed(
        base,
        ("local_as = 64601", "local_as = 0"),
        ("peer_as = 64501", "peer_as = 0"),
        ("med = 50", "med = 50\nmedd = 1\nhold_time_s = 1"),
        ("min_announcing = 1", "min_announcing = 0"),
        ('"00000000000000f1"', '"00000000000000a1"'),
    )
    assert [problem.where for problem in problems_of(text)] == [
        "$.defaults.bgp.local_as",
        "$.defaults.policy.min_announcing",
        "$.sites.fra.defaults.bgp.neighbors[0].peer_as",
        "$.nodes[1].config.bgp.medd",
        "$.nodes[1].config.bgp.hold_time_s",
        "$.nodes[2].server_id",
    ]


def test_a_slip_hides_nothing_and_makes_no_second_mistake(base: str) -> None:
    """What follows it is read as if it had been written as it was meant."""
    text = changed(
        base, ("local_as = 64601", "local_az = 64601"), ('"192.0.2.0/24", "2001', '"192.0.2.1/32", "2001')
    )
    slip, prefix = problems_of(text)
    assert (slip.where, prefix.where) == ("$.defaults.bgp.local_az", "$.defaults.bgp.prefixes[0]")
    assert "did you mean 'local_as'?" in slip.what


def test_the_first_is_raised_and_the_others_counted(base: str, tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(changed(base, ("local_as = 64601", "local_as = 0"), ("med = 50", "med = -1")))
    with pytest.raises(ConfigError, match=r"\(and 1 more: edgectl fleet validate\)$") as caught:
        load_fleet(file)
    assert caught.value.where == f"{file}:15: $.defaults.bgp.local_as"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text,line,says",
    [
        ("[fleet]\nname = voice\n", 2, "is not TOML: Invalid value"),
        ("[fleet]\nname = 'x'\nname = 'y'\n", 3, "is not TOML: Cannot overwrite a value"),
        ("a = [1,\n", 2, "is not TOML"),
        ("", 0, "is missing"),
    ],
)
def test_what_is_no_fleet_at_all(text: str, line: int, says: str) -> None:
    fleet, problems = parse_fleet(text, HERE)
    assert fleet is None
    assert problems[0].line == line
    assert says in problems[0].what


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: No such file or directory; .*edgectl fleet init"):
        read_fleet(tmp_path / "fleet.toml")


def test_a_quorum_that_stands_and_falls_with_one_site_is_worth_a_note(base: str) -> None:
    (note,) = problems_of(base, notes=True)
    assert (note.line, note.where) == (19, "$.defaults.policy.min_announcing")
    assert note.what == (
        "while ams is dark, fra-1 cannot leave for load: others that announce are then 0, and policy.min_announcing is 1"
    )


def test_a_quorum_that_nobody_has_written_down_is_one_too(base: str) -> None:
    """The default needs two others; of two nodes none could ever leave."""
    text = changed(base, ("min_announcing = 1", ""), ("[nodes.config.bgp]\nmed = 50", "announce = false"))
    (problem,) = problems_of(text)
    assert (problem.where, problem.line) == ("$.nodes", text[: text.index("[[nodes]]")].count("\n") + 1)
    assert "set policy.min_announcing = 1, or add nodes" in problem.what


def test_one_node_alone_needs_no_quorum(base: str) -> None:
    text = changed(base, ("min_announcing = 1", ""), ("[nodes.config.bgp]\nmed = 50", "announce = false"))
    assert problems_of(text.replace('name = "fra-1"', 'name = "fra-1"\nannounce = false')) == []


@pytest.mark.parametrize("table", ['guard = "off"', 'mode = "observe"'])
def test_who_asks_nobody_needs_no_quorum(base: str, table: str) -> None:
    assert problems_of(changed(base, ("min_announcing = 1", f"min_announcing = 9\n{table}"))) == []


def test_a_site_without_nodes_is_worth_a_note(base: str) -> None:
    notes = problems_of(base + "[sites.lon]\n", notes=True)
    assert ("$.sites.lon", base.count("\n") + 1) in [(note.where, note.line) for note in notes]


# Whatever somebody writes, it is told in words

_ODD = st.one_of(
    st.none(),  # taken out
    st.integers(-5, 5),
    st.booleans(),
    st.text(max_size=5),
    st.lists(st.one_of(st.integers(), st.text(max_size=3)), max_size=2),
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_file_is_too_odd_to_be_told_what_is_wrong(data: st.DataObject) -> None:
    document = deepcopy(tomllib.loads(BASE))
    for _ in range(data.draw(st.integers(1, 3))):
        _damage(document, data)
    text = written(document)
    fleet, problems = parse_fleet(text, HERE)
    wrong = [problem for problem in problems if not problem.note]
    assert fleet is not None or wrong
    for problem in problems:
        assert 0 <= problem.line <= text.count("\n") + 1
        assert "\n" not in str(problem)


def _damage(document: dict[str, Any], data: st.DataObject) -> None:
    """Change one value anywhere in it."""
    table: Any = document
    while True:
        keys = sorted(table) if isinstance(table, dict) else list(range(len(table)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if not isinstance(table[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
            break
        table = table[key]
    value = data.draw(_ODD)
    if value is not None:
        table[key] = value
    elif isinstance(table, dict):
        del table[key]
