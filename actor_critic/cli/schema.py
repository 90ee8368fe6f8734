"""`schema`: the JSON Schema of a settings file."""

import json

import click

from actor_critic.cli.screen import only_a_document
from actor_critic.config import Config


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of config.json: every key with its type, range and meaning."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    with only_a_document() as lines:
        lines.append(json.dumps(schema, indent=2, ensure_ascii=False))
