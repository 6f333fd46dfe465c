"""Alerts about what operators do, or have forgotten to do."""

from __future__ import annotations

from typing import Final

from edge.monitoring.node_alerts import UNFINISHED
from edge.monitoring.promql import FLEET, NODE, of
from edge.monitoring.rule import Alert, Group, Severity
from edge.runtime import metric_table as metric

DAY_S: Final = 86_400

DRAIN_STUCK: Final = Alert(
    name="EdgeDrainStuck",
    severity="warning",
    expr=f"max by ({NODE}) ({of(metric.DRAIN_PHASE, phase=UNFINISHED)}) == 1",
    wait="15m",
    because="Handing over takes a minute, and those who cannot move are asked again and again. Callers are served; the"
    " operator waits. A drain that lets calls end takes as long as they do and is not meant.",
    summary="The drain of {{ $labels.node }} does not come to an end",
    description="{{ $labels.node }} has been emptied for 15 minutes and still has calls.",
)
NODE_HELD: Final = Alert(
    name="EdgeNodeHeld",
    severity="warning",
    expr=f"{of(metric.POLICY_STATE, state='held')} == 1",
    wait="12h",
    because="Maintenance ends within a working day; after that it was forgotten, and the fleet is smaller than it looks.",
    summary="{{ $labels.node }} is held",
    description="An operator took {{ $labels.node }} out of the routes 12 hours ago or longer.",
)
CONFIG_NOT_LOADED: Final = Alert(
    name="EdgeConfigNotLoaded",
    severity="warning",
    expr=f"{of(metric.CONFIG_CHANGED)} == 1",
    wait="30m",
    because="Somebody has put another configuration there and not restarted the node; the next restart, whoever needs it,"
    " will change more than was meant. Half an hour is for who is about it.",
    summary="{{ $labels.node }} does not run what its configuration says",
    description="The configuration file of {{ $labels.node }} has changed since the node was started.",
)
CONFIG_DRIFT: Final = Alert(
    name="EdgeConfigDrift",
    severity="warning",
    expr=f"count by ({FLEET}, part) (count by ({FLEET}, part, hash) ({of(metric.ALIKE_INFO)})) > 1",
    wait="30m",
    because="A change is rolled out node by node; half an hour later somebody has been left out. Most callers notice"
    " nothing, which is why it stays.",
    summary="Nodes differ in what they must have alike",
    description="There are {{ $value }} versions of the {{ $labels.part }} part of the configuration.",
)
OPERATION_INTERRUPTED: Final = Alert(
    name="EdgeOperationInterrupted",
    severity="warning",
    expr=f"{of(metric.OPERATION_INTERRUPTED)} == 1",
    wait="15m",
    because="An upgrade was left in the middle, with a node drained and others waiting; it is safe there. 15 minutes are"
    " for who has just pressed Ctrl-C and resumes.",
    summary="An operation on the fleet was left in the middle",
    description="{{ $labels.node }} has a note on an operation that says it runs, and whoever wrote it has gone.",
)
VERSION_SKEW: Final = Alert(
    name="EdgeVersionSkew",
    severity="warning",
    expr=f"count by ({FLEET}) (count by ({FLEET}, version) ({of(metric.BUILD_INFO)})) > 1",
    wait="2h",
    because="Neighboring versions work together, for as long as an upgrade takes; this one was left halfway.",
    summary="Nodes run different versions",
    description="{{ $value }} versions run side by side for more than 2 hours.",
)


def _certificate(severity: Severity, days: int, because: str) -> Alert:
    return Alert(
        name="EdgeCertificateExpires",
        severity=severity,
        expr=f"{of(metric.CERTIFICATE_EXPIRY)} - time() < {days} * {DAY_S}",
        wait="1h",
        because=because,
        summary="The certificate of {{ $labels.node }} expires",
        description="The certificate that callers of {{ $labels.node }} are shown is good for another"
        " {{ $value | humanizeDuration }}.",
    )


CERTIFICATE_SOON: Final = _certificate(
    "warning", 14, "Renewal by ACME happens 30 days before; two weeks are left to see why it did not."
)
CERTIFICATE_NOW: Final = _certificate(
    "critical",
    2,
    "A node with an expired certificate withdraws, and all of them expire together. A weekend fits in.",
)
KEYS_DIFFER: Final = Alert(
    name="EdgeKeysDiffer",
    severity="warning",
    expr=f"max by ({FLEET}) ({of(metric.KEYS_VERSION)}) != min by ({FLEET}) ({of(metric.KEYS_VERSION)})",
    wait="15m",
    because="A rotation's step waits for every node; after 15 minutes one does not get the file. At the next step it would"
    " be cut off from the calls of the others.",
    summary="Nodes use different key rings",
    description="The newest key ring in use is version {{ $value }}, and some node or worker uses an older one.",
)
KEYS_OLD: Final = Alert(
    name="EdgeKeysOld",
    severity="warning",
    expr=f"time() - min by ({FLEET}) ({of(metric.KEYS_CREATED)}) > 200 * {DAY_S}",
    wait="1h",
    because="Twice a year is due, and there is no hurry.",
    summary="The fleet's keys are old",
    description="The keys in use were made {{ $value | humanizeDuration }} ago.",
)
SHARED_FILE_PROBLEM: Final = Alert(
    name="EdgeSharedFileProblem",
    severity="warning",
    expr=f"{of(metric.FILE_PROBLEMS)} > 0",
    wait="5m",
    because="The node goes on with what it had, and would not come up again with what there is now.",
    summary="{{ $labels.node }} cannot use a file that all nodes share",
    description="{{ $value }} files (keys, members) changed to something that {{ $labels.node }} cannot use.",
)

UPKEEP: Final = Group(
    "edge-upkeep",
    (
        DRAIN_STUCK,
        NODE_HELD,
        OPERATION_INTERRUPTED,
        CONFIG_NOT_LOADED,
        CONFIG_DRIFT,
        VERSION_SKEW,
        CERTIFICATE_SOON,
        CERTIFICATE_NOW,
        KEYS_DIFFER,
        KEYS_OLD,
        SHARED_FILE_PROBLEM,
    ),
)
