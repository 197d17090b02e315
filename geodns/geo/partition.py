"""Owns partitions: address space cut into disjoint cells of equal outcome, and the exact scope of each; refuses to know whose."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from geodns.geo.address import Place, Version
from geodns.geo.layer import Indexes, Layer, Numbers, Words, distinct, merged
from geodns.geo.location import State
from geodns.geo.nearness import Bands

FALLBACK = int(State.LOCATED)
"""Outcome of a place that no rule names; smaller outcomes are the states in which a location must not be used."""

FIRST_RULE = FALLBACK + 1
"""Outcome of the first rule; rule n has FIRST_RULE + n."""

PAGE_BITS = 6
PAGE = 1 << PAGE_BITS
"""Scopes in a page: with 1000 sets of rules, pages of 64 take the least memory, 16 MiB where scopes of their own took 177."""

_LOW = 0xFFFF_FFFF_FFFF_FFFF
_LAST = np.uint64(_LOW)


class Cell(NamedTuple):
    """What a look-up found: an outcome, and the shortest prefix length around the address in which it is the same."""

    outcome: int
    scope_prefix_length: int


class Ipv4Prefixes:
    """IPv4 cut into prefixes so small that no set of rules cuts one: ascending starts, and the class of each prefix.

    `top[n]` is how many starts lie below n << `shift`, so a bisection looks at one small block only (a /16 where there are many
    prefixes, a /8 where there are few).
    """

    __slots__ = ("classes", "shift", "starts", "top")

    def __init__(self, starts: npt.NDArray[np.uint32], classes: Numbers) -> None:
        self.starts: array[int] = array("I", starts.tobytes())
        self.classes = _narrow(classes)
        self.shift = 32 - min(max(len(starts).bit_length() - 1, 8), 16)
        bounds = np.arange(0, (1 << 32) + 1, 1 << self.shift, dtype=np.uint64)
        self.top: array[int] = array("I", np.searchsorted(starts, bounds).astype(np.uint32).tobytes())

    def __len__(self) -> int:
        return len(self.starts)

    def find(self, address: int) -> int:
        """The number of the prefix that holds an address."""
        upper = address >> self.shift
        return bisect_right(self.starts, address, self.top[upper], self.top[upper + 1]) - 1


class Ipv6Prefixes:
    """IPv6 cut into prefixes so small that no set of rules cuts one: ascending starts, and the class of each prefix.

    Starts are kept by their upper 64 bits. A /64 that is cut itself has one prefix there, whose class means nothing; its pieces
    are numbered behind all others: `longer` is upper bits → (lower bits of the pieces' starts, number of the first piece).
    """

    __slots__ = ("classes", "longer", "starts")

    def __init__(self, starts: Words, classes: Numbers, longer: dict[int, tuple[array[int], int]]) -> None:
        self.starts: array[int] = array("Q", starts.tobytes())
        self.classes = _narrow(classes)
        self.longer = longer

    def __len__(self) -> int:
        return len(self.classes) - len(self.longer)

    def find(self, address: int) -> int:
        """The number of the prefix that holds an address."""
        upper = address >> 64
        nested = self.longer.get(upper) if self.longer else None
        if nested:
            lows, first = nested
            return first + bisect_right(lows, address & _LOW) - 1
        return bisect_right(self.starts, upper) - 1


Family = TypeVar("Family", Ipv4Prefixes, Ipv6Prefixes)


@dataclass(frozen=True, slots=True)
class Cells(Generic[Family]):
    """One family under one set of rules: outcomes by class, and the scope of each prefix.

    Prefixes are shared by all sets that are compiled together, and so are `scopes`, in pages: those of prefix n are at
    `pages[n >> PAGE_BITS]`, for hardly any page is needed by one set alone.
    """

    prefixes: Family
    outcomes: array[int]
    pages: array[int]
    scopes: bytes

    def find(self, address: int) -> Cell:
        """The outcome for an address, and its scope."""
        number = self.prefixes.find(address)
        scope = self.scopes[self.pages[number >> PAGE_BITS] | number & PAGE - 1]
        return Cell(self.outcomes[self.prefixes.classes[number]], scope)


FamilyCells = Cells[Ipv4Prefixes] | Cells[Ipv6Prefixes]


def _narrow(numbers: npt.NDArray[Any]) -> array[int]:
    """Numbers in as few octets as they need."""
    largest = int(numbers.max())
    code, kind = ("B", np.uint8) if largest < 1 << 8 else ("H", np.uint16) if largest < 1 << 16 else ("I", np.uint32)
    return array(code, numbers.astype(kind).tobytes())


def cells_of(version: Version, layer: Layer) -> FamilyCells:
    """Compile the cells of one layer: its indexes are the outcomes."""
    outcomes, classes = np.unique(layer.indexes, return_inverse=True)
    layer = Layer(layer.starts, classes.astype(np.int32))
    return compile_ipv4(layer, [outcomes])[0] if version == 4 else compile_ipv6(layer, [outcomes])[0]


def compile_ipv4(layer: Layer, outcomes: Sequence[Indexes]) -> list[Cells[Ipv4Prefixes]]:
    """Compile many sets of rules: `layer` says which class a cell is of, `outcomes[n]` what set n makes of each class.

    Classes of which every set makes the same become one, and address space is cut where that changes: once, for all sets.
    """
    one_of, layer = _joint(layer, outcomes)
    table = _ipv4_table(layer)
    return _cells(table, Ipv4Prefixes(table.words, table.classes), [column[one_of] for column in outcomes])


def compile_ipv6(layer: Layer, outcomes: Sequence[Indexes]) -> list[Cells[Ipv6Prefixes]]:
    """As `compile_ipv4`."""
    one_of, layer = _joint(layer, outcomes)
    table = _ipv6_table(layer)
    whole = len(table.words) if table.longer is None else table.longer.pieces[0]
    prefixes = Ipv6Prefixes(table.words[:whole], table.classes, table.nested())
    return _cells(table, prefixes, [column[one_of] for column in outcomes])


def _joint(layer: Layer, outcomes: Sequence[Indexes]) -> tuple[Numbers, Layer]:
    """One class of each kind that some set tells from the others, and the layer with the kinds for classes."""
    one_of, joint = distinct(outcomes, len(outcomes[0]))
    return one_of, merged(Layer(layer.starts, joint.astype(np.int32)[layer.indexes]))


def _cells(table: _Table, prefixes: Family, outcomes: Sequence[Indexes]) -> list[Cells[Family]]:
    """The cells of each set: equal ones are one object, and those that only number the same outcomes differently share pages."""
    shelf = _Shelf()
    pages: dict[bytes, array[int]] = {}
    distinct_sets: dict[bytes, tuple[array[int], array[int]]] = {}
    for outcome in outcomes:
        if outcome.tobytes() in distinct_sets:
            continue
        first = np.empty(int(outcome.max()) + 1, np.int32)
        first[outcome[::-1]] = np.arange(len(outcome))[::-1]
        kinds = first[outcome]  # tells which classes go together, whatever their outcomes are called
        if kinds.tobytes() not in pages:
            pages[kinds.tobytes()] = shelf.pages(table.scopes(kinds))
        distinct_sets[outcome.tobytes()] = _narrow(outcome), pages[kinds.tobytes()]
    scopes = b"".join(shelf)
    made = {key: Cells(prefixes, own, found, scopes) for key, (own, found) in distinct_sets.items()}
    return [made[outcome.tobytes()] for outcome in outcomes]


class _Shelf(dict[bytes, int]):
    """The scopes of all sets as pages, each kept once; looking a page up by its octets puts it there, and tells where."""

    def __missing__(self, page: bytes) -> int:
        self[page] = place = len(self) * PAGE
        return place

    def pages(self, scopes: npt.NDArray[np.uint8]) -> array[int]:
        """Where each page of these scopes is."""
        padded = np.concatenate([scopes, np.zeros(-len(scopes) % PAGE, np.uint8)])
        return array("I", map(self.__getitem__, padded.view(f"V{PAGE}").tolist()))


class _Longer(NamedTuple):
    """Which prefixes are a /64 that is cut, the first piece of each, and how many pieces it has."""

    cut: Numbers
    pieces: Numbers
    sizes: Numbers


class _Table:
    """The prefixes of one family while sets of rules are compiled.

    `words` has their first addresses, those of IPv6 by their upper 64 bits, in ascending order; then, by their lower 64 bits, the
    pieces of each /64 that is cut, which `longer` tells.
    """

    def __init__(self, words: npt.NDArray[Any], classes: Indexes, longer: _Longer | None = None) -> None:
        self.words = words
        self.classes = classes.astype(np.intp)  # what numpy takes fastest
        self.longer = longer
        self.bits = 8 * words.itemsize
        self.opens = words == 0  # where a space of its own begins: all addresses, or those of a /64
        self._run = np.empty(len(words), np.intp)  # for every set anew: fresh memory takes longer than what is done in it
        self._left, self._right = np.empty_like(words), np.empty_like(words)

    def nested(self) -> dict[int, tuple[array[int], int]]:
        """The pieces as `Ipv6Prefixes` has them."""
        return {
            int(self.words[cut]): (array("Q", self.words[first : first + size].tobytes()), int(first))
            for cut, first, size in zip(*(self.longer or ()), strict=True)
        }

    def scopes(self, kinds: Indexes) -> npt.NDArray[np.uint8]:
        """The scope of each prefix, where `kinds` tells which classes go together."""
        kind = kinds.take(self.classes)
        if self.longer is None:
            return self._shortest(kind)
        cut, pieces, sizes = self.longer
        behind, at = pieces[0], pieces - pieces[0]
        uniform = np.minimum.reduceat(kind[behind:], at) == np.maximum.reduceat(kind[behind:], at)
        kind[cut] = np.where(uniform, kind[pieces], -1 - np.arange(len(cut)))  # what differs within is like nothing else
        scopes = self._shortest(kind)
        scopes[behind:] = np.where(np.repeat(uniform, sizes), np.repeat(scopes[cut], sizes), scopes[behind:] + np.uint8(64))
        return scopes

    def _shortest(self, kind: Indexes) -> npt.NDArray[np.uint8]:
        """The shortest prefix length around each prefix in which all are of one kind.

        Around addresses of [first, after), a prefix of length L holds `first - 1` exactly if they share L leading bits with it;
        likewise `after`. So the nearer of the two, as numbers differ, decides. Where a space begins or ends, there is neither.
        """
        begins = self.opens.copy()
        begins[1:] |= kind[1:] != kind[:-1]
        runs = np.flatnonzero(begins)
        run = np.cumsum(begins, out=self._run)
        run -= 1
        sizes = np.diff(np.append(runs, len(kind)))
        first, opens = self.words[runs], self.opens[runs]
        closes = np.append(opens[1:], True)
        left = np.take(first - first.dtype.type(1), run, out=self._left, mode="clip")
        left ^= self.words
        left[_members(runs, sizes, opens)] = first.dtype.type((1 << self.bits) - 1)
        right = np.take(np.append(first[1:], first[:1]), run, out=self._right, mode="clip")
        right ^= self.words
        right[_members(runs, sizes, closes)] = first.dtype.type((1 << self.bits) - 1)
        scopes = np.uint8(self.bits + 1) - _bit_lengths(np.minimum(left, right, out=left))
        scopes[_members(runs, sizes, opens & closes)] = 0
        return scopes


def _members(runs: Numbers, sizes: Numbers, chosen: npt.NDArray[np.bool_]) -> Numbers:
    """All positions in the chosen runs; a run is where it begins and its size."""
    begin, size = runs[chosen], sizes[chosen]
    members: Numbers = np.repeat(begin - np.cumsum(size) + size, size) + np.arange(size.sum())
    return members


def _bit_lengths(numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """How many bits each number above 0 has: the exponent of a float. Without the bit behind the first none is rounded up."""
    exact = (numbers & ~(numbers >> numbers.dtype.type(1))).astype(np.float32)
    lengths: npt.NDArray[np.uint8] = ((exact.view(np.uint32) >> np.uint32(23)) - np.uint32(126)).astype(np.uint8)
    return lengths


def _ipv4_table(layer: Layer) -> _Table:
    first = layer.starts.high
    words, owners = _cut(first, np.append(first[1:] - np.uint64(1), np.uint64((1 << 32) - 1)))
    return _Table(words.astype(np.uint32), layer.indexes[owners])


def _ipv6_table(layer: Layer) -> _Table:
    """Cut what is at least a /64 by its upper bits; a /64 in which a cell begins is one prefix there, and is cut by itself."""
    high, low = layer.starts.high, layer.starts.low
    if low is None:
        words, owners = _cut(high, np.append(high[1:] - np.uint64(1), _LAST))
        return _Table(words, layer.indexes[owners])
    inside = np.unique(high[low > 0])
    behind = np.setdiff1d(inside[inside < _LAST] + np.uint64(1), high)  # where what begins last in a cut /64 goes on
    first, order = np.unique(np.concatenate([high, behind]), return_index=True)
    indexes = np.concatenate([layer.indexes, layer.indexes[np.searchsorted(high, behind) - 1]])[order]
    words, owners = _cut(first, np.append(first[1:] - np.uint64(1), _LAST))
    lows, ends, kinds = _insides(layer, inside, low)
    pieces, makers = _cut(lows, ends)
    begin = np.flatnonzero(pieces == 0)
    longer = _Longer(np.searchsorted(words, inside), begin + len(words), np.diff(np.append(begin, len(pieces))))
    return _Table(np.concatenate([words, pieces]), np.concatenate([indexes[owners], kinds[makers]]), longer)


def _insides(layer: Layer, inside: Words, low: Words) -> tuple[Words, Words, Indexes]:
    """Cells within each cut /64, one /64 after the other: lower bits of the first and last address, and the cells' indexes."""
    high = layer.starts.high
    rows = np.flatnonzero(np.isin(high, inside))
    opening = np.searchsorted(high, inside)
    reached = opening[low[opening] > 0]  # where the first cell that begins in a /64 begins late, the one before reaches in
    rows = np.sort(np.concatenate([rows, reached]))
    late = np.append(np.diff(rows) == 0, False)  # the first of a row that is there twice
    lows = np.where(late, np.uint64(0), low[rows])
    following = np.append(lows[1:], np.uint64(0))
    return lows, following - np.uint64(1), layer.indexes[rows - late]  # 0, where the next /64 begins, becomes the last address


def _cut(first: Words, last: Words) -> tuple[Words, Numbers]:
    """Cut each interval into the fewest prefixes: their first addresses, and the number of the interval that each is from."""
    one, owner = np.uint64(1), np.arange(len(first))
    found: list[tuple[Words, Numbers]] = []
    while len(first):
        rest = last - first
        filled = rest.copy()
        for step in (1, 2, 4, 8, 16, 32):
            filled |= filled >> np.uint64(step)
        aligned = (first & ~first + one) - one  # all ones for address 0
        hosts = np.minimum(aligned, np.where(filled == rest, rest, filled >> one))
        found.append((first, owner))
        more = hosts < rest
        first, last, owner = (first + hosts + one)[more], last[more], owner[more]
    owners = np.concatenate([numbers for _, numbers in found])
    order = np.argsort(owners, kind="stable")
    return np.concatenate([words for words, _ in found])[order], owners[order]


@dataclass(frozen=True, slots=True)
class Partition:
    """Both families cut by the outcomes of one policy; `named` tells which addresses an operator's network covers.

    Of a policy of nearness, outcome FIRST_RULE + n means `orders[n]`. `egress` is the same policy cut by where the resolvers are
    that ask from an address, None without a map; `instance` is its outcome for this instance's place, None if that says nothing.
    """

    ipv4: Cells[Ipv4Prefixes]
    ipv6: Cells[Ipv6Prefixes]
    named: tuple[FamilyCells, FamilyCells] | None
    orders: tuple[Bands, ...] = ()
    egress: Partition | None = None
    instance: int | None = None

    def find(self, place: Place) -> Cell:
        """The cell that holds an address; IPv4 inside IPv6 gets the scope of the whole IPv6 prefix."""
        cell = (self.ipv4 if place.version == 4 else self.ipv6).find(place.address)
        if place.embedded_bits:
            return Cell(cell.outcome, cell.scope_prefix_length + place.embedded_bits)
        return cell

    def is_named(self, place: Place) -> bool:
        """Whether a network that the operator wrote down decides for this address."""
        if self.named is None:
            return False
        return bool(self.named[place.version == 6].find(place.address).outcome)
