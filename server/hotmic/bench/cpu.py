"""How long a process has computed."""

from pathlib import Path

from hotmic.errors import ConfigError

_NANOSECONDS = 1e9


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of all running threads of a process, to the nanosecond.

    Threads that have ended are missed; measure differences over a time in which none ends.

    Raises:
        ConfigError: The system does not tell (anything but Linux), or the process is gone.
    """
    spent = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            spent += int((task / "schedstat").read_text().split()[0])
    except OSError as error:
        raise ConfigError(f"The CPU time of process {pid} cannot be read; this takes Linux.") from error
    return spent / _NANOSECONDS
