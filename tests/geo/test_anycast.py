"""Lists of anycast prefixes: what is shipped is sound, and every form of list is read back as it was written."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodns.geo.anycast import AnycastPrefix, read, read_list, shipped
from geodns.problem import Problem, Severity

Network = IPv4Network | IPv6Network

ANYCAST_ADDRESSES = [
    "198.41.0.4",
    "2001:503:ba3e::2:30",
    "170.247.170.2",
    "2801:1b8:10::b",
    "192.33.4.12",
    "2001:500:2::c",
    "199.7.91.13",
    "2001:500:2d::d",
    "192.203.230.10",
    "2001:500:a8::e",
    "192.5.5.241",
    "2001:500:2f::f",
    "192.112.36.4",
    "2001:500:12::d0d",
    "198.97.190.53",
    "2001:500:1::53",
    "192.36.148.17",
    "2001:7fe::53",
    "192.58.128.30",
    "2001:503:c27::2:30",
    "193.0.14.129",
    "2001:7fd::1",
    "199.7.83.42",
    "2001:500:9f::42",
    "202.12.27.33",
    "2001:dc3::35",
    "1.1.1.1",
    "1.0.0.1",
    "2606:4700:4700::1111",
    "2606:4700:4700::1001",
    "8.8.8.8",
    "8.8.4.4",
    "2001:4860:4860::8888",
    "2001:4860:4860::8844",
    "9.9.9.9",
    "149.112.112.112",
    "2620:fe::fe",
    "2620:fe::9",
    "208.67.222.222",
    "208.67.220.220",
    "2620:119:35::35",
    "2620:119:53::53",
    "94.140.14.14",
    "94.140.15.15",
    "2a10:50c0::ad1:ff",
    "76.76.2.0",
    "76.76.10.0",
    "2606:1a40::",
    "45.90.28.0",
    "45.90.30.0",
    "2a07:a8c0::",
    "185.228.168.9",
    "2a0d:2a00:1::2",
    "156.154.70.1",
    "2610:a1:1018::1",
    "223.5.5.5",
    "2400:3200::1",
    "119.29.29.29",
    "74.82.42.42",
    "2001:470:20::2",
    "149.112.121.10",
    "77.88.8.8",
    "4.2.2.1",
    "192.175.48.6",
    "192.31.196.1",
    "2620:4f:8000::6",
    "2001:4:112::1",
    "192.0.0.9",
    "192.0.0.10",
    "2001:1::1",
    "2001:1::2",
    "2001:1::3",
    "192.88.99.1",
]

# Addresses of ordinary hosts, some right beside an anycast prefix.
OTHER_ADDRESSES = [
    "1.1.0.1",
    "8.8.9.1",
    "192.0.0.8",
    "192.0.0.11",
    "192.0.2.1",
    "198.41.1.4",
    "2001:1::4",
    "2001:db8::1",
    "2001:500::1",
]

DESIGNATED = [
    "192.175.48.0/24",
    "192.31.196.0/24",
    "2620:4f:8000::/48",
    "2001:4:112::/48",
    "192.0.0.9/32",
    "192.0.0.10/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:1::3/128",
    "192.52.193.0/24",
    "2001:3::/32",
    "192.88.99.0/24",
]

LACES = "prefix,number_of_sites,backing_prefix\n"
METHODS = "prefix,AB_ICMPv4,AB_TCPv4,GCD_ICMPv4,partial,backing_prefix,ASN,locations\n"

networks = st.one_of(
    st.builds(
        lambda address, length: ip_network((address, length), strict=False),
        st.integers(0, 2**32 - 1).map(lambda value: str(ip_address(value))),
        st.integers(8, 32),
    ),
    st.builds(
        lambda address, length: ip_network((address, length), strict=False),
        st.integers(0, 2**128 - 1).map(lambda value: str(IPv6Network((value, 128)).network_address)),
        st.integers(16, 128),
    ),
)

FORMS = {
    "plain": ("", "{0}"),
    "bare address where it can be": ("# as of 2026-10-31\n\n", "{bare}"),
    "bgp.tools CSV": ("", "{0},{0.network_address}"),
    "LACeS": (LACES, "{0},36,{0}"),
    "LACeS without header": ("", "{0},36,{0}"),
    "LACeS, all methods": (METHODS, "{0},,0,2,False,{0},13335,\"[{{'city': 'Oslo', 'id': 'OSL'}}]\""),
    "columns in another order": ("asn,Prefix\n", "13335,{0}"),
    "CRLF and blanks": ("\r\n", "  {0}  # note\r"),
}


def covers(address: str) -> bool:
    return any(
        ip_address(address) in entry.network for entry in shipped() if entry.network.version == ip_address(address).version
    )


def written(folder: Path, text: str) -> Path:
    path = folder / "list.txt"
    path.write_bytes(text.encode())
    return path


def kept(folder: Path, text: str) -> list[str]:
    return [str(entry.network) for entry in read_list(written(folder, text))[0]]


def problems(folder: Path, text: str) -> list[Problem]:
    return read_list(written(folder, text))[1]


@pytest.mark.parametrize("address", ANYCAST_ADDRESSES)
def test_well_known_anycast_address_is_shipped(address: str) -> None:
    """Every root server, listed public resolver and designated anycast address is in a shipped prefix."""
    assert covers(address)


@pytest.mark.parametrize("address", OTHER_ADDRESSES)
def test_other_addresses_are_not_shipped(address: str) -> None:
    """A shipped prefix ends where its route ends."""
    assert not covers(address)


def test_designated_are_exactly_those_of_iana() -> None:
    """The signal `designated` is kept for prefixes that IANA or an RFC sets aside for anycast."""
    assert set(DESIGNATED) == {str(entry.network) for entry in shipped() if entry.signal == "designated"}


def test_shipped_entries_are_complete_and_distinct() -> None:
    """Each shipped entry names operator, evidence and a real date, no prefix twice, and a listed one is routable."""
    assert len(shipped()) == len({entry.network for entry in shipped()})
    for entry in shipped():
        assert entry.signal in {"designated", "listed"}
        assert entry.operator
        assert entry.evidence
        assert entry.source == "shipped"
        assert date.fromisoformat(entry.as_of).isoformat() == entry.as_of
        if entry.signal == "listed":
            assert entry.network.prefixlen == (24 if entry.network.version == 4 else 48)


def test_shipped_is_read_once() -> None:
    """Every caller gets the same tuple."""
    assert shipped() is shipped()


@pytest.mark.parametrize(("head", "line"), FORMS.values(), ids=FORMS)
@given(wanted=st.lists(networks, min_size=1, max_size=8, unique=True))
def test_a_list_written_in_any_form_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, head: str, line: str, wanted: list[Network]
) -> None:
    """Reading undoes writing, in every form that a list may have, in order and without a problem."""
    folder = tmp_path_factory.getbasetemp()
    lines = [
        line.format(network, bare=network.network_address if network.prefixlen == network.max_prefixlen else network)
        for network in wanted
    ]

    found, faults = read_list(written(folder, head + "\n".join(lines) + "\n"))

    assert faults == []
    assert wanted == [entry.network for entry in found]


def test_an_entry_carries_its_list_and_evidence(tmp_path: Path) -> None:
    """What an operator's list says of a prefix comes with the path of the list and the date in its comment."""
    path = written(tmp_path, f"# scanned 2026-10-31\n{LACES}1.1.1.0/24,67,1.1.1.0/24\n")

    assert [AnycastPrefix(IPv4Network("1.1.1.0/24"), "", "listed", "number_of_sites 67", str(path), "2026-10-31")] == read_list(
        path
    )[0]


@pytest.mark.parametrize(("asn", "operator"), [("13335", "AS13335"), ("AS42_43", "AS42 AS43"), ("", ""), ("-", "")])
def test_an_as_number_names_the_operator(tmp_path: Path, asn: str, operator: str) -> None:
    """A column ASN tells who announces a prefix, in the census's way of writing several."""
    assert [operator] == [entry.operator for entry in read_list(written(tmp_path, f"prefix,ASN\n1.1.1.0/24,{asn}\n"))[0]]


@pytest.mark.parametrize("keep_rest", [False, True])
@given(text=st.text(st.sampled_from('19.:/,\n"#-ae prefixASN_'), max_size=80))
def test_no_text_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, text: str, keep_rest: bool) -> None:
    """Any text is entries or problems: never an exception, never silence, and no entry beside an error."""
    found, faults = read_list(written(tmp_path_factory.getbasetemp(), text), keep_rest=keep_rest)

    assert bool(found) != any(fault.is_error for fault in faults)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.1.1.0/24\n", ""),
        ("# fetched 2026-10-31T04:00:00Z\n1.1.1.0/24\n", "2026-10-31"),
        ("1.1.1.0/24\n# 2026-10-31\n# 2026-11-01\n", "2026-10-31"),
        ("# 2026-13-01, 2026-02-03\n1.1.1.0/24\n", "2026-02-03"),
        ("# build 12026-10-311\n1.1.1.0/24\n", ""),
    ],
)
def test_the_date_is_the_first_one_in_a_comment(tmp_path: Path, text: str, expected: str) -> None:
    """A list is as old as its own comment says, and of no age if none does."""
    assert [expected] == [entry.as_of for entry in read_list(written(tmp_path, text))[0]]


def test_a_date_in_the_name_of_a_list_goes_before_one_in_a_comment(tmp_path: Path) -> None:
    """As it does with snapshots and egress maps: whoever fetched the list named it so."""
    path = tmp_path / "anycatch-v4-2026-11-02.txt"
    path.write_text("# 2026-10-31\n1.1.1.0/24\n")

    assert ["2026-11-02"] == [entry.as_of for entry in read(path)[0]]


def test_same_prefix_is_kept_once_and_overlaps_are_kept(tmp_path: Path) -> None:
    """Duplicates collapse onto the first; a prefix inside another stays."""
    assert kept(tmp_path, "1.1.0.0/16\n1.1.1.0/24\n1.1.0.0/16\n1.1.1.1\n1.1.1.1/32\n") == [
        "1.1.0.0/16",
        "1.1.1.0/24",
        "1.1.1.1/32",
    ]


@pytest.mark.parametrize(
    ("head", "cells", "trusted"),
    [
        (LACES, "1,1.1.1.0/24", False),
        (LACES, "2,1.1.1.0/24", True),
        ("", "1,-", False),
        ("", "2,-", True),
        ("prefix,number_of_sites\n", "3", False),
        ("prefix,number_of_sites\n", "4", True),
        (METHODS, "3,3,1,False,-,1,[]", False),
        (METHODS, "3,4,0,False,-,1,[]", True),
        (METHODS, "0,,2.0,False,-,1,[]", True),
        ("prefix,number_of_sites_gcd\n", "2", True),
        ("prefix,latency_sites\n", "1", False),
    ],
)
def test_entries_need_sites_enough(tmp_path: Path, head: str, cells: str, trusted: bool) -> None:
    """More than 3 sites by anycast probing or more than 1 by latency, as in the short form, make an entry believed."""
    text = f"{head}1.1.1.0/24,{cells}\n8.8.8.0/24,9,9,9,9,9,9,9\n" if head else f"1.1.1.0/24,{cells}\n8.8.8.0/24,9,-\n"

    found, faults = read_list(written(tmp_path, text))

    assert (["1.1.1.0/24"] if trusted else []) + ["8.8.8.0/24"] == [str(entry.network) for entry in found]
    assert ([] if trusted else [("1 entry left out: too few sites to be sure", Severity.WARNING)]) == [
        (fault.message, fault.severity) for fault in faults
    ]


@pytest.mark.parametrize(
    ("line", "message", "remedy"),
    [
        ("1.1.1.0/33", "'1.1.1.0/33' is no prefix", "192.0.2.0/24"),
        ("example.com", "'example.com' is no prefix", "192.0.2.0/24"),
        ("fe80::1%eth0/128", "is no prefix", "2001:db8::/32"),
        ("x" * 200_000, "x…' is no prefix", "2001:db8::/32"),
        ("1.1.1.1/24", "1.1.1.1/24 has bits set beyond its prefix length", "write 1.1.1.0/24"),
        ("2606:4700::1111/48", "2606:4700::1111/48 has bits set beyond its prefix length", "write 2606:4700::/48"),
        ("8.0.0.0/7", "8.0.0.0/7 is shorter than /8", "each by itself"),
        ("0.0.0.0/0", "0.0.0.0/0 is shorter than /8", "each by itself"),
        ("2000::/3", "2000::/3 is shorter than /16", "each by itself"),
        ("1.1.1.0/24,7", "'7' is no probed address", "header line"),
        ("1.1.1.0/24,many,-", "'many' in column number_of_sites is no number of sites", "whole number"),
        ("1.1.1.0/24,4,4,4", "4 columns and no header line to name them", "header line"),
    ],
)
def test_a_bad_line_is_named_with_its_remedy(tmp_path: Path, line: str, message: str, remedy: str) -> None:
    """A line that is no entry is an error at its file and line, and nothing is kept; or a warning where the rest is kept."""
    path = written(tmp_path, f"# list\n9.9.9.0/24\n{line}\n8.8.8.0/24\n")

    found, faults = read_list(path)
    rest, warnings = read_list(path, keep_rest=True)

    assert [] == found
    assert ["9.9.9.0/24", "8.8.8.0/24"] == [str(entry.network) for entry in rest]
    assert [replace(fault, severity=Severity.WARNING) for fault in faults] == warnings
    assert [(str(path), 3, True)] == [(fault.file, fault.line, fault.is_error) for fault in faults]
    assert message in faults[0].message
    assert remedy in faults[0].remedy


def test_a_line_shorter_than_its_header_is_an_error(tmp_path: Path) -> None:
    """A truncated line of a headed list is not read as another form."""
    assert [(fault.line, fault.message) for fault in problems(tmp_path, f"{LACES}1.1.1.0/24\n")] == [
        (2, "1 columns, the header line names more")
    ]


def test_every_bad_line_is_reported(tmp_path: Path) -> None:
    """A list with forty faults shows forty problems."""
    assert list(range(1, 41)) == [fault.line for fault in problems(tmp_path, "no prefix\n" * 40)]


def test_of_very_many_bad_lines_a_hundred_are_shown(tmp_path: Path) -> None:
    """A file of another kind shows a hundred problems and the number of the others."""
    found = problems(tmp_path, "no prefix\n" * 1234)

    assert 101 == len(found)
    assert ("1134 more lines are bad", True) == (found[-1].message, found[-1].is_error)


@pytest.mark.parametrize("text", ["", "\n\n", "# only words, 2026-10-31\n", LACES, "prefix\n", f"{LACES}1.1.1.0/24,1,-\n"])
def test_a_list_without_prefixes_is_an_error(tmp_path: Path, text: str) -> None:
    """An empty list is a failed download, not a planet without anycast."""
    assert [fault.message for fault in problems(tmp_path, text) if fault.is_error] == ["no anycast prefix in this list"]


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    """What cannot be read is one problem that names the path and the reason."""
    for path, reason in [(tmp_path / "absent.txt", "No such file or directory"), (tmp_path, "Is a directory")]:
        assert ([], [f"{path}: cannot be read: {reason}"]) == (
            read_list(path)[0],
            [str(fault).partition(" (")[0] for fault in read_list(path)[1]],
        )


def test_a_binary_file_is_an_error(tmp_path: Path) -> None:
    """A file that is not UTF-8 text is refused whole."""
    path = tmp_path / "list.gz"
    path.write_bytes(b"\x1f\x8b\x08\xff\xfe")

    assert [fault.message for fault in read_list(path)[1]] == ["is not a text file"]


def test_a_byte_order_mark_is_no_part_of_the_first_prefix(tmp_path: Path) -> None:
    """Lists saved by editors that write a byte order mark are read."""
    assert kept(tmp_path, "\ufeff1.1.1.0/24\n") == ["1.1.1.0/24"]


# --- snapshots --------------------------------------------------------------------------------------------------------


def snapshots(folder: Path, **texts: str) -> Path:
    """Files named by day, `d01` for anycatch-2026-11-01.txt; the pattern that names all of them."""
    for name, text in texts.items():
        (folder / f"anycatch-2026-11-{name[1:]}.txt").write_text(text)
    return folder / "anycatch-*.txt"


def test_a_prefix_counts_in_half_of_the_snapshots(tmp_path: Path) -> None:
    """Of four snapshots two are enough, one is not; evidence is the newest one's that has it."""
    pattern = snapshots(
        tmp_path,
        d01="1.1.1.0/24,1.1.1.1\n9.9.9.0/24,9.9.9.9\n",
        d02="1.1.1.0/24,1.1.1.2\n",
        d03="8.8.8.0/24,8.8.8.8\n",
        d04="8.8.8.0/24,8.8.8.9\n",
    )
    found, faults = read(pattern)

    assert [] == faults
    assert [
        AnycastPrefix(IPv4Network(network), "", "listed", f"in 2 of 4 snapshots: probed at {probed}", str(pattern), as_of)
        for network, probed, as_of in [("1.1.1.0/24", "1.1.1.2", "2026-11-02"), ("8.8.8.0/24", "8.8.8.9", "2026-11-04")]
    ] == found


@given(
    st.lists(
        st.lists(st.sampled_from([IPv4Network((n << 8, 24)) for n in range(65536 * 8, 65536 * 8 + 6)]), min_size=1, unique=True),
        min_size=1,
        max_size=7,
    )
)
def test_half_is_counted_exactly(tmp_path_factory: pytest.TempPathFactory, days: list[list[IPv4Network]]) -> None:
    """For any snapshots those prefixes are kept that at least half of them have, each once."""
    folder = tmp_path_factory.mktemp("days", numbered=True)
    pattern = snapshots(folder, **{f"d{day:02}": "\n".join(map(str, has)) for day, has in enumerate(days, start=1)})
    found, faults = read(pattern)

    every = {network for has in days for network in has}
    expected = {network for network in every if 2 * sum(network in has for has in days) >= len(days)}
    assert [] == faults
    assert sorted(expected) == sorted(entry.network for entry in found)


def test_families_side_by_side_are_counted_apart(tmp_path: Path) -> None:
    """A list of IPv6 among lists of IPv4 makes neither rarer."""
    pattern = snapshots(tmp_path, d01="1.1.1.0/24\n", d02="1.1.1.0/24\n", d03="8.8.8.0/24\n1.1.1.0/24\n", d04="2001:db8::/32\n")

    assert ["1.1.1.0/24", "2001:db8::/32"] == [str(entry.network) for entry in read(pattern)[0]]


@pytest.mark.parametrize("names", [("2026/11/01/v4.csv", "2026/11/02/v4.csv"), ("v4.20261101.csv", "v4.20261102.csv")])
def test_dates_are_read_from_paths(tmp_path: Path, names: tuple[str, str]) -> None:
    """A date may stand in the name of the file or in those of its directories."""
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1.1.1.0/24\n")
    found, faults = read(tmp_path / ("*/*/*/v4.csv" if "/" in names[0] else "v4.*.csv"))

    assert ([], ["2026-11-02"]) == (faults, [entry.as_of for entry in found])


def test_a_directory_is_its_files(tmp_path: Path) -> None:
    """A directory names all its files but hidden ones as snapshots."""
    snapshots(tmp_path, d01="1.1.1.0/24\n", d02="1.1.1.0/24\n")
    (tmp_path / ".part").write_text("half a downl")

    assert [("1.1.1.0/24", str(tmp_path))] == [(str(entry.network), entry.source) for entry in read(tmp_path)[0]]


def test_one_file_is_a_list_by_itself(tmp_path: Path) -> None:
    """What has no `*` and is no directory is read as a list."""
    path = written(tmp_path, "1.1.1.0/24\n")

    assert read_list(path) == read(path)


def test_a_snapshot_without_date_is_a_warning(tmp_path: Path) -> None:
    """It counts, but nobody knows which is the newest; a date in a comment is one too."""
    (tmp_path / "a.txt").write_text("# 2026-11-01\n1.1.1.0/24\n")
    (tmp_path / "b.txt").write_text("1.1.1.0/24\n")
    found, faults = read(tmp_path / "*.txt")

    assert [("1.1.1.0/24", "2026-11-01")] == [(str(entry.network), entry.as_of) for entry in found]
    assert [(str(tmp_path / "b.txt"), False)] == [(fault.file, fault.is_error) for fault in faults]


@pytest.mark.parametrize(
    ("day", "message"),
    [("1.1.1.0/24\nrubbish\n", "'rubbish' is no prefix"), ("", "no anycast prefix in this list")],
)
def test_one_bad_snapshot_refuses_all(tmp_path: Path, day: str, message: str) -> None:
    """A torn download among snapshots is an error of that file, and nothing is kept."""
    found, faults = read(snapshots(tmp_path, d01="1.1.1.0/24\n", d02=day))

    assert ([], [(str(tmp_path / "anycatch-2026-11-02.txt"), message)]) == (
        found,
        [(fault.file, fault.message) for fault in faults if fault.is_error],
    )


def test_no_snapshot_is_an_error(tmp_path: Path) -> None:
    """A pattern that means no file is a mistake, not a planet without anycast."""
    assert [(str(tmp_path / "*.txt"), True)] == [(fault.file, fault.is_error) for fault in read(tmp_path / "*.txt")[1]]
