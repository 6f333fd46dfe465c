"""A release, with a pip that makes small wheels: what is asked of it, and what becomes of them."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import edge
from edge.fleet import release
from edge.fleet.wheelhouse import Wheelhouse

OWN = f"anycast_edge-{edge.__version__}-py3-none-any.whl"


class Pip:
    """Notes what it was asked, and makes of each wanted wheel a few bytes."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.moment = ""
        self.read = ""

    def __call__(self, arguments: Sequence[str], environment: Mapping[str, str] = {}) -> None:
        self.asked.append([*arguments])
        if arguments[0] == "download":
            (Path(arguments[2]) / "some_library-1.0-py3-none-any.whl").write_bytes(b"theirs")
        else:
            self.moment = environment["SOURCE_DATE_EPOCH"]
            self.read = (Path(arguments[-1]) / "edge.py").read_text()
            (Path(arguments[4]) / OWN).write_bytes(b"ours")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One file is committed, and changed since."""
    root = tmp_path / "checkout"
    (root / "requirements").mkdir(parents=True)
    (root / "requirements" / "base.txt").write_text("some-library==1.0 --hash=sha256:00\n")
    (root / "edge.py").write_text("committed")
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@voice.example")
    for words in (("init", "--quiet"), ("add", "."), (*who, "commit", "--quiet", "--message", "one")):
        subprocess.run(["git", *words], cwd=root, check=True)
    (root / "edge.py").write_text("changed")
    return root


def test_a_release_is_what_is_committed(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = Pip()
    monkeypatch.setattr(release, "pip", pip)
    archive = release.of_commit(checkout, tmp_path / "out", python="3.13", machine="aarch64")
    wheels = tmp_path / "out" / edge.__version__
    assert pip.read == "committed"
    assert sorted(path.name for path in wheels.iterdir()) == [
        OWN,
        "requirements.txt",
        "some_library-1.0-py3-none-any.whl",
    ]
    assert (wheels / "requirements.txt").read_text() == (
        "some-library==1.0 --hash=sha256:00\n"
        f"anycast-edge=={edge.__version__} --hash=sha256:{hashlib.sha256(b'ours').hexdigest()}\n"
    )
    assert archive == tmp_path / "out" / f"anycast-edge-{edge.__version__}.tar"
    house = Wheelhouse(wheels, edge.__version__)
    house.check()
    assert archive.read_bytes() == house.archive()
    download = pip.asked[0]
    assert "--require-hashes" in download
    assert download[download.index("--python-version") + 1] == "3.13"
    assert "--platform=manylinux2014_aarch64" in download
    committed = ["git", "log", "-1", "--format=%ct"]
    assert pip.moment == subprocess.check_output(committed, cwd=checkout, text=True).strip()


def test_what_was_there_before_is_not_in_it(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "pip", Pip())
    left = tmp_path / "out" / edge.__version__ / "some_library-0.9-py3-none-any.whl"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"old")
    release.of_commit(checkout, tmp_path / "out")
    assert not left.exists()
