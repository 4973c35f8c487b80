# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What scenarios are written with. A scenario is a bash file in scenarios/ that runs as root in the lab machine,
# sources this file, makes checks, and ends with `finish`. Every check is one line of TAP; a scenario without a
# check is a failure. See tests/README.md for how to add one.

set -uo pipefail

LAB=/lab/src/tests/lab
LAB_SCENARIO=${LAB_SCENARIO:-shell}
BROKER=org.vfiobroker1
# What holds for a shell that only sources this file; `boot` gives the real values.
LAB_FLAVOUR=built LAB_BACKEND=iommufd LAB_IMAGE=bzImage LAB_SANDBOX=yes
[[ ! -r /run/lab/env ]] || source /run/lab/env

# What a lease comes by here. Checks of one backend's own things stand in an `if by_group` or `if by_iommufd`.
BACKEND=$LAB_BACKEND
[[ $BACKEND != auto ]] || BACKEND=$([[ $LAB_FLAVOUR == stock ]] && echo group || echo iommufd)
by_group() { [[ $BACKEND == group ]]; }
by_iommufd() { [[ $BACKEND == iommufd ]]; }

# The machine's devices (tests/lab/boot puts them there).
IGB=0000:01:00.0
E1000E=0000:02:00.0
NVME=0000:03:00.0
TESTDEV=0000:04:00.0
EDU=0000:05:00.0
EDU2=0000:06:00.0
BRIDGE=0000:07:00.0
BRIDGED1=0000:08:01.0
BRIDGED2=0000:08:02.0

checks=0
failures=0

# --- checks

pass() { checks=$((checks + 1)); echo "ok - $LAB_SCENARIO: $1"; }
fail() { # DESCRIPTION [TEXT-THAT-EXPLAINS]
        checks=$((checks + 1)) failures=$((failures + 1))
        echo "not ok - $LAB_SCENARIO: $1"
        [[ -z ${2:-} ]] || head -n 30 <<<"$2" | sed 's/^/#   /'
}

# The command succeeds. It may be a function; its output is shown only on failure.
check() { # DESCRIPTION COMMAND...
        local description=$1 output
        shift
        if output=$("$@" 2>&1); then
                pass "$description"
        else
                fail "$description" "$*: status $?"$'\n'"$output"
        fi
}

# The command fails, and what it says has TEXT in it.
check_refused() { # DESCRIPTION TEXT COMMAND...
        local description=$1 text=$2 output
        shift 2
        if output=$("$@" 2>&1); then
                fail "$description" "$*: succeeded"$'\n'"$output"
        elif [[ $output != *"$text"* ]]; then
                fail "$description" "no \"$text\" in:"$'\n'"$output"
        else
                pass "$description"
        fi
}

check_equal() { # DESCRIPTION EXPECTED ACTUAL
        if [[ $2 == "$3" ]]; then
                pass "$1"
        else
                fail "$1" "expected: $2"$'\n'"actual:   $3"
        fi
}

# Looks every 20 ms whether the command succeeds, for at most SECONDS (may be a fraction).
wait_for() { # SECONDS COMMAND...
        local seconds=$1 deadline
        shift
        deadline=$(( $(now_ms) + $(awk "BEGIN { print int($seconds * 1000) }") ))
        until "$@" &>/dev/null; do
                if (( $(now_ms) >= deadline )); then
                        echo "not so within $seconds s: $*" >&2
                        "$@" >&2
                        return 1
                fi
                sleep 0.02
        done
}

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }

# The end of a scenario.
finish() {
        (( checks > 0 )) || fail "makes at least one check"
        exit $((failures > 0))
}

# What tests/lab/boot --append gave as lab.NAME=.
parameter() { sed -n "s/.*lab\.$1=\([^ ]*\).*/\1/p" /proc/cmdline; } # NAME

# --- tenants

# A command as a tenant's user in a transient unit that can open nothing that leads to a device: no capability, no way to
# get one, and, but where the scenario says LAB_SANDBOX=no since it shows something else (an emulated processor takes a second
# for namespaces), a private /dev, a read-only file system, an empty network namespace.
#   --unit NAME    the unit's name (default: one that is free)
#   --kvm          /dev/kvm is there too
#   -p PROPERTY    a further property of the unit, after ours
as_tenant() { # USER [OPTION...] COMMAND...
        _tenant run "$@"
}

# The same in the background. Prints the name of the unit; its output goes to the file `tenant_output UNIT`.
as_tenant_bg() { # USER [OPTION...] COMMAND...
        _tenant start "$@"
}

_tenant() {
        local how=$1 user=$2 unit="" properties=()
        shift 2
        while [[ ${1:-} == -* ]]; do
                case $1 in
                --unit) unit=$2; shift 2 ;;
                --kvm) modprobe kvm_amd # on an installed host udev does that for the processor
                       properties+=(-p BindPaths=/dev/kvm -p "DeviceAllow=/dev/kvm rw" -p SupplementaryGroups=kvm)
                       shift ;;
                -p) properties+=(-p "$2"); shift 2 ;;
                --) shift; break ;;
                *) echo "as_tenant: unknown option $1" >&2; return 2 ;;
                esac
        done
        [[ -n $unit ]] || unit=lab-$user-$BASHPID-$RANDOM
        unit=lab-${unit#lab-}
        unit=${unit%.service}.service
        case $how in
        run) set -- --wait --pipe "$@" ;;
        start) set -- -p Type=exec -p StandardOutput=truncate:"$(tenant_output "$unit")" \
                -p StandardError=append:"$(tenant_output "$unit")" "$@"
                echo "$unit" ;;
        esac
        [[ $LAB_SANDBOX == no ]] || properties=(-p PrivateDevices=yes -p DevicePolicy=closed -p PrivateTmp=yes
                -p PrivateNetwork=yes -p ProtectSystem=strict -p ProtectHome=yes -p ProtectKernelTunables=yes
                -p ProtectControlGroups=yes -p RestrictSUIDSGID=yes "${properties[@]}")
        # systemd-run's own options come first in "$@", the command after them.
        systemd-run --quiet --collect --unit="$unit" \
                -p User="$user" -p Group="$user" -p WorkingDirectory=/ \
                -p CapabilityBoundingSet= -p AmbientCapabilities= -p NoNewPrivileges=yes \
                "${properties[@]}" "$@"
}

# The same user without a unit, where all that matters is who asks: many times quicker.
as_user() { # USER COMMAND...
        local user=$1
        shift
        setpriv --reuid "$user" --regid "$user" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
}

tenant_output() { echo "/run/lab/${1%.service}.output"; } # UNIT
# Of a unit with one process its cgroup tells, ten times as quickly as systemd.
tenant_pid() { # UNIT
        local pids=()
        mapfile -t pids 2>/dev/null <"/sys/fs/cgroup/system.slice/$1/cgroup.procs"
        (( ${#pids[@]} == 1 )) && echo "${pids[0]}" || systemctl show -P MainPID "$1"
}
tenant_stop() { systemctl stop "$1"; }                    # UNIT
tenant_gone() { [[ $(systemctl show -P ActiveState "$1") =~ ^(inactive|failed)$ ]]; } # UNIT

# --- the broker

# sd_bus_path_encode(): all but letters and digits, and a digit at the start, become _ and two hex digits.
path_encode() { # LABEL
        local label=$1 path="" i c
        [[ -n $label ]] || path=_
        for (( i = 0; i < ${#label}; i++ )); do
                c=${label:i:1}
                if [[ $c == [a-zA-Z] || ( $c == [0-9] && $i -gt 0 ) ]]; then
                        path+=$c
                else
                        path+=$(printf '_%02x' "'$c")
                fi
        done
        echo "$path"
}

dev_path() { echo "/org/vfiobroker1/device/$(path_encode "$1")"; } # ID

# A property as busctl prints it, without the type in front; strings without their quotes.
bus_prop() { # PATH INTERFACE PROPERTY
        local value
        value=$(busctl get-property $BROKER "$1" "$2" "$3") || return
        value=${value#* }
        [[ $value != \"*\" ]] || { value=${value#\"}; value=${value%\"}; }
        printf '%s\n' "$value"
}
dev_prop() { bus_prop "$(dev_path "$1")" $BROKER.Device "$2"; } # ID PROPERTY
dev_state() { dev_prop "$1" State; }                            # ID
dev_is() { [[ $(dev_state "$1") == "$2" ]]; }                   # ID STATE, for wait_for
manager_prop() { bus_prop /org/vfiobroker1 $BROKER.Manager "$1"; }
manager() { busctl call $BROKER /org/vfiobroker1 $BROKER.Manager "$@"; } # METHOD [SIGNATURE ARGUMENT...]

broker_pid() { systemctl show -P MainPID vfiobrokerd.service; }
broker_fds() { local fds=(/proc/"$(broker_pid)"/fd/*); echo ${#fds[@]}; }
broker_has_fds() { [[ $(broker_fds) == "$1" ]]; } # N
broker_restart() { systemctl restart vfiobrokerd.service; }
journal_cursor() { journalctl -b -n 0 --show-cursor -o cat | sed -n 's/^-- cursor: //p'; } # of what comes after this

# The whole policy, from stdin; the broker is started anew with it. Fails where the broker refuses it.
policy() {
        install -d -m 755 /etc/vfiobroker
        rm -rf /etc/vfiobroker/policy.d
        install -m 644 /dev/stdin /etc/vfiobroker/vfiobroker.conf
        broker_restart
}

# What runs before each scenario: no tenant, no broker, nothing remembered, the policy as shipped, each device with
# the driver that it had at boot.
lab_reset() {
        local shipped=/lab/install/etc/vfiobroker snippet device id
        systemctl stop 'lab-*.service' vfiobrokerd.service 2>/dev/null
        systemctl reset-failed 'lab-*.service' vfiobrokerd.service 2>/dev/null
        find /run/vfiobroker -mindepth 1 -delete 2>/dev/null
        for device in /sys/bus/pci/drivers/vfio-pci/????:??:??.?; do
                [[ -e $device ]] || continue
                echo >"$device/driver_override"
                id=$(basename "$device")
                echo "$id" >/sys/bus/pci/drivers/vfio-pci/unbind
                echo "$id" >/sys/bus/pci/drivers_probe
        done
        for device in /sys/bus/mdev/devices/*; do
                [[ ! -e $device/remove ]] || echo 1 >"$device/remove"
        done
        rm -rf /etc/vfiobroker
        [[ ! -d $shipped ]] || cp -a "$shipped" /etc/vfiobroker
        for snippet in /usr/lib/tmpfiles.d/vfiobroker*.conf; do
                [[ ! -e $snippet ]] || systemd-tmpfiles --create "$snippet"
        done
}

# --- the machine's owner

# A command of QEMU's monitor, outside: `device_add edu,id=e9,bus=rp9`, `device_del e9`. The answer is not known here.
monitor() { echo "# lab: monitor $*"; } # COMMAND...

# --- the kernel

pci_driver() { basename "$(readlink "/sys/bus/pci/devices/$1/driver" || echo none)"; }     # ID
pci_group() { basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group" || echo none)"; } # ID
# Debian's kernel has the driver of a conventional bridge's hot plug built in, and that keeps the bridge's group from VFIO.
free_bridge() { [[ $(pci_driver $BRIDGE) != shpchp ]] || echo $BRIDGE >/sys/bus/pci/drivers/shpchp/unbind; }
pci_ids() { cut -c3- <(cat "/sys/bus/pci/devices/$1/vendor") | tr -d '\n'; echo -n :; cut -c3- "/sys/bus/pci/devices/$1/device"; } # ID
limit_memlock() { awk '/^Max locked memory/ { print $4 }' "/proc/$1/limits"; }             # PID

# --- what the scenarios of leases share

CLIENTS=/lab/build/tests/lab/clients # of the build that tests/lab/boot was told
[[ -n ${LAB_BUILD:-} ]] || CLIENTS=/lab/src/build/gcc/tests/lab/clients

# The [broker] section of a policy for this boot: by the backend that it is to show. Auto says nothing.
policy_backends() { [[ $LAB_BACKEND == auto ]] || printf '[broker]\nbackends = %s\n' "$LAB_BACKEND"; }

# Most of an emulated start is the unit's namespaces and filters, and modprobe. Where hundreds of starts are tried, and none of
# that, the daemon is started by COMMAND without it, until `usual_unit`.
quick_unit() { # COMMAND
        local drop_in=/run/systemd/system/vfiobrokerd.service.d/quick.conf
        mkdir -p "${drop_in%/*}" /run/systemd/system/modprobe@.service.d
        printf '[Service]\nRemainAfterExit=yes\n' >/run/systemd/system/modprobe@.service.d/quick.conf
        cat >$drop_in <<END
[Service]
ExecStart=
ExecStart=$1
RestartSec=20ms
ProtectSystem=no
ReadOnlyPaths=
ReadWritePaths=
InaccessiblePaths=
ProtectHome=no
PrivateTmp=no
PrivateMounts=no
PrivateIPC=no
ProtectControlGroups=no
ProtectKernelLogs=no
ProtectHostname=no
ProtectClock=no
SystemCallFilter=
SystemCallArchitectures=
RestrictNamespaces=no
RestrictRealtime=no
RestrictSUIDSGID=no
RestrictAddressFamilies=
LockPersonality=no
MemoryDenyWriteExecute=no
IPAddressDeny=
DevicePolicy=auto
DeviceAllow=
END
        systemctl daemon-reload
}

usual_unit() {
        rm /run/systemd/system/{vfiobrokerd,modprobe@}.service.d/quick.conf
        systemctl daemon-reload
}

# Blue and red may both use the edu and the igb; each has an edu of its own; green has figures to run into.
standard_policy() { # EXTRA-LINES-FOR-BLUE
        policy <<-POLICY
		$(policy_backends)

		[tenant blue]
		match-user = vm-blue
		devices = pci:$EDU, pci:$IGB, pci:$EDU2, pci:$TESTDEV
		${1:-}

		[tenant red]
		match-user = vm-red
		devices = pci:$EDU, pci:$IGB, pci:$E1000E
		deny-devices = pci:$TESTDEV

		[tenant green]
		match-user = vm-green
		devices = pci:0000:0[1-6]:00.0, pci:$BRIDGED1
		devices-max = 2
		leases-max = 1
		memlock-max = 256M
		memlock-slack = 0
	POLICY
}

leases() { manager_prop Leases; }
no_leases() { [[ $(leases) == 0 ]]; }
said() { grep -q -- "$2" "$(tenant_output "$1")"; } # UNIT TEXT
