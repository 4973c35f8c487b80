# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# How the scripts of tests/ show long work: what it does goes to a log; a line every ten seconds says that it lives;
# the log's end is shown where it fails. The script that sources this sets `me`.

say() { echo "$me: $*" >&2; }
die() { say "$*"; exit 1; }

# Fails as the command does.
step() { # TITLE LOG COMMAND...
        local title=$1 log=$2 pid start=$SECONDS
        shift 2
        say "$title"
        "$@" >"$log" 2>&1 </dev/null &
        pid=$!
        while ! timeout 10 tail --pid="$pid" -s 0.1 -f /dev/null; do
                say "$title: $((SECONDS - start)) s, $(wc -l <"$log") lines, $(tail -n1 "$log" | cut -c1-60)"
        done
        wait "$pid" && return 0
        tail -n 60 "$log" >&2
        say "$title: failed; the whole log is $log"
        return 1
}
