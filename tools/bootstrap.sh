#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Makes a Debian machine able to build Volley (`bootstrap.sh build`), to build and test it
# (`bootstrap.sh test`, the default), or to test its kernels for 64-bit ARM (`bootstrap.sh neon`).
# Safe to repeat: with everything in place it only looks, in a fraction of a second.
#
# Packages come from apt. Debian 12 has no llhttp and no yyjson: their packages of the next release
# are fetched from the very mirror this machine is configured for, checked against that release's
# signature by apt (in a state directory of our own) and against the sums below, and unpacked under
# third_party/root. In the same way third_party/aarch64 gets the cmocka of this release for ARM. The
# system itself gets no foreign package.
set -eu
cd "$(dirname "$0")/.."

build_set="gcc libc6-dev meson ninja-build pkg-config libuv1-dev libjpeg62-turbo-dev
    libturbojpeg0-dev libpng-dev libwebp-dev libyaml-dev zlib1g-dev libzstd-dev liblz4-dev
    libssl-dev libnghttp2-dev libwslay-dev libsqlite3-dev libmosquitto-dev libxxhash-dev
    libhiredis-dev libcurl4-openssl-dev curl"
test_set="libcmocka-dev clang clang-format clang-tidy libonnx-testdata openssl protobuf-compiler
    python3 python3-venv nghttp2-client wrk chromium-headless-shell mosquitto-clients"
daemons="mosquitto nghttp2-server redis-server prometheus" # tests start them by themselves
neon_set="meson ninja-build pkg-config gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
next_set="libllhttp-dev libyyjson-dev" # from apt where it has them

next_release=trixie
next_sums="
amd64 libllhttp-dev c018069b22f5d53ac630bdc360d6c8bc7df78626cfb22276cbfb280aa64ac4b6
amd64 libyyjson-dev 295f23a9c3d6bd08c0afea051a04aa0bba22c2fa248e39e6e7e0406ef0c068f5
amd64 libyyjson0    37980c1c76344e0af7ffeac2a3ed65db2e1a7e5de3a050225498e77935cf367e
arm64 libllhttp-dev 7415055a32bf90e71b63782876792a7ac10c0163b14625d2e735ed151d970361
arm64 libyyjson-dev d8ecc58ca1ff13926181d6c2d8fc298a11151f8e803b9bc51b040a36849b6d40
arm64 libyyjson0    f42688c9a65f615ae52db9e21ab4e37fd9a6fc8c16539f1272eb5c2093d085e6
"
root=third_party/root
arm_root=third_party/aarch64

say() { echo "bootstrap: $*" >&2; }
die() { say "error: $*"; exit 1; }

# missing PACKAGE...: those that are not installed.
missing() {
    installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
        sed -n 's/^installed //p' | tr '\n' ' ') "
    for p in "$@"; do
        case $installed in *" $p "*) ;; *) echo "$p" ;; esac
    done
}

# as_root COMMAND...: its output is shown only when it fails.
as_root() {
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "only root can install packages, and sudo is not here: $*"
        set -- sudo "$@"
    fi
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || {
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "failed: $*"
    }
    rm -f "$log"
}

# install PACKAGE...: by apt. Of daemons none is started, not now and not with the machine: that is
# for who wants to run one, and might take a port from who does.
install() {
    # shellcheck disable=SC2016  # for the inner shell
    as_root sh -eu -c '
        policy=/usr/sbin/policy-rc.d # asked by every package before it starts something
        if [ ! -e "$policy" ]; then
            trap "rm -f $policy" EXIT
            trap "exit 1" INT TERM
            printf "#!/bin/sh\nexit 101\n" >"$policy"
            chmod 755 "$policy"
        fi
        DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install \
            --no-install-recommends "$@"' install "$@"
    for p in "$@"; do
        case " $daemons " in
        *" $p "*) [ ! -d /run/systemd/system ] || as_root systemctl --quiet disable --now "$p" ;;
        esac
    done
}

# release: this machine's.
release() {
    (. /etc/os-release && echo "${VERSION_CODENAME:-}")
}

# other_apt RELEASE ARCH: from now on apt is one of our own in $tmp, for the packages of that
# release and architecture at this machine's mirror.
other_apt() {
    mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' \
        'Created-By: Packages' | sed -n "s/^$(release) main //p" | head -n 1)
    [ -n "$mirror" ] || die "no apt source for '$(release) main' to take packages of $1, $2 from"

    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    mkdir -p "$tmp/state/lists/partial" "$tmp/cache/archives/partial" "$tmp/deb" "$tmp/root"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$keyring] $mirror $1 main" >"$tmp/sources.list"
    : >"$tmp/status"
    cat >"$tmp/apt.conf" <<CONF
APT::Architecture "$2";
APT::Architectures { "$2"; };
Dir::State "$tmp/state";
Dir::State::status "$tmp/status";
Dir::Cache "$tmp/cache";
Dir::Etc::sourcelist "$tmp/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Languages "none";
APT::Sandbox::User "";
CONF
    export APT_CONFIG="$tmp/apt.conf"
    apt-get -qq update >&2
}

# Fetches and unpacks the packages of $next_sums for this architecture.
fetch_next() {
    arch=$(dpkg --print-architecture)
    say "unpacking $next_set of $next_release"
    other_apt "$next_release" "$arch"
    echo "$next_sums" | while read -r a name sum; do
        [ "$a" = "$arch" ] || continue
        (cd "$tmp/deb" && apt-get -qq download "$name" >&2) ||
            die "$next_release has no package '$name' for $arch at this mirror"
        deb=$(echo "$tmp/deb/${name}_"*.deb)
        got=$(sha256sum "$deb" | cut -d ' ' -f 1)
        [ "$got" = "$sum" ] ||
            die "$(basename "$deb"): expected sha256 $sum, got $got: $next_release has moved on;" \
                "review the new package, then change the sums in tools/bootstrap.sh"
        dpkg -x "$deb" "$tmp/root"
    done
    [ -d "$tmp/root/usr" ] || die "no sums for architecture '$arch': expected amd64 or arm64"
    # The multiarch directory under a name that meson.build need not guess.
    (cd "$tmp/root" && ln -s usr/lib/*-linux-gnu* lib && ln -s usr/include include)
    echo "$next_stamp" >"$tmp/root/.stamp"
    rm -rf "$root"
    mv "$tmp/root" "$root"
}

# Fetches and unpacks the cmocka of this release for 64-bit ARM.
fetch_arm() {
    say "unpacking libcmocka-dev for arm64"
    other_apt "$(release)" arm64
    (cd "$tmp/deb" && apt-get -qq download libcmocka-dev libcmocka0 >&2) ||
        die "no package 'libcmocka-dev' for arm64 at this mirror"
    for deb in "$tmp"/deb/*.deb; do
        dpkg -x "$deb" "$tmp/root"
    done
    release >"$tmp/root/.stamp"
    rm -rf "$arm_root"
    mv "$tmp/root" "$arm_root"
}

kind=${1:-test}
case $kind in
build) want=$build_set ;;
test) want="$build_set $test_set $daemons" ;;
neon) want=$neon_set ;;
*) die "expected 'build', 'test' or 'neon', got '$kind'" ;;
esac
command -v dpkg-query >/dev/null || die "expected a Debian system with apt; elsewhere install the" \
    "packages named in tools/bootstrap.sh by hand, then run meson"
export DEBIAN_FRONTEND=noninteractive

next_stamp=$(echo "$next_sums" | cksum)
if [ "$kind" != neon ] && [ "$(cat $root/.stamp 2>/dev/null)" != "$next_stamp" ]; then
    want="$want $next_set"
fi
# shellcheck disable=SC2086  # a list of words
lack=$(missing $want)
if [ -n "$lack" ]; then
    as_root apt-get -q -o DPkg::Lock::Timeout=300 update
    here="" next=""
    for p in $lack; do
        case " $next_set " in
        *" $p "*) apt-cache show "$p" >/dev/null 2>&1 && here="$here $p" || next="$next $p" ;;
        *) here="$here $p" ;;
        esac
    done
    if [ -n "$here" ]; then
        say "installing$here"
        # shellcheck disable=SC2086
        install $here
    fi
    [ -z "$next" ] || fetch_next
fi
if [ "$kind" = neon ] && [ "$(cat $arm_root/.stamp 2>/dev/null)" != "$(release)" ]; then
    fetch_arm
fi
