"""Which fleet is meant, and the file of contexts: over what is typed, said in the environment, and in use."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UnreachableError, UsageError
from edge.fleet.context import (
    Context,
    Contexts,
    Word,
    contexts_file,
    fleet_file,
    read_contexts,
    rendered,
    write_contexts,
)

KNOWN = Contexts("prod", {"prod": Context("/srv/prod.toml"), "lab": Context("/srv/lab.toml")})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edge" / "contexts.toml"
    write_contexts(path, KNOWN)
    return path


@pytest.mark.parametrize(
    "fleet,context,meant",
    [
        (None, None, "/srv/prod.toml"),
        (("f.toml", True), None, "f.toml"),
        (("f.toml", False), None, "f.toml"),
        (None, ("lab", True), "/srv/lab.toml"),
        (None, ("lab", False), "/srv/lab.toml"),
        (("f.toml", True), ("lab", False), "f.toml"),
        (("f.toml", False), ("lab", True), "/srv/lab.toml"),
    ],
)
def test_the_nearest_word_counts(
    file: Path, fleet: tuple[str, bool] | None, context: tuple[str, bool] | None, meant: str
) -> None:
    words = [None if word is None else Word(*word) for word in (fleet, context)]
    assert fleet_file(words[0], words[1], file) == Path(meant)


@pytest.mark.parametrize("typed", [True, False])
def test_two_words_of_equal_weight_are_one_too_many(file: Path, typed: bool) -> None:
    with pytest.raises(UsageError, match="both say which fleet; give one"):
        fleet_file(Word("f.toml", typed), Word("lab", typed), file)


def test_a_fleet_that_is_named_needs_no_contexts(tmp_path: Path) -> None:
    (tmp_path / "contexts.toml").write_text("spoiled")
    assert fleet_file(Word("f.toml", True), None, tmp_path / "contexts.toml") == Path("f.toml")


def test_nobody_says_which(tmp_path: Path) -> None:
    assert fleet_file(None, None, tmp_path / "contexts.toml") is None
    write_contexts(tmp_path / "contexts.toml", KNOWN.remove("prod"))
    assert fleet_file(None, None, tmp_path / "contexts.toml") is None


def test_one_that_is_not_known(file: Path) -> None:
    with pytest.raises(UsageError, match=r"no context 'test' \(there are: lab, prod\); add it with: edgectl"):
        fleet_file(None, Word("test", True), file)


def test_the_first_is_in_use_until_another_is_or_it_is_gone(tmp_path: Path) -> None:
    known = Contexts().add("a", tmp_path / "a.toml").add("b", tmp_path / "b.toml")
    assert known.current == "a"
    assert known.use("b").current == "b"
    assert known.use("b").remove("a").current == "b"
    assert known.remove("a").current == ""
    assert known.add("a", tmp_path / "c.toml").fleet_of("a") == tmp_path / "c.toml"
    for change in (known.use, known.remove):
        with pytest.raises(UsageError, match="no context 'c'"):
            change("c")


def test_a_fleet_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Contexts().add("a", Path("fleet.toml")).fleet_of("a") == tmp_path / "fleet.toml"


@pytest.mark.parametrize("name", ["", "a b", "a.b", "ä", "a" * 65, "[x]"])
def test_words_that_are_no_name(name: str) -> None:
    with pytest.raises(UsageError, match="is no name for a context"):
        Contexts().add(name, Path("fleet.toml"))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_path_comes_back(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    known = Contexts("a", {"a": Context("/" + path)})
    assert tomllib.loads(rendered(known)) == {"current": "a", "contexts": {"a": {"fleet": "/" + path}}}


def test_it_is_for_its_user_alone(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert read_contexts(file) == KNOWN
    assert [path.name for path in file.parent.iterdir()] == ["contexts.toml"]


@pytest.mark.parametrize(
    "text", ["current = [", 'current = "a"\ncolour = "red"\n', "current = 1\n", "\udcff"]
)
def test_one_that_is_spoiled_is_told_with_its_path(tmp_path: Path, text: str) -> None:
    file = tmp_path / "contexts.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=r"contexts\.toml: .*; mend it, or remove it"):
        read_contexts(file)


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "edge").write_text("a file in the place of the folder")
    with pytest.raises(UnreachableError, match="cannot be written"):
        write_contexts(tmp_path / "edge" / "contexts.toml", KNOWN)


def test_where_it_is(tmp_path: Path) -> None:
    assert contexts_file({"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "edge" / "contexts.toml"
    at_home = Path.home() / ".config" / "edge" / "contexts.toml"
    assert contexts_file({}) == contexts_file({"XDG_CONFIG_HOME": "relative"}) == at_home
