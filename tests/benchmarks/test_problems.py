"""The problems that the measurements add are what they are said to be."""

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


def test_repeating_what_is_shown_pays_and_the_shown_choice_is_never_masked() -> None:
    env = problems.Repeat(choices=7, masked=4)
    shown, info = env.reset(seed=3)
    total = 0.0
    for step in range(1, 101):
        assert info["action_mask"].sum() == 3
        assert info["action_mask"][shown] == 1
        action = shown if step % 2 else (shown + 1) % 7
        shown, reward, terminated, truncated, info = env.step(action)
        total += reward
        assert (terminated, truncated) == (False, step == 100)
    assert total == 50.0
    assert "action_mask" not in problems.Repeat().reset(seed=0)[1]
