"""The Python objects that a program passes where a settings file has names."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from actor_critic.config.json_values import as_json, check_is_json
from actor_critic.config.messages import nearest
from actor_critic.config.settings import SETTING_NAMES, Settings, wrapper_and_kwargs
from actor_critic.errors import ConfigError
from actor_critic.imports import Objects, object_name

EnvironmentLike = str | Callable[..., Any]
"""A name as in settings, an environment class, or a function that makes an environment."""
WrapperLike = str | Mapping[str, Mapping[str, Any]] | Callable[..., Any] | tuple[Callable[..., Any], Mapping[str, Any]]
"""A name or {name: keyword arguments} as in settings, a class or function, or a pair of it and keyword arguments."""
RewardModelLike = Any
"""A name as in settings, a RewardModel class or instance, or a function of states and actions."""
EncoderLike = str | Callable[..., Any]
"""A name as in settings, or a module class or function that is called with the shapes of its input."""


class PassedObjects(TypedDict, total=False):
    """The keyword arguments that take objects; :class:`Trainer` explains them."""

    environment: EnvironmentLike | None
    wrappers: Sequence[WrapperLike] | None
    reward_model: RewardModelLike | None
    encoder: EncoderLike | None
    evaluation_environment: EnvironmentLike | None


def check_names(objects: Mapping[str, Any]) -> None:
    """Check the names of keyword arguments that take objects.

    Raises:
        ConfigError: There is no such argument; the message says what is meant.
    """
    names = list(PassedObjects.__annotations__)
    for name in objects.keys() - set(names):
        is_setting = name in SETTING_NAMES
        mend = f"; it is a setting: Config({name}=...)" if is_setting else nearest(name, [*names, *SETTING_NAMES])
        raise ConfigError(f"unknown argument {name!r}; expected {', '.join(names)}{mend}")


class Passed:
    """The objects that a program passes instead of names. None stands for the value in the settings.

    Attributes:
        settings: The settings that the objects replace, with the names of the objects.
        objects: The objects by these names.
    """

    def __init__(
        self,
        environment: EnvironmentLike | None = None,
        wrappers: Sequence[WrapperLike] | None = None,
        reward_model: RewardModelLike | None = None,
        encoder: EncoderLike | None = None,
        evaluation_environment: EnvironmentLike | None = None,
        *,
        beside: Objects | None = None,
    ) -> None:
        """Name the objects.

        Args:
            environment: As for :class:`Trainer`, as the next four.
            wrappers: As for :class:`Trainer`.
            reward_model: As for :class:`Trainer`.
            encoder: As for :class:`Trainer`.
            evaluation_environment: As for :class:`Trainer`.
            beside: Objects that have names already; the new names differ from theirs.

        Raises:
            ConfigError: An object is of the wrong kind.
        """
        self.settings: dict[str, Any] = {}
        self._found: dict[str, Any] = {}
        self._beside = beside or Objects()
        for field, check, value in (
            ("environment", _check_environment, environment),
            ("reward_model", _check_reward_model, reward_model),
            ("encoder", _check_encoder, encoder),
            ("evaluation_environment", _check_environment, evaluation_environment),
        ):
            if value is not None:
                check(value)
                self.settings[field] = self._name(value)
        if wrappers is not None:
            if isinstance(wrappers, (str, Mapping)) or not isinstance(wrappers, Sequence):
                raise ConfigError(
                    f"wrappers: {wrappers!r} is not allowed; expected a list of classes, functions or names"
                )
            self.settings["wrappers"] = [self._wrapper(wrapper) for wrapper in wrappers]
        self.objects = Objects(self._found)

    @classmethod
    def of(cls, objects: PassedObjects) -> "Passed":
        """Return what keyword arguments pass.

        Raises:
            ConfigError: There is no such argument, or an object is of the wrong kind.
        """
        check_names(objects)
        return cls(**objects)

    def bound_to(self, settings: Settings) -> Objects:
        """Return the objects under the names that the settings of a saved run have for them.

        Whether they are the same objects is decided by their digests, not by their names: a class that was defined in
        a script may have moved to a module.

        Raises:
            ConfigError: The run has no such object, or other keyword arguments of a wrapper.
        """
        bound: dict[str, Any] = {}
        for field, name in self.settings.items():
            saved: Any = getattr(settings, field)
            pairs = [(name, saved or "")]
            if field == "wrappers":
                if len(name) != len(saved):
                    raise ConfigError(f"wrappers: {len(name)} given, and the run has {len(saved)}: {saved}")
                pairs = list(zip(name, saved, strict=True))
            for now, before in pairs:
                now_name, now_kwargs = wrapper_and_kwargs(now)
                before_name, before_kwargs = wrapper_and_kwargs(before)
                if now_kwargs != before_kwargs:
                    raise ConfigError(f"wrappers: {now} given, and the run has {before}")
                if now_name in self.objects and ":" in before_name:
                    bound[before_name] = self._found[now_name]
                elif now_name != before_name:
                    raise ConfigError(
                        f"{field}: {now_name} is not allowed; the run has {before_name or 'none'}, and continues with "
                        f"the settings that it began with"
                    )
        return Objects(bound)

    def _name(self, found: Any) -> str:
        """Return the name of an object; different objects of one name are numbered."""
        if isinstance(found, str):
            return found
        plain = name = object_name(found)
        number = 1
        while self._found.get(name, self._beside.passed(name, found)) is not found:
            number += 1
            name = f"{plain}#{number}"
        self._found[name] = found
        return name

    def _wrapper(self, wrapper: Any) -> Any:
        if isinstance(wrapper, (str, Mapping)):
            return wrapper
        kwargs: Mapping[str, Any] = {}
        if isinstance(wrapper, tuple) and len(wrapper) == 2 and isinstance(wrapper[1], Mapping):
            wrapper, kwargs = wrapper
        if isinstance(wrapper, functools.partial) and not wrapper.args and not kwargs:
            wrapper, kwargs = wrapper.func, wrapper.keywords
        if not _is_maker(wrapper):
            raise ConfigError(
                f"wrappers: {wrapper!r} is not allowed; expected a class or function that takes an environment, a pair "
                f"of it and its keyword arguments, or a name"
            )
        given = as_json(dict(kwargs))
        try:
            check_is_json("wrappers", given)
        except ConfigError:  # no file can have these arguments, so they belong to the object
            wrapper, given = functools.partial(wrapper, **kwargs), {}
        name = self._name(wrapper)
        return {name: given} if given else name


def _is_maker(found: Any) -> bool:
    """Return whether something is a name, a class or a function, rather than a made environment or module."""
    is_made = any(hasattr(found, mark) for mark in ("reset", "state_dict")) and not isinstance(found, type)
    return isinstance(found, str) or (callable(found) and not is_made)


def _check_environment(found: Any) -> None:
    kind = type(found).__name__
    if not isinstance(found, type) and hasattr(found, "reset") and hasattr(found, "step"):
        raise ConfigError(
            f"environment: an object of {kind} is not allowed, since a run needs several; pass the class, or a "
            f"function that makes one, such as lambda: {kind}(...)"
        )
    if not _is_maker(found):
        raise ConfigError(
            f"environment: {found!r} is not allowed; expected a class, a function that makes a gymnasium.Env, or a name"
        )


def _check_reward_model(found: Any) -> None:
    if not (isinstance(found, str) or callable(found) or hasattr(found, "expected_rewards")):
        raise ConfigError(
            f"reward_model: {found!r} is not allowed; expected a function of states and actions, a RewardModel class "
            f"or instance, or a name"
        )


def _check_encoder(found: Any) -> None:
    if not _is_maker(found):
        raise ConfigError(
            f"encoder: an object of {type(found).__name__} is not allowed; pass the class, or a function that makes a "
            f"torch.nn.Module, since policy and value function have one each"
        )
