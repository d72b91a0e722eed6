#!/bin/sh
echo "Nobody knows what may be done with me."
