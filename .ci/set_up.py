"""Make `.venv` with ctdenoise in it, from a cache of wheels: a second time needs no network.

    python3 .ci/set_up.py report     what `make demo` needs
    python3 .ci/set_up.py dev        what `make test` and `make check` need as well

The wheels of everything in pyproject.toml, at the versions of constraints.txt, are gathered once in
`$XDG_CACHE_HOME/ctdenoise/wheels` (or `~/.cache/ctdenoise/wheels`), and installed from there with
the package index switched off. A gathering that was interrupted starts again (pip's own cache has
what was downloaded); one that is complete serves every clone until the requirements change.
Standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
LEVELS = ("report", "dev")  # extras of pyproject.toml; each level has those before it as well
EDITABLE = "editables"  # what hatchling asks for when a source tree is installed in place


def main() -> None:
    """Bring `.venv` up to date with the requirements of one extra."""
    wanted = sys.argv[1] if len(sys.argv) == 2 else ""
    if wanted not in LEVELS:
        sys.exit(f"usage: python3 .ci/set_up.py {{{'|'.join(LEVELS)}}}")
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        sys.exit(
            f"ctdenoise needs Python 3.11, 3.12 or 3.13; this is {platform.python_version()} "
            f"({sys.executable}).\nName another with: make PYTHON=/path/to/python3.12 ..."
        )
    place = LEVELS.index(wanted)
    state = fingerprint((ROOT / "pyproject.toml").read_text(), Path(__file__).read_text())
    stamps = [VENV / f"set-up-{level}" for level in LEVELS]
    if not any(stamp.is_file() and stamp.read_text() == state for stamp in stamps[place:]):
        set_up(LEVELS[: place + 1], LEVELS[place:])
    stamps[place].write_text(state)


def set_up(extras: tuple[str, ...], levels: tuple[str, ...]) -> None:
    """Fill `.venv`.

    Args:
        extras: What to install.
        levels: The wanted level and those above it; the wheels of any of them will do.
    """
    requirements = requirements_of(read_project(), extras)
    everything = requirements_of(read_project(), LEVELS)
    house = cache_folder() / fingerprint(*everything)
    house.mkdir(parents=True, exist_ok=True)
    python = make_venv()
    with locked(house):
        if not any((house / f"complete-{level}").exists() for level in levels):
            gather(python, requirements, house)
            (house / f"complete-{levels[0]}").touch()
        install(python, requirements, house)
    say(f"{VENV} is ready ({', '.join(extras)}).")


def read_project() -> dict:
    """pyproject.toml as plain data."""
    import tomllib  # from Python 3.11 on; an older one has been sent away by now

    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def requirements_of(project: dict, extras: tuple[str, ...]) -> list[str]:
    """What must be installed beside ctdenoise itself, build backend included."""
    found = {*project["build-system"]["requires"], EDITABLE, *project["project"]["dependencies"]}
    waiting, optional = list(extras), project["project"]["optional-dependencies"]
    while waiting:
        for text in optional[waiting.pop()]:
            own = re.fullmatch(r"ctdenoise\[([\w, -]+)\]", text)  # an extra that has others in it
            if own:
                waiting += [name.strip() for name in own[1].split(",")]
            else:
                found.add(text)
    return sorted(found)


def fingerprint(*texts: str) -> str:
    """A short name for some texts, our pins and the interpreter that they are for."""
    tag = f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}"
    whole = "\n".join([tag, CONSTRAINTS.read_text(), *texts])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def cache_folder() -> Path:
    """Where wheels are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ctdenoise" / "wheels"


def make_venv() -> str:
    """The interpreter of `.venv`, which is made if it is absent or of another Python version."""
    python = VENV / "bin" / "python"
    if python.exists():
        ask = "import sys; print(*sys.version_info[:2])"
        answer = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
        if answer.stdout.split() == [str(part) for part in sys.version_info[:2]]:
            return str(python)
        shutil.rmtree(VENV)
    say(f"making {VENV} with Python {platform.python_version()}")
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False)
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit("The virtual environment could not be made. On Debian: apt install python3-venv")
    return str(python)


def gather(python: str, requirements: list[str], house: Path) -> None:
    """Fetch the wheels that the house lacks; the only step that uses a network."""
    say(f"gathering wheels in {house} (once)")
    incoming = house / "incoming"  # a wheel joins the others when pip is done with all of them
    shutil.rmtree(incoming, ignore_errors=True)
    pip(python, "wheel", "--wheel-dir", str(incoming), "--find-links", str(house), requirements)
    for wheel in incoming.glob("*.whl"):
        wheel.replace(house / wheel.name)


def install(python: str, requirements: list[str], house: Path) -> None:
    """Install the requirements, then ctdenoise in place, from the house alone."""
    say("installing")
    offline = ["--no-index", "--no-compile"]
    pip(python, "install", *offline, "--find-links", str(house), requirements)
    pip(python, "install", *offline, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    # pip would compile on one core and the packages' own tests as well: twice as long.
    everything = str(VENV / "lib")
    compiling = ["-m", "compileall", "-q", "-j", "0", "-x", r"[/\\]tests?[/\\]", everything]
    subprocess.run([python, *compiling], check=False, stdout=subprocess.DEVNULL)


def pip(python: str, command: str, *arguments: str | list[str]) -> None:
    """Run pip with our pins, or end with a hint."""
    flat = [part for item in arguments for part in ([item] if isinstance(item, str) else item)]
    line = [python, "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*line, "--constraint", str(CONSTRAINTS), *flat], check=False)
    if done.returncode:
        sys.exit(
            f"`pip {command}` failed (see above); nothing half-made was kept. "
            "Run the same command again to go on; without a network it needs a complete cache "
            f"in {cache_folder()}."
        )


@contextmanager
def locked(folder: Path):
    """Let one set-up at a time use a folder; others wait."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    """A line of what is being done."""
    print(f"set-up: {text}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
