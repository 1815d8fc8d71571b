"""The commands of this repository, for a machine that has only Python 3.11 or newer and pip.

python3 dev.py try [domain] [overrides]  install one domain and train its embedded default (healthcare if not given)
python3 dev.py test [pytest args]        install everything and run linters, types, layers and all tests
python3 dev.py install                   install everything into .venv, editable, with the tools of development
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PACKAGES = sorted(p.parent for p in (ROOT / "packages").glob("*/pyproject.toml"))


def run(*command: str | Path, env: dict[str, str] | None = None) -> int:
    """Run a command from the root, echoing it, and return its exit status."""
    print("$", " ".join(os.path.relpath(c, ROOT) if isinstance(c, Path) else c for c in command), flush=True)
    return subprocess.call([str(c) for c in command], cwd=ROOT, env=env)


def install(packages: list[Path], *extra: str) -> None:
    """Create .venv and install packages of the workspace there, at the versions of constraints.txt."""
    if not (BIN / "python").exists() and not (BIN / "python.exe").exists():
        print("creating .venv", flush=True)
        venv.create(VENV, with_pip=True)
    editable = [word for package in packages for word in ("-e", str(package.relative_to(ROOT)))]
    status = run(BIN / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv")
    if status == 0:
        env = {**os.environ, "VIRTUAL_ENV": str(VENV)}
        command = ["pip", "install", "--quiet", "-c", "constraints.txt", *editable, *extra]
        status = run(BIN / "python", "-m", "uv", *command, env=env)
    if status:
        sys.exit(f"installation failed with status {status}: see the message above (is PyPI reachable?)")


def test(arguments: list[str]) -> int:
    """Run every check, even after one failed, and return 0 if all passed."""
    install(PACKAGES, "--group", "dev")
    env = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", **os.environ}
    # Tests start some hundred processes; where compiled modules may not be kept, each compiles torch anew.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    data = ROOT.parent / "shared" / "data"
    if data.is_dir():
        env.setdefault("PLINTH_DATA", str(data))
    workers = str(min(os.cpu_count() or 1, 8))
    failed = [
        name
        for name, command in {
            "ruff check": [BIN / "ruff", "check", "."],
            "ruff format": [BIN / "ruff", "format", "--check", "."],
            "mypy": [BIN / "mypy"],
            "import-linter": [BIN / "lint-imports"],
            "pytest": [BIN / "pytest", "-n", workers, "--dist", "worksteal", *arguments],
        }.items()
        if run(*command, env=env)
    ]
    print("failed: " + ", ".join(failed) if failed else "all checks passed")
    return 1 if failed else 0


def main() -> int:
    """Run the command that the first argument names."""
    if sys.version_info < (3, 11):  # noqa: UP036 - it is here to say so to who starts it with an older one
        sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    verb, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if verb == "try":
        domains = [package.name for package in PACKAGES if package.name != "core"]
        domain = arguments.pop(0) if arguments and arguments[0] in domains else "healthcare"
        install([ROOT / "packages" / "core", ROOT / "packages" / domain])
        return run(BIN / "python", "-m", f"{domain}.train", *arguments)
    if verb == "install":
        install(PACKAGES, "--group", "dev")
        return 0
    if verb == "test":
        return test(arguments)
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main())
