"""WHAT A PERSON TYPES: the `lxcontainer` command."""
