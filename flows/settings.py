"""Prefect, quiet and local unless its user says otherwise. Call `configure_prefect` before importing prefect.

Defaults only: a variable that is set already, a Prefect profile or an API URL of the user's wins.
"""

from __future__ import annotations

import os
from pathlib import Path

from flows.served import server_of
from pipeline.storage import storage_errors

TELEMETRY = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "DO_NOT_TRACK": "1",
}
"""Nothing leaves the machine."""
_DEFAULTS = TELEMETRY | {
    # A loaded machine needs longer than the 20 s default to start the embedded server.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # SQLite answers 503 after a burst of task events with the defaults (docs of the settings; measured).
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    # What the server answers while its database is away: a moment of that is outlived.
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
    # Often enough for the automation that takes a silent flow run for crashed, see `flows.deployments`.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    # Progress is shown by rich; Prefect's own lines would tear it.
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
}


def configure_prefect(workspace: Path) -> None:
    """Set quiet, offline defaults and keep the embedded server's database inside the workspace.

    The server that `cxr-audit serve` runs for the workspace on this machine is used instead, where there is one.

    Raises:
        StorageError: the workspace cannot be written.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    if "PREFECT_API_URL" in os.environ or (home / "profiles.toml").exists():
        return
    if "PREFECT_HOME" not in os.environ:
        folder = workspace.resolve() / ".prefect"
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)  # the server cannot start without it, and retries for minutes
        os.environ["PREFECT_HOME"] = str(folder)
    if api := server_of(workspace):  # a home of the user's own says where files lie, not which server is meant
        os.environ["PREFECT_API_URL"] = api
