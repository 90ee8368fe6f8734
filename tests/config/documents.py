"""Settings documents made at random, and JSON Schema read by hand."""

import re
from typing import Any

from hypothesis import strategies as st

from actor_critic.config import RANDOM_STATES, Config

SCHEMA = Config.model_json_schema()
_TEXT = st.text(st.characters(codec="utf-8"), max_size=8)

JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_FINITE_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=4,
)


def allowed(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Everything that a schema of one field allows."""
    if "anyOf" in schema:
        return st.one_of(*(allowed(one) for one in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    match schema["type"]:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema["minimum"], schema["maximum"])
        case "number":
            low, high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
            return st.floats(
                schema.get("minimum", low),
                schema.get("maximum", high),
                exclude_min=low is not None,
                exclude_max=high is not None,
                allow_nan=False,
                allow_infinity=False,
            )
        case "string" if "pattern" in schema:
            return st.from_regex(schema["pattern"], fullmatch=True, alphabet=st.characters(codec="ascii"))
        case "string":
            return st.text(
                st.characters(codec="utf-8"), min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 9)
            )
        case "array":
            return st.lists(allowed(schema["items"]), max_size=3)
        case "object" if "maxProperties" in schema:
            (pattern, inner), *_ = schema["patternProperties"].items()
            name = st.from_regex(pattern, fullmatch=True, alphabet=st.characters(codec="ascii"))
            return st.dictionaries(name, allowed(inner), min_size=schema["minProperties"], max_size=1)
        case "object":
            return st.dictionaries(_TEXT, _FINITE_JSON, max_size=3)
        case kind:
            raise AssertionError(f"a type this reader does not know: {kind}")


def configs() -> st.SearchStrategy[Config]:
    """Any Config, each field set or not, whether or not the fields go together."""
    fields = {name: allowed(schema) for name, schema in SCHEMA["properties"].items()}
    return st.fixed_dictionaries({}, optional=fields).map(lambda document: Config(**document))


@st.composite
def resolvable_configs(draw: st.DrawFn) -> Config:
    """Any Config whose fields go together."""
    config = draw(configs())
    divisors = st.integers(1, 8)
    num_envs, minibatches, rest = draw(divisors), draw(divisors), draw(divisors)
    environment = draw(st.sampled_from([None, RANDOM_STATES, "CartPole-v1", "Acrobot-v1", "module:Id-v0"]))
    needs_clip_range = config.clip_vloss or config.anneal_clip or config.overlap
    changes: dict[str, Any] = {
        "environment": environment,
        "num_envs": num_envs,
        "num_minibatches": minibatches,
        "batch_size": num_envs * minibatches * rest,
        "num_steps": None,
        "clip_coef": config.clip_coef if config.clip_coef != "off" or not needs_clip_range else 0.2,
    }
    if needs_clip_range and changes["clip_coef"] is None:
        changes["clip_coef"] = 0.1
    if config.normalize_rewards is False and config.min_advantage_std is None:
        changes["min_advantage_std"] = 0.0  # the preset's smallest deviation is for rewards of scale 1
    if config.total_timesteps is not None:
        changes |= {"num_epochs": None, "total_timesteps": max(config.total_timesteps, changes["batch_size"])}
    if ":" in (config.encoder or ""):
        changes["embedding_dim"] = None
    else:
        changes["encoder_kwargs"] = None
    if config.memory not in (None, "off"):
        changes["num_minibatches"] = num_envs
    has_workers = config.vectorization in ("auto", "shared", "workers")
    changes["workers"] = draw(st.integers(1, num_envs)) if has_workers else None
    if config.vectorization in ("sync", "shared", "native", "compiled"):
        changes["max_worker_restarts"] = None
    if config.vectorization == "native":
        changes |= {"wrappers": None, "frame_stack": None, "replay": draw(st.sampled_from([None, "auto", "none"]))}
    if config.vectorization == "compiled":
        changes |= {"wrappers": None, "frame_stack": None, "replay": draw(st.sampled_from([None, "auto", "reset"]))}
        changes["observation_keys"] = None
    if environment in (None, RANDOM_STATES):
        changes |= {"environment_kwargs": None, "wrappers": None, "max_episode_steps": None, "frame_stack": None}
        changes["reward_model"] = draw(st.sampled_from([None, "linear", "module:Class"]))
        changes |= {"reward_mode": None, "vectorization": None, "workers": None, "replay": None}
        changes |= {"max_worker_restarts": None, "observation_keys": None, "video_interval": None}
        changes |= {"evaluation_environment": None, "evaluation_environment_kwargs": None}
    elif config.reward_model in (None, "environment"):
        changes["reward_mode"] = None
    return Config(**{**config.model_dump(), **changes})


_READ = {"type", "properties", "additionalProperties", "anyOf", "enum", "const", "items", "pattern"}
_READ |= {
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
}
_ANNOTATIONS = {"$schema", "title", "description", "default", "examples"}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "null": type(None), "boolean": bool, "integer": int, "number": (int, float), "string": str, "array": list,
    "object": dict,
}  # fmt: skip


def conforms(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is valid under a schema, by the rules of JSON Schema."""
    assert schema.keys() <= _READ | _ANNOTATIONS, f"keywords this reader does not know: {schema}"
    kind = schema.get("type")
    if kind is not None and (
        not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind in ("integer", "number"))
    ):
        return False
    checks = [
        "anyOf" not in schema or any(conforms(value, one) for one in schema["anyOf"]),
        "enum" not in schema or value in schema["enum"],
        "const" not in schema or value == schema["const"],
        "pattern" not in schema or re.search(schema["pattern"], value) is not None,
        "minimum" not in schema or value >= schema["minimum"],
        "maximum" not in schema or value <= schema["maximum"],
        "exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"],
        "exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"],
        "minLength" not in schema or len(value) >= schema["minLength"],
        "maxLength" not in schema or len(value) <= schema["maxLength"],
        "items" not in schema or all(conforms(item, schema["items"]) for item in value),
        "minProperties" not in schema or len(value) >= schema["minProperties"],
        "maxProperties" not in schema or len(value) <= schema["maxProperties"],
    ]
    for pattern, inner in schema.get("patternProperties", {}).items():
        checks += [conforms(item, inner) for name, item in value.items() if re.search(pattern, name)]
    if "properties" in schema:
        known = schema["properties"]
        checks.append(schema["additionalProperties"] is True or value.keys() <= known.keys())
        checks.append(all(conforms(item, known[name]) for name, item in value.items() if name in known))
    return all(checks)
