// The runtime as a whole, and the parts of CRI that are about it.

package runtime

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	internalapi "k8s.io/cri-api/pkg/apis"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"

	"controlplane.sluice.dev/network"
)

// Name and version that the node reports for its container runtime.
const (
	Name    = "process-node"
	Version = "0.1.0"
)

// Config is what a runtime needs to know about its node.
type Config struct {
	// Dir is the runtime's own folder, wiped at the start; NodeDir is the node's, hidden from
	// containers.
	Dir, NodeDir string
	NodeIP       netip.Addr
	PodCIDR      netip.Prefix
	// Env is what every container starts with; Keep are host paths that stay visible in it.
	Env, Keep []string
	// GPUDevices are the device files that a container with a GPU sees.
	GPUDevices []string
	// Ended is called, without locks, when a container of a pod has ended. It may be nil.
	Ended func(podUID, container string)
}

// Runtime implements the whole of CRI's RuntimeService.
type Runtime struct {
	config  Config
	pool    *network.Pool
	streams streaming.Server

	mu         sync.Mutex
	closing    bool
	sandboxes  map[string]*sandbox
	containers map[string]*container
	events     broadcast
}

var _ internalapi.RuntimeService = (*Runtime)(nil)

// New prepares a runtime. It removes what a crashed one left in its folder; that one's processes
// ended with it.
func New(config Config) (*Runtime, error) {
	if err := os.RemoveAll(config.Dir); err != nil {
		return nil, fmt.Errorf("clean up after an earlier run: %w", err)
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, err
	}
	r := &Runtime{
		config: config, pool: network.NewPool(config.PodCIDR, config.NodeIP),
		sandboxes: map[string]*sandbox{}, containers: map[string]*container{},
	}
	return r, r.startStreaming()
}

// Stop ends every container: the stop signal first, then, after grace, by force. Nothing can be
// started afterwards.
func (r *Runtime) Stop(grace time.Duration) error {
	r.mu.Lock()
	r.closing = true
	var running []*container
	for _, c := range r.containers {
		running = append(running, c)
	}
	r.mu.Unlock()
	var wait sync.WaitGroup
	for _, c := range running {
		wait.Go(func() { c.stop(grace) })
	}
	wait.Wait()
	var failures []error
	for _, s := range r.sandboxList() {
		failures = append(failures, r.closeSandbox(s))
	}
	return errors.Join(append(failures, r.streams.Stop())...)
}

// Version implements CRI.
func (r *Runtime) Version(context.Context, string) (*cri.VersionResponse, error) {
	return &cri.VersionResponse{Version: "0.1.0", RuntimeName: Name, RuntimeVersion: Version,
		RuntimeApiVersion: "v1"}, nil
}

// Status implements CRI: ready until the node stops.
func (r *Runtime) Status(context.Context, bool) (*cri.StatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	condition := func(name string) *cri.RuntimeCondition {
		c := &cri.RuntimeCondition{Type: name, Status: !r.closing}
		if r.closing {
			c.Reason, c.Message = "Stopping", "the process node is shutting down"
		}
		return c
	}
	return &cri.StatusResponse{
		Status: &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
			condition(cri.RuntimeReady), condition(cri.NetworkReady)}},
		RuntimeHandlers: []*cri.RuntimeHandler{{Name: "", Features: &cri.RuntimeHandlerFeatures{
			RecursiveReadOnlyMounts: true}}},
		Features: &cri.RuntimeFeatures{},
	}, nil
}

// RuntimeConfig implements CRI. There are no cgroups; a driver has to be named all the same.
func (r *Runtime) RuntimeConfig(context.Context) (*cri.RuntimeConfigResponse, error) {
	return &cri.RuntimeConfigResponse{Linux: &cri.LinuxRuntimeConfiguration{
		CgroupDriver: cri.CgroupDriver_CGROUPFS}}, nil
}

// UpdateRuntimeConfig implements CRI. The pod range is given at the start and cannot change.
func (r *Runtime) UpdateRuntimeConfig(context.Context, *cri.RuntimeConfig) error { return nil }

// Close implements CRI. There is no connection to close; see Stop.
func (r *Runtime) Close(context.Context) error { return nil }

// CheckpointContainer implements CRI by refusing.
func (r *Runtime) CheckpointContainer(context.Context, *cri.CheckpointContainerRequest) error {
	return status.Error(codes.Unimplemented, "the process node cannot checkpoint a process")
}

// UpdateContainerResources implements CRI. Limits are not enforced, so there is nothing to do
// but to remember them.
func (r *Runtime) UpdateContainerResources(
	_ context.Context, id string, resources *cri.ContainerResources,
) error {
	c, err := r.container(id)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resources = resources
	return nil
}

// UpdatePodSandboxResources implements CRI; see UpdateContainerResources.
func (r *Runtime) UpdatePodSandboxResources(
	_ context.Context, request *cri.UpdatePodSandboxResourcesRequest,
) (*cri.UpdatePodSandboxResourcesResponse, error) {
	if _, err := r.sandbox(request.PodSandboxId); err != nil {
		return nil, err
	}
	return &cri.UpdatePodSandboxResourcesResponse{}, nil
}

// newID is unique for the life of the machine.
func newID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return hex.EncodeToString(b[:])
}

func (r *Runtime) folder(id string) string { return filepath.Join(r.config.Dir, id[:16]) }

func notFound(what, id string) error {
	return status.Errorf(codes.NotFound, "no %s %s", what, id)
}
