// The node's own mount namespace.

package node

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// ownMountsVariable marks a node that has its own mount namespace already.
const ownMountsVariable = "SLUICE_NODE_OWN_MOUNTS"

// longestRoot is the length of the kubelet's folder up to which the sockets that it makes below
// fit into a socket address (108 bytes).
const longestRoot = 70

// shortRoot is where a folder with a longer name is mounted instead. It exists on every Linux, and
// the node itself needs no shared memory; containers have their own.
const shortRoot = "/dev/shm"

// ownMounts gives the node a mount namespace of its own, by starting the program again in the same
// process. So the volumes that it mounts are gone when it is gone, however it ends.
func ownMounts() error {
	if os.Getenv(ownMountsVariable) != "" {
		return os.Unsetenv(ownMountsVariable)
	}
	runtime.LockOSThread() // the new program takes over the namespaces of this thread
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w (the process node needs CAP_SYS_ADMIN in its "+
			"user namespace: unshare --user --map-root-user)", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	err := unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), ownMountsVariable+"=1"))
	return fmt.Errorf("start again in an own mount namespace: %w", err)
}

// kubeletRoot is the kubelet's folder below dir, by a name that is short enough for its sockets.
func kubeletRoot(dir string) (string, error) {
	root := filepath.Join(dir, "kubelet")
	if err := os.MkdirAll(root, 0o750); err != nil {
		return "", err
	}
	if len(root) <= longestRoot {
		return root, nil
	}
	if err := unix.Mount(root, shortRoot, "", unix.MS_BIND, ""); err != nil {
		return "", fmt.Errorf("show %s at %s, because its name is too long for sockets: %w",
			root, shortRoot, err)
	}
	return shortRoot, nil
}
