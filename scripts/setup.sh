# Sourced by the scripts beside it: makes $ROOT/.venv as uv.lock says, and sets ROOT and PYTHON.
#
# Needs nothing but a Python >= 3.11. Uses uv if there is one, else a pinned uv put into the .venv.
# Once done it is not looked at again until uv.lock, pyproject.toml or the checkout's place change.
# shellcheck shell=sh

UV_PIN=0.13.9

PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
export PATH
ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
VENV=$ROOT/.venv
PYTHON=$VENV/bin/python
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV CDPATH

say() {
    printf 'lianxin: %s\n' "$*" >&2
}

fail() {
    say "$@"
    exit 1
}

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
        found=$("$name" -c 'import sys
print(sys.executable if sys.version_info >= (3, 11) else "")' 2>/dev/null) || continue
        if [ -n "$found" ]; then
            printf '%s\n' "$found"
            return 0
        fi
    done
    return 1
}

sync_with() {
    # The system's certificates, where it has some: a company's proxy is known only to them.
    for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
        if [ -r "$bundle" ]; then
            UV_SYSTEM_CERTS=1
            UV_NATIVE_TLS=1
            export UV_SYSTEM_CERTS UV_NATIVE_TLS
        fi
    done
    UV_PROJECT_ENVIRONMENT=$VENV UV_PYTHON=$base_python UV_PYTHON_DOWNLOADS=never \
        UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 \
        "$1" sync --frozen --quiet --project "$ROOT"
}

make_venv() {
    [ -x "$PYTHON" ] && { "$PYTHON" -m pip --version || "$PYTHON" -m ensurepip; } >/dev/null 2>&1 &&
        return 0
    rm -rf "$VENV"
    "$base_python" -m venv "$VENV" >/dev/null 2>&1 && return 0
    rm -rf "$VENV"
    "$base_python" -m virtualenv --quiet "$VENV" >/dev/null 2>&1 && return 0
    rm -rf "$VENV"
    return 1
}

install() {
    base_python=$(find_python) || fail "Python 3.11 or newer is needed and was not found." \
        "Install it (Debian, Ubuntu: apt install python3 python3-venv)."
    [ -w "$ROOT" ] || fail "cannot write to $ROOT: run this once as the owner of the checkout."
    # Tools keep their caches in HOME; where there is none they must do without.
    if [ -z "${HOME:-}" ] || ! [ -w "${HOME:-}" ]; then
        HOME=$ROOT
        UV_NO_CACHE=1
        PIP_NO_CACHE_DIR=1
        export HOME UV_NO_CACHE PIP_NO_CACHE_DIR
    fi
    say "installing the packages into $VENV (once)"
    # A venv whose Python is gone, or one left half made, is of no use to anybody.
    if "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        base_python=$PYTHON
    else
        rm -rf "$VENV"
    fi
    if command -v uv >/dev/null 2>&1; then
        sync_with uv && return 0
        say "the uv on PATH failed, trying with uv $UV_PIN"
    fi
    uv=$VENV/tool/bin/uv
    if ! [ -x "$uv" ]; then
        make_venv || fail "this Python cannot make virtual environments: install python3-venv" \
            "(Debian, Ubuntu: apt install python3-venv) or uv (https://docs.astral.sh/uv/)."
        "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input \
            --target "$VENV/tool" "uv==$UV_PIN" ||
            fail "uv $UV_PIN could not be installed; is the package index reachable?"
    fi
    sync_with "$uv" || fail "the packages could not be installed; see above."
}

stamp="$(cat "$ROOT/uv.lock" "$ROOT/pyproject.toml" | cksum) $ROOT"
if ! [ -x "$PYTHON" ] || [ "$(cat "$VENV/lianxin.stamp" 2>/dev/null)" != "$stamp" ]; then
    install
    printf '%s\n' "$stamp" >"$VENV/lianxin.stamp"
fi
