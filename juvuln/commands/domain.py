"""`juvuln domain …`: the domains that the manager serves, and their databases."""

import typer

app = typer.Typer(
    name="domain",
    help="The domains that the manager serves, and their databases.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
