"""The scripts on machines that lack this or that. No packages are installed: uv is a stand-in."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Does what `uv sync` does for the scripts: leaves a Python in the environment; notes its call.
UV = """#!/bin/sh
printf '%s\\n' "$* python=$UV_PYTHON downloads=$UV_PYTHON_DOWNLOADS cache=${UV_NO_CACHE:-kept}" \\
    >>"$(dirname -- "$0")/uv.calls"
mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
cat >"$UV_PROJECT_ENVIRONMENT/bin/python" <<END
#!/bin/sh
case "\\$*" in *sys.version_info*) exec '@PYTHON@' "\\$@" ;; esac
echo "ran: \\$* data=\\${LIANXIN_DATA:-} in \\$PWD"
END
chmod +x "$UV_PROJECT_ENVIRONMENT/bin/python"
""".replace("@PYTHON@", sys.executable)


class Checkout:
    """A checkout with the scripts alone, and a PATH with the tools alone."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout with spaces"
        self.tools = folder / "tools"
        self.tools.mkdir()
        (self.root / "scripts").mkdir(parents=True)
        for name in ("setup.sh", "run", "test", "check"):
            copy = self.root / "scripts" / name
            copy.write_text((ROOT / "scripts" / name).read_text())
            copy.chmod(0o755)
        for name in ("uv.lock", "pyproject.toml"):
            (self.root / name).write_text(f"# {name}\n")
        for tool in ("cat", "cksum", "dirname", "mkdir", "rm", "chmod"):
            source = next(
                Path(folder, tool) for folder in ("/usr/bin", "/bin") if Path(folder, tool).exists()
            )
            (self.tools / tool).symlink_to(source)

    def add(self, name: str, script: str) -> None:
        tool = self.tools / name
        tool.write_text(script)
        tool.chmod(0o755)

    def add_uv(self) -> None:
        self.add("uv", UV)

    def add_python(self, venv: str = "exit 1") -> None:
        """A Python that calls itself by this name; ``venv`` is what its ``-m venv`` does."""
        self.add(
            "python3",
            f"""#!/bin/sh
case "$*" in
*sys.executable*) echo "$0" ;;
*'-m venv'*) {venv} ;;
*'-m virtualenv'*) exit 1 ;;
*) exec '{sys.executable}' "$@" ;;
esac
""",
        )

    def venv_whose_pip(self, does: str) -> str:
        """A ``-m venv`` for ``add_python`` leaving a Python whose ``pip --target`` does this."""
        self.add("venv-python", f"#!/bin/sh\ncase \"$*\" in\n*' --target '*) {does} ;;\nesac\n")
        return f"""
    for folder; do :; done
    mkdir -p "$folder/bin"
    cat '{self.tools}/venv-python' >"$folder/bin/python"
    chmod +x "$folder/bin/python" """

    def calls(self) -> list[str]:
        calls = self.tools / "uv.calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def run(self, script: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a script with an environment that has nothing but PATH."""
        return subprocess.run(
            ["/bin/sh", str(self.root / "scripts" / script), *words],
            cwd="/",
            env={"PATH": str(self.tools)} | environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_run_installs_and_the_second_starts_at_once(checkout: Checkout) -> None:
    checkout.add_uv()
    checkout.add_python()
    first = checkout.run("run", "--port", "0")
    assert first.returncode == 0, first.stderr
    assert "installing" in first.stderr
    assert first.stdout == f"ran: -P -m app serve --port 0 data={checkout.root}/data in /\n"
    second = checkout.run("run")
    assert (second.returncode, second.stderr) == (0, "")
    assert len(checkout.calls()) == 1
    assert "sync --frozen" in checkout.calls()[0]
    assert "downloads=never cache=1" in checkout.calls()[0]


def test_a_changed_lock_file_installs_again(checkout: Checkout) -> None:
    checkout.add_uv()
    checkout.add_python()
    for _ in range(2):
        assert checkout.run("run").returncode == 0
    (checkout.root / "uv.lock").write_text("# newer\n")
    assert checkout.run("run").returncode == 0
    assert len(checkout.calls()) == 2


def test_a_moved_checkout_installs_again(checkout: Checkout) -> None:
    checkout.add_uv()
    checkout.add_python()
    assert checkout.run("run").returncode == 0
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    assert checkout.run("run").returncode == 0
    assert len(checkout.calls()) == 2


def test_the_cache_is_kept_where_there_is_a_home(checkout: Checkout, tmp_path: Path) -> None:
    checkout.add_uv()
    checkout.add_python()
    assert checkout.run("run", HOME=str(tmp_path)).returncode == 0
    assert "cache=kept" in checkout.calls()[0]


@pytest.mark.parametrize("home", ["", "/nonexistent"])
def test_a_home_that_is_none_does_no_harm(checkout: Checkout, home: str) -> None:
    checkout.add_uv()
    checkout.add_python()
    assert checkout.run("run", HOME=home).returncode == 0
    assert "cache=1" in checkout.calls()[0]


def test_without_a_new_enough_python_it_says_what_to_install(checkout: Checkout) -> None:
    checkout.add("python3", "#!/bin/sh\nexit 1\n")  # an older one refuses our question so
    done = checkout.run("run")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "apt install python3" in done.stderr


def test_without_venv_it_names_the_package(checkout: Checkout) -> None:
    checkout.add_python()
    done = checkout.run("run")
    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr


def test_without_uv_it_puts_a_pinned_one_into_the_environment(checkout: Checkout) -> None:
    checkout.add("uv-template", UV)
    checkout.add_python(
        venv=checkout.venv_whose_pip(
            f"""
    echo "$*" >>'{checkout.tools}/pip.calls'
    mkdir -p "$(dirname -- "$0")/../tool/bin"
    cat '{checkout.tools}/uv-template' >"$(dirname -- "$0")/../tool/bin/uv"
    chmod +x "$(dirname -- "$0")/../tool/bin/uv" """
        )
    )
    done = checkout.run("run")
    assert done.returncode == 0, done.stderr
    assert "uv==0.13.9" in (checkout.tools / "pip.calls").read_text()
    assert done.stdout.startswith("ran: -P -m app serve")


def test_a_failing_install_is_not_taken_for_done(checkout: Checkout) -> None:
    checkout.add("uv", "#!/bin/sh\necho 'no network' >&2\nexit 1\n")
    checkout.add_python(venv=checkout.venv_whose_pip("exit 1"))
    for _ in range(2):
        done = checkout.run("run")
        assert done.returncode == 1
        assert "could not be installed" in done.stderr


def test_the_test_script_hands_on_what_it_is_given(checkout: Checkout) -> None:
    checkout.add_uv()
    checkout.add_python()
    checkout.run("run")
    fast = checkout.run("test", "--fast", "-x", "tests/web")
    assert fast.stdout.startswith("ran: -m pytest -m not slow -x tests/web")
    assert f"in {checkout.root}" in fast.stdout
    whole = checkout.run("test", "-k", "two words")
    assert whole.stdout.startswith("ran: -m pytest -k two words")


@pytest.mark.parametrize("script", ["run", "test", "check"])
def test_the_scripts_are_plain_shell(script: str) -> None:
    path = ROOT / "scripts" / script
    assert path.stat().st_mode & stat.S_IXUSR
    assert path.read_text().startswith("#!/bin/sh\n")
    for source in (path, ROOT / "scripts" / "setup.sh"):
        assert subprocess.run(["/bin/sh", "-n", str(source)], check=False).returncode == 0


def test_the_build_machine_calls_the_same_scripts() -> None:
    path = ROOT / ".ci" / "run"
    assert path.stat().st_mode & stat.S_IXUSR
    lines = path.read_text().splitlines()
    assert any(line.startswith("scripts/check") for line in lines)
    assert any(line.startswith("scripts/test") for line in lines)
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
