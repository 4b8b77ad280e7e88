#!/bin/sh
# Installs what the tests talk to: Kafka's jars into .tools, and Java, Maven, Redis, Prometheus, the libraries that draw
# the PDF of a report and the one that sets a program's clock where this machine allows it. Starts nothing. Says nothing, and is quick, when all is there.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$(dirname -- "$here")")
python=$root/.venv/bin/python
libs=$root/.tools/kafka/libs
stamp=$root/.tools/kafka/stamp

have() { command -v "$1" >/dev/null 2>&1; }

missing() {
    have java || printf ' java'
    kafka_is_there || have mvn || printf ' mvn'
    have redis-server || printf ' redis-server'
    have prometheus && have promtool || printf ' prometheus'
    pango_is_there || printf ' pango'
    faketime_is_there || printf ' faketime'
}

# By it `make chaos` sets the clock of a worker.
faketime_is_there() {
    for library in /usr/lib/*/faketime/libfaketime.so.1; do
        if [ -e "$library" ]; then return 0; fi
    done
    return 1
}

# Loaded, as WeasyPrint loads them. Without a .venv nothing here could ask for them.
pango_is_there() {
    [ ! -x "$python" ] || "$python" -c '
from ctypes import CDLL
for name in ("libpango-1.0.so.0", "libpangoft2-1.0.so.0", "libharfbuzz-subset.so.0"): CDLL(name)' 2>/dev/null
}

kafka_is_there() {
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(cksum <"$here/pom.xml")" ]
}

# Sentence, then: an error where CI promises that every test runs, a remark on anybody else's machine.
give_up() {
    echo "$1" >&2
    if [ "${CI:-}" = true ]; then exit 1; fi
    exit 0
}

# Debian starts services as it installs them; exit code 101 of this file forbids it, so no port is taken.
forbid_services() {
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then return; fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
}

# The packages of the commands given as arguments.
packages_of() {
    for command in "$@"; do
        case $command in
            java)
                if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1
                then echo openjdk-17-jre-headless
                else echo default-jre-headless
                fi ;;
            mvn) echo maven ;;
            pango) echo libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core ;;
            faketime) echo libfaketime ;;
            *) echo "$command" ;;
        esac
    done
}

install_packages() {
    echo "Installing$1 for the tests (no service is started)."
    log=$root/.tools/apt.log
    forbid_services
    export DEBIAN_FRONTEND=noninteractive
    if ! apt-get update -qq >"$log" 2>&1; then
        give_up "apt-get update failed (see $log); the tests that need$1 will skip."
    fi
    # shellcheck disable=SC2046,SC2086 # the names are words without spaces
    if ! apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends $(packages_of $1) >>"$log" 2>&1; then
        give_up "apt-get could not install$1 (see $log); the tests that need them will skip."
    fi
}

install_kafka() {
    echo "Fetching Apache Kafka for the tests, once."
    log=$root/.tools/maven.log
    rm -rf "$libs" "$stamp"
    if ! mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$libs" >"$log" 2>&1; then
        rm -rf "$libs"
        give_up "Maven could not fetch Kafka (see $log); the tests that need Kafka will skip."
    fi
    cksum <"$here/pom.xml" >"$stamp"
}

mkdir -p "$root/.tools/kafka"
names=$(missing)
if [ -n "$names" ]; then
    if [ "$(id -u)" -ne 0 ] || ! have apt-get; then
        give_up "Not installed, and not ours to install:$names. The tests that need them will skip."
    fi
    install_packages "$names"
fi
if ! kafka_is_there; then install_kafka; fi
