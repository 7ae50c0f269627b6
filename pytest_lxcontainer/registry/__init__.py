"""Where images come from: verified bytes over the OCI distribution protocol.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""
