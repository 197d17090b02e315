"""Owns the numbers of counters: one for each thing that is counted, for as long as the program runs; refuses to count."""

from __future__ import annotations

from enum import IntEnum

CAPACITY = 1 << 17
"""Counters that there can be; what comes later is counted together, as labels that are all empty."""

_RESERVE = 4096  # of these, for what is counted together


class How(IntEnum):
    """Who decided for a client, and whether a client subnet came along: what each kind of reply is counted by."""

    SAME_FOR_ALL = 0
    SAME_FOR_ALL_WITH_SUBNET = 1
    BY_SUBNET = 2
    BY_NETWORK = 3
    BY_NETWORK_WITH_SUBNET = 4
    BY_SENDER = 5
    BY_SENDER_WITH_SUBNET = 6
    NOBODY = 7
    NOBODY_WITH_SUBNET = 8
    BY_EGRESS = 9
    BY_EGRESS_WITH_SUBNET = 10
    BY_INSTANCE = 11
    BY_INSTANCE_WITH_SUBNET = 12


Labels = tuple[str, ...]
"""What a counter counts: a metric's name, and the values of its labels."""


class Ledger:
    """Hands out counters by name; the same name always has the same number, across reloads too."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._numbers: dict[tuple[Labels, int], int] = {}
        self._names: list[Labels] = []

    def __len__(self) -> int:
        return len(self._names)

    @property
    def names(self) -> list[Labels]:
        """The name of each counter by number. A run of counters has the position of each as its last label."""
        return list(self._names)

    def number(self, *labels: str) -> int:
        """The number of one counter."""
        return self.run(1, *labels)

    def run(self, count: int, *labels: str) -> int:
        """The number of the first of `count` counters in a row, which differ in one label more: "0", "1", …"""
        known = self._numbers.get((labels, count))
        if known is not None:
            return known
        if len(self._names) + count <= self._capacity - _RESERVE:
            return self._add(labels, count)
        others = (labels[0], *[""] * (len(labels) - 1))
        known = self._numbers.get((others, count))
        return self._add(others, count) if known is None else known

    def _add(self, labels: Labels, count: int) -> int:
        first = self._numbers[labels, count] = len(self._names)
        self._names += [labels] if count == 1 else [(*labels, str(position)) for position in range(count)]
        return first

    def reply(self, transport: str, rdtype: str, rcode: str, choice: str = "") -> int:
        """Counters of one kind of reply, by `How`: `choice` is the rule or endpoint that it came from, if any."""
        return self.run(len(How), "reply", transport, rdtype, rcode, choice)
