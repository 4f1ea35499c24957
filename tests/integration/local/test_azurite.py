"""The storage emulator: starts on free ports, keeps data where asked, ends with its owner."""

import datetime
import os
import signal
import socket
import subprocess
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken
from azure.storage.queue import QueueClient, QueueServiceClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local import azurite_install
from local.azurite import Azurite, AzuriteError, Ports, Tls
from local.free_ports import free_ports


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_three_services_listen_on_ports_of_their_own(azurite: Azurite) -> None:
    assert len({azurite.blob_port, azurite.queue_port, azurite.table_port}) == 3
    with QueueServiceClient.from_connection_string(azurite.connection_string) as client:
        client.get_service_properties()


def test_data_in_a_folder_outlives_a_stop_and_the_ports_stay(tmp_path: Path) -> None:
    with Azurite(location=tmp_path) as own:
        ports = own.ports
        with QueueClient.from_connection_string(own.connection_string, "kept") as queue:
            queue.create_queue()
            queue.send_message("kept")
            own.stop()
            assert not is_listening(ports.queue)
            own.start()
            assert own.ports == ports
            assert next(iter(queue.receive_messages())).content == "kept"


def test_it_starts_on_the_ports_it_is_given_or_not_at_all() -> None:
    ports = Ports(*free_ports(3))
    with socket.create_server(("127.0.0.1", ports.queue)), pytest.raises(AzuriteError, match="taken"):
        Azurite(ports=ports).start()
    with Azurite(ports=ports) as own:
        assert own.ports == ports


def test_a_stop_is_final_and_may_be_repeated() -> None:
    own = Azurite().start()
    pid = own.pid
    own.stop()
    own.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(AzuriteError):
        _ = own.pid


def test_it_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import time\nfrom local.azurite import Azurite\n"
        "own = Azurite().start()\nprint(own.pid, own.queue_port, flush=True)\ntime.sleep(60)\n"
    )
    source = tmp_path / "parent.py"
    source.write_text(script, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, str(source)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline().split()[1])
        assert is_listening(port)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while is_listening(port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_processes_may_install_at_once() -> None:
    command = [sys.executable, "-c", "from local.azurite import install; print(install()[1])"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate(timeout=120)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(answers) == 1
    assert Path(answers.pop()).is_file()


def test_a_failing_tool_is_named_with_what_to_do() -> None:
    with pytest.raises(AzuriteError, match="Install Node"):
        azurite_install._run(["/nowhere/npm"], "Install Node")
    with pytest.raises(AzuriteError, match=r"(?s)Is the registry in reach\?.*no luck"):
        azurite_install._run([sys.executable, "-c", "raise SystemExit('no luck')"], "Is the registry in reach?")


def test_https_takes_bearer_tokens(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    with Azurite(tls=Tls(certificate, key)) as own:
        assert own.queue_url.startswith("https://127.0.0.1:")
        with QueueServiceClient(own.queue_url, credential=Anyone(), connection_verify=str(certificate)) as client:
            client.create_queue("with-a-token")


class Anyone:
    """A credential whose token nobody signed: the emulator looks at the claims only."""

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        import jwt  # noqa: PLC0415 - this one test needs it

        expires = int(time.time()) + 3600
        tenant = "11111111-2222-3333-4444-555555555555"
        claims = {
            "aud": "https://storage.azure.com",
            "iss": f"https://sts.windows.net/{tenant}/",
            "exp": expires,
            "nbf": expires - 7200,
            "iat": expires - 7200,
        }
        return AccessToken(jwt.encode(claims, "x" * 32, algorithm="HS256"), expires)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
