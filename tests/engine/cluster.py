"""A real standalone cluster of Spark on 127.0.0.1: a master and workers as processes of their own."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

_WAIT = 240.0  # seconds: a limit for what never comes, not a measure


class Daemon:
    """One Java process in a session of its own, and the lines that it prints."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        import pyspark

        jars = Path(pyspark.__file__).parent / "jars" / "*"
        environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_NO_DAEMONIZE": "1"}
        environment |= {"SPARK_HOME": str(jars.parents[1]), "SPARK_LOCAL_DIRS": str(folder), "OMP_NUM_THREADS": "1"}
        environment |= {"PYSPARK_PYTHON": sys.executable, "SPARK_SCALA_VERSION": "2.13"}
        opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in ("java.lang", "java.nio", "sun.nio.ch")]
        self._log = folder / "log.txt"
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            ["java", "-Xmx256m", *opened, "-cp", str(jars), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=environment,
            cwd=folder,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout, open(self._log, "w", encoding="utf-8") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                self._lines.put(line)
        self._lines.put(None)

    def says(self, pattern: str) -> re.Match[str]:
        """Wait for a line."""
        seen = []
        while (line := self._lines.get(timeout=_WAIT)) is not None:
            seen.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"it ended without saying {pattern!r}:\n{''.join(seen[-30:])}")

    def kill(self) -> None:
        """``kill -9`` to it and to what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(_WAIT)


class Cluster:
    """A master and two workers of one core each; use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._daemons: list[Daemon] = []

    def __enter__(self) -> Cluster:
        try:
            place = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
            master = self._start("master", ["org.apache.spark.deploy.master.Master", *place])
            self.master = master.says(r"Starting Spark master at (spark://\S+)")[1]
            options = [*place, "--cores", "1", "--memory", "600m"]
            kind = "org.apache.spark.deploy.worker.Worker"
            self.workers = {
                name: self._start(name, [kind, *options, "--work-dir", str(self._folder / name), self.master])
                for name in ("worker-a", "worker-b")
            }
            for worker in self.workers.values():
                worker.says("Successfully registered with master")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self, name: str, arguments: list[str]) -> Daemon:
        folder = self._folder / name
        folder.mkdir(parents=True)
        daemon = Daemon(arguments, folder)
        self._daemons.append(daemon)
        return daemon

    def __exit__(self, *_: object) -> None:
        for daemon in reversed(self._daemons):
            daemon.kill()
