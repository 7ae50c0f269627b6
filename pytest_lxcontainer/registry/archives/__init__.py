"""Images that are files of this host: OCI layouts, archives of OCI and of Docker, and root file systems."""
