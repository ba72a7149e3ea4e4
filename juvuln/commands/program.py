"""`juvuln program …`: the programs of a domain, by way of the API."""

import typer

app = typer.Typer(
    name="program", help="The programs of a domain, by way of the API.", no_args_is_help=True, rich_markup_mode=None
)
