#!/usr/bin/env bash
# Makes this machine ready for `make demo`, `make test` and .ci/run: Docker, PostgreSQL's server programs, git, the runner image and the
# guarded network for tests that need the internet. Does only what is missing; a second run changes nothing.
#
#   docker/setup.sh            install and start what is missing (Debian or Ubuntu; root)
#   docker/setup.sh --check    only report; exit 1 when something is missing
#   docker/setup.sh --tests    also what only the tests need
#   docker/setup.sh --runner   only the runner image, where Docker runs already
#
# RUNNER_EGRESS_BRIDGE and RUNNER_EGRESS_NETWORK rename the network; RUNNER_EGRESS_BLOCK and RUNNER_EGRESS_ALLOW are egress-rules.sh's.
set -euo pipefail
# What is copied into the image must be readable there, whatever the caller's habit.
umask 022
# Where dockerd and iptables are; a user's PATH often leaves it out.
PATH=$PATH:/usr/sbin:/sbin

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
base_image=debian:bookworm-slim
runner_image=bisect-runner:latest
hash_label=bisect.context-sha256
network=${RUNNER_EGRESS_NETWORK:-bisect-egress}
bridge=${RUNNER_EGRESS_BRIDGE:-bisect-egress0}
dockerd_log=/var/log/dockerd.log
pull_seconds=60

check_only=no for_tests=no runner_only=no
case "${1:-}" in
  '') ;;
  --check) check_only=yes ;;
  --tests) for_tests=yes ;;
  --runner) runner_only=yes ;;
  -h | --help)
    sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
  *)
    printf 'setup: unknown argument %s (--check, --tests and --runner are known)\n' "$1" >&2
    exit 2
    ;;
esac

say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

missing=0
# Reports one missing thing; the caller goes on to supply it unless only a report was asked for.
lacks() {
  missing=$((missing + 1))
  say "missing: $1"
}

is_root() { [[ $EUID -eq 0 ]]; }

# One set-up at a time: two at once would start two dockerds and build the same image twice.
take_turn() {
  local lock=/run/bisect-setup.lock
  # Others than root cannot install anything; for them it is enough that their own runs wait for each other.
  is_root || lock=${XDG_RUNTIME_DIR:-/tmp}/bisect-setup.$EUID.lock
  exec 9>"$lock" || die "cannot open the lock file $lock"
  if ! flock --nonblock 9; then
    say "another set-up is at work; waiting for it"
    flock --timeout 1800 9 || die "another set-up held $lock for half an hour; look at what it is doing"
  fi
}

# --- programs -------------------------------------------------------------------------------------------------------------------------

postgres_bin_dir() {
  local dir
  # pg_config comes with development files only, and names the newest version's folder even if just its client is installed.
  for dir in "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin; do
    if [[ -x $dir/postgres && -x $dir/initdb ]]; then
      printf '%s\n' "$dir"
      return 0
    fi
  done
  return 1
}

docker_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# A remote or rootless engine that DOCKER_HOST names is the user's; nothing is installed beside it.
engine_is_elsewhere() { [[ -n ${DOCKER_HOST:-} ]]; }

wanted_packages() {
  command -v git >/dev/null || printf 'git\treads the repositories that are bisected\n'
  [[ $for_tests == no ]] || wanted_for_tests
  command -v cc >/dev/null || printf 'build-essential\tthe linker that Rust builds with\n'
  command -v python3 >/dev/null || printf "python3\tmakes the demo's history\n"
  postgres_bin_dir >/dev/null ||
    printf "postgresql\tserver programs for bisectd's own private database; Debian's own cluster beside it is not used\n"
  docker_answers || engine_is_elsewhere || command -v dockerd >/dev/null || printf 'docker.io\truns the tests in containers\n'
  # Where the kernel enforces AppArmor, Docker cannot start a container without its parser, which docker.io only recommends.
  if [[ $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) == Y ]] && ! engine_is_elsewhere; then
    command -v apparmor_parser >/dev/null || printf 'apparmor\tDocker needs its parser on this kernel\n'
  fi
}

wanted_for_tests() {
  command -v pgbouncer >/dev/null || printf 'pgbouncer\tthe pooler that the tests put before PostgreSQL\n'
  command -v chromium >/dev/null || printf "chromium\tthe browser in which the tests use the playground's pages\n"
  command -v chromedriver >/dev/null || printf 'chromium-driver\tthrough which the tests steer that browser\n'
  [[ -x /usr/sbin/sshd ]] || printf 'openssh-server\tthrough which the tests reach the admin socket, on ports of their own\n'
  command -v ssh >/dev/null || printf "openssh-client\tthe console's way to a server\n"
  command -v npm >/dev/null || printf 'npm\tfetches axe-core, which looks for barriers in the pages\n'
  python3 -c 'import ensurepip' 2>/dev/null || printf 'python3-venv\tholds schemathesis, which tries the API\n'
  command -v systemd-analyze >/dev/null || printf 'systemd\tjudges the units; it does not become init\n'
  command -v caddy >/dev/null || printf 'caddy\tthe proxy that the tests put before three services\n'
  command -v prometheus-alertmanager >/dev/null || printf 'prometheus-alertmanager\ttells people of the alerts\n'
  command -v promtool >/dev/null || printf 'prometheus\tasks the services for their metrics, and judges the alerts\n'
  command -v docker-registry >/dev/null || printf 'docker-registry\tfrom which the tests let images be fetched\n'
  command -v docker-compose >/dev/null || printf 'docker-compose\tjudges the compose files\n'
  command -v ansible-playbook >/dev/null || printf 'ansible-core\tjudges the playbook\n'
  command -v tmux >/dev/null || printf 'tmux\tthe terminal in which the tests use the console\n'
}

install_packages() {
  local wanted packages=()
  wanted=$(wanted_packages)
  [[ -n $wanted ]] || return 0
  while IFS=$'\t' read -r package reason; do
    lacks "$package ($reason)"
    packages+=("$package")
  done <<<"$wanted"
  [[ $check_only == no ]] || return 0
  install_for "for the reasons above" "${packages[@]}"
  if [[ $wanted == *openssh-server* && -d /run/systemd/system ]]; then
    say "turning off the SSH service on port 22 that came with openssh-server: nobody asked for it"
    systemctl disable --now ssh.service ssh.socket >/dev/null 2>&1 || true
  fi
  if [[ $for_tests == yes && -d /run/systemd/system && $wanted =~ (caddy|prometheus|docker-registry) ]]; then
    say "turning off the services that came with caddy, prometheus and docker-registry: the tests start their own"
    systemctl disable --now caddy.service docker-registry.service prometheus.service prometheus-alertmanager.service \
      prometheus-node-exporter.service >/dev/null 2>&1 || true
  fi
  # From Debian 13 on, the client is a package of its own.
  command -v docker >/dev/null || install_for "the client of Docker" docker-cli
}

# install_for REASON PACKAGE… installs Debian packages, or says how.
install_for() {
  local reason=$1 log
  shift
  command -v apt-get >/dev/null ||
    die "this system has no apt-get; install by its own means: $* ($reason), then run docker/setup.sh again"
  if ! is_root; then
    die_without_root "apt-get update && apt-get install -y --no-install-recommends $*"
  fi
  say "installing $* ($reason)"
  log=$(mktemp)
  # 9>&-: a service that a package starts must not keep our lock.
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1 9>&-; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    die "apt-get could not install $* (its last lines are above)"
  fi
  rm -f "$log"
}

die_without_root() {
  {
    printf 'setup: this needs root. Either run all of it:\n\n    sudo docker/setup.sh\n\n'
    printf 'or only what is missing now, then docker/setup.sh again:\n\n'
    printf "    sudo sh -c '%s'\n" "$@"
  } >&2
  exit 1
}

# --- the engine -----------------------------------------------------------------------------------------------------------------------

start_docker() {
  docker_answers && return 0
  if engine_is_elsewhere; then
    lacks "an answer from the Docker Engine that DOCKER_HOST names ($DOCKER_HOST); start it or unset DOCKER_HOST"
    [[ $check_only == yes ]] || exit 1
    return 0
  fi
  if ! is_root && [[ -S /var/run/docker.sock && ! -w /var/run/docker.sock ]]; then
    lacks "your right to use Docker"
    [[ $check_only == yes ]] && return 0
    printf 'setup: run this, then log in again (members of the group docker can become root on this machine):\n\n' >&2
    printf '    sudo usermod -aG docker %q\n' "$(id -un)" >&2
    exit 1
  fi
  lacks "a running Docker Engine"
  [[ $check_only == no ]] || return 0
  if [[ -d /run/systemd/system ]]; then
    is_root || die_without_root "systemctl enable --now docker"
    say "starting docker.service"
    systemctl enable --now docker 9>&- || die "systemd could not start docker.service: see journalctl -u docker"
  else
    is_root || die_without_root "setsid dockerd >>$dockerd_log 2>&1 </dev/null &"
    say "starting dockerd (no systemd here; its log is $dockerd_log)"
    # setsid: it outlives this script and its terminal. 9>&-: it must not hold our lock for as long as it lives.
    setsid dockerd >>"$dockerd_log" 2>&1 </dev/null 9>&- &
    dockerd_pid=$!
    disown
  fi
  wait_for_docker
}

wait_for_docker() {
  local deadline=$((SECONDS + 60))
  until docker_answers; do
    # A dockerd that ends at once has either failed or found another one starting, which then answers soon.
    if [[ -n ${dockerd_pid:-} ]] && ! kill -0 "$dockerd_pid" 2>/dev/null; then
      dockerd_pid='' deadline=$((SECONDS + 5))
    fi
    if ((SECONDS >= deadline)); then
      [[ -r $dockerd_log ]] && tail -n 20 "$dockerd_log" >&2
      die "Docker Engine did not start (the last lines of $dockerd_log are above, if it wrote any)"
    fi
    sleep 0.2
  done
}

# --- images ---------------------------------------------------------------------------------------------------------------------------

ensure_base_image() {
  docker image inspect "$base_image" >/dev/null 2>&1 && return 0
  lacks "the image $base_image (what the runner image starts from)"
  [[ $check_only == no ]] || return 0
  say "pulling $base_image"
  timeout "$pull_seconds" docker pull --quiet "$base_image" >/dev/null 2>&1 && return 0
  say "no image registry answers; building $base_image from Debian packages instead"
  is_root || die_without_root "$here/base-image.sh"
  command -v debootstrap >/dev/null || install_for "builds the base image" debootstrap
  "$here/base-image.sh" "$base_image" 9>&-
}

# Lays out the build context in folder $1: the Dockerfile, its Python list, and what this machine's network asks of every program.
build_context() {
  local context=$1 option value
  mkdir -p "$context/host/apt" "$context/host/ca"
  cp "$here/Dockerfile.runner" "$context/Dockerfile"
  cp "$here/python.txt" "$context/"
  # Authorities that the administrator added to this machine (a company's TLS proxy) are needed inside as well.
  find -L /usr/local/share/ca-certificates -type f -name '*.crt' -exec cp -t "$context/host/ca" {} + 2>/dev/null || true
  # Mirrors of fixed snapshots have expired release files; a machine set up for one says so in apt's configuration.
  if command -v apt-config >/dev/null; then
    for option in Acquire::Check-Valid-Until Acquire::Check-Date; do
      value=$(apt-config dump --format '%v' "$option")
      [[ -z $value ]] || printf '%s "%s";\n' "$option" "$value" >>"$context/host/apt/90host"
    done
  fi
  # Without this, the copies' times would change the image on every build.
  find "$context" -exec touch --no-dereference --date=@0 {} +
}

context_hash() {
  (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
}

# Docker hands these to every RUN without storing them in the image; it reads the client's environment only when asked by name.
proxy_build_args() {
  local name proxy
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST; do
    [[ -z ${!name:-} ]] || printf -- '--build-arg\n%s\n' "$name"
  done
  if [[ -z ${http_proxy:-}${HTTP_PROXY:-} ]] && command -v apt-config >/dev/null; then
    proxy=$(apt-config dump --format '%v' Acquire::http::Proxy)
    [[ -z $proxy || $proxy == DIRECT ]] || printf -- '--build-arg\nhttp_proxy=%s\n' "$proxy"
  fi
}

ensure_runner_image() {
  local context hash built log args
  context=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder's name is wanted as it is now
  trap "rm -rf '$context'" EXIT
  build_context "$context"
  hash=$(context_hash "$context")
  built=$(docker image inspect --format "{{index .Config.Labels \"$hash_label\"}}" "$runner_image" 2>/dev/null || true)
  [[ $built != "$hash" ]] || return 0
  lacks "the image $runner_image as docker/Dockerfile.runner describes it"
  [[ $check_only == no ]] || return 0
  say "building $runner_image (compilers, git and Python for the tests; two minutes or so)"
  mapfile -t args < <(proxy_build_args)
  log=$context.log
  if ! docker build --tag "$runner_image" --label "$hash_label=$hash" "${args[@]}" "$context" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    die "docker build failed (its last lines are above; all of it: $log)"
  fi
  rm -f "$log"
}

# --- the guarded network --------------------------------------------------------------------------------------------------------------

ensure_egress_network() {
  local format='{{index .Options "com.docker.network.bridge.name"}} {{index .Options "com.docker.network.bridge.enable_icc"}}' found
  found=$(docker network inspect --format "$format" "$network" 2>/dev/null || true)
  if [[ -n $found && $found != "$bridge false" ]]; then
    die "the Docker network $network exists with other settings ($found) than $bridge without traffic between containers; \
remove it (docker network rm $network) and run docker/setup.sh again"
  fi
  if [[ -z $found ]]; then
    lacks "the Docker network $network (tests that ask for the internet run in it)"
    [[ $check_only == no ]] || return 0
    say "creating the network $network on the bridge $bridge"
    docker network create --driver bridge \
      --opt "com.docker.network.bridge.name=$bridge" \
      --opt com.docker.network.bridge.enable_icc=false \
      "$network" >/dev/null
  fi
  egress_rules check >/dev/null 2>&1 && return 0
  lacks "the firewall rules of $bridge (they keep tests from this machine and from private networks)"
  [[ $check_only == no ]] || return 0
  say "installing the firewall rules of $bridge"
  egress_rules up
}

# Runs egress-rules.sh as root on the engine's network, which a member of the group docker can do only from a container.
egress_rules() {
  if is_root && ! engine_is_elsewhere && command -v iptables >/dev/null; then
    "$here/egress-rules.sh" "$1" "$bridge"
  else
    docker run --rm --interactive --user 0 --network host --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_RAW \
      --env RUNNER_EGRESS_BLOCK --env RUNNER_EGRESS_ALLOW --env RUNNER_EGRESS_DNS \
      "$runner_image" bash -s -- "$1" "$bridge" <"$here/egress-rules.sh"
  fi
}

# --------------------------------------------------------------------------------------------------------------------------------------

take_turn
if [[ $runner_only == yes ]]; then
  docker_answers || die "Docker does not answer; start it first"
  ensure_base_image
  ensure_runner_image
  ((missing > 0)) || say "everything is in place: $runner_image"
  exit 0
fi
install_packages
start_docker
if docker_answers; then
  ensure_base_image
  ensure_runner_image
  ensure_egress_network
fi
if [[ $for_tests == yes ]]; then
  "$here/test-tools.sh"
fi

if [[ $check_only == yes ]]; then
  ((missing == 0)) || die "$missing missing; docker/setup.sh supplies them"
fi
((missing > 0)) || say "everything is in place: Docker $(docker version --format '{{.Server.Version}}'), $("$(postgres_bin_dir)/postgres" --version), $(git --version)"
((missing == 0)) || say "done"
