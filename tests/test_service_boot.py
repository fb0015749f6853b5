"""The unit under a real systemd, booted in a container: ready, reload, watchdog, restarts, stop,
and what code in a model process can do there. Needs root and systemd-nspawn (of Debian's package
systemd-container).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from test_confinement import ATTACK, ATTEMPTS

ROOT = Path(__file__).parent.parent
CONFIG = """
[daemon]
data_dir = "/var/lib/botdaemon"
[adapters.web]
kind = "web"
port = 8642
token_credential = "web-token"
[models.starter]
kind = "transformers"
path = "/opt/botdaemon/models/starter"
[bots.sam]
kind = "text"
model = "starter"
sampling = { max_tokens = 12 }
[rooms.lounge]
bots = ["sam"]
"""
#: a container's filter of 252 does not know these
LANDLOCK = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"
HANG = """
import signal, time
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(1000))
"""
TEST_UNIT = """
[Unit]
After=basic.target
[Service]
Type=oneshot
Environment=PYTHONPATH=/opt/botdaemon:/opt/site LD_LIBRARY_PATH=/opt/python/lib
ExecStart=/opt/python/bin/python /opt/tests/service_boot.py
StandardOutput=journal+console
"""


def missing() -> str:
    if os.geteuid() != 0:
        return "it needs root"
    if shutil.which("systemd-nspawn") is None:
        return "systemd-nspawn is not there (Debian: systemd-container)"
    return "" if Path("/lib/systemd/systemd").exists() else "systemd is not installed"


def make_root(root: Path) -> None:
    """A machine: this one's /usr, and little else."""
    for name in ("etc/botdaemon", "var", "run", "tmp", "proc", "sys", "dev", "root", "opt", "out"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache"):
        shutil.copy(Path("/etc", name), root / "etc" / name)
    (root / "etc/os-release").write_text("ID=test\n")
    (root / "etc/machine-id").write_text("")
    units = root / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "test.service").write_text(TEST_UNIT)
    (units / "default.target").symlink_to("/lib/systemd/system/basic.target")
    wants = units / "basic.target.wants"
    wants.mkdir()
    (wants / "test.service").symlink_to("../test.service")

    config = root / "etc/botdaemon/config.toml"
    config.write_text(CONFIG)
    secret = root / "etc/botdaemon/web-token"
    secret.write_text("hunter2-hunter2")
    secret.chmod(0o600)
    drop_ins = units / "botdaemon.service.d"
    drop_ins.mkdir()
    (drop_ins / "test.conf").write_text(
        "[Service]\nWatchdogSec=5\nRestartSec=1\n"
        "Environment=PYTHONPATH=/opt/hang:/opt/botdaemon:/opt/site OMP_NUM_THREADS=1\n"
        "Environment=LD_LIBRARY_PATH=/opt/python/lib\n"
    )
    hang, evil = root / "opt/hang", root / "opt/evil"
    hang.mkdir()
    evil.mkdir()
    (hang / "sitecustomize.py").write_text(HANG)
    place = "/run/credentials/botdaemon.service"
    attack = ATTACK.format(place=place, model="/var/lib/botdaemon")
    (evil / "torch.py").write_text(attack.replace('"token"', '"web-token"'))


def boot(root: Path, out: Path) -> dict[str, Any]:
    binds = {
        "/usr": "/usr",
        sys.base_prefix: "/opt/python",
        sysconfig.get_path("purelib"): "/opt/site",
        str(ROOT / "botdaemon"): "/opt/botdaemon/botdaemon",
        str(ROOT / "adapters"): "/opt/botdaemon/adapters",
        str(ROOT / "models"): "/opt/botdaemon/models",
        str(ROOT / "systemd"): "/opt/botdaemon/systemd",
        str(ROOT / "tests"): "/opt/tests",
    }
    # With one hierarchy of control groups, whatever this machine has: with the old ones systemd is
    # not told within a container when a group is empty.
    mount = 'umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'
    command = ["unshare", "--mount", "--propagation=private", "sh", "-c", mount, "sh"]
    command += ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit",
                f"--directory={root}", f"--bind={out}:/out", "--private-network",
                f"--system-call-filter={LANDLOCK}"]  # fmt: skip
    command += [f"--bind-ro={there}:{here}" for there, here in binds.items()]
    said = subprocess.run(
        command, capture_output=True, text=True, timeout=500, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
    )  # fmt: skip
    result = out / "seen.json"
    assert result.exists(), said.stdout[-5000:] + said.stderr[-5000:]
    seen: dict[str, Any] = json.loads(result.read_text())
    return seen


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(bool(missing()), reason=missing() or "it can be booted")
def test_the_service_keeps_its_promises_under_a_real_systemd(tmp_path: Path) -> None:
    root, out = tmp_path / "root", tmp_path / "out"
    out.mkdir()
    make_root(root)
    seen = boot(root, out)
    journal = seen.pop("journal")
    sys.stdout.write(json.dumps(seen, indent=1))

    assert "failed" not in seen, seen["failed"] + journal
    assert (seen["start"], seen["status"]) == (0, "answering")
    assert seen["user"] not in ("root", "0")
    assert (seen["reload"], seen["bots after reload"]) == (0, ["sam", "max"])
    assert seen["reload kept the process"]
    assert seen["refused reload"] != 0
    assert "only a restart takes over what changed in adapters.web.port" in journal
    assert "was refused" in seen["refused reload status"]
    assert seen["active after refusal"] == "active"
    assert (seen["reload back"], seen["reload by signal"]) == (0, True)
    assert seen["daemon outlived it"]
    assert seen["restarts"] == 2
    assert seen["the stack that hung is in the journal"]
    assert (seen["stop"], seen["result"]) == (0, "success")
    assert seen["broken"] == []
    assert len(seen["held"]) == ATTEMPTS
    assert seen["a broken file"] == "78"
