"""The bundle itself: asked for, cut, scrubbed, packed."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from edge.config import NodeConfig
from edge.doctor import Finding
from edge.errors import EdgeError
from edge.support import contents
from edge.support.scrub import Scrubber

JOURNAL_LINES: Final = 5000
JOURNAL_TIMEOUT_S: Final = 30.0

Ask = Callable[[str], Any]
"""A node's answer to ``GET target``: builtins, or text. Raises `EdgeError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a bundle is made of; ``unit``: whose journal, of systemd."""

    config: NodeConfig
    ask: Ask
    findings: tuple[Finding, ...]
    unit: str
    with_addresses: bool


@dataclass(slots=True)
class Bundle:
    """Name -> text, scrubbed; and why what is missing is missing."""

    files: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Source, now: float) -> Bundle:
        """``now``: wall-clock time. What cannot be had is noted, and the rest is packed."""
        secrets, unread = contents.known_secrets(source.config)
        ours = None if source.with_addresses else contents.our_networks(source.config)
        scrubber = Scrubber(secrets, ours)
        bundle = cls()
        makers: dict[str, Callable[[], str]] = {
            "status.json": lambda: _json(contents.cut_status(source.ask("/status"))),
            **{
                name: lambda target=target, kind=kind: _json(contents.cut_document(source.ask(target), kind))  # type: ignore[misc]
                for name, (target, kind) in contents.DOCUMENTS.items()
            },
            "metrics.txt": lambda: str(source.ask(contents.METRICS)),
            "config.json": lambda: _json(contents.cut_config(source.ask("/config"))),
            "doctor.json": lambda: _json(source.findings),
            "versions.json": lambda: _json(contents.versions()),
            "journal.txt": lambda: journal(source.unit),
        }
        for name, make in makers.items():
            try:
                bundle.files[name] = scrubber.scrub(make())
            except (EdgeError, OSError, ValueError, msgspec.ValidationError) as error:
                bundle.missing[name] = scrubber.scrub(str(error))
        bundle.files["manifest.json"] = _json(
            {
                "apiVersion": "edge/v1",
                "kind": "SupportBundle",
                "node": str(source.config.node.name),
                "created_at": now,
                "files": sorted(bundle.files),
                "missing": bundle.missing,
                "with_addresses": source.with_addresses,
                "redacted": scrubber.redacted,
                "addresses_renamed": scrubber.strangers,
                # What was in them was looked for by its looks alone.
                "secret_files_not_read": unread,
            }
        )
        return bundle


def _json(document: object) -> str:
    return msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"


def journal(unit: str) -> str:
    """The last lines of a unit. Raises `EdgeError` and OSError if there are none to be had."""
    command = [
        "journalctl",
        "--unit",
        unit,
        "--lines",
        str(JOURNAL_LINES),
        "--no-pager",
        "--output",
        "short-iso",
    ]
    try:
        said = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=JOURNAL_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise EdgeError("there is no journalctl on this machine") from None
    except subprocess.TimeoutExpired:
        raise EdgeError(f"journalctl took longer than {JOURNAL_TIMEOUT_S:g} s") from None
    if said.returncode != 0:
        raise EdgeError(f"journalctl: {said.stderr.decode('utf-8', 'replace').strip()}")
    return said.stdout.decode("utf-8", "replace")


def packed(bundle: Bundle, folder: str, now: float) -> bytes:
    """A tar.gz with everything in ``folder``, that tells nothing of who made it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in sorted(bundle.files.items()):
            content = text.encode()
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size, info.mtime, info.mode = len(content), int(now), 0o600
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()
