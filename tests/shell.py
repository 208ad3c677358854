"""The command `metaopt` in real processes, for tests of several folders."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Shell:
    """Runs `metaopt` in a folder of its own; what it compiles is kept for the next run."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._environment = os.environ | {
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "100",
        }

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "search.cli", *map(str, arguments)],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def fails(self, *arguments: object) -> str:
        """The message of a command that must fail: one line, without a traceback."""
        done = self(*arguments)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        message = done.stderr.strip()
        assert message.startswith("metaopt: ")
        assert "\n" not in message
        return message
