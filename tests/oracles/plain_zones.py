"""Owns the zones that peers and we serve alike: plain master files; refuses to know who serves them and what comes out."""

from __future__ import annotations

_APEX = (
    "@ SOA ns1.example.com. hostmaster.example.com. 1 3600 600 86400 {minimum}\n@ NS ns1.example.com.\n@ NS ns2.example.net.\n"
)

EXAMPLE_COM = (
    """\
$ORIGIN example.com.
$TTL 3600
@ SOA ns1 hostmaster 7 3600 600 86400 300
@ NS ns1
@ NS ns2.example.net.
@ MX 10 mail
@ MX 20 mail.example.net.
@ MX 30 any.wild
@ A 192.0.2.1
@ TXT "apex" "of the zone"
@ CAA 0 issue "ca.example.net"
ns1 A 192.0.2.2
ns1 AAAA 2001:db8::2
mail A 192.0.2.3
mail AAAA 2001:db8::3
MiXeD 120 A 192.0.2.4
mixed 120 TXT "Case In Data"
ttl0 0 A 192.0.2.5
; wildcards
*.wild 60 A 192.0.2.6
*.wild 60 MX 5 mail
x.y.wild 60 TXT "below a wildcard: y.wild is an empty non-terminal"
*.cwild CNAME mail
*.dead CNAME nowhere
*.out CNAME www.example.org.
*.*.stars A 192.0.2.7
sub.*.stars TXT "a label * that is no wildcard"
*.nodata TXT "only TXT"
*.loopwild CNAME a.loopwild
; empty non-terminals
a.b.c.d A 192.0.2.8
; aliases
alias CNAME mail
alias2 CNAME alias
alias3 CNAME alias2
dangling CNAME nowhere
towild CNAME any.wild
toent CNAME b.c.d
tocut CNAME www.lab
tochild CNAME www.child
tonothing CNAME nothing.child
outside CNAME www.example.org.
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
tods CNAME lab
todname CNAME x.old
; DNAME
old DNAME new
old TXT "data beside a DNAME"
www.new A 192.0.2.9
deep.www.new A 192.0.2.10
away DNAME example.org.
"""
    + f"long DNAME {'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 54}\n"
    + """\
dloop DNAME x.dloop2
dloop2 DNAME y.dloop
; services
_sip._tcp SRV 0 1 5060 mail
_sip._tcp SRV 1 1 5060 alias
_none._tcp SRV 0 0 0 .
nullmx MX 0 .
svc HTTPS 1 . alpn=h2
svc A 192.0.2.11
svc2 HTTPS 1 svc alpn=h2
svc3 SVCB 0 svc
svc4 SVCB 1 svc5
svc5 SVCB 1 mail
*.svcwild HTTPS 1 . alpn=h2
*.svcwild A 192.0.2.12
unknown TYPE65400 \\# 4 c0000201
naptr NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!" .
naptr PTR mail
loc LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
ssh SSHFP 1 1 123456789abcdef67890123456789abcdef67890
tlsa TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
hinfo HINFO "PC" "Linux"
rp RP hostmaster mail
afs AFSDB 1 mail
kx KX 10 mail
; delegations
lab NS ns1.lab
lab NS ns2.lab
lab NS ns1
lab DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
ns1.lab A 192.0.2.20
ns1.lab AAAA 2001:db8::20
ns2.lab A 192.0.2.21
plain NS ns.example.org.
plain NS mail
sibling NS ns1.lab
under.cut NS ns.under.cut
ns.under.cut A 192.0.2.22
; delegated, and served here too
child NS ns.child
child DS 54321 13 2 fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210
ns.child 777 A 192.0.2.30
"""
)

CHILD = """\
$ORIGIN child.example.com.
$TTL 600
@ SOA ns hostmaster.example.com. 3 3600 600 86400 900
@ NS ns
ns A 192.0.2.30
www A 192.0.2.31
up CNAME mail.example.com.
@ MX 10 mail.example.com.
grand NS ns.grand
ns.grand A 192.0.2.32
"""

ORPHAN = """\
$ORIGIN orphan.test.
$TTL 600
@ SOA ns hostmaster 1 3600 600 86400 900
@ NS ns
ns A 192.0.2.33
"""

# RFC 4592 §2.2.1, the example zone; an address of host2 is added where the RFC's own prose leaves it out.
RFC4592 = """\
$ORIGIN example.
$TTL 3600
@ SOA ns.example.com. hostmaster.example.com. 1 3600 600 86400 3600
@ NS ns.example.com.
@ NS ns.example.net.
*.example. TXT "this is a wildcard"
*.example. MX 10 host1.example.
sub.*.example. TXT "this is not a wildcard"
host1.example. A 192.0.2.1
_ssh._tcp.host1.example. SRV 0 0 22 host1.example.
_ssh._tcp.host2.example. SRV 0 0 22 host1.example.
subdel.example. NS ns.example.com.
subdel.example. NS ns.example.net.
"""

ESCAPED = (
    "$ORIGIN esc.test.\n$TTL 60\n"
    + _APEX.format(minimum=0)
    + r"""
a\.b A 192.0.2.1
\000\255 A 192.0.2.2
sp\032ace A 192.0.2.3
quo\"te A 192.0.2.4
back\\slash A 192.0.2.5
\042 A 192.0.2.6
semi\;colon A 192.0.2.7
at\@dollar\$ CNAME a\.b
*.esc\.aped TXT "\000\255 \" \\ ;"
\(paren\) MX 1 a\.b
"""
    + f"{'l' * 63}.{'m' * 63}.{'n' * 63} A 192.0.2.8\n"
)

REVERSE = (
    "$ORIGIN 2.0.192.in-addr.arpa.\n$TTL 60\n"
    + _APEX.format(minimum=86400)
    + "1 PTR host.example.com.\n1 PTR other.example.com.\n0/25 NS ns.example.org.\n5 CNAME 5.0/25\n6 CNAME 6.128/25\n"
    "6.128/25 PTR six.example.com.\n"
)


def _many(owner: str, rdata: str, count: int) -> str:
    return "".join(f"{owner} {rdata.format(number)}\n" for number in range(count))


BIG = (
    "$ORIGIN big.test.\n$TTL 60\n"
    + _APEX.format(minimum=60)
    + _many("a20", "A 192.0.2.{}", 20)
    + _many("a50", "A 192.0.2.{}", 50)
    + _many("a200", "A 192.0.2.{}", 200)
    + _many("*.wild", "A 192.0.2.{}", 50)
    + _many("txt", 'TXT "{} ' + "x" * 240 + '"', 4)
    + _many("huge", 'TXT "{} ' + "x" * 240 + '"', 200)
    + _many("to50", "CNAME a50", 1)
    + _many("mx", "MX {} a20", 1)
    + _many("manymx", "MX {0} host{0}", 40)
    + "".join(f"host{number} AAAA 2001:db8::{number}\n" for number in range(40))
    + _many("deleg", "NS ns{}.deleg", 30)
    + "".join(f"ns{number}.deleg A 192.0.2.{number}\n" for number in range(30))
    + _many("wide", "NS a-rather-long-name-of-a-server-{}.example.org.", 40)
    + _many("opt", "NS ns{}.big2.test.", 3)
)

ROOT = """\
. 86400 SOA a.root. nobody.root. 1 1800 900 604800 86400
. 86400 NS a.root.
a.root. 86400 A 192.0.2.1
com. 172800 NS a.gtld.
com. 172800 NS b.gtld.
com. 86400 DS 1 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
a.gtld. 172800 A 192.0.2.2
gtld. 172800 NS a.gtld.
b.gtld. 172800 AAAA 2001:db8::2
*.wild. 60 TXT "under the root"
up. 60 CNAME a.root.
into. 60 CNAME www.served.
redirect. 60 DNAME wild.
served. 60 NS ns.served.
ns.served. 60 A 192.0.2.3
"""

SERVED = """\
$ORIGIN served.
$TTL 60
@ SOA ns hostmaster 1 1800 900 604800 30
@ NS ns
ns A 192.0.2.3
www A 192.0.2.4
"""

GROUPS: dict[str, dict[str, str]] = {
    "internet": {
        "example.com": EXAMPLE_COM,
        "child.example.com": CHILD,
        "orphan.test": ORPHAN,
        "example": RFC4592,
        "esc.test": ESCAPED,
        "2.0.192.in-addr.arpa": REVERSE,
        "big.test": BIG,
    },
    "root": {".": ROOT, "served": SERVED},
}
"""Zones that are served together: group → zone → master file."""
