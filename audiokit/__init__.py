"""The parts of audioserver, in one package so that an embedding program gets no stray names.

Nothing in here imports the top level (`audioserver`, `storage`, `audiometa`): what a part needs
from there is handed to it.  See docs/design.md for the rooms and the arrows between them.
"""
