"""A whole fleet at one moment: the sum, a row for each node, and each node in full. One file, to keep or to send."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from edge.statuspage.facts import Facts, Snapshot, Status
from edge.statuspage.html import Child, document, e
from edge.statuspage.node import attention, body
from edge.statuspage.parts import bar, card, load_tone, moment, note, page, pill, state_pill, table


def fleet_page(title: str, snapshots: Sequence[Snapshot], now: float) -> str:
    """``now``: when the nodes were asked, wall-clock time."""
    nodes = sorted(
        map(Facts.of, snapshots), key=lambda node: (node.status.site if node.status else "~", node.name)
    )
    known = [(node, node.status) for node in nodes if node.status is not None]
    statuses = [status for _, status in known]
    head = e("header", e("h1", title), *_verdict(nodes, statuses))
    return document(
        page(
            title,
            head,
            e("p", f"as of {moment(now)}", class_="why soft num"),
            *_notes(nodes, statuses),
            e("div", *_sums(statuses), _nodes(nodes), class_="cards"),
            *(_full(node, status) for node, status in known),
            live=False,
        )
    )


def _verdict(nodes: Sequence[Facts], statuses: Sequence[Status]) -> Iterator[Element]:
    announced = sum(status.announced for status in statuses)
    tone = "bad" if not announced else "good" if announced == len(nodes) else "warn"
    yield pill(f"{announced} of {len(nodes)} announced", tone)
    if len(statuses) < len(nodes):
        yield pill(f"{len(nodes) - len(statuses)} out of reach", "bad")


def _notes(nodes: Sequence[Facts], statuses: Sequence[Status]) -> Iterator[Element]:
    """What is true of several nodes, or of the fleet as a whole."""
    sites = {status.site for status in statuses}
    dark = sorted(site for site in sites if not any(one.announced for one in statuses if one.site == site))
    if dark:
        yield note("bad", "Dark", f"no node announces at {', '.join(dark)}")
    for what, values in (
        ("Versions", {status.version for status in statuses}),
        ("Key rings", {f"version {status.keys.version}" for status in statuses}),
    ):
        if len(values) > 1:
            yield note("warn", what, f"nodes differ: {', '.join(sorted(values))}")
    for node in nodes:
        if node.status is None:
            yield note("bad", node.name, node.problem)


def _sums(statuses: Sequence[Status]) -> Iterator[Element]:
    calls = sum(status.calls for status in statuses)
    arrived = sum(
        one.connections.get("migrated", 0) + one.connections.get("on_anycast", 0) for one in statuses
    )
    moved = sum(status.connections.get("migrated", 0) for status in statuses)
    share = f" calls, {moved / arrived:.0%} of arrivals moved" if arrived else " calls"
    yield card("Calls", e("p", str(calls), e("small", share), class_="big"), size="third")
    worst = max(statuses, key=lambda status: status.pressure, default=None)
    if worst is not None:
        figure = e("span", f"{worst.pressure:.0%}", class_=load_tone(worst.pressure))
        text = e("small", f" at {worst.node}, by {worst.pressure_signal}")
        yield card("Highest pressure", e("p", figure, text, class_="big"), size="third")
    neighbors = [state for one in statuses if one.bgp for state in one.bgp.neighbors.values()]
    up, sites = neighbors.count("up"), len({status.site for status in statuses})
    words = e("small", f" of {len(neighbors)} sessions up, {sites} site{'' if sites == 1 else 's'}")
    yield card("BGP", e("p", str(up), words, class_="big"), size="third")


def _nodes(nodes: Sequence[Facts]) -> Element:
    head = (
        "node",
        "site",
        "state",
        "calls",
        "moved",
        "pressure",
        "BGP",
        "version",
        "config",
        "who is at work",
    )
    return card("Nodes", table(head, map(_row, nodes), numbers=(3, 4)))


def _row(node: Facts) -> tuple[Child, ...]:
    status = node.status
    if status is None:
        return (node.name, "", pill("out of reach", "bad", small=True), *[""] * 7)
    share = status.migrated_ratio
    sessions = list(status.bgp.neighbors.values()) if status.bgp else []
    config = status.config
    return (
        e("a", status.node, href=f"#{status.node}"),
        status.site,
        state_pill(status.state, small=True),
        str(status.calls),
        "\N{EN DASH}" if share is None else f"{share:.0%}",
        e(
            "div",
            e("span", f"{status.pressure:.0%}", class_="num"),
            bar([(status.pressure, load_tone(status.pressure))]),
            class_="load",
            title=f"by {status.pressure_signal}",
        ),
        e(
            "span",
            f"{sessions.count('up')}/{len(sessions)}",
            class_=None if sessions.count("up") == len(sessions) else "bad",
        ),
        status.version,
        e("code", config.hash + (" (changed)" if config.changed_on_disk else "")) if config else "",
        status.lease.who if status.lease else status.hold.who if status.hold else "",
    )


def _full(node: Facts, status: Status) -> Element:
    is_calm = status.state == "announced" and not any(True for _ in attention(status))
    return e(
        "details",
        e("summary", status.node, " ", state_pill(status.state, small=True)),
        *body(node, status),
        id=status.node,
        open=None if is_calm else "open",
    )
