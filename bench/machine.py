"""What the kernel knows of processes and of the machine. Linux only: it reads /proc."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_TICKS_S = os.sysconf("SC_CLK_TCK")
_PACKAGES = ("dragoman", "uvicorn", "uvloop", "httptools", "ry", "aiohttp", "msgspec", "starlette")


def pin(pid: int, core: int) -> None:
    """Keeps a process, and the threads it will start, on one core."""
    os.sched_setaffinity(pid, {core})


def cores() -> tuple[int, int]:
    """The core of what is measured, and the core of upstream and load; one, if there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of the processes, all threads, in seconds."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS_S


def spent_ns(pid: int) -> int:
    """The CPU time of a process that lives, all threads, in nanoseconds, as its scheduler has it."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


def memory_mb(pids: Iterable[int], *, peak: bool = False) -> float:
    """Resident memory of the processes in MB (10⁶ bytes); ``peak``: the most it ever was."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(wanted):
                total += int(line.split()[1]) * 1024
    return total / 1e6


def family(pid: int) -> tuple[int, ...]:
    """A process and its children, theirs included."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return tuple(found)


def describe() -> dict[str, Any]:
    """The machine and the programs, for whoever reads the figures later."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    first, last = cores()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "measured_on_core": first,
        "upstream_and_load_on_core": last,
        "load_average": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "nginx": _nginx(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _nginx() -> str | None:
    path = find_nginx()
    if path is None:
        return None
    told = subprocess.run([path, "-v"], capture_output=True, text=True, check=False)
    return told.stderr.strip().rpartition("/")[2] or None


def find_nginx() -> str | None:
    """nginx's program; many systems keep it where only root looks."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
