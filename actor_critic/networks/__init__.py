"""PolicyNetwork and ValueNetwork, with encoders, normalisation and the flat buffer of parameters."""

from actor_critic.networks.encoders import CustomEncoder, PartsEncoder
from actor_critic.networks.features import FeatureMaker, make_observation_normalizer
from actor_critic.networks.networks import PolicyNetwork, ValueNetwork, make_networks
from actor_critic.networks.normalization import ObservationNormalizer, RewardNormalizer, RunningMoments, update_moments
from actor_critic.networks.parameters import FlatParameters

__all__ = [
    "CustomEncoder",
    "FeatureMaker",
    "FlatParameters",
    "ObservationNormalizer",
    "PartsEncoder",
    "PolicyNetwork",
    "RewardNormalizer",
    "RunningMoments",
    "ValueNetwork",
    "make_networks",
    "make_observation_normalizer",
    "update_moments",
]
