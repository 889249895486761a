"""moto's server with its KMS mended: python moto_server.py -H 127.0.0.1 -p PORT

As it comes, Sign and Verify hash the message also with MessageType=DIGEST, where the
message is the hash already, and GetPublicKey leaves KeySpec out and answers with
the key's id where KMS answers with its ARN. Both use a key that is disabled as if it
were not. DisableKey and ListGrants fail for a key that is named by its ARN.
"""

import json
import sys

import moto_stack  # noqa: F401  mends CloudFormation and IAM
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.core.exceptions import JsonRESTError
from moto.kms import models, responses, utils
from moto.kms.exceptions import ValidationException
from moto.server import main


class Digest(bytes):
    """A message that is a SHA-256 hash."""


def algorithm(message):
    if not isinstance(message, Digest):
        return ec.ECDSA(hashes.SHA256())
    if len(message) != 32:
        raise ValidationException("Digest is invalid length for algorithm ECDSA_SHA_256.")
    return ec.ECDSA(Prehashed(hashes.SHA256()))


def sign(key, message, signing_algorithm):
    utils.validate_signing_algorithm(signing_algorithm, key.valid_signing_algorithms)
    return key.private_key.sign(bytes(message), algorithm(message))


def verify(key, message, signature, signing_algorithm):
    utils.validate_signing_algorithm(signing_algorithm, key.valid_signing_algorithms)
    try:
        key.private_key.public_key().verify(signature, bytes(message), algorithm(message))
    except InvalidSignature:
        return False
    return True


def with_message_type(action):
    def mended(self):
        message = self._get_param("Message")
        if isinstance(message, str):
            message = message.encode()
        if self._get_param("MessageType") == "DIGEST":
            message = Digest(message)
        original = self._get_param
        self._get_param = lambda name, *args: message if name == "Message" else original(name, *args)
        try:
            return action(self)
        finally:
            self._get_param = original

    return mended


def get_public_key(action):
    def mended(self):
        answer = json.loads(action(self))
        key = self.kms_backend.describe_key(answer["KeyId"])
        return json.dumps(answer | {"KeyId": key.arn, "KeySpec": key.key_spec})

    return mended


def enabled(action):
    """Refuses a key that is disabled, as KMS does."""

    def mended(self):
        key = self._get_param("KeyId")
        known = self.kms_backend.keys.get(self.kms_backend.get_key_id(key)) if key else None
        if known is not None and known.key_state == "Disabled":
            raise JsonRESTError("DisabledException", f"{known.arn} is disabled.")
        return action(self)

    return mended


def by_id(call):
    """A call of the backend that knows keys by their id only."""

    def mended(self, key_id, *args, **named):
        return call(self, self.get_key_id(key_id), *args, **named)

    return mended


def check():
    """Fails when moto has changed so that what is mended here is not what runs."""
    for owner, name in (
        (utils.ECDSAPrivateKey, "sign"),
        (utils.ECDSAPrivateKey, "verify"),
        (responses.KmsResponse, "sign"),
        (responses.KmsResponse, "verify"),
        (responses.KmsResponse, "get_public_key"),
        (models.KmsBackend, "disable_key"),
        (models.KmsBackend, "list_grants"),
    ):
        if not callable(getattr(owner, name, None)):
            sys.exit(f"moto_server.py: moto has no {owner.__name__}.{name} any more")


check()
utils.ECDSAPrivateKey.sign = sign
utils.ECDSAPrivateKey.verify = verify
responses.KmsResponse.sign = enabled(with_message_type(responses.KmsResponse.sign))
responses.KmsResponse.verify = with_message_type(responses.KmsResponse.verify)
responses.KmsResponse.get_public_key = enabled(get_public_key(responses.KmsResponse.get_public_key))
models.KmsBackend.disable_key = by_id(models.KmsBackend.disable_key)
models.KmsBackend.list_grants = by_id(models.KmsBackend.list_grants)

if __name__ == "__main__":
    main()
