"""What Prometheus is shown, and that dashboard, alerts and document speak of just that."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import talk
import tiny_models
from house import Home, SayingBot, home
from platform_server import Platform, PlatformAdapter
from prometheus_client.parser import text_string_to_metric_families

from botdaemon.app import running
from botdaemon.config import parse
from botdaemon.metrics import Metrics
from botdaemon.store import open_store
from botdaemon.web import Server, metrics_page
from models.devices import reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from prometheus_client.metrics_core import Metric

MONITORING = Path(__file__).parent.parent / "docs" / "monitoring"
DASHBOARD = json.loads((MONITORING / "grafana" / "dashboard.json").read_text())
PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
#: they are only there where a card tells them
OF_CARDS = ("botdaemon_device_temperature_celsius", "botdaemon_device_utilisation_ratio")

CONFIGURATION = """
[daemon]
data_dir = "data"
[adapters.web]
kind = "web"
port = 0
[models.mind]
{model}
[bots.polly]
kind = "text"
model = "mind"
sampling = {{ max_tokens = 8 }}
[rooms.lounge]
bots = ["polly"]
[limits]
merge_seconds = 0.0
"""


@dataclass
class Watched:
    """A daemon with a web page."""

    http: aiohttp.ClientSession
    port: int

    async def page(self) -> str:
        async with self.http.get("/metrics") as response:
            assert response.status == 200
            return await response.text()

    async def families(self) -> dict[str, Metric]:
        return {one.name: one for one in text_string_to_metric_families(await self.page())}

    async def value(self, name: str, **labels: str) -> float | None:
        for family in (await self.families()).values():
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return None

    async def ask(self, text: str, key: str = "") -> None:
        """Say something, and wait for the answer."""
        where = "/api/rooms/lounge/messages"
        said: dict[str, Any] = {"author": "Ann", "text": text, **({"key": key} if key else {})}
        async with self.http.post(where, json=said) as response:
            assert response.status == 202
            id = (await response.json())["id"]
        while True:
            async with self.http.get(where, params={"after": id}) as response:
                if any(one["bot"] or one["kind"] == "notice" for one in await response.json()):
                    return
            await asyncio.sleep(0)


@asynccontextmanager
async def watched(directory: Path, model: str = 'kind = "echo"') -> AsyncIterator[Watched]:
    config = parse(CONFIGURATION.format(model=model), directory / "config.toml")
    async with running(config) as daemon:
        server = daemon.servers["web"]
        async with aiohttp.ClientSession(server.url) as http:
            yield Watched(http, server.port)


def expressions() -> list[str]:
    """All that the dashboard asks, with the time it looks back on made short."""
    return [
        target["expr"].replace("$__rate_interval", "1m").replace("[1h]", "[1m]")
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
    ]


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Wait for what nothing tells of."""
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110 - it is asked over a socket or of the disk
            await asyncio.sleep(0)


def named(text: str) -> set[str]:
    return set(re.findall(r"\b(?:botdaemon|process|python)_[a-z0-9_]+", text))


async def test_the_page_counts_what_was_said_and_answered(tmp_path: Path) -> None:
    async with watched(tmp_path) as it:
        assert await it.value("botdaemon_turns_total", bot="polly", outcome="answered") == 0
        await it.ask("hello", key="1")
        await it.ask("hello", key="1")  # told twice, counted once

        assert await it.value("botdaemon_messages_received_total", adapter="web") == 1
        assert await it.value("botdaemon_messages_sent_total", adapter="web") == 1
        await until(lambda: it.value("botdaemon_turns_total", bot="polly", outcome="answered"))
        assert await it.value("botdaemon_turn_seconds_count", bot="polly") == 1
        assert await it.value("botdaemon_adapter_up", adapter="web") == 1
        assert await it.value("botdaemon_queue_turns", state="waiting") == 0
        assert await it.value("botdaemon_outbox_letters", adapter="web") == 0
        assert (await it.value("botdaemon_database_size_bytes") or 0) >= 4096
        assert (await it.value("botdaemon_store_transactions_total") or 0) > 2
        assert await it.value("process_start_time_seconds") is not None
        page = await it.page()
        assert "Ann" not in page
        assert "lounge" not in page


async def test_dashboard_alerts_and_document_name_metrics_that_there_are(tmp_path: Path) -> None:
    async with watched(tmp_path) as it:
        families = await it.families()
    there = {
        sample
        for family in families.values()
        for sample in (
            *(each.name for each in family.samples),
            family.name + ("_total" if family.type == "counter" else ""),
        )
    }
    rules = (MONITORING / "rules.yml").read_text()
    document = (MONITORING.parent / "monitoring.md").read_text()
    ours = {
        name + ("_total" if family.type == "counter" else "_info" if family.type == "info" else "")
        for name, family in families.items()
        if name.startswith("botdaemon")
    }

    assert named(" ".join(expressions())) <= there
    assert named("\n".join(re.findall(r"^ +(?:expr:|and|/).*", rules, re.MULTILINE))) <= there
    assert set(re.findall(r"^\| `(botdaemon_\w+)`", document, re.MULTILINE)) == ours


def test_the_dashboard_has_a_place_for_each_panel() -> None:
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        squares = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not squares & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        assert panel["type"] == "row" or panel["targets"]
        taken |= squares

    assert len(set(ids)) == len(ids)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (of the package prometheus) is not here")
def test_promtool_accepts_the_page_and_the_alerts_do_as_their_tests_say(tmp_path: Path) -> None:
    async def shown() -> str:
        async with watched(tmp_path) as it:
            return await it.page()

    # The names of the library's own figures are its affair.
    page = re.sub(r"(?m)^.*\b(?:process|python)_.*\n", "", asyncio.run(shown()))

    for arguments, given in (
        (["check", "metrics"], page),
        (["check", "config", "prometheus.yml"], ""),
        (["test", "rules", "rules_test.yml"], ""),
    ):
        done = subprocess.run(
            [str(PROMTOOL), *arguments],
            cwd=MONITORING,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_every_alert_has_a_test() -> None:
    alerts = re.findall(r"alert: (\w+)", (MONITORING / "rules.yml").read_text())
    tested = set(re.findall(r"alertname: (\w+)", (MONITORING / "rules_test.yml").read_text()))

    assert set(alerts) == tested


async def test_the_page_is_guarded_like_every_other() -> None:
    async def page() -> bytes:
        return b""

    async with (
        Server(
            *("127.0.0.1", 0),
            mounts=[metrics_page(page, "text/plain")],
            ready=dict,
            token="correct horse",
        ) as server,
        aiohttp.ClientSession(server.url) as http,
    ):
        bearer = {"Authorization": "Bearer correct horse"}

        assert (await http.get("/metrics")).status == 401
        assert (await http.get("/metrics", headers=bearer)).status == 200


async def test_an_attempt_to_be_made_again_is_counted_by_its_reason(tmp_path: Path) -> None:
    metrics = Metrics()

    def counted(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"botdaemon_{name}_total", labels)

    async with Platform().serving() as platform:
        platform.faults.extend([0.0, "drop"])
        adapter = PlatformAdapter("chat", platform.port)
        async with home(tmp_path, {"bot": SayingBot()}, [adapter], metrics=metrics) as house:
            platform.say("bot, hello", channel="general")
            await platform.until(lambda: platform.shown)
            await until(lambda: _nothing_waits(house))

    assert counted("letters_postponed", adapter="chat", reason="rate limit") == 1
    assert counted("letters_postponed", adapter="chat", reason="unknown") == 1
    assert counted("messages_received", adapter="chat") == 1
    assert counted("messages_sent", adapter="chat") == 1


async def _nothing_waits(house: Home) -> bool:
    return not await house.store.backlog()


async def test_a_letter_ages_from_when_it_was_due(tmp_path: Path) -> None:
    now = 1000.0
    async with open_store(tmp_path, clock=lambda: now) as store:
        await talk.settle(store)
        await talk.say(store, "hello")
        assert await store.backlog() == [("other", 1, 0.0)]
        now += 60

        assert await store.backlog() == [("other", 1, 60.0)]


def test_two_daemons_in_a_process_share_no_figure() -> None:
    one, other = Metrics(), Metrics()
    one.received.labels("web").inc()

    assert other.registry.get_sample_value("botdaemon_messages_received_total", {}) is None
    assert one.registry.get_sample_value(
        "botdaemon_messages_received_total", {"adapter": "web"}
    ) == pytest.approx(1)


def test_a_device_tells_what_it_can_and_nothing_else() -> None:
    ram = reading("cpu")

    assert ram is not None
    assert 0 < ram.used < ram.memory
    assert (ram.celsius, ram.utilisation) == (None, None)
    assert reading("mps") is None
    assert reading("cuda:99") is None


@pytest.mark.slow
@pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed here")
async def test_a_real_prometheus_has_data_for_every_expression_of_the_dashboard(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    model = f'kind = "transformers"\npath = "{tiny_models.chat_model()}"\ndevice = "cpu"'
    async with watched(tmp_path, model) as it:
        config = tmp_path / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: botdaemon\n"
            f'    static_configs: [{{targets: ["127.0.0.1:{it.port}"]}}]\n'
        )
        prometheus = await asyncio.create_subprocess_exec(
            *(str(PROMETHEUS), f"--config.file={config}"),
            *(f"--storage.tsdb.path={tmp_path}/tsdb", "--log.level=error"),
            f"--web.listen-address=127.0.0.1:{unused_tcp_port}",
        )
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{unused_tcp_port}") as http:
                asked = [one for one in expressions() if not named(one) & set(OF_CARDS)]
                lacking = asked
                async with asyncio.timeout(90):
                    while lacking:  # it looks once a second; a rate needs two looks
                        await it.ask("hello")
                        lacking = [one for one in asked if not await _told(http, one)]
        finally:
            prometheus.terminate()
            await prometheus.wait()


async def _told(http: aiohttp.ClientSession, expression: str) -> bool:
    """Whether Prometheus has a number for it."""
    try:
        async with http.get("/api/v1/query", params={"query": expression}) as response:
            answer = await response.json()
    except aiohttp.ClientConnectionError:  # it is still starting
        await asyncio.sleep(0.1)
        return False
    assert answer["status"] == "success", answer
    values = [one["value"][1] for one in answer["data"]["result"]]
    return any(value != "NaN" for value in values)
