"""Owns address space cut into cells, as numpy columns that can be laid over each other; refuses to know what values mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geodns.geo.address import BITS, Network, Version

Indexes = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.intp]
Words = npt.NDArray[np.uint64]
_LOW = 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True, slots=True)
class Starts:
    """First addresses of cells, ascending: IPv4 in `high`; IPv6 as `high` and `low` 64-bit words, `low` None if all are 0."""

    high: Words
    low: Words | None = None

    def __len__(self) -> int:
        return len(self.high)

    def take(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Starts:
        """The chosen cells' starts."""
        low = None if self.low is None else self.low[chosen]
        return Starts(self.high[chosen], low if low is not None and low.any() else None)


@dataclass(frozen=True, slots=True)
class Layer:
    """Cells from `starts[i]` up to the next start, each with an index; the first cell starts at address 0."""

    starts: Starts
    indexes: Indexes


def starts_of(version: Version, addresses: Sequence[int]) -> Starts:
    """Pack ascending addresses."""
    if version == 4:
        return Starts(np.array(addresses, dtype=np.uint64))
    low = np.array([address & _LOW for address in addresses], dtype=np.uint64)
    return Starts(np.array([address >> 64 for address in addresses], dtype=np.uint64), low if low.any() else None)


def flatten(version: Version, prefixes: Iterable[tuple[Network, int]], outside: int = 0) -> Layer:
    """Cut address space by nested prefixes: each cell gets the index of the longest prefix that covers it."""
    total = 1 << BITS[version]
    spans = [
        (int(network.network_address), int(network.broadcast_address) + 1, index)
        for network, index in prefixes
        if network.version == version
    ]
    spans.sort(key=lambda span: (span[0], -span[1]))
    starts, indexes = [0], [outside]
    open_spans: list[tuple[int, int]] = [(total, outside)]

    def begin(at: int, index: int) -> None:
        if starts[-1] == at:
            indexes[-1] = index
        else:
            starts.append(at)
            indexes.append(index)

    for first, end, index in spans:
        while open_spans[-1][0] <= first:
            closed, _ = open_spans.pop()
            begin(closed, open_spans[-1][1])
        begin(first, index)
        open_spans.append((end, index))
    while len(open_spans) > 1:
        closed, _ = open_spans.pop()
        if closed < total:
            begin(closed, open_spans[-1][1])
    return merged(Layer(starts_of(version, starts), np.array(indexes, dtype=np.int32)))


def empty(index: int = 0) -> Layer:
    """One cell that is the whole address space."""
    return Layer(Starts(np.zeros(1, dtype=np.uint64)), np.array([index], dtype=np.int32))


def merged(layer: Layer) -> Layer:
    """The same with neighbours of equal index made one cell."""
    keep = np.ones(len(layer.indexes), dtype=np.bool_)
    np.not_equal(layer.indexes[1:], layer.indexes[:-1], out=keep[1:])
    return layer if keep.all() else Layer(layer.starts.take(keep), layer.indexes[keep])


def overlay(layers: Sequence[Layer]) -> tuple[Starts, list[Indexes]]:
    """Cut address space wherever any layer does: the common starts, and each layer's index at each of them.

    All starts are sorted once and each layer's position is carried forward, so no 128-bit search is needed.
    """
    if len(layers) == 1:
        return layers[0].starts, [layers[0].indexes]
    high = np.concatenate([layer.starts.high for layer in layers])
    lows = [layer.starts.low for layer in layers]
    low: Words | None = None
    if any(part is not None for part in lows):
        low = np.concatenate(
            [np.zeros(len(one.starts), np.uint64) if part is None else part for one, part in zip(layers, lows, strict=True)]
        )
    order = np.argsort(high, kind="stable") if low is None else np.lexsort((low, high))
    high = high[order]
    last = np.ones(len(high), dtype=np.bool_)  # of several equal starts the last has seen every layer
    np.not_equal(high[1:], high[:-1], out=last[:-1])
    if low is not None:
        low = low[order]
        last[:-1] |= low[1:] != low[:-1]
    found, offset = [], 0
    for layer in layers:
        position = order.astype(np.int64) - offset
        position[(position < 0) | (position >= len(layer.indexes))] = 0
        found.append(layer.indexes[np.maximum.accumulate(position)[last]])
        offset += len(layer.indexes)
    return Starts(high, low).take(last), found


def distinct(columns: Iterable[Indexes], rows: int) -> tuple[Numbers, Numbers]:
    """One row for every combination of values that equally long columns hold, and for each row its combination's number."""
    number = np.zeros(rows, dtype=np.intp)
    for column in columns:
        number = _dense(number * (int(column.max()) + 1) + column)
    one_of = np.zeros(int(number.max()) + 1, dtype=np.intp)
    one_of[number] = np.arange(rows)
    return one_of, number


def _dense(numbers: Numbers) -> Numbers:
    """Number the distinct values from 0; small values by a table, for sorting millions takes a second each time."""
    if int(numbers.max()) > min(1 << 26, len(numbers) << 6):
        inverse: Numbers = np.unique(numbers, return_inverse=True)[1]
        return inverse
    present = np.zeros(int(numbers.max()) + 1, dtype=np.bool_)
    present[numbers] = True
    return (np.cumsum(present) - 1)[numbers]
