// The kubelet's container manager: the disk, and GPUs as a device plugin would offer them.

package node

import (
	"context"
	"maps"
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	internalapi "k8s.io/cri-api/pkg/apis"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/config"
	kubecontainer "k8s.io/kubernetes/pkg/kubelet/container"
	"k8s.io/kubernetes/pkg/kubelet/status"

	"controlplane.sluice.dev/runtime"
)

// gpuResource is the name that NVIDIA's own device plugin publishes.
const gpuResource = v1.ResourceName("nvidia.com/gpu")

// manager is the kubelet's container manager for a node without cgroups: the stub, with the
// node's disk and with GPUs as a device plugin would publish and assign them.
type manager struct {
	cm.ContainerManager
	gpus []string
	dir  string

	mu     sync.Mutex
	held   map[holder][]string
	active cm.ActivePodsFunc
}

func newManager(gpus []string, dir string) *manager {
	return &manager{ContainerManager: cm.NewStubContainerManager(), gpus: gpus, dir: dir,
		held: map[holder][]string{}}
}

// Start remembers how to ask for the pods that are still there.
func (m *manager) Start(ctx context.Context, node *v1.Node, active cm.ActivePodsFunc,
	getNode cm.GetNodeFunc, sources config.SourcesReady, provider status.PodStatusProvider,
	service internalapi.RuntimeService, isolation bool) error {
	m.mu.Lock()
	m.active = active
	m.mu.Unlock()
	return m.ContainerManager.Start(ctx, node, active, getNode, sources, provider, service, isolation)
}

// GetCapacity adds what the machine info does not have: the disk.
func (m *manager) GetCapacity(bool) v1.ResourceList {
	fs, err := fsInfo(m.dir)
	if err != nil {
		return v1.ResourceList{}
	}
	return v1.ResourceList{v1.ResourceEphemeralStorage: *resource.NewQuantity(int64(fs.Capacity),
		resource.BinarySI)}
}

// GetPodCgroupRoot names the container of machine whose use counts as that of all pods.
func (m *manager) GetPodCgroupRoot() string { return "/" }

// GetDevicePluginResourceCapacity publishes the GPUs, also when there are none.
func (m *manager) GetDevicePluginResourceCapacity() (v1.ResourceList, v1.ResourceList, []string) {
	gpus := v1.ResourceList{gpuResource: *resource.NewQuantity(int64(len(m.gpus)), resource.DecimalSI)}
	return gpus, maps.Clone(gpus), nil
}

// GetResources gives a container its GPUs. It is asked for every container before it is created.
func (m *manager) GetResources(
	_ context.Context, pod *v1.Pod, container *v1.Container,
) (*kubecontainer.RunContainerOptions, error) {
	options := &kubecontainer.RunContainerOptions{}
	wanted, ok := container.Resources.Limits[gpuResource]
	if !ok || wanted.IsZero() {
		return options, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	who := holder{string(pod.UID), container.Name}
	ids, err := assign(m.gpus, m.held, m.alive(), who, int(wanted.Value()))
	if err != nil {
		return nil, err
	}
	m.held[who] = ids
	options.Annotations = []kubecontainer.Annotation{{
		Name: runtime.GPUAnnotation, Value: strings.Join(ids, ",")}}
	return options, nil
}

// alive says whether a holder's pod is still on the node.
func (m *manager) alive() func(holder) bool {
	if m.active == nil {
		return func(holder) bool { return true }
	}
	uids := map[string]bool{}
	for _, pod := range m.active() {
		uids[string(pod.UID)] = true
	}
	return func(h holder) bool { return uids[h.podUID] }
}

// ended frees what a container had, when the runtime tells that it has ended.
func (m *manager) ended(podUID, container string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.held, holder{podUID, container})
}
