#!/bin/sh
# get_ffmpeg.sh SOURCE DEST WORK
#
# Put a copy of FFmpeg's source into the directory DEST. SOURCE is "debian" (the source
# package of the running Debian release, see below), a directory or a tarball; neither is
# changed. WORK keeps what is fetched.
#
# Fetching uses apt with a configuration of its own in WORK: the host's archives with
# source entries added, the host's keys, nothing written outside WORK. Only the upstream
# tarball is taken; apt checks it against the signed index of the release.
set -eu

source=$1 dest=$2 work=$3

die() {
    printf '%s\n' "$@" >&2
    exit 1
}

# Source entries for the Debian archives among the host's one-line entries ...
list_to_src() {
    awk -v suites="$suites" '
        $1 == "deb" {
            sub(/^[ \t]*deb[ \t]+/, "deb-src ")
            rest = $0; sub(/\[[^]]*\]/, "", rest); n = split(rest, f)
            main = 0; for (i = 4; i <= n; i++) if (f[i] == "main") main = 1
            if (main && f[2] ~ /\/debian/ && f[3] ~ suites) print
        }' "$@"
}

# ... and among those in deb822 form, stanza by stanza.
stanzas_to_src() {
    awk -v suites="$suites" '
        function flush() {
            if (deb && main && uri && suite && !off) printf "%s\n", text
            text = ""; deb = main = uri = suite = off = 0
        }
        FNR == 1 || /^[ \t]*$/ { flush() }
        /^[ \t]*$/ || /^#/ { next }
        { key = tolower($1) }
        key == "types:"      { deb = / deb( |$)/ || / deb-src( |$)/; $0 = "Types: deb-src" }
        key == "enabled:"    { off = tolower($2) == "no" }
        key == "uris:"       { uri = /\/debian/ }
        key == "components:" { main = / main( |$)/ }
        key == "suites:"     { suite = $2 ~ suites }
        { text = text $0 "\n" }
        END { flush() }' "$@"
}

write_apt_config() {
    mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/sources"
    cat >"$work/apt.conf" <<END
Dir::State "$work/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$work/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$work/sources";
APT::Get::Only-Source "true";
END
    # Without this apt drops to a user who may not write here.
    [ "$(id -u)" != 0 ] || echo 'APT::Sandbox::User "root";' >>"$work/apt.conf"
    lists= stanzas=
    for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ ! -f "$f" ] || lists="$lists $f"
    done
    for f in /etc/apt/sources.list.d/*.sources; do
        [ ! -f "$f" ] || stanzas="$stanzas $f"
    done
    # shellcheck disable=SC2086 # names in /etc/apt hold no blanks: apt itself ignores others
    [ -z "$lists" ] || list_to_src $lists >"$work/sources/debian.list"
    # shellcheck disable=SC2086
    [ -z "$stanzas" ] || stanzas_to_src $stanzas >"$work/sources/debian.sources"
    cat "$work/sources/"* 2>/dev/null | grep -q deb-src ||
        die "apt's sources name no Debian archive for $VERSION_CODENAME." \
            "Give FFmpeg's source instead: ./configure --ffmpeg=DIR|TARBALL"
}

fetch_debian() {
    [ ! -r /etc/os-release ] || . /etc/os-release
    if [ "${ID-}" != debian ] || [ -z "${VERSION_CODENAME-}" ] || ! command -v apt-get >/dev/null; then
        die "FFmpeg's source can be fetched on Debian only; here give it yourself:" \
            "    ./configure --ffmpeg=DIR|TARBALL      (FFmpeg 5.1 or 7.1, from https://ffmpeg.org)"
    fi
    suites="^($VERSION_CODENAME|(old)*stable|testing|unstable|sid)"
    mkdir -p "$work"
    work=$(cd "$work" && pwd)
    write_apt_config
    echo "Fetching FFmpeg's source package of Debian $VERSION_CODENAME"
    (
        cd "$work"
        APT_CONFIG=$work/apt.conf
        export APT_CONFIG
        apt-get -q update && apt-get -q source --download-only --tar-only ffmpeg
    ) || die "FFmpeg's source could not be fetched (see above)." \
        "Is there a network? Else give it yourself: ./configure --ffmpeg=DIR|TARBALL"
    tarball=$(ls -t "$work"/ffmpeg_*.orig.tar.* | head -n 1)
}

case $source in
debian)
    fetch_debian
    ;;
*)
    tarball=$source
    ;;
esac

rm -rf "$dest" "$dest.tmp"
mkdir -p "$dest.tmp"
if [ -d "$tarball" ]; then
    cp -R "$tarball/." "$dest.tmp"
    # A tree that was built in place cannot be built elsewhere until this is gone.
    rm -rf "$dest.tmp/.git" "$dest.tmp/config.h" "$dest.tmp/config_components.h" \
        "$dest.tmp/ffbuild/config.mak" "$dest.tmp/src"
else
    tar -xf "$tarball" -C "$dest.tmp" --strip-components=1 ||
        die "$tarball cannot be unpacked: is it a source tarball of FFmpeg?"
fi
for f in configure RELEASE libavcodec/allcodecs.c libavfilter/allfilters.c; do
    [ -f "$dest.tmp/$f" ] || die "$tarball is not FFmpeg's source: it has no $f"
done
mv "$dest.tmp" "$dest"
echo "FFmpeg $(cat "$dest/RELEASE") is in $dest"
