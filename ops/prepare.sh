# Sourced by ops/run and ops/test: installs what is missing on a Debian machine and times each step.

# Programs that are needed, and the packages that bring them.
programs=(cc:build-essential curl:curl sqlite3:sqlite3 sipp:sip-tester baresip:baresip node:nodejs npm:npm)

# Those that only tests need.
test_programs=(chromium:chromium)

# step WHAT COMMAND...: runs a command, and says what it is and how long it took.
step() {
    local what=$1 began=$SECONDS
    shift
    printf '==> %s\n' "$what"
    if "$@"; then
        printf '    %s: %d s\n' "$what" $((SECONDS - began))
    else
        printf '!!! %s failed after %d s\n' "$what" $((SECONDS - began)) >&2
        return 1
    fi
}

# prepare [PROGRAM:PACKAGE...]: the programs, and these.
prepare() {
    local missing=() pair
    for pair in "${programs[@]}" "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    if ((${#missing[@]})); then
        step "install ${missing[*]}" install_packages ca-certificates "${missing[@]}"
    fi
    export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    command -v cargo >/dev/null || step "install rustup" install_rustup
    # The toolchain that rust-toolchain.toml names; a cargo that is not rustup's must be new enough by itself.
    if command -v rustup >/dev/null && ! rustup which cargo >/dev/null 2>&1; then
        step "install the toolchain" rustup toolchain install
    fi
}

install_packages() {
    command -v apt-get >/dev/null || { echo "no apt-get: install $* by hand" >&2; return 1; }
    local as_root=()
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# NATS with JetStream, for tests. Debian's own is older than what a node takes.
nats_version=v2.12.2
nats_bin=$HOME/.cache/tandem/bin

install_nats() {
    [[ -x $nats_bin/nats-server ]] && return
    local found
    found=$(nats-server --version 2>/dev/null) && [[ $found =~ v2\.(1[1-9]|[2-9][0-9])\. ]] && return
    if ! command -v go >/dev/null; then
        echo "no nats-server 2.11 or later, and no Go to build one: install nats-server $nats_version by hand" >&2
        return 1
    fi
    GOBIN=$nats_bin go install "github.com/nats-io/nats-server/v2@$nats_version"
}

# PostgreSQL for the tests, which bring a cluster each: Debian's would start one for the whole machine.
prepare_postgresql() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null ||
        step "install postgresql" install_postgresql
}

install_postgresql() {
    local as_root=()
    ((EUID == 0)) || as_root=(sudo)
    install_packages postgresql-common &&
        "${as_root[@]}" sed -ri 's/^#?(create_main_cluster).*/\1 = false/' /etc/postgresql-common/createcluster.conf &&
        install_packages postgresql
}

# Prometheus for the tests, which start one each: Debian's would start one for the whole machine.
prepare_prometheus() {
    command -v promtool >/dev/null || step "install prometheus" install_prometheus
}

install_prometheus() {
    local as_root=()
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" mkdir -p /etc/systemd/system &&
        "${as_root[@]}" ln -sf /dev/null /etc/systemd/system/prometheus.service &&
        RUNLEVEL=1 install_packages prometheus
}

# Clients that rooms are tested with, as they are published.
sdk=ops/tandem/tests/e2e/sdk
sdk_python=$HOME/.cache/tandem/sdk-python

prepare_sdks() {
    cmp -s "$sdk/requirements.txt" "$sdk_python/requirements.txt" ||
        step "install the Python SDK of rooms" install_sdk_python
    [[ $sdk/node_modules/.package-lock.json -nt $sdk/package-lock.json ]] ||
        step "install the JavaScript SDKs of rooms" npm --prefix "$sdk" ci --no-audit --no-fund --loglevel=error
}

install_sdk_python() {
    python3 -c 'import venv, ensurepip' 2>/dev/null || install_packages python3 python3-venv
    rm -rf "$sdk_python"
    python3 -m venv "$sdk_python" &&
        "$sdk_python/bin/pip" install --quiet --disable-pip-version-check -r "$sdk/requirements.txt" &&
        cp "$sdk/requirements.txt" "$sdk_python/"
}

# The web client's dependencies, when the lock says others than are there.
install_web() (
    cd edge/web
    [[ node_modules/.package-lock.json -nt package-lock.json ]] || npm ci --no-audit --no-fund --loglevel=error
)

# Builds the web client, which the binary embeds, when its sources are newer than what was built.
build_web() (
    cd edge/web
    [[ dist/index.html -nt package-lock.json ]] &&
        [[ -z $(find src public index.html vite.config.ts tsconfig.json -newer dist/index.html -print -quit) ]] ||
        npm run --silent build
)

install_rustup() {
    curl --proto '=https' --tlsv1.2 -sSf --retry 3 https://sh.rustup.rs |
        sh -s -- -y -q --profile minimal --default-toolchain none
}
