"""What this machine lacks for containers."""

import os
import shutil

PROGRAMS = {
    "podman": "podman",
    "buildah": "buildah",
    "runc": "runc",
    "netavark": "netavark",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "catatonit": "catatonit",
}
"""The Debian package of each program."""
FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/usr/lib/podman")


def missing() -> str:
    """Returns a sentence that says what to do first; "" if nothing is missing."""
    path = os.pathsep.join(FOLDERS)
    absent = [package for program, package in PROGRAMS.items() if shutil.which(program, path=path) is None]
    if absent:
        install = f"apt-get install --no-install-recommends {' '.join(absent)}"
        return f"Containers are not tested, for programs are missing: {install}"
    if os.geteuid() != 0:
        return "Containers are not tested: the test needs root, because it makes networks and a Debian folder"
    return ""
