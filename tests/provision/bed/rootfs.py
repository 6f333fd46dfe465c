"""The image that nodes boot from, and beside it, of the same moment, the packages they can install."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from bed import cache
from bed.packages import IMAGE, REPOSITORY, SUITE

LOGIN: Final = "ops"
"""Who an operator is on a node: may become root without a password, as on the image of a cloud."""

_WITHOUT: Final = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
# Everything that makes a machine this machine is each node's own; see `bed.machine`.
_CUSTOMISE: Final = f"""\
set -eu
image=$1 packages=$2
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --quiet --no-install-recommends --download-only \
    -o Dir::Cache::archives="$packages" -o APT::Sandbox::User=root install {" ".join(REPOSITORY)}
rm -rf "$packages"/lock "$packages"/partial
(cd "$packages" && dpkg-scanpackages --multiversion . >Packages)
chroot "$image" useradd --create-home --shell /bin/bash {LOGIN}
echo '{LOGIN} ALL=(ALL) NOPASSWD: ALL' >"$image"/etc/sudoers.d/{LOGIN}
chmod 0440 "$image"/etc/sudoers.d/{LOGIN}
echo 'PasswordAuthentication no' >"$image"/etc/ssh/sshd_config.d/bed.conf
rm -f "$image"/etc/ssh/ssh_host_* "$image"/etc/hostname "$image"/etc/resolv.conf "$image"/etc/machine-id
rm -f "$image"/etc/apt/sources.list "$image"/etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/apt ./' >"$image"/etc/apt/sources.list.d/bed.list
"""


class Image(NamedTuple):
    """Two directories, not to be written to."""

    root: Path
    packages: Path
    """An apt repository, flat, without a signature."""


def image() -> Image:
    """Made if need be, which takes a minute and a mirror of Debian (``$EDGE_BED_MIRROR``, else what mmdebstrap uses)."""
    name = f"image-{cache.key(SUITE, *IMAGE, '', *REPOSITORY, _CUSTOMISE, *_WITHOUT)}"
    made = cache.made(name, _make)
    return Image(made / "root", made / "packages")


def _make(directory: Path) -> None:
    root, packages, hook = directory / "root", directory / "packages", directory / "customise"
    packages.mkdir()
    hook.write_text(_CUSTOMISE)
    mirror = os.environ.get("EDGE_BED_MIRROR")
    subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"),
            f"--include={','.join(IMAGE)}",
            '--aptopt=Acquire::Languages "none"',
            *(f"--dpkgopt=path-exclude={path}" for path in _WITHOUT),
            f'--customize-hook=sh {hook} "$1" {packages}',
            *(SUITE, str(root), *([mirror] if mirror else [])),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"LC_ALL": "C.UTF-8"},
    )
    hook.unlink()
    directory.chmod(0o755)
    root.chmod(0o755)
