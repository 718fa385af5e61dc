"""The metrics of the files that change while a process runs."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class ConfigMetrics:
    """Shows which version of the files holds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._config = Gauge(
            "i2v_config_version",
            "1 for the version of the files that holds in this process; `config` is `cards` or `plans`. The same "
            "files have the same version.",
            ["config", "version"],
            registry=registry,
        )
        self._config_usable = Gauge(
            "i2v_config_usable",
            "0 while the newest version of the files is refused and an older one holds.",
            ["config"],
            registry=registry,
        )
        self._config_refused = Counter(
            "i2v_config_reload_failures_total",
            "New versions of the files that were refused.",
            ["config"],
            registry=registry,
        )
        self._config_versions: dict[str, str] = {}

    def config_loaded(self, config: str, version: str) -> None:
        """Sets the version of files that holds."""
        if config in self._config_versions:
            self._config.remove(config, self._config_versions[config])
        self._config_versions[config] = version
        self._config.labels(config, version).set(1)
        self._config_usable.labels(config).set(1)
        self._config_refused.labels(config).inc(0)

    def config_refused(self, config: str) -> None:
        """Counts a new version that cannot be used."""
        self._config_usable.labels(config).set(0)
        self._config_refused.labels(config).inc()
