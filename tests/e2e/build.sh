#!/bin/sh
# The parts of the build that a user meets when something is wrong: configure's options and
# the edits to an FFmpeg that does not fit.
. "$SRC/tests/e2e/lib.sh"

fails_cleanly "configure: unknown option" "wrong option '--profil=full'" "$SRC/configure" --profil=full
fails_cleanly "configure: no such FFmpeg" "there is no such directory or file" "$SRC/configure" --ffmpeg="$TMP/none"

mkdir "$TMP/empty"
fails_cleanly "source: not FFmpeg's" "is not FFmpeg's source: it has no configure" \
    "$SRC/codec_hooks/get_ffmpeg.sh" "$TMP/empty" "$TMP/dest" "$TMP/work"
echo text >"$TMP/file.tar.xz"
fails_cleanly "source: not a tarball" "cannot be unpacked" \
    "$SRC/codec_hooks/get_ffmpeg.sh" "$TMP/file.tar.xz" "$TMP/dest" "$TMP/work"
if [ -e "$TMP/dest" ]; then not_ok "source: nothing half done is left"; else ok "source: nothing half done is left"; fi

# A tree of two files, and edits to it.
tree=$TMP/tree table=$TMP/table
mkdir -p "$tree/lib"
echo 7.1.5 >"$tree/RELEASE"
printf '%s\n' one two twice twice '    "x \\n@"' >"$tree/lib/a.c"
printf '%s\n' one >"$tree/lib/b.c"
edit() { "$SRC/codec_hooks/edit_ffmpeg.sh" "$tree" "$table" "$TMP"; }

cat >"$table" <<'END'
# comment
- @ before @ lib/none.c lib/a.c @two@    1 & 2\n3
<7.1 @ after @ lib/none.c @two@old
>=7.1 <8 @ after @ lib/a.c @two@new
- @ append @ lib/b.c @@last
- @ link @ lib/d.c @@table
END
run_ok "edits: that fit" edit
is "edits: before, after, text over two lines" "$(cat "$tree/lib/a.c")" \
    "$(printf '%s\n' one '    1 & 2' 3 two new twice twice '    "x \\n@"')"
is "edits: appended" "$(cat "$tree/lib/b.c")" "$(printf '%s\n' one last)"
is "edits: a link to our source" "$(cat "$tree/lib/d.c")" "$(cat "$table")"
is "edits: no word of a version where none is named" "$(cat "$TMP/stderr")" ""
echo '- @ after @ lib/a.c @one@again' >"$table"
run_ok "edits: again from the originals" edit
is "edits: only the new ones are there" "$(cat "$tree/lib/a.c" "$tree/lib/b.c")" \
    "$(printf '%s\n' one again two twice twice '    "x \\n@"' one)"

for case in 'twice occurs 2 times' 'none occurs 0 times'; do
    anchor=${case%% *}
    printf '%s\n' '- @ after @ lib/b.c @one@half' "- @ after @ lib/a.c @$anchor@x" >"$table"
    fails_cleanly "edits: anchor $case" "line 2: lib/a.c: .*${case#* }: $anchor" edit
    is "edits: no edit is made then" "$(cat "$tree/lib/b.c")" one
done
{ echo '# Known to fit: FFmpeg 5.1.9 9.0.2'; echo '- @ append @ lib/b.c @@last'; } >"$table"
run_ok "edits: an unknown version is tried" edit
is "edits: and told" "$(cat "$TMP/stderr")" "FFmpeg 7.1.5 is not one of those known to fit (5.1.9 9.0.2): trying."
sed -i 's/9.0.2/7.1.5 &/' "$table"
edit >/dev/null 2>"$TMP/stderr"
is "edits: a known one is not" "$(cat "$TMP/stderr")" ""
echo '- @ link @ lib/c.c @@none.c' >"$table"
fails_cleanly "edits: no such source of ours" "no such source of ours: none.c" edit
echo '- @ after @ lib/none.c @one@x' >"$table"
fails_cleanly "edits: no such file" "no such file in FFmpeg's source: lib/none.c" edit
