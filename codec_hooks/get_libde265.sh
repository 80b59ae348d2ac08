#!/bin/sh
# get_libde265.sh DEST WORK
#
# Put libde265's source, from the source package of the running Debian release with Debian's
# patches, most of which mend what hostile streams could do, into the directory DEST. WORK
# keeps what is fetched.
set -eu

dest=$1 work=$2
otherwise="Build without it: ./configure --disable-libde265"
. "$(dirname "$0")/debian_source.sh"

open_archive
echo "Fetching libde265's source package of Debian $VERSION_CODENAME"

# The newest patches, and the upstream tarball that they are for. A mirror may lack one of
# the two in the newest version's place and have it in an older one's.
upstream() {
    u=${1#*:}
    echo "${u%-*}"
}
versions=$(apt-cache showsrc libde265 | sed -n 's/^Version: //p' | sort -rV | uniq)
log=$work/libde265.log
: >"$log"
patches= tarball=
for v in $versions; do
    fetch --diff-only "libde265=$v" >>"$log" 2>&1 && patches=$v && break
done
for v in $versions; do
    [ "$(upstream "$v")" = "$(upstream "$patches")" ] || continue
    fetch --tar-only "libde265=$v" >>"$log" 2>&1 && tarball=$v && break
done
[ -n "$tarball" ] || die "$(cat "$log")" "libde265's source could not be fetched (see above)." "$otherwise"

rm -rf "$dest" "$dest.tmp"
mkdir -p "$dest.tmp"
tar -xf "$(ls "$work/libde265_$(upstream "$patches")".orig.tar.*)" -C "$dest.tmp" --strip-components=1
tar -xf "$(ls "$work/libde265_${patches#*:}".debian.tar.*)" -C "$dest.tmp"
grep -v '^ *\(#\|$\)' "$dest.tmp/debian/patches/series" | while read -r p _; do
    patch -s -d "$dest.tmp" -p1 <"$dest.tmp/debian/patches/$p" || die "libde265's $p does not fit $(upstream "$patches")."
done
# Pictures are told apart by a number that all decoders of a process count up together, without a lock.
id=s_next_image_ID
sed -i "s/static uint32_t $id;/static std::atomic<uint32_t> $id;/" "$dest.tmp/libde265/image.h"
sed -i "s/^uint32_t de265_image::$id = 0;/std::atomic<uint32_t> de265_image::$id{0};/" "$dest.tmp/libde265/image.cc"
[ "$(cat "$dest.tmp"/libde265/image.* | grep -c "atomic.*$id")" = 2 ] || die "libde265's $id is not where it was."
# Releases without Debian's later security patches lose the unit of a slice that belongs to no picture.
file=$dest.tmp/libde265/decctx.cc
slice_end() { sed -n '/slice_units\.push_back(sliceunit);/,/did_work/p' "$file" | grep -c 'free_NAL_unit(nal);'; }
[ "$(slice_end)" != 0 ] || sed -i '/slice_units\.push_back(sliceunit);/,/^  }$/s/^  }$/  }\n  else {\n    nal_parser.free_NAL_unit(nal);\n  }/' "$file"
[ "$(slice_end)" = 1 ] || die "libde265's slices are not handed on where they were."
mv "$dest.tmp" "$dest"
echo "libde265 $patches is in $dest"
