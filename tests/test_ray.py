"""The service on Ray Serve, really started: a replica with a model process of its own answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest
from tiny_models import chat_model

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parent.parent
# In a process of its own, because what Ray leaves to the garbage collector would be ours.
CLUSTER = """
import sys
import ray
from ray import serve
from models import ray_app

port, config, key_file = sys.argv[1:]
ray.init(num_cpus=4, num_gpus=0, include_dashboard=False, object_store_memory=100 * 2**20)
serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
serve.run(ray_app.build({"config": config, "key_file": key_file}))
print("serving", flush=True)
sys.stdin.read()
serve.shutdown()
ray.shutdown()
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service on a cluster of this machine alone, ended afterwards."""
    home = tmp_path_factory.mktemp("ray")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", CLUSTER, str(port), str(configured(home)), str(home / "key")]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=home, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        assert cluster.stdout is not None
        # Ray prints there, too.
        assert any(line == "serving\n" for line in cluster.stdout)
        yield f"http://127.0.0.1:{port}/v1"
        cluster.communicate()
    assert cluster.returncode == 0


def configured(home: Path) -> Path:
    (home / "key").write_text("secret\n")
    config = home / "config.toml"
    config.write_text(
        f"""
        [daemon]
        [models.tiny]
        kind = "transformers"
        path = "{chat_model()}"
        device = "cpu"
        [bots.sam]
        kind = "text"
        model = "tiny"
        """
    )
    return config


def asked(**options: Any) -> dict[str, Any]:
    message = {"role": "user", "content": "hello"}
    return {"model": "tiny", "messages": [message], "max_tokens": 12, "temperature": 0, **options}


def test_a_replica_answers_whole_and_as_it_grows(url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="secret", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["tiny"]
        whole = client.chat.completions.create(**asked()).choices[0].message.content
        stream = client.chat.completions.create(**asked(stream=True))
        parts = [chunk.choices[0].delta.content for chunk in stream]

    assert whole
    assert "".join(parts) == whole
    assert len(parts) > 1


def test_nobody_without_the_key_is_answered(url: str) -> None:
    with (
        openai.OpenAI(base_url=url, api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError, match="the key is missing or wrong"),
    ):
        client.chat.completions.create(**asked())
