#!/usr/bin/env bash
echo "egress rules: not yet" >&2
