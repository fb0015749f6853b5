"""The devices of this machine: RAM within the limits of control groups (real files in a directory
tree), and cards through the real pynvml over a driver that the test compiles."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models import devices

GIB = 2**30


def _machine(root: Path, group: str, memory: int = 16, available: int = 12) -> tuple[Path, Path]:
    """A /proc and a /sys/fs/cgroup of a machine with so many GiB, and a process in the group."""
    proc, cgroups = root / "proc", root / "cgroup"
    (proc / "self").mkdir(parents=True)
    (cgroups / group).mkdir(parents=True)
    (proc / "meminfo").write_text(
        f"MemTotal:       {memory * 2**20} kB\nMemFree:  7 kB\n"
        f"MemAvailable: {available * 2**20} kB\nHugePages_Total:       0\n"
    )
    (proc / "self" / "cgroup").write_text(f"0::/{group}\n")
    return proc, cgroups


def _limit(group: Path, limit: str, *, current: int = 0, cache: int = 0) -> None:
    (group / "memory.max").write_text(limit + "\n")
    (group / "memory.current").write_text(f"{current}\n")
    (group / "memory.stat").write_text(f"anon {current - cache}\ninactive_file {cache}\n")


def test_the_cpu_of_this_machine_has_memory_and_comes_last() -> None:
    found = devices.devices()
    assert found[-1].name == "cpu"
    assert 0 < found[-1].free <= found[-1].memory


def test_without_limits_the_ram_is_the_machines(tmp_path: Path) -> None:
    proc, cgroups = _machine(tmp_path, "system.slice/botdaemon.service")
    _limit(cgroups / "system.slice" / "botdaemon.service", "max")
    found = devices.cpu(proc, cgroups)
    assert (found.memory, found.free) == (16 * GIB, 12 * GIB)


def test_the_tightest_limit_up_the_tree_counts(tmp_path: Path) -> None:
    proc, cgroups = _machine(tmp_path, "system.slice/botdaemon.service")
    _limit(cgroups / "system.slice" / "botdaemon.service", str(8 * GIB), current=GIB)
    _limit(cgroups / "system.slice", str(4 * GIB), current=3 * GIB)
    found = devices.cpu(proc, cgroups)
    assert (found.memory, found.free) == (4 * GIB, GIB)


def test_memory_that_only_caches_files_counts_as_free(tmp_path: Path) -> None:
    proc, cgroups = _machine(tmp_path, "box")
    _limit(cgroups / "box", str(4 * GIB), current=3 * GIB, cache=2 * GIB)
    assert devices.cpu(proc, cgroups).free == 3 * GIB


def test_a_container_sees_the_limit_of_its_own_root(tmp_path: Path) -> None:
    proc, cgroups = _machine(tmp_path, "")
    _limit(cgroups, str(2 * GIB))
    assert devices.cpu(proc, cgroups).memory == 2 * GIB


def test_a_system_without_proc_still_has_memory(tmp_path: Path) -> None:
    found = devices.cpu(tmp_path / "proc", tmp_path / "cgroup")
    assert found.memory == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


# --- cards ------------------------------------------------------------------------------------

DRIVER = r"""
#include <stdio.h>
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory;
static const char *names[] = {"Big Card", "Small Card", "Third Card"};
static const char *ids[] = {"GPU-aaaa-1", "GPU-aabb-2", "GPU-cccc-3"};
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return "the driver's words"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return COUNT_STATUS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned at, void **handle)
{ *handle = (void *)(long)(at + 1); return 0; }
static int at(void *handle) { return (int)(long)handle - 1; }
int nvmlDeviceGetName(void *handle, char *out, unsigned length)
{ snprintf(out, length, "%s", names[at(handle)]); return 0; }
int nvmlDeviceGetUUID(void *handle, char *out, unsigned length)
{ snprintf(out, length, "%s", ids[at(handle)]); return 0; }
int nvmlDeviceGetMemoryInfo(void *handle, memory *out)
{
    if (at(handle) == 2) return 3; /* not supported */
    out->total = (24ULL - 16 * at(handle)) << 30; out->free = out->total - (1ULL << 30);
    return 0;
}
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *out)
{ *out = 60 + at(handle); return at(handle) == 2 ? 3 : 0; }
int nvmlDeviceGetUtilizationRates(void *handle, unsigned *out)
{ out[0] = 25; out[1] = 7; return at(handle) == 2 ? 3 : 0; }
"""

LOOK = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(message)s", stream=sys.stdout)
from models import devices
for visible in sys.argv[1:]:
    for found in devices.devices({"CUDA_VISIBLE_DEVICES": visible} if visible != "all" else {}):
        memory = "RAM" if found.memory == devices.cpu().memory else found.memory >> 30
        print(found.name, found.title, memory)
"""


def _driver(directory: Path, *, count_status: int = 0) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the driver")
    source = directory / "driver.c"
    source.write_text(DRIVER)
    library = directory / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", f"-DCOUNT_STATUS={count_status}", "-o", str(library)]
    subprocess.run([compiler, *flags, str(source)], check=True)
    return directory


READ = """
import sys
from models import devices
for name in sys.argv[1:]:
    read = devices.reading(name)
    print(read and (read.memory >> 30, read.used >> 30, read.celsius, read.utilisation)[-3:])
"""


def _look(driver: Path | None, *visible: str, program: str = LOOK, **more: str) -> list[str]:
    """What is found for each value of CUDA_VISIBLE_DEVICES, a process with this driver."""
    environment = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"}
    if driver is not None:
        environment["LD_LIBRARY_PATH"] = str(driver)
    done = subprocess.run(
        [sys.executable, "-c", program, *visible],
        env={**environment, **more, "PYTHONPATH": str(Path(devices.__file__).parent.parent)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _driver(tmp_path_factory.mktemp("driver"))


def test_cards_are_named_with_their_memory_and_the_cpu_comes_last(driver: Path) -> None:
    *cards, cpu = _look(driver, "all")
    # The third shares the RAM.
    assert cards == ["cuda:0 Big Card 24", "cuda:1 Small Card 8", "cuda:2 Third Card RAM"]
    assert cpu.startswith("cpu ")


def test_only_the_visible_cards_are_there_and_numbered_as_cuda_does(driver: Path) -> None:
    shown = {
        "1": ["Small"],
        "1,0": ["Small", "Big"],
        "GPU-aaaa": ["Big"],
        " 1 , GPU-aaaa-1 ": ["Small", "Big"],
        "": [],
        "-1": [],
        "0,7,1": ["Big"],
        "GPU-aa": [],
        "0,1,0": [],
    }
    lines = iter(_look(driver, *shown))
    for titles in shown.values():
        for at, title in enumerate(titles):
            assert next(lines).startswith(f"cuda:{at} {title} Card")
        assert next(lines).startswith("cpu ")


def test_a_card_tells_its_temperature_and_how_busy_it_is_as_far_as_it_knows(driver: Path) -> None:
    names = ("cuda:0", "cuda:1", "cuda:2", "cuda:3")
    big, small, third, none = _look(driver, *names, program=READ)
    assert (big, small, none) == ("(1, 60.0, 0.25)", "(1, 61.0, 0.25)", "None")
    assert third.endswith(", None, None)")
    # Numbered as the process sees them.
    assert _look(driver, "cuda:0", program=READ, CUDA_VISIBLE_DEVICES="1") == [small]


def test_without_a_driver_there_are_no_cards_and_one_quiet_line() -> None:
    if devices.devices()[0].name.startswith("cuda"):
        pytest.skip("this machine has a driver")
    why, cpu = _look(None, "all")
    assert why.startswith("DEBUG no cards: ")
    assert cpu.startswith("cpu ")


def test_a_driver_that_answers_no_question_leaves_the_cards_out_with_a_warning(
    tmp_path: Path,
) -> None:
    why, cpu = _look(_driver(tmp_path, count_status=999), "all")
    assert why.startswith("WARNING the cards cannot be asked: ")
    assert cpu.startswith("cpu ")
