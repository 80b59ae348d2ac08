# debian_source.sh: fetching a source package of the running Debian release. For scripts that
# set `work`, a directory that keeps what is fetched, and `otherwise`, what the user can do
# instead (for messages):
#
#     . codec_hooks/debian_source.sh
#     open_archive                    # in $work, which becomes absolute
#     open_archive all                # the archive's other releases as well
#     fetch --tar-only ffmpeg         # arguments for `apt-get source --download-only`
#
# apt runs with a configuration of its own in $work: the host's archives with source entries
# added, the host's keys, nothing written elsewhere. It checks every file against the signed
# index of the release.

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
        die "apt's sources name no Debian archive for $VERSION_CODENAME." "$otherwise"
}

# The same entries for all releases, where they are for one now.
all_releases() {
    for f in "$work"/sources/*; do
        awk -v name="$VERSION_CODENAME" '
            BEGIN { n = split("oldoldstable oldstable stable testing unstable experimental", all, " ") }
            function is_release(s) { return s == name || s ~ /^(oldstable|stable|testing|unstable|sid)$/ }
            tolower($1) == "suites:" && (is_release($2) || is_release($3)) {
                $0 = $1; for (i = 1; i <= n; i++) $0 = $0 " " all[i]
            }
            $1 == "deb-src" {
                for (k = 2; !is_release($k) && k < NF; k++) ;
                if (is_release($k)) { for (i = 1; i < n; i++) { $k = all[i]; print }; $k = all[n] }
            }
            { print }' "$f" >"$f.all" && mv "$f.all" "$f"
    done
}

open_archive() {
    [ ! -r /etc/os-release ] || . /etc/os-release
    if [ "${ID-}" != debian ] || [ -z "${VERSION_CODENAME-}" ] || ! command -v apt-get >/dev/null; then
        die "Source packages can be fetched on Debian only." "$otherwise"
    fi
    suites="^($VERSION_CODENAME|(old)*stable|testing|unstable|sid)"
    mkdir -p "$work"
    work=$(cd "$work" && pwd)
    # One at a time: parallel builds fetch several packages. The lock is held to the end of the script.
    exec 9>"$work/lock"
    flock 9
    write_apt_config
    export APT_CONFIG="$work/apt.conf"
    if [ "${1-}" = all ]; then
        all_releases
        apt-get -q update >"$work/update.log" 2>&1 || :     # a mirror need not have all of them
        return
    fi
    apt-get -q update || die "The archive's index could not be fetched (see above). Is there a network?" "$otherwise"
}

# What was only half fetched is never taken for a file.
fetch() {
    rm -rf "$work/part" && mkdir "$work/part" && (cd "$work/part" && apt-get -q source --download-only "$@" 9>&-) && mv "$work/part"/* "$work"
}
