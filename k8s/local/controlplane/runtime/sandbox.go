// Pod sandboxes.

package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"controlplane.sluice.dev/network"
)

// sandbox is one pod: its network namespace and its name. Fields are guarded by Runtime.mu.
type sandbox struct {
	id        string
	config    *cri.PodSandboxConfig
	handler   string
	state     cri.PodSandboxState
	createdAt int64
	// pod is nil for a pod on the node's own network, and after the sandbox was stopped.
	pod *network.Pod
	ip  string
}

// RunPodSandbox implements CRI: it makes the pod's network.
func (r *Runtime) RunPodSandbox(
	_ context.Context, config *cri.PodSandboxConfig, handler string,
) (string, error) {
	if err := supported(config, handler); err != nil {
		return "", err
	}
	if r.isClosing() {
		return "", errors.New("the process node is shutting down")
	}
	s := &sandbox{id: newID(), config: config, handler: handler, createdAt: time.Now().UnixNano(),
		state: cri.PodSandboxState_SANDBOX_READY}
	if config.LogDirectory != "" {
		if err := os.MkdirAll(config.LogDirectory, 0o755); err != nil {
			return "", err
		}
	}
	if !onNodeNetwork(config) {
		address, err := r.pool.Take()
		if err != nil {
			return "", err
		}
		s.pod, err = network.NewPod(s.id, address, r.config.NodeIP, r.config.PodCIDR)
		if err != nil {
			r.pool.Release(address)
			return "", fmt.Errorf("network of pod %s: %w", config.GetMetadata().GetName(), err)
		}
		s.ip = address.String()
	}
	r.mu.Lock()
	r.sandboxes[s.id] = s
	r.mu.Unlock()
	r.announce(s.id, s.id, cri.ContainerEventType_CONTAINER_STARTED_EVENT)
	return s.id, nil
}

// supported says early, and plainly, what this node cannot do.
func supported(config *cri.PodSandboxConfig, handler string) error {
	if handler != "" {
		return fmt.Errorf("the process node has no runtime handler %q", handler)
	}
	for _, port := range config.PortMappings {
		if port.HostPort != 0 && !onNodeNetwork(config) {
			return fmt.Errorf("hostPort %d: the process node does not map host ports", port.HostPort)
		}
	}
	options := config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	if options.GetPid() != cri.NamespaceMode_CONTAINER && options.GetPid() != cri.NamespaceMode_POD {
		return errors.New("hostPID: the process node does not share its processes")
	}
	if users := options.GetUsernsOptions(); users != nil && users.Mode == cri.NamespaceMode_POD {
		return errors.New("hostUsers false: the process node maps one user of its own per container")
	}
	return nil
}

func onNodeNetwork(config *cri.PodSandboxConfig) bool {
	options := config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	return options.GetNetwork() == cri.NamespaceMode_NODE
}

// StopPodSandbox implements CRI: it ends the pod's processes by force and frees its address.
func (r *Runtime) StopPodSandbox(_ context.Context, id string) error {
	s, err := r.sandbox(id)
	if err != nil {
		return nil // stopping what is gone is no error
	}
	for _, c := range r.containersOf(id) {
		c.stop(0)
	}
	r.mu.Lock()
	s.state = cri.PodSandboxState_SANDBOX_NOTREADY
	r.mu.Unlock()
	err = r.closeSandbox(s)
	r.announce(id, id, cri.ContainerEventType_CONTAINER_STOPPED_EVENT)
	return err
}

// closeSandbox takes the pod's network away. The address is free only afterwards.
func (r *Runtime) closeSandbox(s *sandbox) error {
	r.mu.Lock()
	pod := s.pod
	s.pod = nil
	r.mu.Unlock()
	if pod == nil {
		return nil
	}
	err := pod.Close()
	r.pool.Release(pod.Address)
	return err
}

// RemovePodSandbox implements CRI.
func (r *Runtime) RemovePodSandbox(ctx context.Context, id string) error {
	if err := r.StopPodSandbox(ctx, id); err != nil {
		return err
	}
	for _, c := range r.containersOf(id) {
		if err := r.RemoveContainer(ctx, c.id); err != nil {
			return err
		}
	}
	r.mu.Lock()
	delete(r.sandboxes, id)
	r.mu.Unlock()
	r.announce(id, id, cri.ContainerEventType_CONTAINER_DELETED_EVENT)
	return nil
}

// PodSandboxStatus implements CRI.
func (r *Runtime) PodSandboxStatus(
	_ context.Context, id string, _ bool,
) (*cri.PodSandboxStatusResponse, error) {
	s, err := r.sandbox(id)
	if err != nil {
		return nil, err
	}
	return &cri.PodSandboxStatusResponse{Status: r.sandboxStatus(s),
		Timestamp: time.Now().UnixNano()}, nil
}

func (r *Runtime) sandboxStatus(s *sandbox) *cri.PodSandboxStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &cri.PodSandboxStatus{
		Id: s.id, Metadata: s.config.Metadata, State: s.state, CreatedAt: s.createdAt,
		Network: &cri.PodSandboxNetworkStatus{Ip: s.ip},
		Linux: &cri.LinuxPodSandboxStatus{Namespaces: &cri.Namespace{
			Options: s.config.GetLinux().GetSecurityContext().GetNamespaceOptions()}},
		Labels: s.config.Labels, Annotations: s.config.Annotations, RuntimeHandler: s.handler,
	}
}

// ListPodSandbox implements CRI, newest first.
func (r *Runtime) ListPodSandbox(
	_ context.Context, filter *cri.PodSandboxFilter,
) ([]*cri.PodSandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := []*cri.PodSandbox{}
	for _, s := range r.sandboxes {
		item := &cri.PodSandbox{Id: s.id, Metadata: s.config.Metadata, State: s.state,
			CreatedAt: s.createdAt, Labels: s.config.Labels, Annotations: s.config.Annotations,
			RuntimeHandler: s.handler}
		if matchesSandbox(filter, item) {
			found = append(found, item)
		}
	}
	slices.SortFunc(found, func(a, b *cri.PodSandbox) int { return int(b.CreatedAt - a.CreatedAt) })
	return found, nil
}

func (r *Runtime) sandbox(id string) (*sandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.sandboxes[id]
	if !ok {
		return nil, notFound("pod sandbox", id)
	}
	return s, nil
}

func (r *Runtime) sandboxList() []*sandbox {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*sandbox
	for _, s := range r.sandboxes {
		all = append(all, s)
	}
	return all
}

func (r *Runtime) isClosing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closing
}
