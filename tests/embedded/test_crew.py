"""honcho with its cures, each tried on processes that would show the illness."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# A crew of the shell commands that are given, in a process of its own: it takes over the signals.
RUN = """
import sys
from pathlib import Path
from embedded.crew import Crew
from embedded.programs import Program
crew = Crew(Path(sys.argv[1]))
for number, command in enumerate(sys.argv[2:]):
    crew.add(Program(f"p{number}", ("sh", "-c", command)), {"PATH": "/usr/bin:/bin"}, Path("/"))
crew.loop()
print("first:", crew.terminal.first_ended)
crew.terminal.close()
"""


def start(log: Path, *commands: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(log), *commands], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_when_one_process_ends_the_others_end_too_and_it_is_named(tmp_path: Path) -> None:
    with start(tmp_path / "log", "exec sleep 600", "exit 3") as crew:
        said, _ = crew.communicate(timeout=30)

    assert "first: p1 stopped (rc=3)" in said


def test_a_process_may_finish_what_its_children_are_at(tmp_path: Path) -> None:
    """As Celery does: told to end, it waits for the children, who must not be told as well."""
    busy = "trap 'wait; echo finished' TERM; (echo begun; sleep 2; echo worked) & wait"
    with start(tmp_path / "log", busy) as crew:
        assert crew.stdout is not None
        assert "begun" in crew.stdout.readline()
        crew.send_signal(signal.SIGTERM)
        said, _ = crew.communicate(timeout=30)

    assert "worked" in said
    assert "finished" in said


def test_a_signal_during_the_start_is_not_lost(tmp_path: Path) -> None:
    with start(tmp_path / "log", *["exec sleep 600"] * 6) as crew:
        while not (tmp_path / "log").exists():
            time.sleep(0.01)
        crew.send_signal(signal.SIGTERM)
        crew.communicate(timeout=30)

    assert crew.returncode in (0, -signal.SIGTERM)


def test_the_log_has_what_the_terminal_leaves_out(tmp_path: Path) -> None:
    with start(tmp_path / "log", "echo INFO something; echo WARNING of something else") as crew:
        said, _ = crew.communicate(timeout=30)

    assert "INFO something" not in said
    assert "p0     | WARNING of something else" in said
    assert "INFO something" in (tmp_path / "log").read_text()
