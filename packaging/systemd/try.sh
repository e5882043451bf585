#!/bin/bash
# Tries the unit with a real systemd: packaging/systemd/try.sh PROGRAM, as root, two minutes.
#
# systemd runs as process 1 of namespaces and cgroups of its own, over a copy of this system that is
# thrown away (overlayfs), without a network. It has nothing to start but the journal and the node. What
# docs/operations.md says of the unit is then tried, line by line; the first argument of the calls below
# says which part of this runs.
set -euo pipefail
unit=$(realpath "$(dirname "$0")")/dunlin.service

# Outside: a folder and cgroups that are removed at the end.
outside() {
    local program shared trees tree
    program=$(realpath "$1")
    shared=$(mktemp -d)
    cp "$program" "$shared/dunlin"
    cp "$unit" "$shared/dunlin.service"
    cp "$0" "$shared/try.sh"
    trees=$(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts)
    for tree in $trees; do
        mkdir "$tree/dunlin-try"
        # A new cpuset is empty, and an empty one takes no process.
        for of in cpus mems; do
            if [ -e "$tree/cpuset.$of" ]; then cat "$tree/cpuset.$of" >"$tree/dunlin-try/cpuset.$of"; fi
        done
    done
    bash "$shared/try.sh" enter "$shared" "$trees" >"$shared/system.log" 2>&1 || true
    for tree in $trees; do find "$tree/dunlin-try" -depth -type d -exec rmdir {} + || true; done
    cat "$shared/result" || cat "$shared/system.log"
    local code=1
    if [ "$(tail -n 1 "$shared/result")" = "everything holds" ]; then code=0; fi
    rm -r "$shared"
    exit $code
}

# Into the cgroups and the namespaces.
enter() {
    local tree
    for tree in $2; do echo $$ >"$tree/dunlin-try/cgroup.procs"; done
    exec unshare --pid --fork --kill-child --mount --uts --ipc --net --cgroup bash "$1/try.sh" inside "$1"
}

# Inside: a root of its own, and systemd.
inside() {
    local shared=$1 root device unit target
    mount --make-rprivate /
    mount -t tmpfs tmpfs /mnt
    mkdir /mnt/{upper,work,root}
    root=/mnt/root
    mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work $root
    mount -t proc proc $root/proc
    mount --bind $root/proc/sys $root/proc/sys
    mount -o remount,bind,ro $root/proc/sys
    mount -t sysfs -o ro sysfs $root/sys
    for target in run tmp dev; do mount -t tmpfs tmpfs $root/$target; done
    for device in null zero full random urandom tty; do
        touch $root/dev/$device
        mount --bind /dev/$device $root/dev/$device
    done
    mkdir $root/dev/{shm,pts,mqueue,hugepages} $root/run/shared
    mount -t devpts -o newinstance,ptmxmode=0666 devpts $root/dev/pts
    ln -s pts/ptmx $root/dev/ptmx
    mount --bind "$shared" $root/run/shared
    rm -rf $root/etc/systemd/system $root/usr/lib/systemd/system-generators $root/etc/machine-id $root/etc/dunlin \
        $root/var/lib/dunlin $root/var/lib/private/dunlin
    mkdir $root/etc/systemd/system $root/etc/dunlin
    echo 11111111111111111111111111111111 >$root/etc/machine-id
    install -m 0755 "$shared/dunlin" $root/usr/local/bin/dunlin
    cp "$shared/dunlin.service" $root/etc/systemd/system/
    for unit in sysinit.target basic.target network-online.target; do
        printf '[Unit]\nDefaultDependencies=no\n' >$root/etc/systemd/system/$unit
    done
    cat >$root/etc/systemd/system/try.target <<'UNIT'
[Unit]
DefaultDependencies=no
Wants=systemd-journald.socket systemd-journald.service try.service
UNIT
    cat >$root/etc/systemd/system/try.service <<'UNIT'
[Unit]
DefaultDependencies=no
After=systemd-journald.service
[Service]
Type=oneshot
ExecStart=/bin/bash /run/shared/try.sh steps
ExecStopPost=/bin/systemctl --no-block poweroff --force --force
StandardOutput=file:/run/shared/result
StandardError=file:/run/shared/errors
UNIT
    cd $root
    mkdir -p .old
    pivot_root . .old
    umount -l /.old
    exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --system --unit=try.target --show-status=no </dev/null
}

# What is tried. Each line that begins with "ok" or "FAILED" is a promise of docs/operations.md.
failures=0
check() {
    local words=$1
    shift
    if "$@"; then echo "ok      $words"; else echo "FAILED  $words"; failures=$((failures + 1)); fi
}
show() { systemctl show dunlin -p "$1" --value; }
is() { [ "$(show "$1")" = "$2" ]; }
within() { # so many seconds, until a command succeeds
    local left=$1
    shift
    until "$@"; do
        if [ $((left -= 1)) -lt 0 ]; then return 1; fi
        sleep 1
    done
}
of_process() { grep -Eq "$1" "/proc/$(show MainPID)/status"; }
has_status() { [[ $(show StatusText) == dunlin1*@* ]]; }
has_told() { journalctl -u dunlin -o cat | grep -q "$1"; }
is_another() { is ActiveState active && [ "$(show MainPID)" != "$1" ] && [ "$(show MainPID)" != 0 ]; }
has_ban() { dunlin peer bans --data-dir /var/lib/dunlin | grep -q 192.0.2.0/24; }
steps() {
    set +e
    local pid
    ip link set lo up
    dunlin generate-config /etc/dunlin/node.toml
    systemctl daemon-reload
    check "it starts" systemctl start dunlin
    check "and runs when that comes back" is ActiveState active
    check "its address is in the line Status" has_status
    check "it has a user of its own" of_process '^Uid:\s6[0-9]{4}'
    check "and no capability" of_process '^CapBnd:\s0+$'
    check "and a filter of system calls" of_process '^Seccomp:\s2'
    check "root may ban" dunlin peer ban 192.0.2.0/24 --reason try --data-dir /var/lib/dunlin
    sed -i 's/^level = .*/level = "debug"/' /etc/dunlin/node.toml
    check "a reload is taken" systemctl reload dunlin
    check "and read" within 5 has_told "configuration was read again"
    sleep 35
    check "it shows signs of life" is NRestarts 0
    pid=$(show MainPID)
    kill -KILL "$pid"
    check "killed, it comes back" within 10 is_another "$pid"
    check "with its ban" has_ban
    pid=$(show MainPID)
    kill -STOP "$pid"
    check "without signs of life it is started again" within 60 is_another "$pid"
    check "it stops" systemctl stop dunlin
    check "in peace" is Result success
    echo "nonsense = 1" >>/etc/dunlin/node.toml
    check "with a mistake in its configuration it does not start" eval "! systemctl start dunlin"
    sleep 4
    check "and that is not tried again" is NRestarts 0
    check "the mistake is told" has_told "nonsense is no key"
    if [ $failures = 0 ]; then echo "everything holds"; else echo "$failures did not hold"; fi
}

case ${1:-} in
enter | inside | steps) "$@" ;;
"" | -*) echo "usage: $0 PROGRAM (as root)" >&2; exit 2 ;;
*) outside "$1" ;;
esac
