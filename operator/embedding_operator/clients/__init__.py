"""The operator's only sockets: the cluster, the pods, Prometheus."""
