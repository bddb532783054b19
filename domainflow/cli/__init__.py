"""The command line: which verbs there are, and what holds for all of them.

No verb is carried out here. Each stands in a module of its own that is imported only when it is called, so that
`--help` need not wait for the database's libraries.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, NoReturn

from cyclopts import App, CycloptsError, Group, Parameter

from domainflow import __version__
from domainflow.cli import errors
from domainflow.cli.options import DEFAULT_ROLES, Options, own_name, with_default_seed

EXIT_CODES: Final = """\
Exit codes: 0 done, 1 the campaign failed or was cancelled or a check found something, 2 bad input or refused, \
3 unavailable now, 4 conflict, 5 stored data contradicts itself, 70 internal error, 130 interrupted, 143 terminated. \
docs/cli.md says more."""

# name: (module and function, the line that a list shows)
VERBS: Final = {
    "run": ("run:run", "Create a campaign from a spec file and run it here until it ends."),
    "verify": ("verify:verify", "Prove what is stored: chains, states, ledgers, results. Exit 1 if there are faults."),
    "archive": ("archive:archive", "Move the events of campaigns that ended long ago into files."),
    "reconcile": ("reconcile:reconcile", "Show what would be mended, and what is in quarantine. Exit 1 if any is."),
    "alerts": ("alerts:alerts", "Show what needs a person. Exit 1 if anything does."),
    "lab": ("lab:lab", "Serve a small internet on loopback, made from a seed, until Ctrl-C."),
    "worker": ("worker:worker", "Execute whatever campaigns are there, until Ctrl-C."),
    "doctor": ("doctor:doctor", "Look whether everything that a run needs is in order."),
}
CAMPAIGN_VERBS: Final = {
    "list": ("campaign:list_", "List campaigns, newest first."),
    "show": ("campaign:show", "Show one campaign: status, phases, outcomes."),
    "start": ("campaign:start", "Start a pending campaign."),
    "pause": ("campaign:pause", "Pause a campaign once its batches in hand are finished."),
    "resume": ("campaign:resume", "Lift your pause."),
    "cancel": ("campaign:cancel", "End a campaign for good."),
    "retry": ("campaign:retry", "Go on with a failed campaign."),
    "archive": ("campaign:archive", "Put an ended campaign aside."),
    "delete": ("campaign:delete", "Take a campaign out of every list; its events stay."),
    "export": ("export:export", "Write what was found, one line a name."),
}
PHASE_VERBS: Final = {
    "configure": ("phase:configure", "Give a phase that has not begun the settings of another spec file."),
    "start": ("phase:start", "Go on with the next phase of a step-by-step campaign."),
    "skip": ("phase:skip", "Never run a phase that has not begun."),
    "rerun": ("phase:rerun", "Run a completed phase again."),
}
MIGRATE_VERBS: Final = {
    "up": ("migrate:up", "Apply what is missing."),
    "down": ("migrate:down", "Undo every migration above a version."),
    "status": ("migrate:status", "Say which migrations are applied, and which are missing."),
}

_GLOBAL: Final = Parameter(group=Group("Global options", sort_key=100), show_default=False, negative=())


def _app() -> App:
    made = App(
        name="domainflow",
        help="Run domain campaigns: generate names, ask DNS, fetch sites, score what was found.",
        help_epilogue=EXIT_CODES,
        help_format="plaintext",
        version=__version__,
        default_parameter=Parameter(negative=(), show_default=False),
        suppress_keyboard_interrupt=False,
    )
    _register(made, VERBS)
    for name, words, verbs in (
        ("campaign", "List campaigns, look at them, tell them what to do.", CAMPAIGN_VERBS),
        ("phase", "Tell a single phase of a campaign what to do.", PHASE_VERBS),
        ("migrate", "Bring the database to the schema that this version needs, or back.", MIGRATE_VERBS),
    ):
        group = App(name=name, help=words)
        _register(group, verbs)
        made.command(group)
    made.meta.default(_launch)
    return made


def _register(group: App, verbs: dict[str, tuple[str, str]]) -> None:
    for name, (function, words) in verbs.items():
        group.command(f"domainflow.cli.{function}", name=name, help=words)


def _launch(  # noqa: PLR0913 - one a global option
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    home: Annotated[Path | None, _GLOBAL] = None,
    dsn: Annotated[str | None, _GLOBAL] = None,
    json: Annotated[bool, _GLOBAL] = False,
    principal: Annotated[str | None, _GLOBAL] = None,
    tenant: Annotated[str, _GLOBAL] = "default",
    role: Annotated[tuple[str, ...], _GLOBAL] = DEFAULT_ROLES,
    log_level: Annotated[str, _GLOBAL] = "WARNING",
) -> int | None:
    """Carry out one verb.

    Parameters
    ----------
    home
        Folder of the embedded server, lab and sources; else DOMAINFLOW_HOME, else ~/.local/share/domainflow (root:
        /var/lib/domainflow).
    dsn
        How to reach Postgres; else DOMAINFLOW_DSN (environment, then ./.env), else the embedded server. Other users of
        the machine can read a command line: a password is better kept in the environment.
    json
        Print JSON: one object, or one a line where there are many. Errors are JSON on standard error.
    principal
        Who asks; else DOMAINFLOW_PRINCIPAL, else the name of your account.
    tenant
        On whose behalf: `default` unless told otherwise.
    role
        With which role: super_admin, admin, operator or viewer; may be repeated. Default admin: whoever can open the
        database directly needs no leave, so a lesser role only guards against slips.
    log_level
        Which log lines go to standard error: DEBUG, INFO, WARNING (the default), ERROR or CRITICAL.
    """
    options = Options(
        home=home,
        dsn=dsn,
        json=json,
        principal=principal or own_name(),
        tenant=tenant,
        roles=role,
        log_level=log_level,
    )
    command, bound, left = app.parse_args(tokens, exit_on_error=False, print_error=False)
    result: int | None = command(*bound.args, **bound.kwargs, **dict.fromkeys(left, options))
    return result


app: Final = _app()


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Carry out what the command line says and exit with a documented code; never with a traceback."""
    words = with_default_seed(sys.argv[1:] if argv is None else argv)
    try:
        code = app.meta(words, exit_on_error=False, print_error=False, result_action="return_value") or 0
        sys.stdout.flush()
    except CycloptsError as error:
        code = errors.misused(str(error), json="--json" in words)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the top: nobody above could say it better
        code = errors.report(error, json="--json" in words)
    sys.exit(code)
