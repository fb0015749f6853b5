"""Runs inside a booted systemd, as root, and tries the service there. Run by test_service_boot.py,
never imported; what it finds goes to /out/seen.json."""

from __future__ import annotations

import json
import subprocess
import time
import traceback
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

CONFIG = Path("/etc/botdaemon/config.toml")
DROP_IN = Path("/run/systemd/system/botdaemon.service.d")
seen: dict[str, Any] = {}


def systemctl(*words: str) -> int:
    return subprocess.run(["systemctl", *words], check=False).returncode


def shown(name: str) -> str:
    command = ["systemctl", "show", "--value", "--property", name, "botdaemon"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def journal() -> str:
    command = ["journalctl", "--unit", "botdaemon", "--output", "cat", "--no-pager"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def until(what: Any, seconds: float = 30.0) -> float:
    """How long it took to become true."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, "it never came true"
        time.sleep(0.05)
    return round(time.monotonic() - began, 2)


def asked(path: str, body: Any = None) -> Any:
    request = urllib.request.Request(  # it is ours
        f"http://127.0.0.1:8642{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": "Bearer hunter2-hunter2", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def bots() -> list[str]:
    return [bot["name"] for bot in asked("/api/bots")]


def alive(after: str) -> bool:
    return shown("ActiveState") == "active" and shown("MainPID") not in ("0", after)


def answers(text: str) -> bool:
    messages = asked("/api/rooms/lounge/messages?limit=500")
    return any(text in message["text"] and message["bot"] for message in messages)


def model_process() -> int:
    found = subprocess.run(
        ["pgrep", "-f", "models.host"], capture_output=True, text=True, check=False
    )
    return int((found.stdout.split() or ["0"])[0])


def drop_in(name: str, *lines: str) -> None:
    DROP_IN.mkdir(parents=True, exist_ok=True)
    (DROP_IN / f"{name}.conf").write_text("\n".join(["[Service]", *lines, ""]))
    systemctl("daemon-reload")


def main() -> None:
    command = ["/opt/python/bin/python", "-m", "botdaemon", "install-service", "-c", str(CONFIG)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    seen["install-service"] = said.stdout + said.stderr
    systemctl("daemon-reload")
    began = time.monotonic()
    seen["start"] = systemctl("start", "botdaemon")
    seen["start seconds"] = round(time.monotonic() - began, 2)
    seen["status"] = shown("StatusText")
    seen["user"] = subprocess.run(
        ["ps", "-o", "user=", "-p", shown("MainPID")], capture_output=True, text=True, check=True
    ).stdout.strip()
    # The whole road with a real model, inside of all the hardening.
    asked("/api/rooms/lounge/messages", {"author": "ada", "text": "hello there"})
    seen["answer seconds"] = until(lambda: answers(""), 120)

    before = CONFIG.read_text()
    pid = shown("MainPID")
    CONFIG.write_text(before + '[bots.max]\nkind = "text"\nmodel = "starter"\n')
    seen["reload"] = systemctl("reload", "botdaemon")
    seen["bots after reload"] = bots()
    seen["reload kept the process"] = shown("MainPID") == pid
    CONFIG.write_text(before.replace("8642", "8643"))
    seen["refused reload"] = systemctl("reload", "botdaemon")
    seen["refused reload status"] = shown("StatusText")
    seen["active after refusal"] = shown("ActiveState")
    CONFIG.write_text(before)
    seen["reload back"] = systemctl("reload", "botdaemon")
    systemctl("kill", "--kill-who=main", "--signal=HUP", "botdaemon")
    until(lambda: journal().count("nothing has changed in it") == 1)
    seen["reload by signal"] = True

    victim = model_process()
    subprocess.run(["kill", "-KILL", str(victim)], check=True)
    asked("/api/rooms/lounge/messages", {"author": "bob", "text": "still there?"})
    seen["model process back seconds"] = until(lambda: model_process() not in (0, victim))
    seen["daemon outlived it"] = shown("MainPID") == pid

    systemctl("kill", "--kill-who=main", "--signal=KILL", "botdaemon")
    seen["back after SIGKILL seconds"] = until(lambda: alive(pid))
    pid = shown("MainPID")
    systemctl("kill", "--kill-who=main", "--signal=USR1", "botdaemon")  # sitecustomize: hang
    seen["back after a hang seconds"] = until(lambda: alive(pid))
    seen["restarts"] = int(shown("NRestarts"))
    seen["the stack that hung is in the journal"] = "sitecustomize.py" in journal()

    asked("/api/rooms/lounge/messages", {"author": "eve", "text": "one more"})
    began = time.monotonic()
    seen["stop"] = systemctl("stop", "botdaemon")
    seen["stop seconds"] = round(time.monotonic() - began, 2)
    seen["result"] = shown("Result")

    # Code in a model process: this torch attacks.
    drop_in("zz-attack", "Environment=PYTHONPATH=/opt/evil:/opt/hang:/opt/botdaemon:/opt/site")
    systemctl("start", "botdaemon")
    until(lambda: "DONE" in journal(), 120)
    lines = [line.rsplit(": ", 1)[-1] for line in journal().splitlines()]
    found = [line.split(" device=")[0] for line in lines]
    seen["held"] = sorted({line[5:] for line in found if line.startswith("HELD ")})
    seen["broken"] = sorted({line[7:] for line in found if line.startswith("BROKEN ")})
    systemctl("stop", "botdaemon")

    CONFIG.write_text("[bots")
    systemctl("start", "botdaemon")
    until(lambda: shown("ActiveState") == "failed")
    seen["a broken file"] = shown("ExecMainStatus")


try:
    main()
except BaseException:
    seen["failed"] = traceback.format_exc()
    for command in ("systemctl status --no-pager botdaemon", "ps -eo pid,ppid,stat,wchan:30,args"):
        said = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        seen["failed"] += said.stdout
seen["journal"] = journal()[-20000:]
with suppress(OSError):
    Path("/out/seen.json").write_text(json.dumps(seen, indent=1))
systemctl("poweroff", "--force")
