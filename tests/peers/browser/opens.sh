#!/usr/bin/env bash
# A browser that says what it was told to open, for whoever reads standard error and opens it elsewhere.
printf '%s\n' "$1" >&2
