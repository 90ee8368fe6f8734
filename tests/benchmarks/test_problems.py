"""The problems that the measurements add are what they are said to be."""

import gymnasium as gym

from benchmarks.learning import problems


def test_the_two_mazes_look_the_same_from_the_second_frame_on_and_pay_for_opposite_turns() -> None:
    def walk(hint: float, turn: int) -> tuple[list[list[float]], float, int]:
        maze = problems.TMaze()
        seed = next(seed for seed in range(20) if maze.reset(seed=seed)[0][0] == hint)
        frames = [maze.reset(seed=seed)[0].tolist()]
        ended, reward, steps = False, 0.0, 0
        for action in (1, 0, 2, *[0] * 9, 0, turn):  # turns on the way and a step against the wall change nothing
            assert not ended
            frame, reward, ended, _, _ = maze.step(action)
            frames.append(frame.tolist())
            steps += 1
        assert ended
        return frames, reward, steps

    (first, paid, steps), (second, other, _) = walk(1.0, 1), walk(-1.0, 1)
    assert first[0] != second[0]
    assert first[1:] == second[1:]
    assert (paid, other) == (1.0, 0.0)
    assert walk(-1.0, 2)[1] == 1.0
    assert first[12] == [0.0, 1.0] and first[1:12] == [[0.0, 0.0]] * 11
    assert steps == 14


def test_a_mask_can_be_hidden() -> None:
    plain = gym.make("Taxi-v4")
    assert "action_mask" in plain.reset(seed=0)[1]
    hidden = problems.Unmasked(plain)
    assert "action_mask" not in hidden.reset(seed=0)[1]
    assert "action_mask" not in hidden.step(0)[4]
