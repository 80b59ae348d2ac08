#!/bin/sh
# edit_ffmpeg.sh TREE TABLE SRC
#
# Apply the edits table (its format: codec_hooks/edits.table) to the FFmpeg source in
# TREE; links in TREE point at our sources under SRC. It can be run again after the
# table has changed: every edited file has its original beside it (FILE.fsr-orig), and
# files that come out unchanged keep their time, so that only what changed is rebuilt.
# Says what it does, and stops at the first edit that does not fit, naming file and text. A version
# that the table does not name is tried, and that is said.
set -eu

tree=$1 table=$2 src=$3

die() {
    echo "$table, line $n: $*" >&2
    echo "This FFmpeg ($version) does not fit the edits; known to fit: ${known:-none}." >&2
    exit 1
}

# What it does, one line an edit.
say() {
    printf '%s\n' "$*"
}

strip() {
    s=${1#"${1%%[! ]*}"}
    printf '%s' "${s%"${s##*[! ]}"}"
}

# Compare two version numbers (major.minor): version_is OP NUMBER
version_is() {
    awk -v v="$version" -v op="$1" -v w="$2" 'BEGIN {
        split(v, a, "."); split(w, b, ".")
        d = a[1] - b[1]; if (!d) d = a[2] - b[2]
        exit !(op == "<" ? d < 0 : d >= 0)
    }'
}

holds() {
    for c in $1; do
        case $c in
        -)      ;;
        '>='*)  version_is '>=' "${c#>=}" || return 1 ;;
        '<'*)   version_is '<' "${c#<}" || return 1 ;;
        *)      die "unknown condition '$c'" ;;
        esac
    done
}

# The file of this edit, copied to FILE.fsr-new when it is the first edit of it.
open_file() {
    for file in $1; do
        [ -e "$tree/$file" ] && break
    done
    [ -e "$tree/$file" ] || die "no such file in FFmpeg's source: $1"
    [ -e "$tree/$file.fsr-orig" ] || cp -p "$tree/$file" "$tree/$file.fsr-orig"
    [ -e "$tree/$file.fsr-new" ] || cp "$tree/$file.fsr-orig" "$tree/$file.fsr-new"
}

insert() {
    open_file "$2"
    found=$(anchor=$3 awk '$0 == ENVIRON["anchor"] { n++ } END { print n + 0 }' "$tree/$file.fsr-new")
    [ "$found" = 1 ] || die "$file: this line must occur once and occurs $found times: $3"
    where=$1 anchor=$3 text=$(printf '%b.' "$4") awk '
        BEGIN { text = substr(ENVIRON["text"], 1, length(ENVIRON["text"]) - 1) }
        $0 == ENVIRON["anchor"] {
            print ENVIRON["where"] == "before" ? text "\n" $0 : $0 "\n" text
            next
        }
        { print }' "$tree/$file.fsr-new" >"$tree/$file.fsr-tmp"
    mv "$tree/$file.fsr-tmp" "$tree/$file.fsr-new"
    say "$file: $1 '$(strip "$3")': $(strip "$4")"
}

append() {
    open_file "$1"
    printf '%b\n' "$2" >>"$tree/$file.fsr-new"
    say "$file: appended $(strip "$2")"
}

link() {
    [ -e "$src/$2" ] || die "no such source of ours: $2"
    case $src in
    /*) target=$src/$2 ;;
    *)  target=$(dirname "$1" | sed 's,[^/][^/]*,..,g')/$(echo "$tree" | sed 's,[^/][^/]*,..,g')/$src/$2 ;;
    esac
    [ "$(readlink "$tree/$1" || :)" = "$target" ] || ln -sf "$target" "$tree/$1"
    say "$1: link to $2"
}

n=0
version=$(sed 's/^[^0-9]*//' "$tree/RELEASE")
known=$(sed -n 's/^# Known to fit: FFmpeg *//p' "$table")
case " $known " in
*" $version "*|*'  '*) ;;
*) echo "FFmpeg $version is not one of those known to fit ($known): trying." >&2 ;;
esac
find "$tree" -name '*.fsr-new' -exec rm -f {} +
while IFS= read -r line; do
    n=$((n + 1))
    case $line in ''|'#'*) continue ;; esac
    when=$(strip "${line%%@*}"); line=${line#*@}
    what=$(strip "${line%%@*}"); line=${line#*@}
    file=$(strip "${line%%@*}"); line=${line#*@}
    anchor=${line%%@*}
    text=${line#*@}
    holds "$when" || continue
    case $what in
    before|after) insert "$what" "$file" "$anchor" "$text" ;;
    append)       append "$file" "$text" ;;
    link)         link "$file" "$text" ;;
    *)            die "unknown edit '$what'" ;;
    esac
done <"$table"

# Only now, when every edit has fitted, do the edited files take their places.
find "$tree" -name '*.fsr-orig' | while IFS= read -r orig; do
    edited=${orig%.fsr-orig}
    new=$edited.fsr-new
    [ -e "$new" ] || cp -p "$orig" "$new"
    if cmp -s "$new" "$edited"; then rm -f "$new"; else mv "$new" "$edited"; fi
done
