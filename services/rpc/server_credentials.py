"""The credentials of a server whose certificate and authorities are replaced in their files while it runs."""

from typing import Any

import grpc

from services.certificates.certificate_files import CertificateFiles, Material


def server_credentials(files: CertificateFiles) -> grpc.ServerCredentials:
    """Returns credentials that look at the files at each new connection; open ones go on.

    If there is a file of authorities, a client needs a certificate of theirs.
    """
    given = files.current()
    initial = _configuration(given)

    def replaced() -> Any:  # None: the same; its type in gRPC does not know that
        nonlocal given
        found = files.current()
        if found is given:
            return None
        given = found
        return _configuration(found)

    return grpc.dynamic_ssl_server_credentials(initial, replaced, require_client_authentication=bool(files.ca.path))


def _configuration(found: Material) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(found.key, found.chain)], found.authorities or None)
