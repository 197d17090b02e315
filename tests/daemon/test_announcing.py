"""A daemon, its gate and real routers: what the router on the other side has learnt, whatever happens to the daemon."""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from geodns.ops import announce
from geodns.ops.control import Control
from tests.support import daemons, routers
from tests.support.daemons import poll, sample
from tests.support.routers import Bird, Process, Yard

PREFIX, ADDRESS = "198.51.100.0/24", "198.51.100.53/32"
GSHUT = "(65535,0)"
PYTHON = (sys.executable, "-m", "geodns")
CONFIG = """\
[server]
listen = ["127.0.0.1:53", "198.51.100.53:53"]
identity = "ams1"
state = "state"
[admin]
listen = "unix:{directory}/admin.sock"
[[zones]]
name = "example.com"
file = "example.com.zone"
[[expect]]
name = "www.example.com"
client = "81.2.69.0/24"
answer = ["198.51.100.10"]
[pools.app]
steering = "failover"
[[pools.app.endpoints]]
name = "one"
addresses = ["192.0.2.80"]
[announce]
prefixes = ["198.51.100.0/24"]
interval = 0.2
timeout = 0.2
rise = 2
fall = 4
lease_max_age = 3.0
hold_down = 1.0
drain_soft = 1.5
drain_max = 2.0
adopt = 5.0
verify_interval = 1.0
router_timeout = 2.0
{announce}
"""
ZONE = """\
@    3600 IN SOA ns hostmaster 7 7200 900 1209600 300
@    3600 IN NS  ns
ns   3600 IN A   192.0.2.53
www  60   IN A   192.0.2.10
www  60   IN GEO continent:EU A 198.51.100.10
app  60   IN A   192.0.2.11
app  60   IN POOL app
"""
INCLUDE = 'method = "bird"\n[announce.bird]\nsocket = "{directory}/bird.ctl"\ninclude = "{directory}/announced.conf"\n'


@dataclass(slots=True)
class Instance:
    """A daemon in a yard, and the router on the other side."""

    yard: Yard
    peer: Bird
    daemon: Process

    @property
    def configuration(self) -> Path:
        """The configuration file of daemon and gate."""
        return self.yard.directory / "geodns.toml"

    def serve(self) -> None:
        """Start the daemon anew."""
        self.daemon = self.yard.start("daemon", (*PYTHON, "serve", str(self.configuration)))
        self.daemon.until_said("1 worker answers")

    def gate(self) -> Process:
        """Start a gate."""
        return self.yard.start("gate", (*PYTHON, "announce", "run", str(self.configuration)))

    def command(self, *words: str) -> tuple[int, str]:
        """A verb of the command line: its exit code and all that it says."""
        done = self.yard.run(*PYTHON, *words, "--config", str(self.configuration))
        return done.returncode, done.stdout + done.stderr

    def control(self) -> Control:
        """The door, as verbs use it."""
        return Control(f"unix:{self.yard.directory}/admin.sock")

    def status(self) -> dict[str, Any]:
        """What the gate tells, as `geodns announce status --json` prints it."""
        told = announce.status(self.yard.directory / "state")
        assert told
        return told


@contextmanager
def instance(announce: str, *, include: bool = False) -> Iterator[Instance]:
    """A daemon that is served, with a router that does not announce it yet; `include` makes that a BIRD."""
    with routers.yard() as yard:
        yard.address("add", ADDRESS)
        peer = routers.peer(yard)
        if include:
            routers.bird(yard, f'include "{yard.directory}/announced*.conf";')
        made = Instance(yard, peer, Process(peer.process.process, peer.process.log))
        (yard.directory / "example.com.zone").write_text(ZONE)
        made.configuration.write_text(CONFIG.format(directory=yard.directory, announce=announce.format(directory=yard.directory)))
        made.serve()
        yield made


@pytest.fixture
def announced() -> Iterator[Instance]:
    """A daemon whose prefix is announced by BIRD."""
    with instance(INCLUDE, include=True) as made:
        made.gate()
        made.peer.until(PREFIX, lacks=GSHUT)
        yield made


pytestmark = pytest.mark.slow


def test_a_daemon_that_hangs_or_dies_loses_its_route(announced: Instance) -> None:
    """SIGSTOP and SIGKILL of all its processes withdraw; that it answers again brings the route back."""
    announced.daemon.signal_all(signal.SIGSTOP)
    announced.peer.until_gone(PREFIX)
    announced.daemon.signal_all(signal.SIGCONT)
    announced.peer.until(PREFIX)

    announced.daemon.signal_all(signal.SIGKILL)
    announced.peer.until_gone(PREFIX)
    announced.serve()
    announced.peer.until(PREFIX)


def test_a_keeper_that_hangs_lets_the_lease_end(announced: Instance) -> None:
    """The workers answer right, and nobody can tell how the daemon is: that withdraws, too."""
    keeper = json.loads(announced.command("status", "--json")[1])["pid"]
    children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    workers = {str(each["pid"]) for each in json.loads(announced.command("status", "--json")[1])["workers"]}
    (pid,) = set(children) - workers
    announced.yard.run("kill", "-STOP", pid)
    announced.peer.until_gone(PREFIX)

    assert "has not renewed its lease" in announced.status()["lease"]["fault"]
    announced.yard.run("kill", "-CONT", pid)
    announced.peer.until(PREFIX)


def test_a_supervisor_that_hangs_withdraws_nothing_as_long_as_a_worker_answers(announced: Instance) -> None:
    """Clients are well where they are; that the last worker dies is noticed, for nobody replaces it."""
    learnt = routers.since(announced.peer.route(PREFIX))
    told = json.loads(announced.command("status", "--json")[1])
    announced.yard.run("kill", "-STOP", str(told["pid"]))
    poll("it is judged for longer than a lease counts", lambda: announced.status()["prefixes"][0]["good"] > 25)
    assert learnt == routers.since(announced.peer.route(PREFIX))

    for worker in told["workers"]:
        announced.yard.run("kill", "-KILL", str(worker["pid"]))
    announced.peer.until_gone(PREFIX)
    announced.yard.run("kill", "-CONT", str(told["pid"]))
    announced.peer.until(PREFIX)


def test_an_address_that_is_taken_away_withdraws(announced: Instance) -> None:
    """It is not asked, for then another instance might answer; the sentence tells what to do."""
    announced.yard.address("del", ADDRESS)
    announced.peer.until_gone(PREFIX)
    (told,) = announced.status()["prefixes"]

    assert "198.51.100.53 is not an address of this machine" in told["why"]
    announced.yard.address("add", ADDRESS)
    announced.peer.until(PREFIX)


def test_a_drain_leads_clients_away_and_stops(announced: Instance) -> None:
    """First the community, then no route, then no daemon; each step is told."""
    draining = announced.yard.start("drain", (*PYTHON, "drain", "-c", str(announced.configuration), "--reason", "kernel"))
    announced.peer.until(PREFIX, has=GSHUT)
    announced.peer.until_gone(PREFIX)

    assert (0, 0) == (draining.wait(20), announced.daemon.wait(20)), draining.said + announced.daemon.said
    assert ["draining", f"{PREFIX}: clients are asked to leave", "stopped"] == [
        line.partition(",")[0]
        for line in draining.said.splitlines()
        if line.startswith(("draining", PREFIX, "stopped")) and "being" not in line
    ]

    announced.serve()
    announced.daemon.until_said("1 worker answers")
    assert not announced.peer.route(PREFIX)
    assert 0 == announced.command("undrain")[0]
    announced.peer.until(PREFIX, lacks=GSHUT)


def test_a_drain_that_stays_can_be_taken_back(announced: Instance) -> None:
    """With --stay the daemon answers on."""
    code, said = announced.command("drain", "--stay")

    assert 0 == code, said
    assert not announced.peer.route(PREFIX)
    assert 0 == announced.command("undrain")[0]
    announced.peer.until(PREFIX, lacks=GSHUT)


def test_a_drain_stops_no_daemon_that_is_still_announced(announced: Instance) -> None:
    """The gate hangs: the verb fails with a remedy, the daemon answers on, and once the gate works again the drain goes on."""
    gate = announced.yard.processes[-1]
    gate.signal(signal.SIGSTOP)
    code, said = announced.command("drain")

    assert (1, True) == (code, "may still be announced, so the daemon goes on" in said), said
    assert "geodns announce withdraw" in said
    assert announced.peer.route(PREFIX)
    assert announced.daemon.process.poll() is None
    gate.signal(signal.SIGCONT)
    announced.peer.until_gone(PREFIX)
    assert 0 == announced.daemon.wait()


def test_a_stop_is_a_drain_and_a_second_one_is_not(announced: Instance) -> None:
    """SIGTERM withdraws in order, and is forgotten; the next SIGTERM ends at once."""
    announced.daemon.signal_all(signal.SIGCONT)
    announced.daemon.signal(signal.SIGTERM)
    announced.peer.until(PREFIX, has=GSHUT)
    announced.peer.until_gone(PREFIX)
    assert 0 == announced.daemon.wait(20), announced.daemon.said

    announced.serve()
    announced.peer.until(PREFIX, lacks=GSHUT)
    announced.daemon.signal(signal.SIGTERM)
    announced.peer.until(PREFIX, has=GSHUT)
    announced.daemon.signal(signal.SIGTERM)
    assert 0 == announced.daemon.wait(5)


def test_without_a_gate_a_stop_waits_for_nothing() -> None:
    """Nobody would be told."""
    with instance(INCLUDE, include=True) as made:
        made.daemon.signal(signal.SIGTERM)

        assert 0 == made.daemon.wait(5)
        assert "leaving" not in made.daemon.said


def test_a_gate_that_is_replaced_keeps_the_route(announced: Instance) -> None:
    """Killed, or reloaded: the route is never learnt anew. A second gate is refused, and SIGTERM withdraws."""
    first = announced.yard.processes[-1]
    learnt = routers.since(announced.peer.route(PREFIX))
    second = announced.gate()
    assert 1 == second.wait()
    assert f"another gate (process {first.process.pid}) is at work" in second.said

    first.signal(signal.SIGKILL)
    first.wait()
    third = announced.gate()
    third.until_said("INFO [ams1] the gate is at work")
    third.until_said("is announced already: that stays until the first judgement")
    poll("it has judged", lambda: announced.status()["prefixes"][0]["good"] > 3)
    third.signal(signal.SIGHUP)
    poll("it has begun anew", lambda: third.said.count("the gate is at work") == 2)
    poll("it has judged again", lambda: announced.status()["prefixes"][0]["good"] > 3)
    for _ in range(20):  # nor do many of them at once
        third.signal(signal.SIGHUP)
    poll("it has begun anew", lambda: third.said.count("the gate is at work") > 2)
    poll("it has judged again", lambda: announced.status()["prefixes"][0]["good"] > 3)
    config = announced.configuration.read_text()
    announced.configuration.write_text(config.replace('prefixes = ["198.51.100.0/24"]', 'prefixes = ["198.51.100.0/25"]', 1))
    third.signal(signal.SIGHUP)
    third.until_said("announce.prefixes: 198.51.100.0/24 is gone, and may be announced (restart the gate instead")
    announced.configuration.write_text(config)

    assert learnt == routers.since(announced.peer.route(PREFIX))
    third.signal(signal.SIGTERM)
    assert 0 == third.wait(), third.said
    assert not announced.peer.route(PREFIX)


def test_the_last_instance_is_held(announced: Instance) -> None:
    """With a sibling that does not answer a hang does not withdraw, and a drain is refused until it is insisted on."""
    config = announced.configuration.read_text()
    announced.configuration.write_text(config.replace("interval = 0.2\n", 'siblings = ["127.0.0.1:9"]\ninterval = 0.2\n', 1))
    gate = announced.yard.processes[-1]
    gate.signal(signal.SIGHUP)
    poll("the sibling is asked", lambda: bool(announced.status()["siblings"]))
    announced.daemon.signal_all(signal.SIGSTOP)
    gate.until_said("held: last instance, for none of 1 siblings answers; it would be withdrawn")
    assert announced.peer.route(PREFIX)
    announced.daemon.signal_all(signal.SIGCONT)
    poll("it is not held any more", lambda: not announced.status()["prefixes"][0]["held"])

    code, said = announced.command("drain", "--stay")
    assert 1 == code
    assert "this may be the last instance: none of its 1 siblings answers" in said
    assert 0 == announced.command("drain", "--stay", "--last")[0]
    assert not announced.peer.route(PREFIX)


def test_a_reload_keeps_the_route(announced: Instance) -> None:
    """Another serial, another answer that is expected: no judgement of the change withdraws, and later ones ask for the new."""
    learnt = routers.since(announced.peer.route(PREFIX))
    zone, config = announced.yard.directory / "example.com.zone", announced.configuration
    for serial in range(8, 14):
        zone.write_text(ZONE.replace(" 7 7200", f" {serial} 7200").replace("198.51.100.10", f"198.51.100.{serial}"))
        config.write_text(
            config.read_text().replace(f'"198.51.100.{serial - 1 if serial > 8 else 10}"', f'"198.51.100.{serial}"')
        )
        with announced.control() as control:
            assert control.reload()["accepted"]
    poll("it is judged right", lambda: announced.status()["prefixes"][0]["good"] > 5)

    assert (learnt, 1) == (routers.since(announced.peer.route(PREFIX)), announced.status()["prefixes"][0]["transitions"])


def test_a_router_that_refuses_its_configuration_can_be_told_to_withdraw(announced: Instance) -> None:
    """Somebody has broken bird.conf, and then the daemon dies: the route goes all the same, and comes back once both are well."""
    file = announced.yard.directory / "bird.conf"
    config = file.read_text()
    file.write_text("protocol nonsense\n" + config)
    announced.daemon.signal_all(signal.SIGKILL)
    announced.peer.until_gone(PREFIX)
    gate = announced.yard.processes[-1]
    gate.until_said("all the same it is withdrawn, for its protocol is disabled")
    told = announced.status()
    assert ("withdrawn", True) == (told["prefixes"][0]["announced"], told["router"]["settled"])

    announced.serve()
    poll("BIRD is in the way", lambda: "BIRD refuses its configuration" in announced.status()["router"]["trouble"])
    assert not announced.peer.route(PREFIX)
    file.write_text(config)
    announced.peer.until(PREFIX)


def test_a_router_that_restarts_is_looked_at_again(announced: Instance) -> None:
    """Meanwhile nobody knows what it announces; then it has what it was told, and no trouble is left."""
    bird = next(each for each in announced.yard.processes if each.log.name == "bird.log")
    bird.signal(signal.SIGKILL)
    bird.wait()
    poll("the trouble is told", lambda: "BIRD cannot be reached" in announced.status()["router"]["trouble"])
    assert not announced.status()["router"]["settled"]

    (announced.yard.directory / "bird.ctl").unlink()
    routers.bird(announced.yard, f'include "{announced.yard.directory}/announced*.conf";')
    announced.peer.until(PREFIX)
    poll("all is well", lambda: announced.status()["router"]["settled"], 40)
    assert "" == announced.status()["router"]["trouble"]


def test_nobody_to_announce_to_is_told(announced: Instance) -> None:
    """BIRD has the route, and its only neighbour is gone: the status says so, and nothing is withdrawn for it."""
    poll(
        "the peer is known",
        lambda: announced.status()["router"]["peers"] == {"established": 1, "down": 0, "first_down": []},
    )
    announced.peer.process.signal(signal.SIGKILL)

    def is_alone() -> bool:
        return "NONE of 1 established; not far (" in announced.command("announce", "status")[1]

    poll("nobody is left", is_alone, 30)
    told = announced.status()
    assert ("announced", "announced", True) == (
        told["prefixes"][0]["wanted"],
        told["prefixes"][0]["announced"],
        told["router"]["settled"],
    )


def test_after_a_hung_gate_a_broken_configuration_leaves_no_route(announced: Instance) -> None:
    """The gate is killed, and nobody can read the file: what systemd runs then withdraws as that gate would have."""
    announced.yard.processes[-1].signal(signal.SIGKILL)
    announced.yard.processes[-1].wait()
    poll("it has not judged for long", lambda: announced.status()["age"] > 5.0)
    announced.configuration.write_text('[server]\nlisten = 53\nstate = "state"\n[announce]\nmethod = "bird"\n')
    command = (*PYTHON, "announce", "withdraw", "--after-stop", "--config", str(announced.configuration))
    done = announced.yard.run("env", "SERVICE_RESULT=watchdog", *command)

    assert (0, True) == (done.returncode, "as the last gate did, for" in done.stdout), done.stdout + done.stderr
    announced.peer.until_gone(PREFIX)


def test_what_the_configuration_no_longer_has_is_withdrawn() -> None:
    """The gate is killed, and the next one has another prefix, and then another way: neither leaves a route of the one before."""
    wide = "198.51.100.0/23"
    how = 'method = "bird"\n[announce.bird]\nsocket = "{directory}/bird.ctl"\nprotocols = {{ "198.51.100.0/24" = "narrow" }}\n'
    protocol = "protocol static {} {{ disabled; ipv4; route {} blackhole; }}\n"
    with instance(how) as made:
        routers.bird(made.yard, protocol.format("narrow", PREFIX) + protocol.format("wide", wide))
        gate, config = made.gate(), made.configuration
        made.peer.until(PREFIX)

        gate.signal(signal.SIGKILL)
        gate.wait()
        config.write_text(config.read_text().replace(f'"{PREFIX}"', f'"{wide}"').replace('"narrow"', '"wide"'))
        gate = made.gate()
        made.peer.until_gone(PREFIX)
        made.peer.until(wide)

        gate.signal(signal.SIGKILL)
        gate.wait()
        other = 'method = "exec"\n[announce.exec]\ncommand = ["true"]\n'
        config.write_text(config.read_text().partition('method = "bird"')[0] + other)
        made.gate()
        made.peer.until_gone(wide)


def test_a_second_daemon_does_not_get_the_lease(announced: Instance) -> None:
    """It says who has it, is not announced, and takes nothing from the first."""
    config = announced.configuration.read_text()
    other = announced.yard.directory / "other.toml"
    other.write_text(config.replace(":53", ":54").replace("admin.sock", "other.sock").replace('"ams1"', '"ams2"'))
    second = announced.yard.start("second", (*PYTHON, "serve", str(other)))
    second.until_said("holds the lease in")

    assert (
        f"another daemon (process {json.loads(announced.command('status', '--json')[1])['pid']}) holds"
        not in announced.daemon.said
    )
    assert "announces nothing for this daemon" in second.said
    assert announced.daemon.process.pid == announced.status()["lease"]["pid"]
    assert announced.peer.route(PREFIX)


def test_a_router_that_hangs_holds_no_judgement_up(announced: Instance) -> None:
    """BIRD stopped: the gate says so, and goes on judging; once it runs, it hears the last word."""
    bird = next(each for each in announced.yard.processes if each.log.name == "bird.log")
    bird.signal_all(signal.SIGSTOP)
    announced.daemon.signal_all(signal.SIGSTOP)
    poll("the trouble is told", lambda: "has not answered" in announced.status()["router"]["trouble"])
    poll("it is judged all the same", lambda: announced.status()["prefixes"][0]["wanted"] == "withdrawn")
    told = announced.status()

    assert "announced" == told["prefixes"][0]["announced"]
    assert told["age"] < 2.0
    bird.signal_all(signal.SIGCONT)
    announced.peer.until_gone(PREFIX)
    announced.daemon.signal_all(signal.SIGCONT)
    announced.peer.until(PREFIX)


def test_a_pool_that_must_be_up_withdraws() -> None:
    """With `require_pools` the operator's word that all of it is down takes the prefix away."""
    with instance('require_pools = ["app"]\n' + INCLUDE, include=True) as made:
        made.gate()
        made.peer.until(PREFIX)
        assert 0 == made.command("pool", "set", "app", "down", "--reason", "test")[0]
        made.peer.until_gone(PREFIX)
        assert "pool app is wholly down" in made.status()["prefixes"][0]["why"]
        assert 0 == made.command("pool", "set", "app", "auto")[0]
        made.peer.until(PREFIX)


def test_a_pool_whose_answer_changes_is_no_wrong_answer(announced: Instance) -> None:
    """An expectation on the name of a pool of which one endpoint fails, or all, takes nothing away, not for a moment."""
    learnt = routers.since(announced.peer.route(PREFIX))
    config = announced.configuration.read_text()
    second = '[[pools.app.endpoints]]\nname = "two"\naddresses = ["192.0.2.81"]\n'
    expectation = '[[expect]]\nname = "app.example.com"\nclient = "192.0.2.9"\nanswer = ["192.0.2.80"]\n'
    config = config.replace("[pools.app]\n", f'{expectation}[pools.app]\nwhen_all_down = "fallback"\n', 1)
    announced.configuration.write_text(config.replace("[announce]\n", f"{second}[announce]\n", 1))
    code, said = announced.command("reload")
    assert 0 == code, said
    poll("it is asked for", lambda: announced.status()["prefixes"][0]["good"] > 3)
    for _ in range(3):
        for what, word in (("app/one", "down"), ("app", "down"), ("app", "auto")):
            with announced.control() as control:
                control.override(what, word, reason="test")
            before = announced.status()["prefixes"][0]["good"]
            poll("it is judged", lambda: announced.status()["prefixes"][0]["good"] > before + 1)  # noqa: B023 (called at once)

    assert (learnt, 1) == (routers.since(announced.peer.route(PREFIX)), announced.status()["prefixes"][0]["transitions"])


def test_prefixes_of_both_families_have_a_course_each() -> None:
    """An IPv6 prefix is announced, drained and withdrawn as an IPv4 one is; an address that is gone takes its own along."""
    prefix, address = "2001:db8:53::/48", "2001:db8:53::53/128"
    with instance(INCLUDE, include=True) as made:
        made.yard.address("add", address)
        config = made.configuration.read_text()
        both = config.replace('"198.51.100.53:53"]', '"198.51.100.53:53", "[2001:db8:53::53]:53"]', 1)
        made.configuration.write_text(
            both.replace('prefixes = ["198.51.100.0/24"]', f'prefixes = ["198.51.100.0/24", "{prefix}"]', 1)
        )
        code, said = made.command("reload")
        assert 0 == code, said
        made.gate()
        made.peer.until(PREFIX, lacks=GSHUT)
        made.peer.until(prefix, lacks=GSHUT)

        made.yard.address("del", address)
        made.peer.until_gone(prefix)
        assert made.peer.route(PREFIX)
        made.yard.address("add", address)
        made.peer.until(prefix, lacks=GSHUT)

        made.daemon.signal(signal.SIGTERM)
        made.peer.until(prefix, has=GSHUT)
        made.peer.until_gone(prefix)
        assert 0 == made.daemon.wait()


def test_protocols_of_bird_are_switched() -> None:
    """Without an include a static protocol of the operator's is on and off."""
    protocol = "protocol static anycast4 { disabled; ipv4; route 198.51.100.0/24 blackhole; }"
    how = 'method = "bird"\n[announce.bird]\nsocket = "{directory}/bird.ctl"\nprotocols = {{ "198.51.100.0/24" = "anycast4" }}\n'
    with instance(how) as made:
        router = routers.bird(made.yard, protocol)
        made.gate()
        made.peer.until(PREFIX)
        router.ask("disable anycast4")
        made.peer.until_gone(PREFIX)
        made.peer.until(PREFIX)
        poll("the drift is told", lambda: made.status()["router"]["drifts"] >= 1)
        assert 0 == made.command("drain", "--stay")[0]
        assert not made.peer.route(PREFIX)


def test_frr_is_told_by_vtysh() -> None:
    """Announced, drained with the route map's community, withdrawn; what somebody takes out comes back."""
    how = 'method = "frr"\n[announce.frr]\nvtysh = "{directory}/vtysh"\nasn = 64500\ndrain_route_map = "drain"\n'
    with instance(how) as made:
        vtysh = str(routers.frr(made.yard))
        made.gate()
        made.peer.until(PREFIX, lacks=GSHUT)
        family = ("-c", "configure terminal", "-c", "router bgp 64500", "-c", "address-family ipv4 unicast")
        made.yard.run(vtysh, *family, "-c", f"no network {PREFIX}")
        poll("the drift is seen", lambda: made.status()["router"]["drifts"] >= 1)
        made.peer.until(PREFIX, lacks=GSHUT)
        poll("the peer is known", lambda: (made.status()["router"]["peers"] or {}).get("established") == 1)
        draining = made.yard.start("drain", (*PYTHON, "drain", "-c", str(made.configuration)))
        made.peer.until(PREFIX, has=GSHUT)
        made.peer.until_gone(PREFIX)

        assert 0 == draining.wait(20), draining.said


def test_exabgp_runs_the_gate() -> None:
    """Announced, withdrawn while the daemon hangs, drained with the community; the gate ends with ExaBGP."""
    with instance('method = "exabgp"\n') as made:
        router = routers.exabgp(made.yard, f"{' '.join(PYTHON)} announce run {made.configuration}")
        made.peer.until(PREFIX, lacks=GSHUT)
        made.daemon.signal_all(signal.SIGSTOP)
        made.peer.until_gone(PREFIX)
        made.daemon.signal_all(signal.SIGCONT)
        made.peer.until(PREFIX)
        poll("the peer is known", lambda: (made.status()["router"]["peers"] or {}).get("established") == 1)
        draining = made.yard.start("drain", (*PYTHON, "drain", "-c", str(made.configuration)))
        made.peer.until(PREFIX, has=GSHUT)
        made.peer.until_gone(PREFIX)
        assert 0 == draining.wait(20), draining.said
        router.signal(signal.SIGTERM)
        router.wait()
        poll("the gate has ended", lambda: not made.status()["alive"])


LOOPBACK = """\
[server]
listen = ["127.0.0.1:$port", "127.53.53.53:$port"]
state = "state"
[admin]
listen = "127.0.0.1:$admin"
[[zones]]
name = "example.com"
file = "example.com.zone"
[announce]
method = "exec"
prefixes = ["127.53.53.0/24"]
interval = 0.2
timeout = 0.2
[announce.exec]
command = ["true"]
show = ["echo", "peer up1 established\\npeer up2 idle"]
"""


def test_a_lease_that_counts_for_a_second_is_renewed_within_it(tmp_path: Path) -> None:
    """The shortest `lease_max_age` is no trap: several renewals fit into it."""
    zone = "\n".join(line for line in ZONE.splitlines() if "POOL" not in line) + "\n"
    config = LOOPBACK.replace("timeout = 0.2\n", "timeout = 0.2\nlease_max_age = 1.0\n")
    renewed: set[float] = set()
    with daemons.geodns(tmp_path, config, {"example.com.zone": zone}) as server:
        lease = server.site.configuration.parent / "state" / "announce.lease"

        def is_renewed() -> bool:
            renewed.update([json.loads(lease.read_text())["renewed"]] if lease.exists() else [])
            return len(renewed) > 8

        poll("it is renewed", is_renewed)

    assert statistics.median(later - before for before, later in pairwise(sorted(renewed))) < 0.5


def test_metrics_and_status_tell_what_is_announced(tmp_path: Path) -> None:
    """Without a gate that there is none; with one its prefixes, checks and router, and the lease that is held."""
    zone = "\n".join(line for line in ZONE.splitlines() if "POOL" not in line) + "\n"
    with daemons.geodns(tmp_path, LOOPBACK, {"example.com.zone": zone}) as server:
        assert 0 == server.metrics()[sample("geodns_announce_gate_up")]
        assert server.told("/api/v1/status")["announce"]["gate"] is None
        gate = subprocess.Popen((*PYTHON, "announce", "run", str(server.site.configuration)), stderr=subprocess.DEVNULL)
        try:
            announced = sample("geodns_announce_state", prefix="127.53.53.0/24", state="announced")
            poll("it is announced", lambda: server.metrics().get(announced) == 1)
            poll("its peers are known", lambda: sample("geodns_announce_peers", state="down") in server.metrics())
            found = server.metrics()
            told = server.told("/api/v1/status")["announce"]
        finally:
            gate.terminate()
            assert 0 == gate.wait(10)
        poll("the gate is gone", lambda: server.metrics()[sample("geodns_announce_gate_up")] == 0)

    checks = {f"127.0.0.1:{server.site.port}", f"127.53.53.53:{server.site.port}"}
    assert [1, 1, 0, 0] == [
        found[sample(f"geodns_announce_{name}")]
        for name in ("lease_held", "router_settled", "drift_total", "router_failures_total")
    ]
    assert [1, 1] == [found[sample("geodns_announce_peers", state=state)] for state in ("established", "down")]
    assert {1} == {found[sample("geodns_announce_selfcheck_up", target=target)] for target in checks}
    assert ("exec", "", None) == (told["method"], told["lease"], told["departure"])
    assert checks == {each["target"] for each in told["gate"]["checks"]}
