# Helpers for the end-to-end tests; each starts with:  . "$SRC/tests/e2e/lib.sh"
# Given by tests/run.sh: BIN (our programs), SRC (the repository), TMP (an empty directory
# of the test's own), SHARED (directory with real material, or empty).
set -u

FFMPEG="$BIN/ffmpeg -nostdin -hide_banner -y"
FFPROBE="$BIN/ffprobe -hide_banner"

ok()     { printf 'ok - %s\n' "$1"; }
skip()   { printf 'ok - %s # SKIP %s\n' "$1" "$2"; }

# not_ok NAME [REASON...]: each reason becomes a line of its own.
not_ok() {
    printf 'not ok - %s\n' "$1"
    shift
    [ $# -eq 0 ] || printf '%s\n' "$@" | sed 's/^/# /'
}

# skip_all REASON: the whole script does not apply here.
skip_all() {
    skip "$(basename "$0" .sh)" "$1"
    exit 0
}

# is NAME GOT WANTED
is() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got:    $2" "wanted: $3"; fi
}

# run_ok NAME COMMAND...: passes when the command does; what it said is shown otherwise.
# Standard output goes to $TMP/stdout, standard error to $TMP/stderr.
run_ok() {
    run_name=$1
    shift
    if "$@" >"$TMP/stdout" 2>"$TMP/stderr" </dev/null; then
        ok "$run_name"
    else
        not_ok "$run_name" "status $? of: $*" "$(tail -n 20 "$TMP/stderr")"
        return 1
    fi
}

# fails_cleanly NAME TEXT COMMAND...: passes when the command fails by itself (no crash, no
# time-out) and says TEXT (a basic regular expression). ffmpeg's own status is an error number
# from FFmpeg 6 on, so only the signals of crashes and time-outs tell.
fails_cleanly() {
    fail_name=$1 fail_text=$2
    shift 2
    "$@" >"$TMP/stdout" 2>"$TMP/stderr" </dev/null
    fail_rc=$?
    case $fail_rc in
    0|124|132|134|135|136|137|139|143)
        not_ok "$fail_name" "status $fail_rc of: $*" "$(tail -n 20 "$TMP/stderr")"
        return ;;
    esac
    if ! grep -q -- "$fail_text" "$TMP/stderr"; then
        not_ok "$fail_name" "the message lacks '$fail_text':" "$(tail -n 20 "$TMP/stderr")"
    else
        ok "$fail_name"
    fi
}

has_filter() { "$BIN/ffmpeg" -v quiet -filters | grep -q "^ [^ ]* *$1 "; }
