#!/bin/sh
# get_ffmpeg.sh SOURCE DEST WORK
#
# Put a copy of FFmpeg's source into the directory DEST. SOURCE is "debian" (the source
# package of the running Debian release, of which only the upstream tarball is taken),
# "debian:VERSION" (that version from whatever release has it), a directory or a tarball;
# neither is changed. WORK keeps what is fetched.
set -eu

source=$1 dest=$2 work=$3

otherwise="Give FFmpeg's source yourself (5.1 or later, from https://ffmpeg.org): ./configure --ffmpeg=DIR|TARBALL"
. "$(dirname "$0")/debian_source.sh"

fetch_debian() {
    open_archive
    echo "Fetching FFmpeg's source package of Debian $VERSION_CODENAME"
    fetch --tar-only ffmpeg ||
        die "FFmpeg's source could not be fetched (see above)." "Is there a network?" "$otherwise"
    tarball=$(ls -t "$work"/ffmpeg_*.orig.tar.* | head -n 1)
}

fetch_version() {
    tarball=$work/ffmpeg_$1.orig.tar.xz
    [ ! -e "$tarball" ] || return 0
    open_archive all
    tarball=$work/ffmpeg_$1.orig.tar.xz
    echo "Looking for FFmpeg $1 in all Debian releases"
    for v in $(apt-cache showsrc ffmpeg | sed -n 's/^Version: //p' | sort -rV); do
        u=${v#*:}
        [ "${u%-*}" != "$1" ] || [ -e "$tarball" ] || fetch --tar-only "ffmpeg=$v" || :
    done
    [ -e "$tarball" ] || die "$(tail -n 3 "$work/update.log")" "FFmpeg $1 could not be fetched; of FFmpeg there are:" \
        "$(apt-cache showsrc ffmpeg | sed -n 's/^Version: \([0-9]*:\)*\(.*\)-.*/  \2/p' | sort -uV)"
}

case $source in
debian)
    fetch_debian
    ;;
debian:*)
    fetch_version "${source#debian:}"
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
