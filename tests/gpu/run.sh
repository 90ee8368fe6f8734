#!/bin/sh
# Run all that needs a GPU, within six minutes, without a network: sh tests/gpu/run.sh FOLDER
#
# FOLDER receives tests.txt, benchmark.txt and gpu.json, which belongs to benchmarks/results/gpu.json.
# The machine has Python 3.12, PyTorch, Numba, hypothesis, pytest and pytest-xdist. `make gpu-wheels` puts what else is
# needed into build/wheels.
set -u
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.." || exit 1
python=${PYTHON:-python3}
site=$(mktemp -d)
if [ -z "${PYTHON:-}" ] && [ -d build/wheels ]; then
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$site" build/wheels/*.whl ||
        exit 1
fi
export PYTHONPATH="$site:$PWD" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Warnings of other versions of libraries are no failures here; a test makes those about repeatability errors.
timeout 170 "$python" -m pytest -n 4 --dist worksteal -W default -p no:cacheprovider --durations=10 tests/gpu >"$out/tests.txt" 2>&1
tests=$?
tail -n 40 "$out/tests.txt"
timeout 185 "$python" -m benchmarks.speed.gpu --limit 150 --output "$out/gpu.json" >"$out/benchmark.txt" 2>&1
benchmark=$?
cat "$out/benchmark.txt"
echo "tests: exit status $tests; benchmark: exit status $benchmark"
[ "$tests" -eq 0 ] && [ "$benchmark" -eq 0 ]
