"""One node: where it stands and why, and everything that bears on it."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from edge.runtime.holds import Hold
from edge.spans import span
from edge.statuspage.facts import Facts, Snapshot, Status
from edge.statuspage.html import Child, document, e
from edge.statuspage.parts import (
    OUTCOMES,
    bar,
    card,
    facts,
    load_tone,
    moment,
    note,
    page,
    pill,
    state_pill,
    table,
)
from edge.statuspage.style import EVERY_S

LATEST = 8  # decisions


def node_page(snapshot: Snapshot) -> str:
    """The page that a node serves of itself."""
    node = Facts.of(snapshot)
    status = node.status
    if status is None:
        return document(page(node.name, e("h1", node.name), note("bad", "Unknown", node.problem), live=True))
    head = e(
        "header",
        e("h1", status.node),
        e("span", status.site, class_="soft"),
        state_pill(status.state),
        pill("draining", "warn") if status.drain else None,
    )
    foot = e(
        "footer",
        e("span", f"as of {moment(status.time)}, looks again every {EVERY_S} s", class_="num"),
        e("span", "the same for programs: ", e("code", "edgectl status -o json")),
    )
    title = f"{status.node}: {status.state}"
    return document(page(title, head, *body(node, status), foot, live=True))


def body(node: Facts, status: Status) -> Iterator[Element]:
    """Everything but the head; also of a fleet's page."""
    yield e("p", why(node, status), class_="why")
    yield from attention(status)
    yield e(
        "div",
        _calls(status, node),
        _pressure(status),
        _routes(status, node),
        _peers(node, status),
        e("div", _workers(status), _about(status), class_="stack half"),
        _decisions(node),
        class_="cards",
    )


def why(node: Facts, status: Status) -> str:
    """``For 3 h 2 min: 3 self-probes in a row passed``"""
    since = "" if node.explanation is None else f"For {span(node.explanation.since_s)}: "
    return f"{since}{status.reason}"


def attention(status: Status) -> Iterator[Element]:
    """What somebody should know before anything else; nothing while all is well."""
    for problem in status.problems:
        yield note("bad", "Problem", problem)
    if status.operation is not None and status.operation.get("interrupted"):
        yield note("bad", "Interrupted", str(status.operation.get("advice")))
    elif status.operation is not None and status.operation.get("state") != "done":
        yield note("calm", "Operation", _operation(status.operation))
    if status.hold is not None:
        yield note("calm", "Drained" if status.hold.drain else "Held", _hold(status.hold, status.time))
    if status.drain is not None:
        yield _drain(status)
    if status.lease is not None:
        lease = status.lease
        left = span(lease.until - status.time)
        yield note(
            "calm", "Lease", f"{lease.who}, since {moment(lease.since)}, for {left} more: {lease.what}"
        )
    if status.config is not None and status.config.changed_on_disk:
        text = f"{status.config.file} is another file than the one this node was started with; restart it, or put it back"
        yield note("warn", "Configuration", text)
    if status.refuse_probability > 0:
        yield note("warn", "Refusing", f"{status.refuse_probability:.0%} of those who call anew")


def _operation(operation: dict[str, object]) -> str:
    """``upgrade 0.1.0 -> 0.2.0 by alice, running: soak ams-1``"""
    change = (
        f" {operation.get('from')} \N{RIGHTWARDS ARROW} {operation.get('to')}" if operation.get("to") else ""
    )
    state, step = operation.get("state"), operation.get("step")
    reason = f" ({operation['reason']})" if operation.get("reason") else ""
    return f"{operation.get('kind')}{change} by {operation.get('who')}, {state}: {step}{reason}"


def _hold(hold: Hold, now: float) -> str:
    words = "kept announced" if hold.kind == "announce" else "kept out of the routes"
    by = f" by {hold.who}" if hold.who else ""
    since = f" since {moment(hold.since)}" if hold.since else ""
    until = "until told otherwise" if hold.until is None else f"for {span(hold.until - now)} more"
    return f"{words}{by}{since}, {until}" + (f": {hold.reason}" if hold.reason else "")


def _drain(status: Status) -> Element:
    drain = status.drain
    assert drain is not None  # asked for only then
    all_calls = sum(drain.fates.values()) or 1
    fates = ", ".join(f"{count} {fate}" for fate, count in drain.fates.items() if count) or "no call was up"
    close = "" if drain.deadline_in_s is None else f"; what is left is closed in {span(drain.deadline_in_s)}"
    return e(
        "div",
        e("b", "Drain"),
        e("span", f"{drain.phase} for {span(drain.since_s)}, {drain.left} left{close}. {fates}."),
        bar([((all_calls - drain.left) / all_calls, "good")]),
        class_="note warn",
    )


def _calls(status: Status, node: Facts) -> Element:
    capacity = "" if node.explanation is None else f" of {node.explanation.numbers.capacity_calls:.0f}"
    total = sum(status.connections.values())
    counts = [(status.connections.get(key, 0), words, tone) for key, words, tone in OUTCOMES]
    share = status.migrated_ratio
    return card(
        "Calls",
        e("p", str(status.calls), e("small", f"{capacity} calls"), class_="big"),
        bar((count / (total or 1), tone) for count, _, tone in counts),
        e(
            "p",
            (e("span", e("i", class_=f"bg-{tone}"), f"{count} {words}") for count, words, tone in counts),
            class_="key",
        ),
        None
        if share is None
        else e("p", f"{share:.0%} of those that arrived on anycast have moved.", class_="soft"),
        size="third",
    )


def _pressure(status: Status) -> Element:
    rows: list[Child] = []
    for signal, value in sorted(status.pressures.items(), key=lambda item: -item[1]):
        rows += [
            e("span", signal.removesuffix("_s").removesuffix("_per").replace("_", " ")),
            bar([(value, load_tone(value))]),
            e("b", f"{value:.0%}", class_="num"),
        ]
    return card(
        "Pressure",
        e(
            "p",
            e("span", f"{status.pressure:.0%}", class_=load_tone(status.pressure)),
            e("small", f" by {status.pressure_signal}, {status.admission}"),
            class_="big",
        ),
        e("div", *rows, class_="meter", style="margin-top:10px"),
        size="third",
    )


def _routes(status: Status, node: Facts) -> Element:
    said = (
        "announced, as a last resort" if status.deprefer else "announced" if status.announced else "withdrawn"
    )
    tone = "warn" if status.deprefer else "good" if status.announced else "bad"
    rows: list[tuple[str, Child]] = []
    if status.bgp is None:
        rows.append(("prefixes", "none: this node has no [bgp]"))
    else:
        rows.append(("prefixes", e("span", *_lines(status.bgp.prefixes))))
    if node.explanation is not None and node.explanation.bgp is not None:
        view = node.explanation.view
        rows.append(
            (
                "others",
                view.problem or f"{view.others.announcing} announce, room for {view.others.spare:.0f} calls",
            )
        )
    probe = status.probe
    told = (
        f"failed {probe.failed} times: {probe.problem}" if probe.failed else f"{probe.passed} passed in a row"
    )
    rows.append(("self-probe", e("span", told, class_="bad" if probe.failed else None)))
    return card("Routes", e("p", pill(said, tone), style="margin-bottom:10px"), facts(rows), size="third")


def _lines(texts: tuple[str, ...]) -> Iterator[Element]:
    for text in texts:
        yield e("div", e("code", text))


def _peers(node: Facts, status: Status) -> Element | None:
    if status.bgp is None:
        return None
    if node.peers is None:
        rows: list[tuple[Child, ...]] = [
            (e("code", address), _up(state)) for address, state in status.bgp.neighbors.items()
        ]
        return card("BGP peers", table(("peer", "state"), rows), size="half")
    rows = [
        (
            e("code", peer.address),
            _up(peer.state),
            "never" if peer.since_s is None else span(peer.since_s),
            peer.role,
            str(peer.asn),
            peer.bfd or "\N{EN DASH}",
            peer.last_reason,
        )
        for peer in node.peers.peers
    ]
    return card("BGP peers", table(("peer", "state", "for", "role", "AS", "BFD", "went down last for"), rows))


def _up(state: str) -> Element:
    return pill(state, "good" if state == "up" else "bad", small=True)


def _workers(status: Status) -> Element:
    newest = max((worker.generation for worker in status.workers), default=0)
    rows = [
        (
            str(worker.worker),
            f"{worker.generation}" + ("" if worker.generation == newest else " (leaving)"),
            worker.version,
            "none" if worker.pid is None else str(worker.pid),
            str(worker.calls),
        )
        for worker in status.workers
    ]
    return card("Workers", table(("worker", "generation", "version", "pid", "calls"), rows, numbers=(3, 4)))


def _decisions(node: Facts) -> Element | None:
    if node.explanation is None or not node.explanation.decisions:
        return None
    items = [
        e(
            "li",
            state_pill(decision.after, small=True),
            e("span", f"  {moment(decision.at_wall)}", class_="soft num"),
            e("div", decision.reason + ("" if decision.carried_out else " (observed, not carried out)")),
        )
        for decision in node.explanation.decisions[: -LATEST - 1 : -1]
    ]
    return card("Last decisions", e("ol", *items), size="half")


def _about(status: Status) -> Element:
    rows: list[tuple[str, Child]] = [("version", status.version)]
    if status.started_at is not None:
        rows.append(("started", f"{moment(status.started_at)}, {span(status.time - status.started_at)} ago"))
    if status.config is not None:
        rows.append(("configuration", e("span", e("code", status.config.hash), f" {status.config.file}")))
    rows.append(("key ring", f"version {status.keys.version}"))
    return card("This node", facts(rows))
