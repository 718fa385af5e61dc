"""The settings of TLS to providers, the prompt writer and Triton."""

from services.certificates.certificate_files import CertificateFiles, CertificateMeter
from services.orchestrator.blob_settings import BlobSettings


class BackendTlsSettings(BlobSettings):
    """Whom the orchestrator trusts as its backends, and which certificate it shows them."""

    provider_ca_file: str = ""
    """Certificate authorities of the providers and the prompt writer, PEM; all of them must then use TLS. Empty:
    plaintext; see [between our processes](operations.md#between-our-processes)."""
    provider_cert_file: str = ""
    """Certificate chain that this process shows to the providers and the prompt writer, PEM. Empty: the server's, if it
    has one. Goes with the key."""
    provider_cert_key_file: str = ""
    """Key of that certificate, PEM."""
    triton_ca_file: str = ""
    """Certificate authorities of the Triton servers, PEM; all of them must then use TLS. Empty: plaintext."""
    triton_cert_file: str = ""
    """Certificate chain that this process shows to the Triton servers, PEM, likewise."""
    triton_cert_key_file: str = ""
    """Key of that certificate, PEM."""

    def check(self, prefix: str) -> None:
        """Raises BadSetting for values that do not go together, and for files that cannot be used."""
        super().check(prefix)
        self.provider_certificates()
        self.triton_certificates()

    def provider_certificates(self, meter: CertificateMeter | None = None) -> CertificateFiles | None:
        """Reads what TLS to the providers and the prompt writer needs; None: plaintext. Raises BadSetting."""
        files = self.provider_ca_file, self.provider_cert_file, self.provider_cert_key_file
        return self.client_certificate("I2V_PROVIDER", *files, meter)

    def triton_certificates(self, meter: CertificateMeter | None = None) -> CertificateFiles | None:
        """Reads what TLS to the Triton servers needs; None: plaintext. Raises BadSetting."""
        files = self.triton_ca_file, self.triton_cert_file, self.triton_cert_key_file
        return self.client_certificate("I2V_TRITON", *files, meter)
