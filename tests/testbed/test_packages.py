"""What apt is told, and what is taken from the machine's own sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testbed.errors import PrerequisiteMissingError
from tests.testbed.packages import Apt, os_release, require_debian, with_source_packages

DEB822 = """\
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.example/debian-security
"""


def test_every_stanza_names_source_packages_too_and_keeps_the_rest():
    rewritten = with_source_packages(DEB822, deb822=True)

    assert [line for line in rewritten.splitlines() if "Types" in line] == ["Types: deb deb-src"] * 2
    assert rewritten.replace(" deb-src", "") == DEB822.replace(" deb-src", "")


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        pytest.param(
            "deb http://mirror.example/debian bookworm main\n",
            "deb http://mirror.example/debian bookworm main\n"
            "deb-src http://mirror.example/debian bookworm main\n",
            id="a source package line is added",
        ),
        pytest.param(
            "  deb [signed-by=/k.gpg] http://mirror.example/deb bookworm main\n",
            "deb [signed-by=/k.gpg] http://mirror.example/deb bookworm main\n"
            "deb-src [signed-by=/k.gpg] http://mirror.example/deb bookworm main\n",
            id="options and a URL that says deb are kept",
        ),
        pytest.param("deb-src http://mirror.example/debian bookworm main\n", "", id="it is not added twice"),
        pytest.param("# deb http://mirror.example/debian bookworm main\n", "", id="comments stay comments"),
        pytest.param("deb cdrom:[Debian 12]/ bookworm main\n", "", id="nobody inserts a disc"),
    ],
)
def test_one_line_entries(text: str, rewritten: str):
    assert with_source_packages(text, deb822=False) == rewritten


def test_apt_reads_and_writes_nothing_of_the_machine_but_keys_and_proxies():
    options = Apt(Path("/cache/apt")).options()

    assert options[::2] == ["-o"] * (len(options) // 2)
    settings = dict(option.split("=", 1) for option in options[1::2])
    inside = {key for key, value in settings.items() if value.startswith("/cache/apt/")}
    assert inside == {
        "Dir::State",
        "Dir::State::status",
        "Dir::Cache",
        "Dir::Etc::sourceparts",
        "Dir::Etc::preferences",
    }
    assert settings["Dir::Etc::sourcelist"] == settings["Dir::Etc::preferencesparts"] == "/dev/null"


@pytest.mark.parametrize(
    ("release", "named"),
    [
        pytest.param(
            'ID=ubuntu\nVERSION_CODENAME=noble\nPRETTY_NAME="Ubuntu 24.04"\n', "Ubuntu 24.04", id="ubuntu"
        ),
        pytest.param(
            'ID=debian\nVERSION_CODENAME=trixie\nPRETTY_NAME="Debian 13"\n', "Debian 13", id="debian 13"
        ),
        pytest.param(None, "an unknown system", id="no os-release"),
    ],
)
def test_another_system_is_named_with_what_to_do(tmp_path: Path, release: str | None, named: str):
    file = tmp_path / "os-release"
    if release:
        file.write_text(release)

    with pytest.raises(PrerequisiteMissingError, match=f"(?s){named}.*bookworm.*PDWATCH_TESTBED=external"):
        require_debian(file)


def test_os_release_is_read_with_and_without_quotes():
    assert os_release('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n') == {
        "ID": "debian",
        "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)",
    }
