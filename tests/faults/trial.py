"""One row of the scoreboard with one seed: what its test needs, and how it ends."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any

from oracle import Ledger, Oracle, Order
from report import Result
from site_under_test import Site
from verdict import Allowed, Balance, Verdict, balance, settle

NOTHING_ALLOWED = Allowed()


def nothing_wrong(verdict: Verdict) -> bool:
    """What most rows promise."""
    return not verdict


class Trial:
    """A row, a seed, a host, and a name that no earlier trial had."""

    def __init__(self, site: Site, result: Result, recovery: float) -> None:
        self.site, self.result, self.recovery = site, result, recovery
        self.seed = result.seed
        self.random = random.Random(f"{result.row} {result.seed}")
        self.name = f"faults.{uuid.uuid4().hex[:10]}"

    def oracle(self, **order: Any) -> Oracle:
        """An oracle, with what of its order is not as usual."""
        return Oracle(self.site, Order(**{"name": self.name, "seed": self.seed, **order}))

    def moments(self, count: int, seconds: float) -> list[float]:
        """Moments within so many seconds at which something happens, others for each seed."""
        return sorted(self.random.uniform(0.5, seconds) for _ in range(count))

    def compare(
        self,
        ledger: Ledger,
        promised: Callable[[Verdict], bool] = nothing_wrong,
        allowed: Allowed = NOTHING_ALLOWED,
    ) -> None:
        """Compare what is there with the ledger when the fault is over; AssertionError if it is not as promised."""
        self.result.peak = max(self.result.peak, ledger.peak)
        self.result.settled = settle(self.site, ledger, promised, allowed, self.recovery)
        assert promised(self.result.settled.verdict), self.result.settled

    def balance(self, ledger: Ledger, also: int = 0, since: float | None = None) -> Balance:
        """The aggregator's counts since then, or since the ledger began, which must add up to what was sent.

        `also` is how many values the test has sent beside the oracle.
        """
        account: Balance = self.site.until(
            lambda: balance(self.site, ledger, ledger.began if since is None else since, also)
        )
        return account

    def conclude(
        self,
        ledger: Ledger,
        promised: Callable[[Verdict], bool] = nothing_wrong,
        allowed: Allowed = NOTHING_ALLOWED,
        *,
        also: int = 0,
        since: float | None = None,
    ) -> Balance:
        """`compare` and `balance`."""
        self.compare(ledger, promised, allowed)
        return self.balance(ledger, also, since)
