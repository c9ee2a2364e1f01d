"""Signatures of artifacts folders and bundles, in the form of OpenSSF Model Signing (https://model-signing.org)."""

import base64
import contextlib
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfkit.artifacts import RunDirectory, read_manifest
from tfkit.artifacts.manifest import file_sha256
from tfkit.deployment.bundle import SIGNATURE_NAME, changed_later, is_bundle, read_bundle
from tfkit.errors import ConfigError, ExportError, printable

UNASKED_SIGNATURE = "it is signed, and by whom was not asked: --public-key FILE compares the signature"
_INSTALL = "pip install 'tfkit[sign]'"
_KEYS = (
    "openssl ecparam -name prime256v1 -genkey -noout -out key.pem makes one, and "
    "openssl ec -in key.pem -pubout -out key.pub its public half"
)


@dataclass(frozen=True)
class Signature:
    """What the signature of a folder says, once it was compared with a key and with the files.

    Attributes:
        file: The signature.
        key_sha256: Of the public key that it was compared with, as the signature names it; `openssl ec -pubin -in
            key.pub -outform PEM | sha256sum` tells it too.
        signed: How many files it vouches for.
        reasons: Why it is refused, each a sentence; empty when every file is as it was signed.

    Example:
        >>> Signature(Path("model.sig"), "0f" * 32, 12).reasons
        ()
    """

    file: Path
    key_sha256: str
    signed: int
    reasons: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The same for people."""
        if self.reasons:
            return tuple(f"refused: {reason}" for reason in self.reasons)
        return (f"signed: {self.signed} files are as whoever holds the key {self.key_sha256[:12]} signed them",)

    def document(self) -> dict[str, object]:
        """The same as plain JSON values."""
        return {"accepted": not self.reasons, "signature": {**asdict(self), "file": str(self.file)}}


def signed_folder(path: Path) -> Path:
    """The folder that is signed where something is named: of a run its artifacts, of a bundle the whole.

    Args:
        path: A run's folder, an artifacts folder, a bundle, or any other folder.

    Raises:
        ExportError: When it is no folder.
    """
    artifacts = RunDirectory(path).artifacts
    if (artifacts / "manifest.json").is_file() and not is_bundle(path):
        return artifacts
    if not path.is_dir():
        raise ExportError(
            f"'{path}' is no folder", hint="name a run, an artifacts folder or a bundle: it is signed whole"
        )
    return path


def sign_folder(path: Path, *, key: Path) -> Signature:
    """Write `model.sig` into a folder: every file's SHA-256 under one signature; what `tfkit sign` does.

    Args:
        path: See `signed_folder`; its files are compared with their check sums first.
        key: A private key on NIST's curve P-256, P-384 or P-521 (PEM, no password). It is read, never written.

    Returns:
        What was signed.

    Raises:
        ConfigError: When the key is none.
        ExportError: When files have changed since they were made, or without the package `model-signing`.
    """
    library, folder = _library(), signed_folder(path)
    if read_bundle(folder) is None:
        if not (folder / "manifest.json").is_file():
            raise ExportError(
                f"'{folder}' is neither an artifacts folder nor a bundle", hint="name a run, or what tfkit package made"
            )
        read_manifest(folder)
    with _key_faults(key):
        signer = library.signing.Config().use_elliptic_key_signer(private_key=key)
        public = _public_sha256(key, private=True)
    ignored = [SIGNATURE_NAME, *(name for name in _top_names(folder) if changed_later(folder, name))]
    hashing = library.hashing.Config().set_ignored_paths(paths=ignored, ignore_git_paths=False)
    signature = folder / SIGNATURE_NAME
    try:
        signer.set_hashing_config(hashing).sign(folder, signature)
    except ValueError as fault:  # of links, which lead out of the folder
        raise ExportError(f"'{folder}' cannot be signed: {printable(str(fault))}") from None
    return Signature(signature, public, len(_signed_sums(signature)))


def has_signature(path: Path) -> bool:
    """Whether a folder is signed, by whomever; see `signed_folder`.

    Example:
        >>> has_signature(Path("no/such/run"))
        False
    """
    return path.is_dir() and (signed_folder(path) / SIGNATURE_NAME).is_file()


def verify_signature(path: Path, *, public_key: Path) -> Signature:
    """Compare the files of a folder with its `model.sig`, and that with a key.

    Args:
        path: See `signed_folder`.
        public_key: The public half of the key that it was signed with (PEM).

    Returns:
        The signature; its `reasons` say what is wrong.

    Raises:
        ConfigError: When the key is none.
        ExportError: When the path is no folder, or without the package `model-signing`.
    """
    library, folder = _library(), signed_folder(path)
    with _key_faults(public_key):
        verifier = library.verifying.Config().use_elliptic_key_verifier(public_key=public_key)
        public = _public_sha256(public_key, private=False)
    file = folder / SIGNATURE_NAME
    if not file.is_file():
        return Signature(file, public, 0, (f"'{folder}' is not signed: there is no {SIGNATURE_NAME} in it",))
    try:
        sums = _signed_sums(file)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Signature(file, public, 0, (f"'{file}' is damaged, or no signature of a model",))
    differences = tuple(_differences(folder, sums))
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it warns there of signatures of an older form
            verifier.set_ignore_unsigned_files(True).verify(folder, file)
    except Exception as fault:  # InvalidSignature has no base of its own, and a damaged file raises what it likes
        told = printable(str(fault)) or "it is not by this key"
        if "Key mismatch" in told or type(fault).__name__ == "InvalidSignature":
            differences = (f"'{file}' was not made with the key '{public_key}'",)
        differences = differences or (f"'{file}': {told}",)
    return Signature(file, public, len(sums), differences)


def _differences(folder: Path, sums: dict[str, str | None]) -> Iterator[str]:
    """What is other than was signed; files that were not signed are told too, whatever the signature leaves out."""
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_symlink() or file.is_file()}
    there -= {SIGNATURE_NAME, *(name for name in there if changed_later(folder, name))}
    for name in sorted(there - set(sums)):
        yield f"'{printable(name)}' was added after the signature"
    for name in sorted(set(sums) - there):
        yield f"'{printable(name)}' was signed and is missing"
    for name in sorted(there & set(sums)):
        if (folder / name).is_symlink() or (sums[name] is not None and file_sha256(folder / name) != sums[name]):
            yield f"'{printable(name)}' has other bytes than were signed"


def _signed_sums(file: Path) -> dict[str, str | None]:
    """SHA-256 of each file that a signature names; None where it was signed by another digest."""
    envelope = json.loads(file.read_text(encoding="utf-8"))["dsseEnvelope"]
    said = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    plain = (said["serialization"]["method"], said["serialization"]["hash_type"]) == ("files", "sha256")
    names = said["resources"]
    return {one["name"] if plain else one["name"].split(":")[0]: one["digest"] if plain else None for one in names}


def _top_names(folder: Path) -> list[str]:
    return [f"{one.name}/" if one.is_dir() else one.name for one in folder.iterdir()]


def _public_sha256(key: Path, *, private: bool) -> str:
    from cryptography.hazmat.primitives import serialization

    content = key.read_bytes()
    read: Any = serialization.load_pem_private_key(content, None).public_key() if private else None
    public = read or serialization.load_pem_public_key(content)
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


@contextlib.contextmanager
def _key_faults(key: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise ConfigError(f"the key '{key}' cannot be read: {fault.strerror}", hint=_KEYS) from None
    except (ValueError, TypeError, AttributeError) as fault:  # TypeError: it has a password; AttributeError: it is RSA
        told = printable(str(fault)).rstrip(".")
        raise ConfigError(f"'{key}' is no key that can be used here: {told}", hint=_KEYS) from None


def _library() -> Any:
    try:
        import model_signing
        import model_signing.hashing
        import model_signing.signing
        import model_signing.verifying
    except ImportError as fault:
        raise ExportError(f"signatures need model-signing ({fault})", hint=_INSTALL) from None
    return model_signing
