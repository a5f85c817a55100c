// Package runtime is a container runtime that starts plain processes. It speaks Kubernetes' CRI,
// so the real kubelet drives it: sandboxes are network namespaces, containers are processes in
// mount, process, host-name and user namespaces of their own.
//
// Everything it knows is in memory: its containers end with it, and the kubelet starts them again.
package runtime
