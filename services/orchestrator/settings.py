"""Settings of the orchestrator: each field of `Settings` is the variable of its name, with I2V_ in front."""

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from services.orchestrator import backend_addresses
from services.orchestrator.catalog_files import CatalogFiles, PlansFile
from services.orchestrator.domain.open_upload import KEPT_FOR
from services.orchestrator.domain.retention import Ages, Kind
from services.orchestrator.domain.token_claims import Issuer
from services.orchestrator.ports.backend import Limits
from services.orchestrator.webhook_settings import WebhookSettings
from services.settings import BadSetting, ListenAddress, Switch, is_of_kubernetes, matching

PREFIX = "I2V_"
NEIGHBOURS = re.compile(r"I2V_PROVIDER_[A-Z0-9]+_[A-Z0-9_]+|I2V_(PROMPT|STUDIO)_[A-Z0-9_]+")
"""Variables of a provider, which name its vendor, of the prompt writer, and of the HTTP process."""
CLIENT = {"I2V_KEY", "I2V_KEY_FILE", "I2V_SERVER", "I2V_SERVER_TLS", "I2V_USER"} | {
    f"I2V_SERVER_{name}" for name in ("CA_FILE", "CERT_FILE", "CERT_KEY_FILE")
}

UNNEEDED_DAYS = 1
"""Days that bytes are kept which no asset needs: an upload may be about to store the same. That takes minutes."""


class Settings(WebhookSettings):
    """Settings of an API or a worker."""

    data: Path = Path("var")
    """Folder of everything embedded: PostgreSQL, local blobs, spooled uploads and attempts. On a local disk, and
    accessible to the service's user only: see [operations.md](operations.md#bytes)."""
    database_url: Annotated[str, Field(repr=False)] = ""
    """`postgresql://…`, the database. Empty: an embedded PostgreSQL under the data folder."""
    database_url_file: str = ""
    """A file that holds that URL instead, with its password."""
    migrate: Switch = True
    """Whether the start brings the database to this release's schema. `false` in a cluster: then the process waits for
    a Job that does; see [kubernetes.md](kubernetes.md#the-schema)."""
    database_patience_s: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """Seconds that a process waits at its start for a PostgreSQL that is unreachable, starting or recovering; see
    [operations.md](operations.md#database). 0: not at all; at most 3600."""
    listen: ListenAddress = "127.0.0.1:50051"
    """`host:port` of the gRPC server. A worker answers health there."""
    metrics_listen: ListenAddress = "127.0.0.1:9464"
    """`host:port` of `/metrics`. If it is taken, the process goes on without and tries again."""
    metrics_tenants: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many tenants have metrics of their own, the first ones that come in each process; all others are `other`.
    More than there are tenants, so that all processes name the same. 0: none; at most 1000."""
    disk_free_bytes: NonNegativeInt = 1_000_000_000
    """Bytes to keep free on the disks of the spool and of local blobs. With less, jobs and uploads are refused
    (`DISK_FULL`), attempts wait, and health says NOT_SERVING; see [operations.md](operations.md#shortages). 0: nothing
    is kept free."""
    disk_free_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    """The same as a share of the disk, 0 to 1. The smaller of the two limits counts: the bytes on a large disk, the
    share on a small one."""
    triton: str = "127.0.0.1:8001"
    """gRPC addresses of the Triton servers, `host:port,…`; or of several profiles,
    `triton=host:port,triton-14b=host:port`, each under the name that cards have as their `backend`: `triton` or
    `triton-…`. A name may come several times, and a host may stand for several servers, like a headless Service: all
    of them serve one profile; see [operations.md](operations.md#several-of-everything). Empty: no local models."""
    triton_slots: str = "1"
    """Jobs that a worker runs for each Triton at a time; see [operations.md](operations.md#workers). Or
    `triton=2,triton-14b=1`; a backend that is not named has 1. 0: the worker does not use it. All workers together run
    at most as many on a Triton as its profile has slots."""
    providers: str = ""
    """Addresses of the providers, `name=host:port,…`, by the backends that cards name. A provider of another vendor
    than its name says gets no tasks."""
    provider_limits: str = ""
    """Limits of the vendors' accounts, `name=jobs at a time/jobs a minute,…`, over all workers; see
    [vendors](operations.md#vendors). Without: 1000 at a time in each worker."""
    provider_key_file: str = ""
    """File with the access key of the providers and the prompt writer. Empty: they need none."""
    prompt_writer: str = ""
    """Address of the process that writes prompts from scenes, `host:port`. Empty: such jobs are refused. APIs and
    workers need it."""
    prompt_most_micros: Annotated[int, Field(ge=0, le=1_000_000_000)] = 20_000
    """The most that writing a prompt may cost, in micros; reserved with the price of a job that needs one."""
    quote_s: Annotated[float, Field(ge=1, le=86_400)] = 900.0
    """Seconds for which the price of a preview holds for a job that comes with its quote token; 1 to 86400."""
    studio_url: Annotated[str, matching(r"(https?://[^\s/?#@]+(/[^\s?#]*)?)?", "`https://host`, or empty")] = ""
    """`https://host`, the address of the HTTP process for browsers and other clients, in signed URLs. Empty: there are
    no signed URLs, unless the bytes are in S3."""
    signed_url_s: Annotated[int, Field(ge=1, le=604_800)] = 900
    """Seconds that a signed URL may hold, 1 to 604800 (a week). An asset's URL in S3 can be read so long even after the
    asset was deleted."""
    live_url_s: Annotated[int, Field(ge=1, le=604_800)] = 86_400
    """Seconds that a live URL may hold, 1 to 604800 (a week): from before its job begins until it has been watched."""
    share_days: PositiveInt = 7
    """Days for which a share can be read, if its maker says nothing else."""
    share_days_most: Annotated[int, Field(ge=1, le=3650)] = 90
    """The most days for which a share can be read, 1 to 3650."""
    operator_key_file: str = ""
    """File with the key of the first operator, an admin, who makes others with `i2v admin operators create`. Empty:
    only operators of the database; see [tenants and keys](operations.md#tenants-and-keys)."""
    c2pa_key_file: str = ""
    """File with the private key that signs the manifests in videos, PEM: EC P-256, EC P-384 or Ed25519. Empty: a
    development certificate; see [provenance.md](provenance.md#your-own-certificate)."""
    c2pa_certificate_file: str = ""
    """File with the certificate of that key and its authorities, PEM, the key's own first. Needed with a key."""
    c2pa_earlier_file: str = ""
    """File with certificates that signed earlier, each with its authorities, PEM: what they signed stays our own."""
    pixel_mark: Switch = True
    """Whether workers add a faint mark to every frame of the videos, also of vendors' videos, which are encoded again
    for it; see [provenance.md](provenance.md#the-mark-in-the-pixels). Use the same in all workers."""
    jwt_issuer: str = ""
    """Issuer of JWTs that callers may present in place of API keys, exactly as in `iss`. Empty: no JWT is accepted.
    See [tokens](operations.md#tokens)."""
    jwt_audience: str = ""
    """What `aud` must contain. Needed with an issuer."""
    jwt_jwks_file: str = ""
    """File with the issuer's public keys, a JWKS. It is read again when it may have changed. Needed with an issuer, or
    the URL."""
    jwt_jwks_url: str = ""
    """URL of the issuer's public keys, a JWKS, `https://…`; `http` only with an address in place of a name. It is
    fetched in the background, without redirects; the keys are kept while it cannot be reached."""
    jwt_refresh_s: PositiveFloat = 3600.0
    """Seconds between two reads of the issuer's keys."""
    jwt_refetch_s: PositiveFloat = 30.0
    """Seconds that must pass before a token with an unknown key id, or a failed read, causes another read."""
    jwt_tenant_claim: str = "tenant"
    """The claim with the tenant's id."""
    jwt_user_claim: str = "sub"
    """The claim with the user, who cannot be overridden by `i2v-user`. A token without it names no user."""
    jwt_scopes_claim: str = "scope"
    """The claim with the scopes: `submit`, `read`, `assets`, `usage` and `tenant-admin`, as a list or between spaces.
    Other words are ignored."""
    refund_window_s: NonNegativeFloat = 10_800.0
    """Seconds before a task that its vendor does not find is given up, at the earliest: the refund window that the
    vendor promises must be over too. If it promises none, the task is never given up."""
    find_s: PositiveFloat = 60.0
    """Seconds between two requests to a vendor for a task whose answer was lost."""
    fake_slots: NonNegativeInt = 0
    """Jobs that a worker runs on the fake backend at a time. 0: there is no fake backend."""
    fake_pause_s: float = 0.0
    """Seconds that the fake backend pauses after each fragment, to simulate work."""
    keep_events_days: NonNegativeInt = 30
    """Days after the end of a job that its events are kept, and its fragments if its video exists; see
    [operations.md](operations.md#retention). 0: as long as the job."""
    keep_jobs_days: NonNegativeInt = 400
    """Days after its end that a job is kept. 0: without a limit of time."""
    keep_queue_entries_days: NonNegativeInt = 7
    """Days after its end that an entry of the job queue is kept, in DBOS's tables. 0: without a limit of time."""
    keep_checkpoints_days: NonNegativeInt = 2
    """Days that checkpoints are kept which could not be removed at the end of their job. 0: without a limit of time."""
    trash_days: NonNegativeInt = 30
    """Days that a deleted asset is kept in the trash, if its plan does not say otherwise. 0: without a limit."""
    keep_deliveries_days: NonNegativeInt = 30
    """Days after its event that a delivery of a webhook is kept: a delivered or dead one, or one that waits for an
    endpoint that is paused or disabled. 0: without a limit of time."""
    rollup_s: PositiveFloat = 300.0
    """Seconds between two computations of the [daily rollups](business.md#daily-rollups) by the workers."""
    silent_s: float = 30.0
    """Seconds without a sign of life after which a worker counts as dead, and the others take over its jobs."""
    worker_name: str = ""
    """Stable name of this worker. Empty: the host's name."""
    models_file: Path = Path("deploy/config/models.toml")
    """The model cards."""
    remote_models: Path = Path("deploy/config/remote")
    """Folder with the cards of remote models; those of the providers that `I2V_PROVIDERS` names are in the catalog."""
    plans_file: Path = Path("deploy/config/plans.toml")
    """The plans; [plans.md](plans.md#the-file) describes the file."""
    config_check_s: Annotated[float, Field(gt=0, le=3600)] = 2.0
    """Seconds between two looks at the files of the model cards and the plans. A new version holds from the second look
    that finds it; see [operations.md](operations.md#plans-and-model-cards)."""
    dev_key_file: str = ""
    """For development: creates the tenant `development` and keeps its key in this file."""
    max_queued_jobs: PositiveInt = 200_000
    """Jobs of all callers that may wait at a time, for all backends together. More are refused with the expected wait
    (`QUEUE_LIMIT_REACHED`); see [queues](operations.md#queues). Each API counts once a second, so several can exceed it
    by what they admit in that time."""
    backend_queued_jobs: PositiveInt = 100_000
    """The same for each backend."""
    max_calls: PositiveInt = 2000
    """Calls with a key, including watches, that a process answers at a time; more are refused."""
    max_uploads: PositiveInt = 128
    """Uploads of all tenants at a time, in one process. Each holds up to 10 MB of memory."""
    max_downloads: PositiveInt = 256
    """Downloads of all tenants at a time, in one process. Each holds up to 2 MB, also while its reader pauses."""
    max_lists: PositiveInt = 128
    """Lists of jobs of all tenants at a time, in one process. Each holds up to 3 MB until its caller has taken it."""
    max_usage_watches: PositiveInt = 200
    """Watches of usage of all tenants at a time, in one process. Those of one user share one read a second."""
    tenant_calls: PositiveInt = 1200
    """Calls of one tenant at a time, in one process. The limit is at most three quarters of `I2V_MAX_CALLS`, so that no
    tenant locks out the others."""
    tenant_watches: PositiveInt = 1100
    """Watches of one tenant at a time, in one process."""
    tenant_usage_watches: PositiveInt = 20
    """Watches of usage of one tenant at a time, in one process."""
    tenant_uploads: PositiveInt = 32
    """Uploads of one tenant at a time, in one process."""
    tenant_downloads: PositiveInt = 64
    """Downloads of one tenant at a time, in one process."""
    tenant_lists: PositiveInt = 32
    """Lists of jobs of one tenant at a time, in one process."""
    open_calls: PositiveInt = 4000
    """Calls without a key (health, reflection) that are kept open, about 25 KB each. A client that knows several
    replicas keeps one at each. A new one beyond the limit ends the oldest call of the host that has most, so a probe
    always gets an answer."""
    connection_calls: PositiveInt = 1250
    """Calls of one connection at a time. A client holds further calls back without an error, so keep this above
    `I2V_TENANT_CALLS`. Lower it for unknown callers: many connections with this many calls each delay the calls of
    others."""
    connection_age_s: NonNegativeFloat = 0.0
    """Seconds until a connection takes no more calls, so that its client finds new replicas; after as long again its
    open calls break off, and are resumed elsewhere. 0: no limit. In Kubernetes: 600."""
    first_message_s: PositiveFloat = 10.0
    """Seconds that a call may take to send its first message."""
    next_message_s: PositiveFloat = 60.0
    """Seconds that an upload or another stream of requests may pause."""
    taking_s: PositiveFloat = 60.0
    """Seconds that the reader of a download or a watch may take nothing from the stream."""
    reflection: Switch = True
    """gRPC reflection. Switch it off for untrusted networks."""
    drain_s: float = 5.0
    """Seconds that running calls may continue after a stop signal."""
    drain_delay_s: float = 0.0
    """Seconds that health says NOT_SERVING before that, so that load balancers notice. In Kubernetes: 5."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Reads the settings. Raises BadSetting at an unknown I2V_ variable or a value that cannot be used."""
        return cls.read(PREFIX, environment, _belongs_to_others)

    def check(self, prefix: str) -> None:
        """Raises BadSetting for values that do not go together, and for lists and files that cannot be read."""
        super().check(prefix)
        if self.prompt_writer and not backend_addresses.is_address(self.prompt_writer):
            raise BadSetting(f"I2V_PROMPT_WRITER is {self.prompt_writer!r}; it is `host:port`")
        if bool(self.c2pa_key_file) != bool(self.c2pa_certificate_file):
            raise BadSetting("I2V_C2PA_KEY_FILE and I2V_C2PA_CERTIFICATE_FILE go together")
        self.token_issuer()
        self.tritons()
        self.vendors()

    def tritons(self) -> dict[str, tuple[tuple[str, ...], int]]:
        """Returns addresses and slots of the Triton servers, by the name of their backend. Raises BadSetting."""
        return backend_addresses.tritons(self.triton, self.triton_slots)

    def vendors(self) -> dict[str, tuple[str, Limits]]:
        """Returns address and limits of each provider, by the name of its backend. Raises BadSetting."""
        return backend_addresses.providers(self.providers, self.provider_limits)

    def token_issuer(self) -> Issuer | None:
        """Returns whose tokens are accepted; None: no one's. Raises BadSetting."""
        if not self.jwt_issuer:
            return None
        if not self.jwt_audience or bool(self.jwt_jwks_file) == bool(self.jwt_jwks_url):
            raise BadSetting("I2V_JWT_ISSUER needs I2V_JWT_AUDIENCE, and I2V_JWT_JWKS_FILE or I2V_JWT_JWKS_URL")
        if self.jwt_jwks_url and not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", self.jwt_jwks_url):
            raise BadSetting(f"I2V_JWT_JWKS_URL is {self.jwt_jwks_url!r}; it is an `https://…`")
        return Issuer(
            self.jwt_issuer, self.jwt_audience, self.jwt_tenant_claim, self.jwt_user_claim, self.jwt_scopes_claim
        )

    def ages(self) -> Ages:
        """Returns how long each kind of old things is kept."""
        return Ages(
            {
                Kind.EVENTS: self.keep_events_days,
                Kind.JOBS: self.keep_jobs_days,
                Kind.QUEUE_ENTRIES: self.keep_queue_entries_days,
                Kind.CHECKPOINTS: self.keep_checkpoints_days,
                Kind.UPLOADS: KEPT_FOR.days,
                Kind.LIBRARY: 0,
                Kind.TRASH: self.trash_days,
                Kind.DELIVERIES: self.keep_deliveries_days,
                Kind.BYTES: UNNEEDED_DAYS,
            }
        )

    @property
    def worker(self) -> str:
        """The worker's stable name."""
        return self.worker_name or socket.gethostname()

    def catalog_files(self) -> CatalogFiles:
        """Returns the files of the model cards. Raises BadSetting."""
        allowance = self.prompt_most_micros if self.prompt_writer else None
        return CatalogFiles(self.models_file, self.remote_models, self.vendors(), allowance)

    def plans(self) -> PlansFile:
        """Returns the file of the plans."""
        return PlansFile(self.plans_file)


def _belongs_to_others(name: str) -> bool:
    known = name in CLIENT or name.startswith("I2V_TEST_") or NEIGHBOURS.fullmatch(name) is not None
    return known or is_of_kubernetes(PREFIX, name)
