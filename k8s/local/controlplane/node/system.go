// What keeps the kubelet from changing the host.

package node

import (
	"os"
	"path/filepath"
	"strings"

	kubecontainer "k8s.io/kubernetes/pkg/kubelet/container"
	"k8s.io/kubernetes/pkg/volume/util/hostutil"
)

// hostLogs is where the kubelet links every container's log to, on the host.
const hostLogs = "/var/log/containers"

// privateOS keeps the kubelet from writing to the host: what it would do in hostLogs it does in a
// folder of the node.
type privateOS struct {
	kubecontainer.RealOS
	logs string
}

// own is where a path really leads.
func (o privateOS) own(path string) string {
	if path == hostLogs || strings.HasPrefix(path, hostLogs+"/") {
		return filepath.Join(o.logs, strings.TrimPrefix(path, hostLogs))
	}
	return path
}

func (o privateOS) MkdirAll(path string, mode os.FileMode) error {
	return o.RealOS.MkdirAll(o.own(path), mode)
}

func (o privateOS) Symlink(from, to string) error { return o.RealOS.Symlink(from, o.own(to)) }

func (o privateOS) Stat(path string) (os.FileInfo, error) { return o.RealOS.Stat(o.own(path)) }

func (o privateOS) Remove(path string) error { return o.RealOS.Remove(o.own(path)) }

func (o privateOS) RemoveAll(path string) error { return o.RealOS.RemoveAll(o.own(path)) }

func (o privateOS) Glob(pattern string) ([]string, error) { return o.RealOS.Glob(o.own(pattern)) }

// privateHost keeps mounts from spreading: the node's mount namespace is its own.
type privateHost struct{ hostutil.HostUtils }

func (privateHost) MakeRShared(string) error { return nil }
