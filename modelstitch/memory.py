"""How much memory this process may still take, by the machine, by its control group, and by its own limit."""

import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
GIB = 2**30


def free_bytes() -> int | None:
    """Bytes that are still available, the least of these limits; None where the system tells none (not Linux)."""
    return min(_limits(), default=None)


def in_gib(count: float) -> str:
    """Bytes as `70.3 GiB`."""
    return f"{count / GIB:,.1f} GiB"


def _limits() -> Iterator[int]:
    with suppress(OSError, ValueError, KeyError):
        yield _numbers(Path("/proc/meminfo"))["MemAvailable"] * 1024
    with suppress(OSError, ValueError, KeyError):
        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            yield max(0, most - _numbers(Path("/proc/self/status"))["VmSize"] * 1024)
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or "memory" in controllers.split(","):
                yield from _limits_of_group(path, bool(controllers))


def _limits_of_group(path: str, first_version: bool) -> Iterator[int]:
    """Available bytes of a control group and of those around it; cached files count as available."""
    top = CGROUPS / "memory" if first_version else CGROUPS
    limit, used = ("limit_in_bytes", "usage_in_bytes") if first_version else ("max", "current")
    group = top / path.strip("/")
    for folder in (group, *group.parents):
        if not folder.is_relative_to(top):
            return
        with suppress(OSError, ValueError):
            most, taken = (int((folder / f"memory.{name}").read_text()) for name in (limit, used))
            yield max(0, most - taken + _numbers(folder / "memory.stat").get("inactive_file", 0))


def _numbers(file: Path) -> dict[str, int]:
    """The numbers in a system file with lines `name number` or `name: number unit`, by name."""
    pairs = (line.replace(":", " ").split() for line in file.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) > 1 and pair[1].isdigit()}
