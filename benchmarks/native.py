"""The two C programs of the benchmark, compiled where they are needed: the sink and the floor.

C, because the sink shares the cores with what is measured and must not be what limits it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE.parent / ".cache" / "bench"
LIBRARIES = {"sink": ["-lssl", "-lcrypto"], "floor": ["-lcrypto"]}


def build(name: str) -> Path:
    """The program of `name`.c, compiled anew when the source is newer."""
    source, program = HERE / f"{name}.c", BUILT / name
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("benchmarks: no C compiler is here\n  install one, with OpenSSL's headers (gcc, libssl-dev)")
    BUILT.mkdir(parents=True, exist_ok=True)
    compiled = subprocess.run([compiler, "-O2", "-Wall", "-o", program, source, *LIBRARIES[name]], check=False)
    if compiled.returncode:
        raise SystemExit(f"benchmarks: {source.name} does not compile here\n  it needs Linux and OpenSSL's headers")
    return program
