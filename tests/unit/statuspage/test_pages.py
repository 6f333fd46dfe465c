"""Pages made of a node's documents: what they say, and what they must never be or hold."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from node_documents import AT, EXPLANATION, PEERS, STATUS, in_trouble, snapshot

from edge.statuspage import LIVE_POLICY, Facts, Snapshot, fleet_page, node_page

SCRIPT = '<script>alert("x")</script><img src=x onerror=alert(1)>'
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """The text of a page and its elements; an element that is not closed in its place is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.text += data + " "

    def count(self, tag: str) -> int:
        return sum(element == tag for element, _ in self.elements)


def test_a_node_that_does_well_says_so_and_nothing_to_worry() -> None:
    page = Page(node_page(snapshot()))
    for said in (
        "ams-1",
        "announced",
        "For 3 h 2 min: 3 self-probes in a row passed",
        "22",
        " of 50 calls",
        "19 moved to unicast",
        "90% of those that arrived on anycast have moved.",
        "192.0.2.0/24",
        "2 announce, room for 61 calls",
        "hold timer expired",
        "0123456789ab",
        "overloaded for 30 s",
        "as of 2026-09-21 14:13:20 UTC",
    ):
        assert said in page.text, said
    assert not any(
        "note" in (attributes.get("class") or "")
        for tag, attributes in page.elements
        if tag != "p" or attributes.get("id") != "lost"
    )


def test_a_node_in_trouble_says_what_first() -> None:
    page = Page(node_page(in_trouble()))
    trouble, _, rest = page.text.partition("Calls")
    for said in (
        "no permission",
        "edgectl upgrade --resume",
        "kept out of the routes by alice since 2026-09-21 14:10:00 UTC, until told otherwise: a new disk",
        "handing-over for 12 s, 3 left; what is left is closed in 5 min 40 s. 14 moved, 3 asked, 2 ended.",
        "upgrade to 0.2.0",
        "/etc/edge/node.toml is another file",
        "40% of those who call anew",
    ):
        assert said in trouble, said
    assert "withdrawn" in rest


@pytest.mark.parametrize("live", [True, False])
def test_words_of_others_are_words(live: bool) -> None:
    """An operator's reason, a peer's last words, a backend's name: whoever writes them writes no HTML."""
    hold = {"reason": SCRIPT, "since": AT - 9, "kind": "withdraw", "who": SCRIPT}
    lease = {"who": SCRIPT, "what": SCRIPT, "since": AT, "until": AT + 9}
    changed = snapshot(reason=SCRIPT, hold=hold, lease=lease, site=SCRIPT, version=SCRIPT, problems=[SCRIPT])
    peers: Any = changed.peers
    peers["peers"][0]["last_reason"] = SCRIPT
    lost = Snapshot(name=SCRIPT, problem=SCRIPT)
    page = Page(node_page(changed) if live else fleet_page(SCRIPT, [changed, lost], AT))
    assert page.count("img") == 0
    assert page.count("script") == (1 if live else 0)
    assert page.text.count(SCRIPT) >= 7


def test_a_page_fetches_nothing_from_elsewhere() -> None:
    for html in (node_page(in_trouble()), fleet_page("Fleet", [snapshot(), in_trouble()], AT)):
        sources = [
            value or ""
            for _, attributes in Page(html).elements
            for name, value in attributes.items()
            if name in ("src", "href", "action", "srcset", "data")
        ]
        assert all(source.startswith("#") or source == "data:," for source in sources)
        assert not re.search(r"url\(|@import|https?://", html)


def test_a_live_page_runs_its_own_script_and_no_other() -> None:
    directives = dict(directive.strip().split(" ", 1) for directive in LIVE_POLICY.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"].startswith("'sha256-")
    assert "unsafe-inline" not in directives["script-src"] + directives["style-src"]


def test_a_fleet_is_summed_up_and_who_is_missing_is_named() -> None:
    lost = Snapshot(name="nyc-1", problem="nyc-1.mgmt.example: no route to host")
    page = Page(
        fleet_page("Fleet voice", [in_trouble(), lost, snapshot(), snapshot(node="ams-2", calls=5)], AT)
    )
    for said in (
        "Fleet voice",
        "2 of 4 announced",
        "1 out of reach",
        "no node announces at fra",
        "nodes differ: 0.1.0, 0.2.0",
        "nyc-1.mgmt.example: no route to host",
        "4",
        " of 5 sessions up, 2 sites",
        " at fra-1, by cpu",
    ):
        assert said in page.text, said
    assert "30" in page.text.split()  # calls of all that answered
    opened = {attributes["id"]: "open" in attributes for tag, attributes in page.elements if tag == "details"}
    assert opened == {"ams-1": False, "ams-2": False, "fra-1": True}


def test_no_fleet_is_no_crash() -> None:
    assert "0 of 0 announced" in Page(fleet_page("Fleet", [], AT)).text


@pytest.mark.parametrize("without", sorted(STATUS.keys() - {"node"}))
def test_what_another_version_does_not_tell_is_not_shown(without: str) -> None:
    status = {key: value for key, value in STATUS.items() if key != without}
    Page(node_page(Snapshot(name="ams-1", status=status)))
    Page(fleet_page("Fleet", [Snapshot(name="ams-1", status=status, explanation={"kind": "Other"})], AT))


def test_what_cannot_be_understood_is_a_node_of_another_version() -> None:
    facts = Facts.of(
        Snapshot(name="ams-1", status={**STATUS, "calls": "many"}, explanation=EXPLANATION, peers=PEERS)
    )
    assert facts.status is None
    assert "another version" in facts.problem
    assert "another version" in Page(node_page(Snapshot(name="ams-1", status={"node": 1}))).text
