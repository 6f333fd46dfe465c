"""What the Ansible roles say of themselves, and how little the units that they install may do."""

import subprocess
from pathlib import Path

import jinja2
import pytest
import yaml

ANSIBLE = Path(__file__).resolve().parents[2] / "ansible"
ROLES = sorted(path.name for path in (ANSIBLE / "roles").iterdir())
UNITS = sorted((ANSIBLE / "roles/edge/files").glob("*.service"))
MOST_EXPOSED = 15  # tenths, of `systemd-analyze security`


def read(path: Path):
    return yaml.safe_load(path.read_text())


def options(role: str) -> dict:
    """By name, of all the entrances of a role."""
    specs = read(ANSIBLE / f"roles/{role}/meta/argument_specs.yml")["argument_specs"].values()
    return {name: option for spec in specs for name, option in spec["options"].items()}


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_has_a_specification_and_the_default_that_it_tells(role):
    defaults = read(ANSIBLE / f"roles/{role}/defaults/main.yml")
    told = {name: option["default"] for name, option in options(role).items() if not option.get("required")}
    assert set(defaults) == set(told)
    constants = {name: value for name, value in defaults.items() if "{{" not in str(value)}
    assert constants == {name: told[name] for name in constants}


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_has_every_variable_with_its_default(role):
    readme = (ANSIBLE / "README.md").read_text()
    for name, option in options(role).items():
        default = "required" if option.get("required") else f"`{shown(option['default'])}`"
        assert f"| `{name}` | {default} |" in readme


def shown(value) -> str:
    """As in YAML, but short."""
    match value:
        case bool():
            return str(value).lower()
        case "":
            return '""'
        case dict() if len(value) > 1:
            return "{...}"
        case list():
            return f"[{', '.join(map(str, value))}]"
        case _:
            return str(value)


def test_only_modules_that_every_ansible_has():
    """Collections would have to be fetched from elsewhere first."""
    modules = {
        key
        for path in [*ANSIBLE.glob("roles/*/*/*.yml"), *ANSIBLE.glob("playbooks/**/*.yml")]
        if path.parent.name in ("tasks", "handlers", "playbooks")
        for key in keys(read(path))
        if key.count(".") == 2
    }
    assert len(modules) > 10
    assert {name for name in modules if not name.startswith("ansible.builtin.")} == set()


def keys(document) -> set[str]:
    """Of tasks in plays and blocks, and not of what is in their arguments."""
    if isinstance(document, list):
        return set().union(*map(keys, document))
    if isinstance(document, dict):
        nested = [
            document[name]
            for name in ("block", "rescue", "always", "tasks", "post_tasks")
            if name in document
        ]
        return set(document) | keys(nested)
    return set()


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_hardly_exposed(unit):
    exposed_at_most(MOST_EXPOSED, unit)


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("bfd", [False, True])
@pytest.mark.parametrize("speaker", ["exabgp", "bird"])
def test_nor_is_it_with_what_a_node_adds_to_it(tmp_path, speaker, bfd):
    """BFD takes a capability, and BIRD sockets to the kernel: grants, not only hardening, come by the role's template."""
    added = node_conf(edge_bgp_speaker=speaker, edge_bfd=bfd)
    assert ("CAP_NET_RAW" in added, "AF_NETLINK" in added) == (bfd, bfd or speaker == "bird")
    unit = tmp_path / "edge.service"
    unit.write_text((ANSIBLE / "roles/edge/files/edge.service").read_text() + added)
    exposed_at_most(MOST_EXPOSED, unit)


def node_conf(**variables) -> str:
    """As Ansible makes it of the role's defaults and these."""
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["bool"] = bool
    template = environment.from_string((ANSIBLE / "roles/edge/templates/node.conf.j2").read_text())
    known = {"ansible_managed": "by a test", "edge_credentials": {"bgp-md5.key": "file"}}
    return template.render(read(ANSIBLE / "roles/edge/defaults/main.yml") | known | variables)


def exposed_at_most(tenths: int, unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={tenths}", unit],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("systemd-analyze")
def test_units_have_no_key_that_systemd_does_not_know(tmp_path):
    """It ignores what it does not know, and with that a restriction that has a typing error."""
    place = tmp_path / "etc/systemd/system"
    place.mkdir(parents=True)
    for unit in UNITS:
        (place / unit.name).write_text(unit.read_text())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={tmp_path}", *(unit.name for unit in UNITS)],
        capture_output=True,
        text=True,
    )
    assert [line for line in done.stderr.splitlines() if "Unknown" in line or "Failed to parse" in line] == []
    broken = (place / "edge.service").read_text().replace("[Service]", "[Service]\nPrivateTemp=yes")
    (place / "edge.service").write_text(broken)
    again = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={tmp_path}", "edge.service"],
        capture_output=True,
        text=True,
    )
    assert "PrivateTemp" in again.stderr
