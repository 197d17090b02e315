#!/bin/sh
# Install geodns and its service, or upgrade both: sudo sh systemd/install.sh, or without root: sh systemd/install.sh --user
# As root it makes the user geodns. No service is started, and a configuration that exists is left alone.
#
#   PYTHON   the interpreter, 3.11 or later; by default /usr/bin/python3, for a service cannot reach one in somebody's home
#   DESTDIR  place the files below this directory and install no program: for who builds a package
set -eu
umask 022

source=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-/usr/bin/python3}
destination=${DESTDIR:-}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

case "${1:-}" in
    "")
        prefix=/opt/geodns config=/etc/geodns units=/etc/systemd/system unit=$source/systemd/geodns.service manager="systemctl"
        [ -n "$destination" ] || [ "$(id -u)" = 0 ] || fail "only root may write to /opt and /etc: use sudo, or --user"
        ;;
    --user)
        prefix=$HOME/.local/share/geodns config=${XDG_CONFIG_HOME:-$HOME/.config}/geodns
        units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user unit=$source/systemd/user/geodns.service manager="systemctl --user"
        ;;
    *)
        fail "'$1' is no option: there is only --user"
        ;;
esac

if [ -z "$destination" ]; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$python is no Python 3.11 or later: set PYTHON"
    "$python" -c 'import ensurepip' 2>/dev/null || fail "$python has no venv: install it (Debian: apt-get install python3-venv)"
    "$python" -m venv "$prefix"
    "$prefix/bin/pip" install --quiet --disable-pip-version-check --upgrade "$source"
fi

install -d "$destination$units" "$destination$config" "$destination$prefix/share/doc/geodns" "$destination$prefix/share/geodns"
install -m 644 "$source"/docs/* "$destination$prefix/share/doc/geodns"
cp -R "$source/config/prometheus" "$source/config/grafana" "$source/systemd/drop-ins" "$destination$prefix/share/geodns"
install -m 644 "$unit" "$destination$units/geodns.service"
if [ "$prefix" = /opt/geodns ]; then
    install -m 644 "$source/systemd/geodns.socket" "$destination$units/geodns.socket"
    install -m 644 "$source/systemd/geodns-announce.service" "$destination$units/geodns-announce.service"
    install -d "$destination/etc/sysusers.d"
    install -m 644 "$source/systemd/geodns.sysusers.conf" "$destination/etc/sysusers.d/geodns.conf"
    if [ -z "$destination" ] && ! getent passwd geodns >/dev/null; then
        systemd-sysusers geodns.conf 2>/dev/null ||
            useradd --system --user-group --home-dir /var/lib/geodns --no-create-home --shell /usr/sbin/nologin geodns ||
            fail "the user geodns cannot be made: make it, then try again"
    fi
    install -d "$destination/usr/local/bin"
    ln -sf "$prefix/bin/geodns" "$destination/usr/local/bin/geodns"
fi
if [ ! -e "$destination$config/geodns.toml" ]; then
    install -m 644 "$source/config/geodns.toml" "$destination$config/geodns.toml"
    if [ "$prefix" != /opt/geodns ]; then # nothing of root's is writable
        state=${XDG_STATE_HOME:-$HOME/.local/state}/geodns
        sed -i "s|^state = .*|state = \"$state\"|" "$destination$config/geodns.toml"
        install -d -m 700 "$destination$state"
    fi
fi

if [ -z "$destination" ] && $manager daemon-reload 2>/dev/null; then
    echo "geodns is installed; nothing has been started."
else
    echo "geodns is installed; systemd was not told ($manager daemon-reload)."
fi
echo "Next: edit $config/geodns.toml, then"
echo "  $prefix/bin/geodns check $config/geodns.toml && $manager enable --now geodns"
