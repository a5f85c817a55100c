"""From a spec and a setting to manifests, one child kind per file. Pure."""
