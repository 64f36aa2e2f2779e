"""`cxr-audit`: the command line. Every command imports what it needs when it runs, so that help is instant."""

from __future__ import annotations

import os
import sys

import typer

from flows.cli import (
    audits,
    benchmarks,
    cleanse,
    datasets,
    decisions,
    diff,
    doctor,
    export,
    gate,
    gc,
    images,
    inpainter,
    lungs,
    notices,
    profile,
    reconstruct,
    repairs,
    review,
    schedules,
    serve,
    verify,
)
from flows.cli.errors import run_app
from flows.cli.options import LogLevel
from flows.workspace import LOG_ENVIRONMENT

app = typer.Typer(
    name="cxr-audit",
    help="Find, prove and remove the shortcuts a chest x-ray classifier reads. Research and QA use; no diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def everywhere(log_level: LogLevel = None) -> None:
    """Options of all commands."""
    if log_level:
        os.environ[LOG_ENVIRONMENT] = log_level


app.add_typer(datasets.app, name="datasets")
app.add_typer(benchmarks.app, name="benchmark")
app.add_typer(notices.app, name="notices")
audits.register(app)
cleanse.register(app)
decisions.register(app)
diff.register(app)
doctor.register(app)
export.register(app)
gate.register(app)
gc.register(app)
images.register(app)
profile.register(app)
lungs.register(app)
inpainter.register(app)
reconstruct.register(app)
repairs.register(app)
review.register(app)
schedules.register(app)
serve.register(app)
verify.register(app)


def main() -> None:
    """Console script. Exit codes: 0 ok, 1 error, 2 usage, 3 findings above --fail-on, 4 awaiting review."""
    sys.exit(run_app(app))


if __name__ == "__main__":  # Dask and process pools import this module again
    main()
