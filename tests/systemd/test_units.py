"""Owns what is promised of the units: what systemd says about them, and what a real one does with them where one starts."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from geodns.ops import config as configuration
from tests.support.daemons import REPOSITORY, STOP, Endpoint, Site, Unreached, need, poll

UNITS = REPOSITORY / "systemd"
SYSTEM, USER, SOCKET = UNITS / "geodns.service", UNITS / "user" / "geodns.service", UNITS / "geodns.socket"
GATE = UNITS / "geodns-announce.service"
DROP_INS = UNITS / "drop-ins"
INSTALLED = {SYSTEM: "/opt/geodns/bin/geodns", GATE: "/opt/geodns/bin/geodns", USER: "%h/.local/share/geodns/bin/geodns"}
"""Where a unit looks for the program, which need not be installed where tests run."""
PROGRAM = str(Path(sys.executable).with_name("geodns"))


def _copy(unit: Path, directory: Path, *drop_ins: Path) -> Path:
    """A unit that starts the program under test, in a directory of its own, with drop-ins."""
    directory.mkdir(parents=True, exist_ok=True)
    made = directory / unit.name
    made.write_text(unit.read_text().replace(INSTALLED[unit], PROGRAM))
    for drop_in in drop_ins:
        (directory / f"{unit.name}.d").mkdir(exist_ok=True)
        shutil.copy(drop_in, directory / f"{unit.name}.d")
    return made


def _analyze(*arguments: str, **environment: str) -> tuple[int, str]:
    command = [need("systemd-analyze", "systemd"), *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=os.environ | environment)
    return told.returncode, told.stdout + told.stderr


def _settings(unit: Path) -> list[tuple[str, str, bool]]:
    """Name, value, and whether the line above is a comment, of each setting of a unit."""
    lines = unit.read_text().splitlines()
    pairs = [(before, line.partition("=")) for before, line in zip(["", *lines], lines, strict=False)]
    return [(name, value, before.startswith("#")) for before, (name, equals, value) in pairs if equals and name[0] != "#"]


# --- what systemd says ------------------------------------------------------------------------------------------------


def test_systemd_finds_nothing_wrong_with_the_system_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` is silent about service and socket."""
    shutil.copy(SOCKET, tmp_path)

    assert (0, "") == _analyze("verify", str(_copy(SYSTEM, tmp_path)), str(tmp_path / SOCKET.name))


def test_systemd_finds_nothing_wrong_with_socket_activation(tmp_path: Path) -> None:
    """`systemd-analyze verify` is silent about the service with the drop-in for sockets."""
    shutil.copy(SOCKET, tmp_path)

    assert (0, "") == _analyze("verify", str(_copy(SYSTEM, tmp_path, DROP_INS / "socket-activation.conf")))


def test_systemd_finds_nothing_wrong_with_the_user_unit(tmp_path: Path) -> None:
    """`systemd-analyze --user verify` is silent about the unit for ordinary users."""
    assert (0, "") == _analyze("--user", "verify", str(_copy(USER, tmp_path)), XDG_RUNTIME_DIR=str(tmp_path))


def test_systemd_finds_nothing_wrong_with_the_gate(tmp_path: Path) -> None:
    """`systemd-analyze verify` is silent about the unit of the announce gate, and with the drop-ins of its routers."""
    drop_ins = (DROP_INS / "announce-bird.conf", DROP_INS / "announce-frr.conf")

    assert (0, "") == _analyze("verify", str(_copy(GATE, tmp_path)))
    assert (0, "") == _analyze("verify", str(_copy(GATE, tmp_path / "grouped", *drop_ins)))


def test_the_exposure_of_the_gate_is_less_than_that_of_the_daemon(tmp_path: Path) -> None:
    """It needs no right at all: `systemd-analyze security` rates it 1.5 ("OK") or better."""
    code, said = _analyze(
        "security", "--offline=true", "--threshold=15", str(_copy(GATE, tmp_path)), SYSTEMD_UNIT_PATH=f"{tmp_path}:"
    )

    assert 0 == code, said


def test_the_gate_is_confined_as_the_daemon_is() -> None:
    """What the unit of the gate confines, it confines as that of the daemon does, but for the rights, of which it has none."""
    own = {"RuntimeDirectory", "RuntimeDirectoryPreserve", "AmbientCapabilities", "CapabilityBoundingSet"}
    daemon, gate = ({(name, value) for name, value, _ in _settings(unit)[_begin(unit) :]} for unit in (SYSTEM, GATE))

    assert set() == {setting for setting in gate - daemon if setting[0] not in own}
    assert {"LoadCredential", *own} >= {name for name, _ in daemon - gate}


def _begin(unit: Path) -> int:
    return [name for name, _, _ in _settings(unit)].index("User")


@pytest.mark.parametrize("drop_ins", [(), (DROP_INS / "socket-activation.conf",)], ids=["alone", "with sockets"])
def test_its_exposure_is_ok(drop_ins: tuple[Path, ...], tmp_path: Path) -> None:
    """`systemd-analyze security` rates the service 2.0 ("OK") or better."""
    unit = _copy(SYSTEM, tmp_path, *drop_ins)
    code, said = _analyze("security", "--offline=true", "--threshold=20", str(unit), SYSTEMD_UNIT_PATH=f"{tmp_path}:")
    found = re.search(r"Overall exposure level for geodns\.service: ([\d.]+)", said)

    assert found, said
    assert float(found[1]) <= 2.0, said
    assert 0 == code


@pytest.mark.parametrize("unit", [SYSTEM, GATE], ids=["daemon", "gate"])
def test_each_line_of_hardening_has_its_reason(unit: Path) -> None:
    """Every setting of the system's units that confines the service has a comment right above it, or continues one that has."""
    settings = _settings(unit)
    first = [name for name, _, _ in settings].index("User")
    seen: set[str] = set()
    bare = []
    for name, _, commented in settings[first:-1]:
        if not commented and name not in seen:
            bare.append(name)
        seen.add(name)

    assert [] == bare


def test_the_user_is_made_as_the_units_name_it(tmp_path: Path) -> None:
    """systemd-sysusers makes the user that both units run as, and its group."""
    if shutil.which("systemd-sysusers") is None or os.geteuid() != 0:
        pytest.skip("systemd-sysusers is not here (Debian package systemd), or not root")
    (tmp_path / "etc").mkdir()
    done = subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", "-"],
        input=(UNITS / "geodns.sysusers.conf").read_bytes(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    named = {value for unit in (SYSTEM, GATE) for name, value, _ in _settings(unit) if name == "User"}

    assert 0 == done.returncode, done.stderr
    assert {"geodns"} == named
    assert re.search("^geodns:.*:/var/lib/geodns:", (tmp_path / "etc/passwd").read_text(), re.MULTILINE)
    assert re.search("^geodns:", (tmp_path / "etc/group").read_text(), re.MULTILINE)


def test_users_have_the_same_filters_as_the_system() -> None:
    """What the user's unit confines, it confines as the system's unit does."""
    system = {(name, value) for name, value, _ in _settings(SYSTEM)}
    kept = {"ExecStart", "ExecReload", "WantedBy", "Documentation"}

    assert set() == {(name, value) for name, value, _ in _settings(USER) if name not in kept} - system


def test_the_drop_in_for_newer_systemd_leaves_the_reload_to_it() -> None:
    """With Type=notify-reload systemd sends the signal: a command beside it would reload twice."""
    settings = [(name, value) for name, value, _ in _settings(DROP_INS / "notify-reload.conf")]

    assert [("Type", "notify-reload"), ("ExecReload", "")] == settings


# --- the installer ----------------------------------------------------------------------------------------------------

PLACED = {
    "etc/geodns/geodns.toml",
    "etc/systemd/system/geodns.service",
    "etc/systemd/system/geodns.socket",
    "etc/systemd/system/geodns-announce.service",
    "etc/sysusers.d/geodns.conf",
    "opt/geodns/share/doc/geodns/operations.md",
    "opt/geodns/share/doc/geodns/page.png",
    "opt/geodns/share/geodns/drop-ins/notify-reload.conf",
    "opt/geodns/share/geodns/grafana/geodns.json",
    "opt/geodns/share/geodns/prometheus/geodns.alerts.yml",
    "usr/local/bin/geodns",
}


def _install(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installer for a package in this directory, as somebody who keeps files to themselves."""
    return subprocess.run(
        ["sh", str(UNITS / "install.sh"), *arguments],
        env={"PATH": os.defpath, "DESTDIR": str(directory), **environment},
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,
        timeout=60,
    )


def _files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir() or path.is_symlink()}


def test_the_installer_places_everything_for_everybody_to_read(tmp_path: Path) -> None:
    """Program's link, units, configuration, rules and documentation are placed, readable for the service whatever the umask."""
    told = _install(tmp_path)
    closed = {path for path in tmp_path.rglob("*") if not path.is_symlink() and not path.stat().st_mode & 0o004}

    assert 0 == told.returncode, told.stderr
    assert PLACED <= _files(tmp_path)
    assert "/opt/geodns/bin/geodns" == str((tmp_path / "usr/local/bin/geodns").readlink())
    assert set() == closed


def test_the_installer_leaves_a_configuration_alone(tmp_path: Path) -> None:
    """A second run replaces the units, and not one octet of the configuration."""
    _install(tmp_path)
    config, unit = tmp_path / "etc/geodns/geodns.toml", tmp_path / "etc/systemd/system/geodns.service"
    config.write_text("mine")
    unit.write_text("old")
    told = _install(tmp_path)

    assert 0 == told.returncode, told.stderr
    assert ("mine", SYSTEM.read_text()) == (config.read_text(), unit.read_text())


def test_the_installer_gives_users_a_state_of_their_own(tmp_path: Path) -> None:
    """With --user all is below the home, and the configuration can be read and names a state directory there."""
    told = _install(tmp_path, "--user", HOME="/home/somebody")
    home = tmp_path / "home/somebody"
    loaded = configuration.load(home / ".config/geodns/geodns.toml")

    assert 0 == told.returncode, told.stderr
    assert "/home/somebody/.local/state/geodns" == loaded.server.state
    assert USER.read_text() == (home / ".config/systemd/user/geodns.service").read_text()
    assert all(name.startswith("home/somebody/") for name in _files(tmp_path))


REFUSED = {
    "an option that is none": (("--help",), {}, "'--help' is no option: there is only --user"),
    "no Python": ((), {"DESTDIR": "", "PYTHON": "/bin/false"}, "is no Python 3.11 or later: set PYTHON"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_installer_refuses_before_it_changes_anything(case: str, tmp_path: Path) -> None:
    """What cannot be done ends with a remedy."""
    arguments, environment, expected = REFUSED[case]
    told = _install(tmp_path, *arguments, **{"HOME": str(tmp_path), **environment})

    assert 1 == told.returncode
    assert expected in told.stderr or "only root may write" in told.stderr
    assert set() == _files(tmp_path)


# --- what systemd does ------------------------------------------------------------------------------------------------

BOOT = """\
mount -t tmpfs none /run && mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR" && chmod 700 "$XDG_RUNTIME_DIR"
nowhere=/run/systemd/inaccessible  # behind these is hidden what a service may not see; a boot makes them
mkdir -p $nowhere/dir && touch $nowhere/reg && mkfifo $nowhere/fifo && mknod $nowhere/chr c 0 0 && mknod $nowhere/blk b 0 0
/lib/systemd/systemd --user --log-target=console </dev/null >"$HOME/systemd.log" 2>&1 &
for _ in $(seq 200); do systemctl --user is-system-running >/dev/null 2>&1 && break; sleep 0.05; done
systemctl --user is-system-running
"""
"""A systemd for units of the user, in namespaces of its own: it sees no process and no /run but what it makes."""

HASTY = "[Service]\nTimeoutStartSec=30\nWatchdogSec=4\nRestartSec=0\n"
CONFIG = """\
[server]
listen = ["127.0.0.1:$port"]
state = "state"
workers = 2
[admin]
listen = "127.0.0.1:$admin"
[[zones]]
name = "example.com"
file = "example.com.zone"
"""
ZONE = "$TTL 60\n@ SOA ns hostmaster 1 1h 15m 2w 5m\n@ NS ns\nns A 192.0.2.53\nwww A 192.0.2.1\n"


@dataclass(slots=True)
class Systemd:
    """A shell beside a running systemd, and the site that its geodns.service serves."""

    shell: subprocess.Popen[str]
    output: Path
    site: Site

    def run(self, command: str, seconds: float = 60) -> tuple[int, str]:
        """The exit code of a command and what it said."""
        since = len(self.output.read_text())
        assert self.shell.stdin
        self.shell.stdin.write(f'{command}\necho "=== $?"\n')
        self.shell.stdin.flush()
        poll(f"`{command}` ends:\n{self.log}", lambda: "=== " in self.output.read_text()[since:], seconds)
        said, _, code = self.output.read_text()[since:].rpartition("=== ")
        return int(code), said.strip()

    def do(self, verb: str) -> tuple[int, str]:
        """`systemctl VERB geodns`."""
        return self.run(f"systemctl --user {verb} geodns")

    def shown(self, name: str) -> str:
        """A property of the service."""
        return self.run(f"systemctl --user show --value --property={name} geodns")[1]

    @property
    def endpoint(self) -> Endpoint:
        """Where the service answers."""
        return Endpoint("127.0.0.1", self.site.port)

    @property
    def log(self) -> str:
        """What systemd has said."""
        file = self.output.parent / "systemd.log"
        return file.read_text(errors="replace")[-4000:] if file.exists() else ""

    def serial(self) -> str:
        """That of the zone as it is served."""
        return self.run(f"dig @127.0.0.1 -p {self.site.port} example.com SOA +short")[1].split()[2]


FOR_SYSTEM = """\
[Service]
# A manager for users makes no users, and here the interpreter may be in a home, and the configuration in a private /tmp.
User=
ProtectHome=no
ReadOnlyPaths=
BindPaths={directory}
BindReadOnlyPaths={interpreter} {repository}
"""


@pytest.fixture(params=[USER, SYSTEM], ids=["user unit", "system unit"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    """With either unit. Skipped where this user may not make namespaces, or systemd does not start in them."""
    need("dig", "bind9-dnsutils")
    if not Path("/lib/systemd/systemd").exists() or os.geteuid() != 0:
        pytest.skip("no systemd (Debian package systemd), or no right to start it in namespaces of its own")
    site = Site(tmp_path / ".config/geodns")
    site.write({"geodns.toml": CONFIG, "example.com.zone": ZONE})
    units = tmp_path / ".config/systemd/user"
    made_unit = _copy(request.param, units)
    made_unit.write_text(made_unit.read_text().replace("/etc/geodns/geodns.toml", str(site.configuration)))
    (units / "geodns.service.d").mkdir()
    (units / "geodns.service.d/hasty.conf").write_text(HASTY)
    if request.param == SYSTEM:
        private = FOR_SYSTEM.format(directory=tmp_path, interpreter=sys.prefix, repository=REPOSITORY)
        (units / "geodns.service.d/private.conf").write_text(private)
    # Of the environment only what is named: a socket of the systemd around must not be found.
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/user/0", "LC_ALL": "C.UTF-8"}
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "--norc"]
    with (tmp_path / "output").open("w") as output:
        shell = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=output, stderr=output, text=True, start_new_session=True
        )
    made = Systemd(shell, tmp_path / "output", site)
    try:
        try:
            _, state = made.run(BOOT, 20)
        except (Unreached, BrokenPipeError):
            state = "nothing"
        if not state.endswith(("running", "degraded")):
            pytest.skip(f"systemd does not start in namespaces: {state}")
        yield made
        made.do("stop")
    finally:
        with suppress(ProcessLookupError):  # the first process of its namespace: with it all others end
            os.killpg(shell.pid, signal.SIGKILL)
        shell.communicate(timeout=STOP)


@pytest.mark.slow
def test_systemd_starts_reloads_and_stops_it(systemd: Systemd) -> None:
    """Start returns when it answers, under all filters; reload when the new data is served, or fails; stop is a success."""
    assert (0, "") == systemd.do("start"), systemd.log
    assert systemd.endpoint.is_alive()
    assert systemd.shown("StatusText").startswith("ready")
    assert "1" == systemd.serial()

    systemd.site.write({"example.com.zone": ZONE.replace("hostmaster 1 ", "hostmaster 2 ")})
    assert 0 == systemd.do("reload")[0], systemd.log
    assert "2" == systemd.serial()

    systemd.site.write({"example.com.zone": "nonsense"})
    assert 0 != systemd.do("reload")[0]
    assert "2" == systemd.serial()
    assert "active" == systemd.do("is-active")[1]

    assert (0, "") == systemd.do("stop"), systemd.log
    assert "success" == systemd.shown("Result")


@pytest.mark.slow
def test_systemd_starts_it_again_when_it_answers_no_more(systemd: Systemd) -> None:
    """Processes that live but do not answer bring no sign of life: systemd ends the service, and starts it again."""
    assert (0, "") == systemd.do("start"), systemd.log
    main = systemd.shown("MainPID")
    systemd.run(f'for worker in $(head -c -1 /proc/{main}/task/{main}/children); do kill -STOP "$worker"; done')
    poll("it was started again", lambda: systemd.shown("NRestarts") == "1", 30)
    poll("it answers again", systemd.endpoint.is_alive, 30)

    assert main != systemd.shown("MainPID")


@pytest.mark.slow
def test_systemd_holds_the_sockets_while_it_is_away(systemd: Systemd) -> None:
    """With geodns.socket a query starts the service and is answered, after a stop too: it has waited in the socket."""
    each = f"ListenDatagram=127.0.0.1:{systemd.site.port}\nListenStream=127.0.0.1:{systemd.site.port}\n"
    bare = re.sub(r"^Listen\w+=.*\n", "", SOCKET.read_text(), flags=re.MULTILINE)
    (systemd.output.parent / ".config/systemd/user/geodns.socket").write_text(bare.replace("[Socket]\n", f"[Socket]\n{2 * each}"))
    query = b"\0\1" + bytes(3) + b"\1" + bytes(6) + b"\7example\3com\0\0\6\0\1"

    assert (0, "") == systemd.run("systemctl --user daemon-reload && systemctl --user start geodns.socket")
    for _ in range(2):
        reply = systemd.endpoint.udp(query, 30)
        assert reply is not None, systemd.log
        assert b"\0\1\x84\0" == reply[:4]
        assert systemd.endpoint.is_alive()
        systemd.run("systemctl --user stop geodns")
    systemd.run("systemctl --user stop geodns.socket geodns")
