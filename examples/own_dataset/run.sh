#!/usr/bin/env bash
# Registers a dataset of one's own and evaluates a model on it.
# bash examples/own_dataset/run.sh [KEY VALUE ...]   keys such as MODEL.WEIGHTS go to --overrides
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export SHAPES_ROOT="${SHAPES_ROOT:-${TMPDIR:-/tmp}/collavo_shapes}"
plugin=examples/own_dataset/plugin

bash run list datasets --user_dir "$plugin"                              # the name is known
"${COLLAVO_PYTHON:-.venv/bin/python}" examples/own_dataset/make_data.py "$SHAPES_ROOT"
bash run eval --user_dir "$plugin" --overrides DATASETS.TEST shapes "$@"
