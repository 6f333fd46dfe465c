"""edgectl completion"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from edge.errors import UsageError


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands, options, and the names of nodes, sites and contexts.

    \b
    bash: edgectl completion bash > ~/.local/share/bash-completion/completions/edgectl
    zsh:  edgectl completion zsh > a file named _edgectl in a folder of $fpath
    fish: edgectl completion fish > ~/.config/fish/completions/edgectl.fish
    """
    from edge.cli.root import edgectl

    kind = get_completion_class(shell)
    assert kind is not None  # click knows all of them
    try:
        script = kind(edgectl, {}, "edgectl", "_EDGECTL_COMPLETE").source()
    except RuntimeError as error:  # a bash that is too old
        raise UsageError(str(error)) from error
    click.echo(script)
