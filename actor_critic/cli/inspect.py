"""`inspect`: what a checkpoint holds."""

import json

import click


@click.command("inspect")
@click.argument("path", metavar="CHECKPOINT")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(path: str, as_json: bool) -> None:
    """Check CHECKPOINT (a file, or a run folder for its last one) for damage, and show its content.

    The digest is a SHA-256 of the whole training state: two runs with the same digest continue identically.
    """
    from actor_critic.cli.places import as_typed
    from actor_critic.cli.running import existing
    from actor_critic.cli.screen import console, only_a_document
    from actor_critic.storage import checkpoints, find_checkpoint

    file, checkpoint = find_checkpoint(existing(path))
    document = {
        "checkpoint": str(as_typed(file)),
        "schema_version": checkpoints.SCHEMA_VERSION,
        "epoch": checkpoint.counters.get("epoch", 0),
        "env_steps": checkpoint.counters.get("env_steps", 0),
        "digest": checkpoint.digest,
        "counters": checkpoint.counters,
        "settings": checkpoint.settings,
        "spaces": checkpoint.spaces,
        "code": checkpoint.code,
        "versions": checkpoint.versions,
        "tensors": {
            name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
            for name, tensor in sorted(checkpoint.tensors.items())
        },
    }
    if as_json:
        with only_a_document() as lines:
            lines.append(json.dumps(document, indent=2))
        return
    screen = console()
    for name, value in document.items():
        if isinstance(value, dict):
            screen.print(f"\n{name}", style="bold", highlight=False)
            for key, entry in value.items():
                shown = f"{entry['dtype']} {entry['shape']}" if name == "tensors" else json.dumps(entry)
                screen.print(f"  {key}  {shown}", soft_wrap=True, highlight=False, markup=False)
        else:
            screen.print(f"{name}  {value}", soft_wrap=True, highlight=False, markup=False)
