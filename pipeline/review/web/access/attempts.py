"""How often one may try to sign in. A try counts before the password is looked at; the right one gives it back.

A few quick tries are free, then one at a time: for a name every 30 s, for an address every 10 s. Whoever tries a name
all the time delays its owner too, but never locks the account.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MOST = 20_000
"""Names and addresses that are remembered; beyond that the oldest are forgotten."""


@dataclass(frozen=True)
class Rate:
    """`burst` tries at once, then one in `seconds`."""

    burst: int
    seconds: float


NAME = Rate(5, 30.0)
ADDRESS = Rate(20, 10.0)


class Attempts:
    """Tries so far (generic cell rate algorithm: one number a key, the moment when all its tries are free again).

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._free: dict[str, float] = {}

    def take(self, name: str, address: str | None) -> float:
        """Count a try; or 0 < seconds until the next one is allowed, and nothing is counted."""
        keys = _keys(name, address)
        with self._lock:
            now = self._clock()
            free = {key: max(self._free.get(key, now), now) + rate.seconds for key, rate in keys.items()}
            wait = max(free[key] - now - rate.burst * rate.seconds for key, rate in keys.items())
            if wait > 0:
                return wait
            for key, moment in free.items():
                self._free.pop(key, None)  # to the end: the order is that of the last try
                self._free[key] = moment
            self._forget(now)
        return 0.0

    def give_back(self, name: str, address: str | None) -> None:
        """The password was right: this try does not count."""
        with self._lock:
            for key, rate in _keys(name, address).items():
                if key in self._free:
                    self._free[key] -= rate.seconds

    def _forget(self, now: float) -> None:
        if len(self._free) > MOST:
            self._free = {key: moment for key, moment in self._free.items() if moment > now}
        for key in list(self._free)[: max(0, len(self._free) - MOST)]:
            del self._free[key]


def _keys(name: str, address: str | None) -> Mapping[str, Rate]:
    return {f"name {name.casefold()}": NAME, f"address {_network(address)}": ADDRESS}


def _network(address: str | None) -> str:
    """An IPv6 customer has 2^64 addresses: they count as one."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "unknown"
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)
