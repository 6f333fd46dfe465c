"""The Debian package on Debian: installed, used and purged in the image that nodes boot from, which is not booted for it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from bed import rootfs, wheelhouse
from bed.controller import ROOT, environment

from edge import __version__

# The first run makes the image and gets the wheels; and a machine installs what a release has.
pytestmark = [
    pytest.mark.needs("mmdebstrap", "dpkg-scanpackages", "nfpm", "unshare"),
    pytest.mark.timeout(1800),
]

# $1: the image, $2: its packages, $3: the package. In namespaces of its own, gone with all that is written.
MACHINE = """set -eu
mount -t tmpfs none /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" none /mnt/root
cd /mnt/root
mkdir -p srv/apt srv/deb
mount --bind "$2" srv/apt
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs none run
mkdir run/lock
cp "$3" srv/deb/edge.deb
printf '#!/bin/sh\nexit 101\n' >usr/sbin/policy-rc.d
chmod +x usr/sbin/policy-rc.d
touch etc/machine-id etc/resolv.conf
exec chroot . /usr/bin/env -i HOME=/srv/deb LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    DEBIAN_FRONTEND=noninteractive sh -c "$4"
"""

STORY = """set -eu
apt-get -qq update
deps=$(dpkg-deb -f /srv/deb/edge.deb Depends | sed 's/([^)]*)//g; s/,//g')
apt-get -qq --yes --no-install-recommends install $deps >/srv/deb/apt.log 2>&1 || { tail /srv/deb/apt.log; exit 1; }
files() { find / -xdev \\( -path /proc -o -path /dev -o -path /srv -o -path /tmp -o -path /var/cache \\
    -o -path /var/log -o -path /var/lib/dpkg -o -path /var/lib/apt \\) -prune -o -print | sort; }
files >/srv/deb/before
dpkg --install /srv/deb/edge.deb >/srv/deb/dpkg.log 2>&1 || { cat /srv/deb/dpkg.log; exit 1; }
echo "version $(edgectl version)"
echo "list $(edge-release list)"
for path in /etc/edge /etc/edge/keys /etc/edge/credentials /opt/edge/current/bin/edgectl /etc/systemd/system/edge.service \\
    /usr/local/sbin/edge-addresses /etc/sudoers.d/edge-admin; do
    echo "file $path $(stat -Lc '%a %U:%G' $path)"
done
visudo -cf /etc/sudoers.d/edge-admin >/dev/null
dpkg --install /srv/deb/edge.deb >/dev/null 2>&1 # the same again
dpkg --remove anycast-edge >/dev/null 2>&1
echo "removed $(ls /opt/edge/releases) $(ls /etc/edge 2>/dev/null | xargs)"
dpkg --purge anycast-edge >/dev/null 2>&1
files >/srv/deb/after
diff /srv/deb/before /srv/deb/after | grep '^[<>]' | grep -v ' /etc/.*-$' | sed 's/^/left /' || true
"""


@pytest.fixture(scope="module")
def package(privileged: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make deb` makes it, of this checkout's release."""
    place = tmp_path_factory.mktemp("deb")
    (place / "ansible").symlink_to(ROOT / "ansible")
    release = place / "build/release"
    release.mkdir(parents=True)
    shutil.copytree(wheelhouse.release(), release / __version__)
    script = (ROOT / "ansible/release/postinst.in").read_text()
    (release / "postinst").write_text(script.replace("@VERSION@", __version__))
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    made = subprocess.run(
        [
            "nfpm",
            "package",
            "--config",
            "ansible/release/nfpm.yaml",
            "--packager",
            "deb",
            "--target",
            str(place),
        ],
        cwd=place,
        env=environment(place) | {"VERSION": __version__, "DEB_ARCH": arch},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    (package,) = place.glob("*.deb")
    return package


def test_it_is_installed_runs_and_goes_without_a_trace(package: Path) -> None:
    image = rootfs.image()
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "sh",
            "-c",
            MACHINE,
            "sh",
            image.root,
            image.packages,
            package,
            STORY,
        ],
        capture_output=True,
        text=True,
        timeout=900,
        env=os.environ | {"LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line.partition(" ")[::2] for line in done.stdout.splitlines()]
    said = {word: rest for word, rest in told if word != "file"}
    assert __version__ in said["version"]
    releases = json.loads(said["list"])
    assert (releases["current"], releases["releases"], releases["running"]) == (
        __version__,
        [__version__],
        False,
    )
    assert [rest for word, rest in told if word == "file"] == [
        "/etc/edge 750 root:edge",
        "/etc/edge/keys 750 root:edge",
        "/etc/edge/credentials 700 root:root",
        "/opt/edge/current/bin/edgectl 755 root:root",
        "/etc/systemd/system/edge.service 644 root:root",
        "/usr/local/sbin/edge-addresses 755 root:root",
        "/etc/sudoers.d/edge-admin 440 root:root",
    ]
    assert said["removed"].split()[0] == __version__  # what a node would need to go on is the purge's to take
    assert [rest for word, rest in told if word == "left"] == []
