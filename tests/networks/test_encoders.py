"""What observations become before the hidden layers."""

import hashlib
import math
import sys
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from actor_critic import ActorCriticAgent, Config, Trainer, evaluate
from actor_critic.errors import ActorCriticError, CheckpointError, ConfigError
from actor_critic.networks.encoders import CNNS, CustomEncoder, PartsEncoder, encode
from actor_critic.spaces import ActionSpec, ObservationSpec
from actor_critic.storage.checkpoints import load
from tests.plain import PLAIN
from tests.toys import Nested

TWO = ActionSpec.from_space(gym.spaces.Discrete(2))
RUN = {
    "environment": "Nested-v0",
    **PLAIN,
    "num_envs": 2,
    "num_steps": 8,
    "num_epochs": 2,
    "hidden_dim": 8,
    "seed": 1,
}


def _spec(space: gym.Space[Any]) -> ObservationSpec:
    return ObservationSpec.from_space(space)


def _encoder(space: gym.Space[Any], images: str = "auto", embedding_dim: int | None = None) -> PartsEncoder:
    return PartsEncoder(_spec(space), images, embedding_dim, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("layout", ["first", "last"])
def test_a_picture_is_scaled_once_and_shown_channels_first(layout: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (2, 3, 40, 50), np.uint8)
    given = picture if layout == "first" else picture.transpose(0, 2, 3, 1)
    spec = _spec(gym.spaces.Box(0, 255, given.shape[1:], np.uint8))
    features = encode(np.ascontiguousarray(given), spec).reshape(2, 3, 40, 50)
    np.testing.assert_allclose(features.numpy(), picture / 255, rtol=1e-6)


def test_stacked_frames_become_channels() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (1, 4, 40, 50, 3), np.uint8)
    features = encode(frames, _spec(gym.spaces.Box(0, 255, (4, 40, 50, 3), np.uint8))).reshape(12, 40, 50)
    np.testing.assert_allclose(features[3 * 2 + 1], frames[0, 2, :, :, 1] / 255, rtol=1e-6)


def test_bytes_of_a_small_grid_are_one_hot_up_to_15_and_brightness_above() -> None:
    grid = np.arange(7 * 7 * 3, dtype=np.uint8).reshape(1, 7, 7, 3)
    planes = encode(grid, _spec(gym.spaces.Box(0, 255, (7, 7, 3), np.uint8))).reshape(3, 17, 7, 7).numpy()
    for row, column, channel in np.ndindex(7, 7, 3):
        number, expected = int(grid[0, row, column, channel]), np.zeros(17)
        expected[min(number, 16)] = 1 if number < 16 else number / 255
        np.testing.assert_allclose(planes[channel, :, row, column], expected, rtol=1e-6)


def test_numbers_of_a_board_are_one_hot_from_the_lowest_on() -> None:
    board = np.array([[[-1, 0, 1], [1, 1, -1], [0, 0, 0]]], np.int8)
    features = encode(board, _spec(gym.spaces.Box(-1, 1, (3, 3), np.int8)))
    planes = [board[0] == -1, board[0] == 0, board[0] == 1]
    np.testing.assert_array_equal(features.reshape(3, 3, 3).numpy(), np.array(planes, np.float32))


def test_codes_need_no_cnn_and_a_cnn_sees_their_planes() -> None:
    space = gym.spaces.Box(0, 255, (7, 7, 3), np.uint8)
    flat, convolved = _encoder(space), _encoder(space, "small_cnn")
    assert flat.is_identity and flat.output_dim == 7 * 7 * 3 * 17
    assert flat.max_nonzeros == 7 * 7 * 3
    assert convolved.output_dim == 16 * 5 * 5
    assert convolved.convolutions is not None and convolved.convolutions.shape == (3 * 17, 7, 7)


class _Shapes(nn.Module):
    """Encode by the mean; keep the shape."""

    output_dim = 1

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers.flatten(1).mean(1, keepdim=True)


def test_an_agent_with_a_module_of_the_user_shows_it_numbers() -> None:
    spec, actions = _spec(gym.spaces.Box(0, 255, (4, 4, 3), np.uint8)), ActionSpec.from_space(gym.spaces.Discrete(2))
    agent = ActorCriticAgent(Config(hidden_dim=4), spec, actions, encoder=_Shapes)
    assert isinstance(agent.policy_network.trunk.encoder, CustomEncoder)
    assert agent.policy_network.trunk.encoder.module.shape == (3, 4, 4)


class Board(gym.Env[Any, Any]):
    """Shows a board of one field that is 1, all others -1 or 0; the action that names its column earns 1."""

    observation_space = gym.spaces.Box(-1, 1, (3, 3), np.int8)
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        reward = float(action == self._column)
        return self._observe(), reward, False, self._steps == 10, {}

    def _observe(self) -> Any:
        board = self.np_random.integers(-1, 1, (3, 3)).astype(np.int8)
        row, self._column = self.np_random.integers(0, 3, 2)
        board[row, self._column] = 1
        return board


gym.register("Board-v0", Board)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"backend": "fused"}, {"backend": "eager"}, {"encoder": "small_cnn"}])
@pytest.mark.parametrize("frames", [1, 2])
def test_a_board_is_learned_from(settings: dict[str, Any], frames: int) -> None:
    trainer = Trainer(Config(environment="Board-v0", total_timesteps=8_000, frame_stack=frames, seed=1, **settings))
    for _ in trainer:
        pass
    assert evaluate(trainer.agent, episodes=20).greedy.mean > 9


def test_a_run_from_before_codes_is_not_resumed_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Config(environment="Board-v0", num_envs=2, num_steps=8, hidden_dim=4, num_epochs=2)
    with monkeypatch.context() as before:
        before.setattr("actor_critic.spaces.observation_part._codes", lambda space, is_image: (0, 0))
        for _ in Trainer(settings, tmp_path / "run"):
            break
    assert evaluate(ActorCriticAgent.load(tmp_path / "run" / "last.safetensors"), episodes=2).greedy.mean >= 0
    with pytest.raises(CheckpointError, match="as versions before it did"):
        Trainer.resume(tmp_path / "run")
    with pytest.raises(ConfigError, match="as versions before it did"):
        Trainer(Config(environment="Board-v0", hidden_dim=4, num_epochs=1, init_from=str(tmp_path / "run")))


def test_a_module_of_the_user_gets_codes_as_numbers() -> None:
    spec = _spec(gym.spaces.Box(0, 255, (7, 7, 3), np.uint8)).without_codes_for("mine:Encoder")
    grid = np.arange(7 * 7 * 3, dtype=np.uint8).reshape(1, 7, 7, 3)
    np.testing.assert_array_equal(encode(grid, spec).reshape(3, 7, 7).numpy(), grid[0].transpose(2, 0, 1))


def test_parts_of_a_nested_observation_stand_side_by_side() -> None:
    space = Nested.observation_space
    space.seed(0)
    samples = [space.sample() for _ in range(4)]
    spec = _spec(space)
    array = np.zeros(4, spec.dtype)
    for row, sample in enumerate(samples):
        for view, value in zip(spec.views(array), spec.read(sample), strict=True):
            view[row] = value
    features = encode(array, spec).numpy()
    for row, sample in enumerate(samples):
        camera = encode(sample["camera"][None], _spec(space["camera"]))[0]
        np.testing.assert_array_equal(features[row, : 90 * 17], camera)
        np.testing.assert_array_equal(features[row, 90 * 17 : 90 * 17 + 2], sample["inside"][0])
        np.testing.assert_array_equal(features[row, 90 * 17 + 2 :], np.eye(3)[sample["inside"][1] - 1])


@pytest.mark.parametrize(
    ("shape", "images", "expected"),
    [
        ((4, 84, 84), "auto", 64 * 7 * 7),
        ((4, 84, 84), "nature_cnn", 64 * 7 * 7),
        ((84, 84), "auto", 64 * 7 * 7),
        ((36, 36, 1), "auto", 64),
        ((12, 12, 4), "auto", 16 * 10 * 10),
        ((12, 12, 4), "small_cnn", 16 * 10 * 10),
        ((40, 40, 1), "small_cnn", 16 * 38 * 38),
        ((12, 12, 4), "mlp", 576),
    ],
)
def test_sizes_of_the_networks_for_images(shape: tuple[int, ...], images: str, expected: int) -> None:
    encoder = _encoder(gym.spaces.Box(0, 255, shape, np.uint8), images)
    assert encoder.output_dim == expected
    assert encoder(torch.zeros(3, math.prod(shape))).shape == (3, expected)


def test_filters_are_orthogonal_and_see_the_image_as_torch_does() -> None:
    encoder = _encoder(gym.spaces.Box(0, 1, (10, 10, 4), np.bool_))
    (convolution,) = (module for module in encoder.modules() if isinstance(module, nn.Conv2d))
    weight = convolution.weight.detach().reshape(16, -1)
    torch.testing.assert_close(weight @ weight.T, 2 * torch.eye(16), rtol=0, atol=1e-5)
    images = torch.randn(2, 4, 10, 10, generator=torch.Generator().manual_seed(1))
    expected = nn.functional.conv2d(images, convolution.weight).relu().flatten(1)
    torch.testing.assert_close(encoder(images.flatten(1)), expected)
    assert CNNS["nature_cnn"] == ((32, 8, 4), (64, 4, 2), (64, 3, 1))


def test_an_embedding_is_the_row_of_its_category() -> None:
    space = gym.spaces.MultiDiscrete([3, 5], start=[1, -2])
    encoder = _encoder(space, embedding_dim=4)
    features = encode(np.array([[3, -2], [1, 2]]), _spec(space))
    found = encoder(features)
    first, second = (table.detach() for table in encoder.parts[0].tables)  # type: ignore[union-attr]
    torch.testing.assert_close(found, torch.stack([torch.cat([first[2], second[0]]), torch.cat([first[0], second[4]])]))
    assert encoder.output_dim == 8


@pytest.mark.parametrize(
    ("space", "settings", "message"),
    [
        (gym.spaces.Box(-1, 1, (3,)), {"encoder": "nature_cnn"}, "needs images, and there is none"),
        (gym.spaces.Box(0, 1, (10, 10, 4)), {"encoder": "nature_cnn"}, "36 x 36 at least, and these are 10 x 10"),
        (gym.spaces.Box(-1, 1, (3,)), {"embedding_dim": 4}, "no categories"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused(space: gym.Space[Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ActorCriticAgent(Config(**settings), _spec(space), TWO)


class Mine(nn.Module):
    """An encoder as a user writes one: the camera through a layer of its own, the rest as it is."""

    def __init__(self, shapes: Any, *, width: int = 5) -> None:
        super().__init__()
        assert shapes == {"camera": (3, 6, 5), "inside": ((2,), (3,))}
        self.camera = nn.Sequential(nn.Flatten(), nn.Linear(90, width), nn.Tanh())
        self.output_dim = width + 5

    def forward(self, observation: Any) -> Tensor:
        return torch.cat([self.camera(observation["camera"]), *observation["inside"]], 1)


@pytest.mark.parametrize("shared", [False, True])
def test_an_encoder_of_ones_own_is_trained_saved_and_resumed(tmp_path: Any, shared: bool) -> None:
    config = Config(
        **RUN, encoder_kwargs={"width": 4}, encoder="tests.networks.test_encoders:Mine", shared_encoder=shared
    )
    trainer = Trainer(config, tmp_path / "run")
    before = trainer.agent.state()
    for _ in trainer:
        pass
    after = trainer.agent.state()
    own = [name for name in after if "camera" in name]
    where = "trunk.encoder.module.camera.1"
    assert own == [f"{owner}.{where}.{what}" for owner in ("policy", "value") for what in ("weight", "bias")]
    assert not any(torch.equal(before[name], after[name]) for name in own)
    by_object = Trainer(config, encoder=Mine)
    for _ in by_object:
        pass
    assert torch.equal(by_object.agent.parameters.values, trainer.agent.parameters.values)
    resumed = Trainer.resume(tmp_path / "run", trust_code=True, num_epochs=3)
    straight = Trainer(Config(**(config.model_dump(exclude_none=True) | {"num_epochs": 3})))
    for run in (resumed, straight):
        for _ in run:
            pass
    assert torch.equal(resumed.agent.parameters.values, straight.agent.parameters.values)


def test_a_checkpoint_with_an_encoder_of_ones_own_needs_it_handed_over(tmp_path: Any) -> None:
    trainer = Trainer(Config(**RUN), encoder=Mine)
    assert trainer.settings.encoder == "tests.networks.test_encoders:Mine"
    path = tmp_path / "agent.safetensors"
    trainer.agent.save(path)
    with pytest.raises(CheckpointError, match=r"encoder tests\.networks\.test_encoders:Mine; pass that class"):
        ActorCriticAgent.load(path)
    loaded = ActorCriticAgent.load(path, encoder=Mine)
    assert torch.equal(loaded.parameters.values, trainer.agent.parameters.values)
    trainer.close()


class _Bad(Mine):
    def __init__(self, shapes: Any, *, fault: str) -> None:
        super().__init__(shapes)
        self._fault = fault
        if fault == "raises":
            raise RuntimeError("no GPU")
        if fault == "half":
            self.half()
        if fault == "says":
            self.output_dim = 7

    def forward(self, observation: Any) -> Any:
        match self._fault:
            case "flat":
                return super().forward(observation).reshape(-1)
            case "list":
                return [1, 2]
            case "double":
                return super().forward(observation).double()
            case "key":
                return observation["lidar"]
        return super().forward(observation)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raises", r"cannot be made for Nested-v0 with shapes .*RuntimeError: no GPU"),
        ("flat", r"returns \(20,\) torch.float32 for two observations of Nested-v0; expected \(2, D\) torch.float32"),
        ("list", "returns list for two"),
        ("double", r"returns \(2, 10\) torch.float64"),
        ("key", "fails on two observations of Nested-v0: KeyError: 'lidar'"),
        ("says", "returns 10 numbers for an observation of Nested-v0; expected 7, its output_dim"),
        ("half", "fails on two observations"),
    ],
)
def test_a_module_that_does_not_serve_is_refused_by_name(fault: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^encoder: tests\.networks\.test_encoders:_Bad {message}"):
        Trainer(Config(**RUN, encoder_kwargs={"fault": fault}, encoder="tests.networks.test_encoders:_Bad"))


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gives a dict; expected a torch.nn.Module"):
        Trainer(Config(**RUN, encoder="builtins:dict"))


def test_a_class_or_function_without_an_importable_name_is_passed_again_to_resume(tmp_path: Path) -> None:
    class Local(Mine):
        pass

    digests = []
    for number, encoder in enumerate((Local, lambda shapes: Mine(shapes), partial(Mine, width=8))):
        folder = tmp_path / str(number)
        run = Trainer(Config(**RUN), folder, encoder=encoder)
        next(iter(run))
        run.close()
        # The name of the partial function leads to a class, which is another version.
        lost = r"it was an object of a Python program: pass it again, as encoder=|another version of .*:Mine"
        with pytest.raises(ActorCriticError, match=lost):
            Trainer.resume(folder, trust_code=True)
        with pytest.raises(CheckpointError, match="another version"):
            Trainer.resume(folder, encoder=partial(Mine, width=9))
        run = Trainer.resume(folder, encoder=encoder)
        assert [report.epoch for report in run] == [2]
        digests.append(run.digest)
        uninterrupted = Trainer(Config(**RUN), encoder=encoder)
        assert [uninterrupted.digest for _ in uninterrupted][-1] == run.digest
    assert len(set(digests)) == 3  # the code is part of the digest


def test_a_module_instead_of_its_class_is_refused() -> None:
    with pytest.raises(ConfigError, match="encoder: an object of Mine is not allowed; pass the class"):
        Trainer(Config(**RUN), encoder=Mine({"camera": (3, 6, 5), "inside": ((2,), (3,))}))  # type: ignore[arg-type]


def test_settings_go_together_with_an_encoder_handed_over() -> None:
    trainer = Trainer(Config(**RUN, encoder_kwargs={"width": 3}), encoder=Mine)
    trainer.close()
    assert trainer.agent.policy_network.trunk.encoder.output_dim == 8  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match=r"embedding_dim: 5 .* has no effect"):
        Trainer(Config(**RUN, embedding_dim=5), encoder=Mine)


def test_a_run_is_not_resumed_with_another_version_of_its_encoder(tmp_path: Any, monkeypatch: Any) -> None:
    source = "import torch\nclass Flat(torch.nn.Identity):\n    def __init__(self, shapes): super().__init__()\n"
    (tmp_path / "flat_encoder.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    settings = {"environment": "CartPole-v1", **PLAIN, "encoder": "flat_encoder:Flat"}
    trainer = Trainer(Config(**settings, num_epochs=1), tmp_path / "run")
    (tmp_path / "flat_encoder.py").write_text(source + "# changed while it ran")
    for _ in trainer:
        pass
    code = load(tmp_path / "run" / "last.safetensors").code
    assert code == {"encoder": hashlib.sha256(source.encode()).hexdigest()}  # of what was trained with
    with pytest.raises(CheckpointError, match="another version of flat_encoder:Flat"):
        Trainer.resume(tmp_path / "run", num_epochs=2, trust_code=True)


def test_code_that_a_file_names_is_imported_in_python_only_with_trust(tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "wrapper_module.py").write_text("import gymnasium\nclass Same(gymnasium.Wrapper): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings = {"environment": "CartPole-v1", **PLAIN, "wrappers": ["wrapper_module:Same"]}
    for _ in Trainer(Config(**settings, num_epochs=1), tmp_path / "run"):
        pass
    del sys.modules["wrapper_module"]
    path = tmp_path / "run" / "last.safetensors"
    with pytest.raises(CheckpointError, match=r"names code to import: wrapper_module:Same; .*trust_code=True"):
        Trainer.resume(tmp_path / "run", num_epochs=2)
    agent = ActorCriticAgent.load(path)
    assert agent.act([0.0, 0.0, 0.0, 0.0]) in (0, 1)
    with pytest.raises(CheckpointError, match="names code to import"):
        evaluate(agent, episodes=1)
    assert "wrapper_module" not in sys.modules
    assert evaluate(ActorCriticAgent.load(path, trust_code=True), episodes=1).episodes == 1


class Forgetful(nn.Module):
    """An encoder that draws from PyTorch's global generator whenever it is used."""

    def __init__(self, shapes: Any) -> None:
        super().__init__()
        self.output_dim = 4

    def forward(self, observation: Tensor) -> Tensor:
        return torch.nn.functional.dropout(observation, 0.5)


def test_what_draws_from_global_generators_is_resumed_exactly(tmp_path: Path) -> None:
    config = Config(
        environment="CartPole-v1", **PLAIN, num_envs=4, num_steps=8, num_epochs=4, checkpoint_interval=1,
        encoder="tests.networks.test_encoders:Forgetful",
    )  # fmt: skip
    whole, stopped = Trainer(config, tmp_path / "whole"), Trainer(config, tmp_path / "stopped")
    for _ in whole:
        pass
    for report in stopped:
        if report.epoch == 2:
            stopped.stop("by the test")
    torch.manual_seed(123)
    resumed = Trainer.resume(tmp_path / "stopped", trust_code=True)
    for _ in resumed:
        pass
    assert resumed.digest == whole.digest


class Moody(nn.Module):
    """Does something else while it learns."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(math.prod(shape), 6), nn.BatchNorm1d(6), nn.Dropout(0.5))
        self.modes: set[bool] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.modes.add(self.training)
        return self.layers(x)


def test_an_encoder_is_in_training_mode_while_it_learns_and_nowhere_else(tmp_path: Path) -> None:
    changes = {"environment": "CartPole-v1", "num_epochs": 4}
    plain = Trainer(Config(**(RUN | changes)), encoder=Moody)
    for _ in plain:
        pass
    evaluated = Trainer(Config(**(RUN | changes | {"evaluation_interval": 1})), tmp_path / "run", encoder=Moody)
    for _ in evaluated:
        pass
    assert evaluated.digest == plain.digest
    agent = ActorCriticAgent.load(tmp_path / "run/last.safetensors", encoder=Moody)
    assert len({agent.value(np.ones(4, np.float32)) for _ in range(8)}) == 1
    assert evaluate(agent, episodes=3) == evaluate(agent, episodes=3)  # an encoder handed over asks for no trust
    assert isinstance(agent.policy_network.trunk.encoder, CustomEncoder)
    assert agent.policy_network.trunk.encoder.module.modes == {False}
    assert isinstance(plain.agent.policy_network.trunk.encoder, CustomEncoder)
    assert plain.agent.policy_network.trunk.encoder.module.modes == {False, True}
