"""Prints the Python to install with: of those on this machine that fit, the fastest.

Builds of one version differ by half: a distribution's own is optimised by a profile, one compiled
by hand often is not. ``python3`` is taken unless another is faster by more than a tenth.
"""

import os
import shutil
import subprocess
import sys

NAMES = ("python3", "python3.13", "python3.12", "python3.11")
FOLDERS = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")
CLEARLY = 0.9
"""Of the time of the first one that fits: less is worth another choice."""
TRIAL = """
import sys
if not (3, 11) <= sys.version_info[:2] < (3, 14):
    sys.exit(1)
import ensurepip, time, venv  # a base without them cannot be installed with
class Point:
    def __init__(self, x): self.x = x
def moved(point, by=1): return point.x + by
def spend():
    start = time.process_time()
    seen = {}
    for number in range(20000):
        seen["k%d" % (number % 50)] = moved(Point(number), by=2)
        "".join(["a", str(number)]).encode().partition(b"a")
    return time.process_time() - start
print(min(spend() for _ in range(15)))
"""


def main() -> int:
    """Tries each; a machine without any gets one sentence."""
    paths = os.pathsep.join([os.environ.get("PATH", ""), *FOLDERS])
    found = {}
    for name in NAMES:
        for folder in paths.split(os.pathsep):
            program = shutil.which(name, path=folder) if folder else None
            if program is not None:
                found.setdefault(program, None)
    best = None
    for program in found:
        trial = subprocess.run([program, "-c", TRIAL], capture_output=True, text=True, check=False)
        if trial.returncode:
            continue
        seconds = float(trial.stdout)
        if best is None or seconds < best[0] * CLEARLY:
            best = (seconds, program)
    if best is None:
        print("Python 3.11 to 3.13 with its venv module is needed.", file=sys.stderr)
        return 1
    print(best[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
