"""How the API server and the credentials for it are found."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pdwatch.adapters.kubernetes import credentials
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.errors import (
    SettingsError,
    UnauthorizedError,
)
from tests.adapters.certificates import certificate
from tests.adapters.kubeconfigs import kubeconfig
from tests.adapters.scripted_server import OK, answer, scripted_server

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("nothing_around_us")
CANARY = "canary-9f8e7d6c"


class TestFindingTheCluster:
    async def test_without_any_kubeconfig_the_error_lists_where_it_looked(self) -> None:
        with pytest.raises(
            SettingsError, match=r"looked for .*/home/\.kube/config and for a pod's"
        ) as caught:
            await connect().__aenter__()
        assert "KUBECONFIG" in str(caught.value.remedy)

    async def test_a_kubeconfig_that_is_named_and_missing_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"missing\.yaml"):
            await connect(kubeconfig=tmp_path / "missing.yaml").__aenter__()

    async def test_a_kubeconfig_that_may_not_be_read_is_told_not_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = kubeconfig(tmp_path / "another-user-s", "https://from.there:6443")

        def refuse(path: Path, *_: object) -> NoReturn:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(SettingsError, match=r"another-user-s can't be read: Permission denied"):
            await connect(kubeconfig=file).__aenter__()

    async def test_a_password_in_the_server_s_address_is_refused_and_not_repeated(
        self, tmp_path: Path
    ) -> None:
        file = kubeconfig(tmp_path / "config", f"https://ada:{CANARY}@127.0.0.1:6443")
        with pytest.raises(SettingsError, match="cluster it has a user in its server's URL") as caught:
            await connect(kubeconfig=file).__aenter__()
        assert CANARY not in f"{caught.value.message} {caught.value.remedy}"

    async def test_the_home_directory_s_kubeconfig_is_used(self, tmp_path: Path) -> None:
        (tmp_path / "home" / ".kube").mkdir(parents=True)
        kubeconfig(tmp_path / "home" / ".kube" / "config", "https://from.home:6443")
        async with connect() as api:
            assert (api.context, api.namespace, api.server) == ("here", "default", "https://from.home:6443")

    @pytest.mark.parametrize(
        ("credential", "variable", "expected"),
        [
            pytest.param(True, False, "https://from.credential:6443", id="it comes before the one at home"),
            pytest.param(True, True, "https://from.variable:6443", id="KUBECONFIG comes before it"),
            pytest.param(False, False, "https://from.home:6443", id="the service has other credentials only"),
        ],
    )
    async def test_a_service_s_credential_kubeconfig_is_used(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        *,
        credential: bool,
        variable: bool,
        expected: str,
    ) -> None:
        (tmp_path / "home" / ".kube").mkdir(parents=True)
        kubeconfig(tmp_path / "home" / ".kube" / "config", "https://from.home:6443")
        (tmp_path / "credentials").mkdir()
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
        if credential:
            kubeconfig(tmp_path / "credentials" / "kubeconfig", "https://from.credential:6443")
        if variable:
            named = kubeconfig(tmp_path / "named", "https://from.variable:6443")
            monkeypatch.setenv("KUBECONFIG", str(named))
        async with connect() as api:
            assert api.server == expected

    async def test_kubeconfig_may_name_several_files_and_the_first_wins(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one = kubeconfig(tmp_path / "one", "https://one:6443", namespace="first")
        two = tmp_path / "two"
        two.write_text(
            kubeconfig(two, "https://two:6443", namespace="second").read_text().replace("here", "there")
        )
        monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{one}:{two}")
        async with connect(context="here") as api:
            assert (api.server, api.namespace) == ("https://one:6443", "first")
        async with connect(context="there") as api:
            assert api.namespace == "second"

    async def test_an_unknown_context_is_an_error_that_lists_the_known_ones(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="there is no context elsewhere") as caught:
            await connect(
                context="elsewhere", kubeconfig=kubeconfig(tmp_path / "config", "https://it")
            ).__aenter__()
        assert caught.value.remedy == "there are: here"

    async def test_paths_in_a_kubeconfig_count_from_its_own_directory(self, tmp_path: Path) -> None:
        certificate(tmp_path)
        path = kubeconfig(tmp_path / "config", "https://it:6443")
        path.write_text(path.read_text().replace("server:", "certificate-authority: ca.crt\n    server:"))
        async with connect(kubeconfig=path) as api:
            assert api.server == "https://it:6443"

    async def test_in_a_pod_the_service_account_is_used_and_its_rotated_token_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account = tmp_path / "serviceaccount"
        account.mkdir()
        for name, content in {"token": "first", "ca.crt": certificate(tmp_path), "namespace": "team"}.items():
            (account / name).write_text(content)
        monkeypatch.setattr(credentials, "SERVICE_ACCOUNT", account)
        async with scripted_server([OK, answer(401, {}), OK]) as server:
            host, port = server.url.removeprefix("http://").split(":")
            monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
            monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
            loaded = await credentials.load_credentials(context=None, kubeconfig=None)
            assert (loaded.context, loaded.namespace, loaded.server) == (
                None,
                "team",
                f"https://{host}:{port}",
            )
            assert loaded.authorization == {"Authorization": "Bearer first"}
            assert loaded.expires_at is not None
            (account / "token").write_text("second\n")
            loaded = await credentials.load_credentials(context=None, kubeconfig=None)
            assert loaded.authorization == {"Authorization": "Bearer second"}


def without(key: str) -> Callable[[str], str]:
    return lambda text: "\n".join(line for line in text.splitlines() if key not in line)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda _: "", "it is empty", id="empty"),
        pytest.param(lambda _: f"- {CANARY}", "not laid out as one", id="a list"),
        pytest.param(lambda text: text + "\n: : [", "while parsing", id="no YAML"),
        pytest.param(without("current-context"), "no current context is set", id="no current context"),
        pytest.param(without("server:"), "cluster it has no server", id="no server"),
        pytest.param(lambda text: text.replace("https://it", "it:6443"), "has no server of", id="no URL"),
        pytest.param(lambda text: text.replace("user: me", "user: you"), "names user you", id="no user"),
        pytest.param(
            lambda text: text.replace("cluster: it", "cluster: at"), "names cluster at", id="no cluster"
        ),
        pytest.param(
            lambda text: text.replace("token:", "exec: {command: x}\n    token:"),
            "missing key 'apiVersion'",
            id="half an exec plugin",
        ),
        pytest.param(
            lambda text: text.replace("token:", "exec: {apiVersion: v, command: x, env: [{}]}\n    token:"),
            "Expected key name in",
            id="an exec plugin with half a variable, which the library shows with all that is around it",
        ),
        pytest.param(
            lambda text: text.replace("token:", "auth-provider: {name: oidc, x: 1}\n    token:"),
            "oidc: missing configuration",
            id="half an auth provider",
        ),
        pytest.param(
            lambda text: text.replace("token:", "client-certificate: /nowhere/me.crt\n    token:"),
            "/nowhere/me.crt",
            id="a certificate that is missing",
        ),
    ],
)
async def test_a_broken_kubeconfig_is_an_error_that_names_the_file_and_never_its_secrets(
    tmp_path: Path, spoil: Callable[[str], str], said: str, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    path = kubeconfig(tmp_path / "config", "https://it", user={"token": CANARY, "password": CANARY})
    path.write_text(spoil(path.read_text()))
    with pytest.raises((SettingsError, UnauthorizedError)) as caught:
        await connect(kubeconfig=path).__aenter__()
    assert said in caught.value.message
    assert str(path) in caught.value.message
    assert CANARY not in f"{caught.value.message} {caught.value.remedy} {caught.value.fields}"
    assert CANARY not in caplog.text + "".join(capfd.readouterr())
