"""One family of errors: each names the culprit and the way out, and carries its exit code."""


class ActorCriticError(Exception):
    """Any failure this package reports on purpose; its text is written for the user."""

    exit_code = 1


class ConfigError(ActorCriticError):
    """A setting, flag or path is wrong: the message names the field, the value and what is allowed."""

    exit_code = 2


class EnvironmentFault(ActorCriticError):  # noqa: N818 - the fault is the environment's, not the program's
    """An environment broke its contract: the message names the environment, its index and the step."""

    exit_code = 3


class ReplayFault(EnvironmentFault):
    """An environment did not replay a running episode: the message names which, and how far it was."""


class CheckpointError(ActorCriticError):
    """A checkpoint cannot be read, trusted or written: the message names the file and the reason."""

    exit_code = 4


class VerificationError(ActorCriticError):
    """A run is not what its settings say: the message names the first epoch that came out otherwise."""

    exit_code = 6


class NumericalError(ActorCriticError):
    """A loss, gradient, reward or parameter stopped being finite: the message names which, and when."""

    exit_code = 5
