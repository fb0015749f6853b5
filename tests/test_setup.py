"""What somebody who has just cloned the repository may rely on: the documents, the Makefile, the
pins, the package."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    *("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *("docs/discord.md", "docs/promises.md", "docs/slack.md", "docs/telegram.md"),
    *("docs/engines.md", "docs/models.md", "docs/pictures.md"),
    *("docs/filters.md", "docs/knowledge.md", "docs/memory.md", "docs/personas.md"),
    *("docs/monitoring.md", "docs/records.md", "docs/relationships.md", "docs/schedules.md"),
    *("docs/service.md", "docs/voices.md"),
)
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pins() -> dict[str, Version]:
    found: dict[str, Version] = {}
    for line in text_of("constraints.txt").splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            found[canonicalize_name(name)] = Version(version)
    return found


def required() -> set[str]:
    """Every distribution that some extra, or building the package, brings here."""
    project: dict[str, Any] = PYPROJECT["project"]
    extras = project["optional-dependencies"].values()
    todo = [
        Requirement(line)
        for lines in (project["dependencies"], PYPROJECT["build-system"]["requires"], *extras)
        for line in lines
    ]
    seen: set[Requirement] = set()
    while todo:
        wanted = todo.pop()
        if wanted in seen or wanted.name == "botdaemon":
            continue
        seen.add(wanted)
        todo += [
            inner
            for inner in map(Requirement, metadata.distribution(wanted.name).requires or ())
            if inner.marker is None
            or any(inner.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras))
        ]
    return {canonicalize_name(wanted.name) for wanted in seen}


# --- set-up ----------------------------------------------------------------------------------


def test_everything_that_is_installed_is_pinned_at_its_version() -> None:
    pinned = pins()
    # Which build of a version it is, as in 2.13.0+cpu, is the machine's affair.
    installed = {
        name: Version(Version(metadata.version(name)).public) for name in sorted(required())
    }

    assert {name: pinned.get(name) for name in installed} == installed
    assert pinned["torch"] == Version("2.13.0")


def test_every_import_contract_knows_every_module_of_the_daemon() -> None:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    floors = " | ".join(contracts[0]["layers"])
    named = {name.strip() for name in floors.replace("\\", "").split("|")}
    there = {
        f"botdaemon.{path.stem}"
        for path in (ROOT / "botdaemon").iterdir()
        if not path.name.startswith(("_", "py.typed"))
    }

    assert there <= named


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["check"]])
def test_looking_at_the_daemon_imports_no_model_library(
    arguments: list[str], tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        """
        [daemon]
        [adapters.web]
        kind = "web"
        port = 0
        [models.parrot]
        kind = "echo"
        [bots.polly]
        kind = "text"
        model = "parrot"
        """
    )
    code = f"""
import sys
from botdaemon.cli import main
try:
    main({arguments})
finally:
    print([name for name in ("torch", "transformers") if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "[]\n"), done.stdout


def test_the_wheel_works_on_its_own(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        packed = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    kept = {
        str(path.relative_to(ROOT))
        for package in ("botdaemon", "adapters", "models")
        for path in (ROOT / package).rglob("*")
        if path.is_file()
        and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from botdaemon.cli import main; main()", "--version"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert kept <= packed
    assert not [name for name in packed if name.startswith(("data/", "tests/", "benchmarks/"))]
    assert "version" in done.stdout


# --- documents -------------------------------------------------------------------------------


def test_the_readme_names_make_run_and_make_test_first() -> None:
    commands = re.findall(r"^(make \w+)", text_of("README.md"), re.MULTILINE)

    assert commands[:2] == ["make run", "make test"]


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    for name in DOCUMENTS:
        named = set(re.findall(r"(?:`make |^make (?=\w+$))(\w+)", text_of(name), re.MULTILINE))

        assert named <= targets, name


def test_every_file_that_a_document_names_is_there() -> None:
    mentioned = re.compile(r"`((?:botdaemon|adapters|models|tests|benchmarks|systemd)/[\w./-]+)`")
    made_later = {"benchmarks/out/NAME.json"}
    for name in DOCUMENTS:
        paths = set(mentioned.findall(text_of(name))) - made_later

        assert [path for path in sorted(paths) if not (ROOT / path).exists()] == [], name


def test_every_link_between_the_documents_leads_somewhere() -> None:
    for name in DOCUMENTS:
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text_of(name))

        assert [link for link in links if not (ROOT / name).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "docs/promises.md"])
def test_every_test_that_a_document_names_exists(document: str) -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", text_of(document)))

    assert named
    assert [name for name in sorted(named) if f"def {name}(" not in tests] == []


def test_the_tree_of_the_architecture_has_every_file() -> None:
    tree = text_of("ARCHITECTURE.md").split("## The files", 1)[1]
    packages = ("botdaemon", "adapters", "models", "benchmarks")
    files = {
        path.stem if path.stem != "__init__" else path.parent.name
        for package in packages
        for path in (ROOT / package).rglob("*.py")
    }

    assert [name for name in sorted(files) if not re.search(rf"\b{name}\b", tree)] == []


def test_the_readme_names_every_command_and_every_exit_code() -> None:
    from botdaemon import cli, commands

    readme = text_of("README.md")
    codes = re.findall(r"\b(\d+) [a-z]", (cli.__doc__ or "").split("Exit codes:")[1])

    shown = [f"`/{' '.join(filter(None, (c.name, c.argument)))}`" for c in commands.COMMANDS]
    assert [command for command in shown if command not in readme] == []
    assert [name for name in cli.main.commands if f"botdaemon {name}" not in readme] == []
    assert codes
    assert [code for code in codes if f"| {code} |" not in readme] == []
